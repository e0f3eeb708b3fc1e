//! Storages in archives: the same bundle as from the folder, and what a broken archive says.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use e2e::content::Family;
use e2e::programs::{Finished, Run, packer, shell};
use e2e::tree::{Tree, damage, digest_of};
use tempfile::TempDir;

use crate::disk::with_small_disk;

/// A folder with a storage of every kind of content in it, called `storage`, and the bundle that is
/// packed from it, called `folder.tar`.
fn everything(seed: u64) -> (TempDir, Tree) {
    let folder = tempfile::tempdir().unwrap();
    let tree = Tree::everything(&folder.path().join("storage"), seed);
    pack(folder.path(), "storage", "folder.tar").run().ok();
    (folder, tree)
}

/// Two images, `team/image:1` and `team/other:1`, in the folder `storage`.
fn two_images(folder: &Path) -> Tree {
    let mut tree = Tree::new(&folder.join("storage"), 7);
    tree.simple("team/image", "1");
    tree.simple("team/other", "1");
    tree
}

fn pack(folder: &Path, storage: &str, output: &str) -> Command {
    let mut command = packer();
    command.args(["pack", "--storage", storage, "--output", output]).current_dir(folder);
    command
}

/// Refuses to pack, and leaves nothing.
fn refused(folder: &Path, storage: &str) -> Finished {
    let finished = pack(folder, storage, "out.tar").run().expect(1);
    assert!(!folder.join("out.tar").exists());
    finished
}

/// That two files have the same bytes.
#[track_caller]
fn same(folder: &Path, one: &str, other: &str) {
    let [one, other] = [one, other].map(|name| fs::read(folder.join(name)).unwrap());
    assert!(one == other, "{} bytes and {}", one.len(), other.len());
}

#[test]
fn the_same_bundle_from_every_archive() {
    let (folder, _tree) = everything(71);
    let folder = folder.path();
    shell(
        folder,
        "tar -C storage -cpf gnu.tar docker
         tar -C storage --format=posix -cpf posix.tar ./docker
         tar -C storage --format=ustar -cpf ustar.tar .
         tar -C storage/docker/registry/v2 -cpf inner.tar blobs repositories
         tar -C storage --transform=s,^docker,var/lib/registry/docker, -cpf host.tar docker
         tar -C storage -cpf two.tar docker/registry/v2/blobs
         tar -C storage -cf - docker/registry/v2/repositories >>two.tar
         gzip -k1 gnu.tar; zstd -qk posix.tar
         mv gnu.tar.gz named.otherwise",
    );
    for archive in [
        "gnu.tar",
        "posix.tar",
        "ustar.tar",
        "inner.tar",
        "host.tar",
        "two.tar",
        "named.otherwise",
        "posix.tar.zst",
    ] {
        pack(folder, archive, "out.tar").run().ok();
        same(folder, "folder.tar", "out.tar");
    }
}

#[test]
fn the_same_bundle_from_a_pipe_and_into_one() {
    let (folder, _tree) = everything(72);
    let folder = folder.path();
    shell(folder, "tar -C storage -cf a.tar docker; gzip -k1 a.tar; zstd -qk a.tar; mkdir spool");
    let packer = packer().get_program().display().to_string();
    for archive in ["a.tar", "a.tar.gz", "a.tar.zst"] {
        shell(
            folder,
            &format!(
                "export TMPDIR=spool
                 cat {archive} | {packer} pack --storage - -o piped.tar 2>said
                 {packer} pack --storage {archive} -o - >sent.tar
                 cat {archive} | {packer} pack --storage - -o - >both.tar
                 {packer} pack --storage - -o redirected.tar <{archive}
                 ls -A spool >left"
            ),
        );
        for bundle in ["piped.tar", "sent.tar", "both.tar", "redirected.tar"] {
            same(folder, "folder.tar", bundle);
        }
        let bytes = fs::metadata(folder.join("a.tar")).unwrap().len();
        let said = fs::read_to_string(folder.join("said")).unwrap();
        let want =
            format!("{bytes} bytes of standard input are kept in spool for as long as this runs");
        assert!(said.contains(&want), "{said}");
        assert_eq!(fs::read_to_string(folder.join("left")).unwrap(), "");
    }
}

#[test]
fn nothing_of_an_archive_in_a_file_is_kept_elsewhere() {
    let (folder, _tree) = everything(73);
    let folder = folder.path();
    shell(folder, "tar -C storage -cf a.tar docker; gzip -k1 a.tar; zstd -qk a.tar");
    for archive in ["a.tar", "a.tar.gz", "a.tar.zst"] {
        let mut command = pack(folder, archive, "out.tar");
        command.env("TMPDIR", "/nonexistent").run().ok();
        same(folder, "folder.tar", "out.tar");
    }
}

#[test]
fn list_and_verify_tell_of_an_archive_what_they_tell_of_the_folder() {
    let (folder, _tree) = everything(74);
    let folder = folder.path();
    shell(folder, "tar -C storage -cf a.tar docker; gzip -k1 a.tar");
    let told = |command: &str, storage: &str| {
        packer().args([command, "--storage", storage]).current_dir(folder).run().ok().stdout
    };
    for command in ["list", "verify"] {
        let want = told(command, "storage");
        assert!(!want.is_empty());
        for archive in ["a.tar", "a.tar.gz"] {
            assert_eq!(told(command, archive), want, "{command} {archive}");
        }
    }
}

#[test]
fn hard_links_are_the_files_that_they_lead_to() {
    let (folder, _tree) = everything(75);
    let folder = folder.path();
    shell(
        folder,
        "mkdir storage/a-images
         find storage/docker -name data | while read -r file; do
             ln \"$file\" storage/a-images/$(basename $(dirname \"$file\")); done
         tar -C storage -cf a.tar a-images docker; gzip -k1 a.tar
         tar -tvf a.tar | grep -c ' link to ' | grep -vx 0",
    );
    for archive in ["a.tar", "a.tar.gz"] {
        pack(folder, archive, "out.tar").run().ok();
        same(folder, "folder.tar", "out.tar");
    }
}

#[test]
fn an_archive_that_was_appended_to_is_the_newer_storage() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut tree = two_images(folder);
    shell(folder, "tar -C storage -cf a.tar docker");
    let layer = tree.layer(Family::Oci, 3000);
    let image = tree.image("team/image", Family::Oci, "again", &[layer]);
    tree.tag("team/image", "1", digest_of(&image));
    shell(folder, "tar -C storage -rf a.tar docker; gzip -k1 a.tar");
    pack(folder, "storage", "folder.tar").run().ok();
    for archive in ["a.tar", "a.tar.gz"] {
        pack(folder, archive, "out.tar").run().ok();
        same(folder, "folder.tar", "out.tar");
    }
}

#[test]
fn an_archive_that_is_cut_off_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let _tree = two_images(folder);
    shell(
        folder,
        "tar -C storage -cf a.tar docker; gzip -k1 a.tar; zstd -qk a.tar
         head -c 10240 a.tar >cut.tar; head -c 1500 a.tar.gz >cut.gz; head -c 1500 a.tar.zst >cut.zst",
    );
    refused(folder, "cut.tar").says("cut.tar: the archive is cut off at byte 10240: ");
    refused(folder, "cut.gz").says("cut.gz: its gzip data are cut off at byte 1500, ");
    refused(folder, "cut.zst").says("cut.zst: its Zstandard data are cut off at byte 1500, ");
    let packer = packer().get_program().display().to_string();
    let piped = format!("! cat cut.tar | {packer} pack --storage - -o out.tar 2>&1");
    let said = shell(folder, &piped);
    assert!(said.contains("standard input: the archive is cut off at byte 10240: "), "{said}");
}

#[test]
fn an_archive_with_a_damaged_header_or_checksum_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let _tree = two_images(folder);
    shell(folder, "tar -C storage -cf a.tar docker; gzip -k1 a.tar");
    damage(&folder.join("a.tar"), 512 + 10);
    let size = fs::metadata(folder.join("a.tar.gz")).unwrap().len();
    damage(&folder.join("a.tar.gz"), size as usize - 6);
    refused(folder, "a.tar")
        .says("a.tar: the header of a member at byte 512 of the archive is damaged");
    refused(folder, "a.tar.gz").says("a.tar.gz: its gzip data are damaged before byte ");
}

#[test]
fn damaged_blobs_in_an_archive_cost_their_images_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tree = two_images(folder);
    let layer = tree.last_layer("team/image:1");
    damage(&tree.blob_path(layer), 10);
    shell(folder, "tar -C storage -cf a.tar docker; gzip -k1 a.tar; zstd -qk a.tar");
    let skip_broken = |storage: &str, output: &str| {
        let said = pack(folder, storage, output).arg("--skip-broken").run().expect(3);
        said.prints("packed 1 tag of 1 repository").says("breaks team/image:1");
    };
    skip_broken("storage", "folder.tar");
    let packer = packer().get_program().display().to_string();
    for archive in ["a.tar", "a.tar.gz", "a.tar.zst"] {
        let place = format!("{archive}: docker/registry/v2/blobs/sha256/");
        refused(folder, archive).says(&format!("blob {layer} hashes to ")).says(&place);
        skip_broken(archive, "out.tar");
        same(folder, "folder.tar", "out.tar");
        fs::remove_file(folder.join("out.tar")).unwrap();
        let pack = format!("{packer} pack --storage {archive} -o - --skip-broken");
        shell(folder, &format!("{pack} >sent.tar || test $? = 3"));
        same(folder, "folder.tar", "sent.tar");
    }
}

#[test]
fn sparse_blobs_cost_their_images_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut tree = two_images(folder);
    let zeros = vec![0; 1 << 20];
    let layer = tree.layer_blob("team/sparse", &zeros);
    File::create(tree.blob_path(layer)).unwrap().set_len(1 << 20).unwrap();
    let config = tree.layer_blob("team/sparse", b"{}");
    let image = serde_json::json!({
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": 1 << 20}],
    });
    let image = tree.manifest("team/sparse", &image);
    tree.tag("team/sparse", "1", image);
    shell(
        folder,
        "tar -C storage -Scf gnu.tar docker; tar -C storage --format=posix -Scf posix.tar docker
         gzip -k1 gnu.tar; tar -C storage -cf whole.tar docker",
    );
    pack(folder, "storage", "folder.tar").run().ok();
    pack(folder, "whole.tar", "out.tar").run().ok();
    same(folder, "folder.tar", "out.tar");
    fs::remove_file(folder.join("out.tar")).unwrap();
    for archive in ["gnu.tar", "posix.tar", "gnu.tar.gz"] {
        refused(folder, archive).says("it is stored as a sparse file").says("team/sparse:1");
        let packed = pack(folder, archive, "out.tar").arg("--skip-broken").run().expect(3);
        packed.prints("packed 2 tags of 2 repositories");
        fs::remove_file(folder.join("out.tar")).unwrap();
    }
}

#[test]
fn two_storages_in_one_archive_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let _tree = two_images(folder);
    shell(folder, "cp -a storage copy; tar -cf a.tar storage copy");
    refused(folder, "a.tar").says(
        "it holds two registry storages, one in `copy/docker/registry/v2` and one in \
         `storage/docker/registry/v2`",
    );
}

#[test]
fn what_is_no_archive_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let _tree = two_images(folder);
    shell(folder, "tar -C storage -cf a.tar docker; xz -k0 a.tar; bzip2 -k a.tar; : >empty");
    refused(folder, "a.tar.xz").says("`xz -dc FILE | packer … --storage -`");
    refused(folder, "a.tar.bz2").says("`bzip2 -dc FILE | packer … --storage -`");
    refused(folder, "empty").says("empty: it is empty");
    refused(
        folder,
        "storage/docker/registry/v2/repositories/team/image/_manifests/tags/1/current/link",
    )
    .says("it is no tar archive");
}

#[test]
fn an_archive_is_only_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let _tree = two_images(folder);
    shell(folder, "tar -C storage -cf a.tar docker; ln -s a.tar link.tar; sha256sum a.tar >sum");
    for output in ["a.tar", "link.tar"] {
        pack(folder, "a.tar", output).run().expect(1).says("would be inside the storage");
    }
    let mut command = pack(folder, "a.tar", "out.tar");
    command.args(["--report", "link.tar"]).run().expect(1).says("would be inside the storage");
    shell(folder, "sha256sum --quiet -c sum");
}

#[test]
fn a_disk_without_room_for_a_pipe_says_where_more_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let mut tree = Tree::new(&folder.path().join("storage"), 77);
    let layer = tree.layer(Family::Oci, 4_000_000);
    let image = tree.image("team/image", Family::Oci, "1", &[layer]);
    tree.tag("team/image", "1", digest_of(&image));
    let packer = packer().get_program().display().to_string();
    let script = format!(
        "tar -C storage -c docker | TMPDIR=small {packer} pack --storage - -o out.tar
         echo ${{PIPESTATUS[1]}}; ls -A small"
    );
    let said = with_small_disk(folder.path(), &script);
    let said = said.says("small: the archive cannot be kept there while it is read (No space left");
    assert_eq!(said.says("name a folder with more room in TMPDIR").stdout, "1\n");
}
