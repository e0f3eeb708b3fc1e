//! Tags that are kept in a database and not in the storage.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use e2e::programs::{Finished, Run, load, packer};
use e2e::tree::{digest_of, write};
use e2e::{Bundle, Harbor, Registry, Tree};
use tempfile::TempDir;
use tranship_common::Digest;

use super::tagged;

fn pack(folder: &Path, storage: &Path, options: &[&str]) -> Finished {
    let mut pack = packer();
    pack.arg("pack").arg("--storage").arg(storage).args(["-o", "images.tar"]);
    pack.args(options).current_dir(folder).run()
}

/// When a manifest was pushed to its repository, in seconds.
fn pushed(tree: &Tree, repository: &str, digest: Digest, seconds: u64) {
    let link = format!("_manifests/revisions/sha256/{}/link", digest.hex());
    let link = File::options().write(true).open(tree.in_repository(repository, &link)).unwrap();
    link.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
}

/// Stores an image without a tag, and gives the line that lists it with one.
fn untagged(tree: &mut Tree, repository: &str, tag: &str, seconds: u64) -> String {
    let layer = tree.layer(e2e::content::Family::Oci, 200);
    let image = tree.image(repository, e2e::content::Family::Oci, tag, &[layer]);
    pushed(tree, repository, digest_of(&image), seconds);
    format!("{repository}:{tag}@{}\n", digest_of(&image))
}

fn new_storage() -> (TempDir, Tree) {
    let folder = tempfile::tempdir().unwrap();
    let tree = Tree::new(&folder.path().join("storage"), 33);
    (folder, tree)
}

const NOTHING: &str = "no image was found, so nothing was written";
const TO_DO: &str = "give the images with --images-file, as lines of REPOSITORY:TAG@DIGEST";

#[test]
fn a_storage_without_a_tag_is_packed_by_a_list() {
    for mark in [true, false] {
        let (folder, mut tree) = new_storage();
        let line = untagged(&mut tree, "team/app", "1", 1);
        let why = match mark {
            true => {
                let mark = tree.root().join("docker/registry/lockfiles/database-in-use");
                write(&mark, b"");
                "the storage says so (lockfiles/database-in-use)"
            }
            false => "its repositories have manifests (1) and not one tag",
        };
        let refused = pack(folder.path(), tree.root(), &[]).expect(3);
        refused.says(why).says(TO_DO).says(NOTHING);
        assert!(!folder.path().join("images.tar").exists());
        fs::write(folder.path().join("images.list"), &line).unwrap();
        let packed = pack(folder.path(), tree.root(), &["--images-file", "images.list"]).ok();
        assert!(!packed.stderr.contains("database"), "{}", packed.stderr);
        let target = Registry::start();
        load(&folder.path().join("images.tar"), &target.url()).run().ok();
        let digest: Digest = line.trim().split_once('@').unwrap().1.parse().unwrap();
        assert_eq!(tagged(&target, "team/app"), Some(digest));
    }
}

#[test]
fn tags_of_old_do_not_pass_for_all_tags() {
    let (folder, mut tree) = new_storage();
    let mut list = String::new();
    for tag in ["1", "2", "3"] {
        let digest = tree.simple("team/old", tag);
        pushed(&tree, "team/old", digest, 1_600_000_000);
        list += &format!("team/old:{tag}@{digest}\n");
    }
    // What came since: as many again in the same repository, and others in one of its own.
    for number in 4..10 {
        list += &untagged(&mut tree, "team/old", &number.to_string(), 1_800_000_000);
        list += &untagged(&mut tree, "team/new", &number.to_string(), 1_800_000_000);
    }
    for options in [&[][..], &["--no-referrers"], &["--include", "team/**"]] {
        let packed = pack(folder.path(), tree.root(), options).expect(3);
        let packed = packed.says("12 images are newer than every tag of their repository");
        packed.says(TO_DO).prints("packed 3 tags");
    }
    fs::write(folder.path().join("images.list"), &list).unwrap();
    let packed = pack(folder.path(), tree.root(), &["--images-file", "images.list"]).ok();
    packed.prints("packed 15 tags");
    // A list without digests leads to the same tags of old.
    fs::write(folder.path().join("images.list"), "team/old:1\n").unwrap();
    let packed = pack(folder.path(), tree.root(), &["--images-file", "images.list"]).expect(3);
    packed.says(TO_DO).prints("packed 1 tag ");
}

/// The script that docs/from-harbor.md gives.
fn documented() -> String {
    let text = include_str!("../../../docs/from-harbor.md");
    let (_, script) = text.split_once("```sh\n").unwrap();
    script.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_api_of_harbor_lists_what_packer_needs() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 34);
        for number in 0..120 {
            tree.simple(&format!("team/a/{}", number % 3), &number.to_string());
        }
        tree.simple("library/b.c/d", "1");
        tree.tag("library/b.c/d", "latest", tree.tags["library/b.c/d:1"]);
        tree
    });
    let harbor = Harbor::start();
    let mut load = load(&bundle.path(), &harbor.url());
    load.env("TRANSHIP_USERNAME", "admin").env("TRANSHIP_PASSWORD", "Harbor12345").run().ok();

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("images.sh"), documented()).unwrap();
    fs::write(folder.join("harbor.netrc"), "machine 127.0.0.1 login admin password Harbor12345")
        .unwrap();
    let ask = |url: &str| {
        let mut bash = Command::new("bash");
        bash.arg("images.sh").env("HARBOR", url).env("no_proxy", "*").current_dir(folder).run()
    };
    let listed = ask(&harbor.url()).ok();
    let mut want: Vec<String> = harbor
        .state()
        .projects
        .values()
        .flat_map(|project| project.tags().iter().map(|(name, digest)| format!("{name}@{digest}")))
        .collect();
    want.sort();
    assert_eq!(listed.stdout.lines().collect::<Vec<_>>(), want);
    assert_ne!(ask("http://127.0.0.1:1").code, Some(0));

    // As a Harbor of today would have left it.
    let storage = harbor.registry.storage();
    for repository in ["team/a/0", "team/a/1", "team/a/2", "library/b.c/d"] {
        let tags = format!("docker/registry/v2/repositories/{repository}/_manifests/tags");
        fs::remove_dir_all(storage.join(tags)).unwrap();
    }
    fs::write(folder.join("images.list"), &listed.stdout).unwrap();
    pack(folder, &storage, &["--images-file", "images.list"]).ok().prints("packed 122 tags");
}
