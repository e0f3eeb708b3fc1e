//! Links to other disks, folders of others, and what may not be read.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use e2e::Tree;
use e2e::programs::{Finished, Run, packer, packer_without_privileges};
use e2e::tree::write;
use tempfile::TempDir;

/// A storage with many small images of three projects.
fn storage() -> (TempDir, Tree) {
    let folder = tempfile::tempdir().unwrap();
    let mut tree = Tree::new(&folder.path().join("storage"), 32);
    for number in 0..8 {
        for repository in ["a/one", "a/two/deep", "b"] {
            tree.simple(repository, &number.to_string());
        }
    }
    (folder, tree)
}

fn pack(folder: &TempDir, options: &[&str]) -> Finished {
    let mut pack = packer();
    pack.args(["pack", "--storage", "storage", "-o", "images.tar", "--skip-broken"]);
    pack.args(options).current_dir(folder.path()).run()
}

fn bundle(folder: &TempDir) -> Vec<u8> {
    fs::read(folder.path().join("images.tar")).unwrap()
}

/// Moves a folder away, as to another disk, and leaves a link in its place.
fn move_away(folder: &TempDir, path: &Path) -> PathBuf {
    let other = folder.path().join("other disk").join(path.file_name().unwrap());
    fs::create_dir_all(other.parent().unwrap()).unwrap();
    fs::rename(path, &other).unwrap();
    symlink(&other, path).unwrap();
    other
}

#[test]
fn the_folders_of_the_storage_may_be_on_other_disks() {
    for moved in ["", "docker/registry", "blobs", "blobs/sha256", "repositories"] {
        let (folder, tree) = storage();
        pack(&folder, &[]).ok();
        let before = bundle(&folder);
        let path = match moved {
            "" => tree.root().to_owned(),
            "docker/registry" => tree.root().join(moved),
            below => tree.v2().join(below),
        };
        move_away(&folder, &path);
        pack(&folder, &[]).ok();
        assert!(bundle(&folder) == before, "{moved}: the bundle is another");
    }
}

/// How many blobs of the storage each folder of blobs has; the fullest.
fn fullest_of_blobs(tree: &Tree) -> (PathBuf, usize) {
    let mut counts = BTreeMap::new();
    for folder in fs::read_dir(tree.v2().join("blobs/sha256")).unwrap() {
        let folder = folder.unwrap().path();
        counts.insert(fs::read_dir(&folder).unwrap().count(), folder);
    }
    let (count, folder) = counts.pop_last().unwrap();
    (folder, count)
}

#[test]
fn a_link_out_of_the_storage_is_one_finding() {
    type Choose = fn(&Tree) -> PathBuf;
    let choices: [(Choose, &str); 5] = [
        (|tree| tree.in_repository("a", ""), "breaks a\n"),
        (|tree| tree.in_repository("a/one", ""), "breaks a/one\n"),
        (|tree| tree.in_repository("b", "_manifests/tags"), "breaks b/_manifests/tags\n"),
        (|tree| tree.in_repository("b", "_manifests/revisions/sha256"), "breaks b/"),
        (|tree| fullest_of_blobs(tree).0, "blobs)\n"),
    ];
    for (choose, breaks) in choices {
        let (folder, tree) = storage();
        pack(&folder, &[]).ok();
        let before = bundle(&folder);
        let link = choose(&tree);
        let link = link.components().collect::<PathBuf>();
        let (_, blobs) = fullest_of_blobs(&tree);
        assert!(blobs > 1, "there are blobs side by side");
        let target = move_away(&folder, &link);
        let refused = pack(&folder, &[]).expect(3);
        let real = fs::canonicalize(link.parent().unwrap()).unwrap();
        let link = real.join(link.file_name().unwrap());
        let target = fs::canonicalize(target).unwrap();
        let (link, target) = (link.display(), target.display());
        let words = format!(
            "the symbolic link {link} leaves the storage, to {target}; give --follow-links"
        );
        assert_eq!(refused.stderr.matches("broken: ").count(), 1, "{}", refused.stderr);
        refused.says(&words).says(breaks);
        pack(&folder, &["--follow-links"]).ok();
        assert!(bundle(&folder) == before, "{link}: the bundle is another");
    }
}

#[test]
fn links_that_lead_round_in_a_circle_end() {
    let (folder, tree) = storage();
    symlink("../../b", tree.in_repository("a", "one/round")).unwrap();
    symlink("../a/two", tree.in_repository("b", "about")).unwrap();
    symlink("../../b", tree.in_repository("a", "two/back")).unwrap();
    for options in [&[][..], &["--follow-links"]] {
        let mut list = packer();
        list.args(["list", "--storage", "storage"]).args(options).current_dir(folder.path());
        let listed = list.run().expect(3);
        for image in ["a/one:0\n", "b:0\n", "b/about/deep:0\n", "a/one/round/about/deep:0\n"] {
            assert!(listed.stdout.contains(image), "no {image} in {}", listed.stdout);
        }
        listed.says("leads back to a folder that it stands in");
    }
}

#[test]
fn folders_that_disks_make_are_no_findings() {
    let (folder, tree) = storage();
    pack(&folder, &[]).ok();
    let before = bundle(&folder);
    let repositories = tree.v2().join("repositories");
    let tags = tree.in_repository("b", "_manifests/tags");
    let blobs = tree.v2().join("blobs/sha256");
    for place in [&repositories, &repositories.join("a"), &tags, &blobs] {
        for name in ["@eaDir", ".snapshot", "lost+found"] {
            write(&place.join(name).join("0/current/link"), b"of another time");
        }
        fs::write(place.join(".DS_Store"), b"of a desktop").unwrap();
    }
    fs::set_permissions(repositories.join("lost+found"), Permissions::from_mode(0o0)).unwrap();
    let mut pack = packer_without_privileges();
    pack.args(["pack", "--storage", "storage", "-o", "images.tar", "--json"]);
    let packed = pack.current_dir(folder.path()).run().ok();
    assert!(bundle(&folder) == before, "the bundle is another");
    let report = packed.json();
    assert_eq!(report["findings"].as_array().unwrap().len(), 0, "{report}");
    assert_eq!(report["notices"].as_array().unwrap().len(), 3, "{report}");
    let first = fs::canonicalize(blobs).unwrap().join("@eaDir");
    packed.says(&format!(
        "no registry has made {} and 3 more of its name: passed over",
        first.display()
    ));
}

#[test]
fn what_may_not_be_read_is_said_so() {
    let list = |folder: &TempDir| {
        let mut list = packer_without_privileges();
        list.args(["list", "--storage", "storage"]).current_dir(folder.path()).run()
    };
    for forbidden in ["", "docker", "docker/registry/v2/blobs", "docker/registry/v2/repositories"] {
        let (folder, tree) = storage();
        let path = tree.root().join(forbidden);
        fs::set_permissions(&path, Permissions::from_mode(0o0)).unwrap();
        let refused = list(&folder).expect(1);
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        assert!(!refused.stderr.contains("no registry storage"), "{}", refused.stderr);
        refused.says("cannot read ").says("Permission denied; run it as root");
    }
    let (folder, tree) = storage();
    let project = tree.in_repository("a", "");
    fs::set_permissions(&project, Permissions::from_mode(0o0)).unwrap();
    let listed = list(&folder).expect(3);
    fs::set_permissions(&project, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(listed.stdout.lines().count(), 8, "{}", listed.stdout);
    assert_eq!(listed.stderr.matches("broken: ").count(), 1, "{}", listed.stderr);
    listed.says("breaks a\n").says("cannot be read: Permission denied; run it as root");
}
