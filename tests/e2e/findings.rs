//! Broken storage: every kind of damage is a finding that names the image, the file and the
//! problem; nothing is written, or only what is whole.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use e2e::content::{self, Family, descriptor};
use e2e::programs::{Finished, Run, loader, packer, packer_without_privileges};
use e2e::tree::{Tree, damage, digest_of, write};
use serde_json::{Value, json};
use tranship_common::{Digest, kinds};

/// Breaks `bad/image:1` and returns the path that the finding has to name.
type Break = fn(&mut Tree) -> PathBuf;

fn manifest(tree: &Tree) -> PathBuf {
    tree.blob_path(tree.tags["bad/image:1"])
}

fn layer(tree: &Tree) -> PathBuf {
    tree.blob_path(tree.last_layer("bad/image:1"))
}

fn link(tree: &Tree) -> PathBuf {
    tree.tag_link("bad/image", "1")
}

/// Points the tag to a manifest with these bytes.
fn retag(tree: &mut Tree, bytes: &[u8]) -> PathBuf {
    let digest = tree.raw_manifest("bad/image", bytes);
    tree.tag("bad/image", "1", digest);
    tree.blob_path(digest)
}

/// An image of schema 1 with one layer, which is named by this sum.
fn schema1(sum: &str) -> Value {
    json!({
        "schemaVersion": 1, "name": "bad/image", "tag": "1", "architecture": "amd64",
        "fsLayers": [{"blobSum": sum}], "history": [{"v1Compatibility": "{}"}],
    })
}

const BREAKS: &[(&str, &str, Break)] = &[
    ("a link whose manifest is missing", "is missing", |tree| {
        fs::remove_file(manifest(tree)).unwrap();
        manifest(tree)
    }),
    ("a layer that is missing", "is missing", |tree| {
        let path = layer(tree);
        fs::remove_file(&path).unwrap();
        path
    }),
    ("a layer with a flipped bit", "hashes to", |tree| {
        damage(&layer(tree), 500);
        layer(tree)
    }),
    ("a manifest with a flipped bit", "hashes to", |tree| {
        damage(&manifest(tree), 100);
        manifest(tree)
    }),
    ("a truncated layer", "the file has 100 bytes", |tree| {
        fs::File::options().write(true).open(layer(tree)).unwrap().set_len(100).unwrap();
        layer(tree)
    }),
    ("an empty layer", "the file has 0 bytes", |tree| {
        fs::write(layer(tree), b"").unwrap();
        layer(tree)
    }),
    ("an empty manifest", "hashes to", |tree| {
        fs::write(manifest(tree), b"").unwrap();
        manifest(tree)
    }),
    ("a layer that may not be read", "cannot be read", |tree| {
        fs::set_permissions(layer(tree), fs::Permissions::from_mode(0o000)).unwrap();
        layer(tree)
    }),
    ("a folder in the place of a layer", "not a regular file", |tree| {
        let path = layer(tree);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        path
    }),
    ("garbage in a link", "the link holds no digest", |tree| {
        fs::write(link(tree), b"sha256:zz\x00\xff").unwrap();
        link(tree)
    }),
    ("an empty link", "the link holds no digest", |tree| {
        fs::write(link(tree), b"").unwrap();
        link(tree)
    }),
    ("a tag that was never finished", "no `current/link`", |tree| {
        fs::remove_file(link(tree)).unwrap();
        link(tree)
    }),
    ("a manifest that was deleted through the registry", "deleted from the repository", |tree| {
        let hex = tree.tags["bad/image:1"].hex();
        let revision =
            tree.in_repository("bad/image", &format!("_manifests/revisions/sha256/{hex}/link"));
        fs::remove_file(&revision).unwrap();
        revision
    }),
    ("a manifest that is no JSON", "the manifest cannot be read", |tree| {
        retag(tree, b"<html>not found</html>")
    }),
    ("a manifest that is too large", "more than the 4194304", |tree| {
        retag(tree, &vec![b' '; (4 << 20) + 1])
    }),
    ("a layer of schema 1 that is missing", "is missing", |tree| {
        let layer = Digest::of(b"a layer that was never pushed");
        retag(tree, schema1(&layer.to_string()).to_string().as_bytes());
        tree.blob_path(layer)
    }),
    ("a truncated layer of schema 1, which tells no sizes", "hashes to", |tree| {
        let layer = tree.blob(b"a layer that is there in part");
        retag(tree, schema1(&layer.to_string()).to_string().as_bytes());
        let path = tree.blob_path(layer);
        fs::write(&path, b"a layer that is").unwrap();
        path
    }),
    ("a layer of schema 1 with a sum of old", "reference in the manifest", |tree| {
        let sum = format!("tarsum.v1+sha256:{}", Digest::of(b"").hex());
        retag(tree, schema1(&sum).to_string().as_bytes())
    }),
    ("a manifest of two schemas", "which schema the manifest is of", |tree| {
        let mut manifest = schema1(&Digest::of(b"layer").to_string());
        manifest["layers"] = json!([]);
        retag(tree, manifest.to_string().as_bytes())
    }),
    ("an unknown media type without references", "nothing is known of media type", |tree| {
        retag(tree, br#"{"schemaVersion":2,"mediaType":"application/x-odd"}"#)
    }),
    ("a reference that is no digest", "reference in the manifest", |tree| {
        let mut broken = descriptor(content::OCI_CONFIG, Digest::of(b""), 0);
        broken["digest"] = json!("sha256:short");
        let manifest = json!({
            "schemaVersion": 2, "mediaType": kinds::OCI_MANIFEST, "config": broken, "layers": [],
        });
        retag(tree, manifest.to_string().as_bytes())
    }),
    ("an index with a child that is missing", "is missing", |tree| {
        let layer = tree.layer(Family::Oci, 100);
        let child = tree.image("bad/image", Family::Oci, "child", &[layer]);
        let index = tree.index("bad/image", Family::Oci, std::slice::from_ref(&child));
        tree.tag("bad/image", "1", digest_of(&index));
        let path = tree.blob_path(digest_of(&child));
        fs::remove_file(&path).unwrap();
        path
    }),
    ("indexes nested without reason", "more than 32 deep", |tree| {
        let mut child = tree.image("bad/image", Family::Oci, "leaf", &[]);
        let leaf = digest_of(&child);
        let mut too_deep = leaf;
        for depth in 0..40 {
            child = tree.index("bad/image", Family::Oci, &[child]);
            if depth == 6 {
                too_deep = digest_of(&child);
            }
        }
        tree.tag("bad/image", "1", digest_of(&child));
        tree.blob_path(too_deep)
    }),
    ("indexes nested deeper than the shortest way to them", "more than 32 deep", |tree| {
        let leaf = tree.image("bad/image", Family::Oci, "leaf", &[]);
        let mut chain = vec![leaf];
        for _ in 0..33 {
            let index = tree.index("bad/image", Family::Oci, &chain[chain.len() - 1..]);
            chain.push(index);
        }
        let all = tree.index("bad/image", Family::Oci, &chain);
        tree.tag("bad/image", "1", digest_of(&all));
        tree.blob_path(digest_of(&chain[33]))
    }),
    ("an artifact type of any length", "has 256 bytes", |tree| {
        let kind = "x".repeat(256);
        retag(tree, json!({"artifactType": kind, "layers": []}).to_string().as_bytes())
    }),
    ("a link that leaves the tree", "leaves the storage", |tree| {
        fs::remove_file(layer(tree)).unwrap();
        symlink("/etc/hostname", layer(tree)).unwrap();
        layer(tree)
    }),
];

fn pack(folder: &Path, options: &[&str]) -> Finished {
    packer_without_privileges()
        .args(["pack", "--storage", "storage", "--output", "images.tar"])
        .args(options)
        .current_dir(folder)
        .run()
}

fn listing(folder: &Path) -> String {
    loader().args(["list", "images.tar"]).current_dir(folder).run().ok().stdout
}

#[test]
fn each_kind_of_damage_is_named_and_left_out() {
    for (what, problem, break_it) in BREAKS {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut tree = Tree::new(&folder.join("storage"), 3);
        tree.simple("good/image", "1");
        tree.simple("bad/image", "1");
        let path = break_it(&mut tree);
        let path = fs::canonicalize(path.parent().unwrap())
            .unwrap_or_else(|_| path.parent().unwrap().to_owned())
            .join(path.file_name().unwrap());

        println!("{what}");
        let path = path.display().to_string();
        let refused = pack(folder, &[]).expect(1);
        for text in [*problem, &path, "bad/image:1", "--skip-broken"] {
            assert!(refused.stderr.contains(text), "{what}: no `{text}` in {}", refused.stderr);
        }
        assert!(!refused.stderr.contains("good/image"), "{what}: {}", refused.stderr);
        let left: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [folder.join("storage")], "{what}: something was written");

        let skipped =
            pack(folder, &["--skip-broken", "--json", "--report", "report.json"]).expect(3);
        assert_eq!(listing(folder), "good/image:1\n", "{what}");
        loader().args(["verify", "images.tar"]).current_dir(folder).run().ok();
        let report: Value =
            serde_json::from_slice(&fs::read(folder.join("report.json")).unwrap()).unwrap();
        assert_eq!(report, skipped.json(), "{what}");
        assert_eq!(report["images"]["good/image:1"]["status"], "packed", "{what}");
        assert_eq!(report["images"]["bad/image:1"]["status"], "broken", "{what}");
        let finding = &report["findings"][0];
        assert_eq!(finding["path"], path, "{what}");
        assert_eq!(finding["images"], json!(["bad/image:1"]), "{what}");
        assert!(finding["problem"].as_str().unwrap().contains(problem), "{what}: {finding}");
    }
}

#[test]
fn names_that_no_registry_gives() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut tree = Tree::new(&folder.join("storage"), 4);
    tree.simple("good/image", "1");
    let digest = tree.tags["good/image:1"];
    let hostile = "\u{1b}[2J\u{202e}\nall is well";
    for (repository, tag) in
        [("Upper/case", "1"), ("good/image", "-dash"), ("good/image", hostile), (hostile, "1")]
    {
        tree.tag(repository, tag, digest);
    }
    let repositories = tree.v2().join("repositories");
    let not_utf8 = repositories.join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    write(&not_utf8.join("_manifests/tags/1/current/link"), digest.to_string().as_bytes());
    let deep = ["component"; 40].join("/");
    tree.tag(&deep, "1", digest);
    symlink(&repositories, repositories.join("loop")).unwrap();
    symlink("/usr", repositories.join("away")).unwrap();

    let listed =
        packer().args(["list", "--storage", "storage"]).current_dir(folder).run().expect(3);
    assert_eq!(listed.stdout, "good/image:1\n");
    assert!(!listed.stderr.contains(['\u{1b}', '\u{202e}']), "{:?}", listed.stderr);
    assert!(
        !listed.stderr.lines().any(|line| line.starts_with("all is well")),
        "{}",
        listed.stderr
    );
    listed
        .says(r"`\u001b[2J\u202e\nall is well` is not a tag")
        .says(r"`\u001b[2J\u202e\nall is well` is not a repository name")
        .says(r"breaks good/image:\u001b[2J")
        .says("`Upper/case` is not a repository name")
        .says("`-dash` is not a tag")
        .says("its name is not UTF-8")
        .says("longer than a repository name can be")
        .says("leads back to a folder that it stands in")
        .says("leaves the storage, to /usr");
}

#[test]
fn one_broken_layer_names_all_its_images() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut tree = Tree::everything(&folder.join("storage"), 5);
    let raw = fs::read(tree.blob_path(tree.tags["alpine:3.18"])).unwrap();
    let base = digest_of(&serde_json::from_slice::<Value>(&raw).unwrap()["layers"][0]);
    damage(&tree.blob_path(base), 0);
    tree.simple("zzz", "1");
    let found = pack(folder, &[]).expect(1);
    let affected = ["alpine:3.18", "alpine:3.19", "alpine:latest", "team/app:1.0"];
    for image in affected {
        assert!(found.stderr.contains(&format!("breaks {image}\n")), "{}", found.stderr);
    }
    assert_eq!(found.stderr.matches("breaks ").count(), affected.len(), "{}", found.stderr);
    let _ = pack(folder, &["--skip-broken"]).expect(3).prints("packed 15 tags");
}

#[test]
fn images_are_counted_once_whatever_they_have_lost() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut tree = Tree::new(&folder.join("storage"), 9);
    let layers: Vec<_> = (0..3).map(|_| tree.layer(Family::Oci, 100)).collect();
    for tag in ["1", "2"] {
        let image = tree.image("bad/image", Family::Oci, tag, &layers);
        tree.tag("bad/image", tag, digest_of(&image));
    }
    let raw = fs::read(tree.blob_path(tree.tags["bad/image:1"])).unwrap();
    let manifest: Value = serde_json::from_slice(&raw).unwrap();
    for layer in manifest["layers"].as_array().unwrap() {
        fs::remove_file(tree.blob_path(digest_of(layer))).unwrap();
    }
    let _ = pack(folder, &[]).expect(1).says("2 images cannot be packed whole");
    let found = pack(folder, &["--skip-broken"]).expect(3);
    assert_eq!(found.stderr.matches("broken: ").count(), 3, "{}", found.stderr);
    found.says("no whole image was found, so nothing was written");
}

#[test]
fn an_unknown_media_type_is_carried_when_its_references_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut tree = Tree::new(&folder.join("storage"), 6);
    let blob = tree.layer_blob("odd", b"its only blob");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.example.manifest.v7+json",
        "blobs": [descriptor("application/octet-stream", blob, 13)],
    });
    let digest = tree.manifest("odd", &manifest);
    tree.tag("odd", "1", digest);
    pack(folder, &[]).ok();
    let listed = loader().args(["list", "images.tar", "--json"]).current_dir(folder).run().ok();
    assert_eq!(listed.json()[0]["mediaType"], "application/vnd.example.manifest.v7+json");
    let names = e2e::programs::shell(folder, "tar tf images.tar");
    assert!(names.contains(&blob.hex()), "{names}");
}

#[test]
fn folders_that_hold_no_storage() {
    let folder = tempfile::tempdir().unwrap();
    let list = |storage: &str| {
        packer().args(["list", "--storage", storage]).current_dir(folder.path()).run().expect(1)
    };
    let _ = list("/nonexistent").says("cannot read /nonexistent");
    let _ = list(".")
        .says("holds no registry storage")
        .says("docker/registry/v2")
        .says("rootdirectory");
    let tree = Tree::everything(&folder.path().join("storage"), 7);
    for root in ["storage", "storage/docker", "storage/docker/registry/v2"] {
        let listed =
            packer().args(["list", "--storage", root]).current_dir(folder.path()).run().ok();
        assert_eq!(listed.stdout.lines().collect::<Vec<_>>(), tree.tags.keys().collect::<Vec<_>>());
    }
}

#[test]
fn the_storage_is_only_read() {
    let folder = tempfile::tempdir().unwrap();
    let _ = Tree::everything(&folder.path().join("storage"), 8);
    let output = "storage/docker/registry/v2/images.tar";
    packer()
        .args(["pack", "--storage", "storage", "--output", output])
        .current_dir(folder.path())
        .run()
        .expect(1)
        .says("inside the storage");
}

#[test]
fn verify_reads_everything_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut tree = Tree::new(&folder.join("storage"), 48);
    tree.simple("team/whole", "1");
    tree.simple("team/damaged", "1");
    let verify = |more: &[&str]| {
        let mut command = packer();
        command.args(["verify", "--storage", "storage"]).args(more);
        command.current_dir(folder).run()
    };
    let _ = verify(&[]).ok().prints("2 images whole").prints(", 0 broken");
    // Of the same size, so that only its digest tells.
    damage(&tree.blob_path(tree.last_layer("team/damaged:1")), 5);
    let found = verify(&["--jobs", "1"]).expect(3).prints("1 image whole").prints(", 1 broken");
    let _ = found.says(" hashes to sha256:").says("    breaks team/damaged:1");
    let _ = verify(&["--exclude", "team/damaged"]).ok().prints("1 image whole");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
}

#[test]
fn a_project_on_a_disk_that_is_not_mounted_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut tree = Tree::new(&folder.join("storage"), 49);
    tree.simple("here/image", "1");
    tree.simple("away/image", "1");
    let repositories = tree.v2().join("repositories");
    fs::rename(repositories.join("away"), folder.join("away")).unwrap();
    symlink("/nowhere/away", repositories.join("away")).unwrap();
    for options in [&[][..], &["--follow-links"]] {
        let refused = pack(folder, options).expect(1);
        let _ = refused.says("leads to /nowhere/away, which is not there").says("breaks away");
    }
    pack(folder, &["--exclude", "away", "--exclude", "away/**"]).ok();
}

#[test]
fn the_archive_is_not_written_to_under_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    Tree::new(&folder.join("storage"), 50).simple("team/image", "1");
    let archive = folder.join("docker.tar.partial");
    e2e::programs::shell(folder, "tar -cf docker.tar.partial -C storage docker");
    let before = fs::read(&archive).unwrap();
    for options in [
        &["--output", "docker.tar"][..],
        &["--output", "docker.tar", "--dry-run"],
        &["--output", "docker.tar.partial"],
        &["--output", "x.tar", "--report", "docker.tar"],
    ] {
        let mut command = packer();
        command.args(["pack", "--storage", "docker.tar.partial"]).args(options);
        let _ = command.current_dir(folder).run().expect(1).says("would be inside the storage");
        assert_eq!(fs::read(&archive).unwrap(), before);
    }
}
