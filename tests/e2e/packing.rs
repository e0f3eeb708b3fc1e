//! What a bundle is made of, and that it is always the same one.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use e2e::content::Family;
use e2e::programs::{Run, packer, shell};
use e2e::tree::{Tree, digest_of};
use tranship_common::Digest;

/// Every file of a folder with its path below it, in a seeded order, folders included.
fn shuffled_copy(from: &Path, to: &Path, seed: u64) {
    let listed = shell(from, "find . -type f");
    let mut files: Vec<&str> = listed.lines().collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut files);
    for file in files {
        fs::create_dir_all(to.join(file).parent().unwrap()).unwrap();
        let time = fs::metadata(from.join(file)).unwrap().modified().unwrap();
        fs::copy(from.join(file), to.join(file)).unwrap();
        fs::File::options().write(true).open(to.join(file)).unwrap().set_modified(time).unwrap();
    }
}

#[test]
fn the_same_input_makes_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let _ = Tree::everything(&folder.join("storage"), 11);
    // Folders list their files in the order in which they were made, or by a hash of their own.
    for seed in 0..3 {
        shuffled_copy(&folder.join("storage"), &folder.join(format!("storage{seed}")), seed);
    }
    let mut sums = HashSet::new();
    for (storage, jobs) in
        [("storage", "1"), ("storage0", "2"), ("storage1", "7"), ("storage2", "16")]
    {
        let pack = |output: &str| {
            let mut command = packer();
            command.args(["pack", "--storage", storage, "--jobs", jobs, "-o", output]);
            command.current_dir(folder);
            command
        };
        pack("images.tar").run().ok();
        let bytes = fs::read(folder.join("images.tar")).unwrap();
        let mut piped = pack("-");
        let output = piped.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == bytes, "{storage}: a pipe gets other bytes than a file");
        sums.insert(Digest::of(&bytes));
    }
    assert_eq!(sums.len(), 1);
}

#[test]
fn a_dry_run_tells_the_size_to_the_byte_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let _ = Tree::everything(&folder.join("storage"), 12);
    let pack = |options: &[&str]| {
        let mut command = packer();
        command.args(["pack", "--storage", "storage", "-o", "images.tar", "--json"]).args(options);
        command.current_dir(folder).run().ok().json()
    };
    let planned = pack(&["--dry-run"]);
    assert!(!folder.join("images.tar").exists());
    let packed = pack(&[]);
    assert_eq!(planned["totals"], packed["totals"]);
    let size = fs::metadata(folder.join("images.tar")).unwrap().len();
    assert_eq!(planned["totals"]["bundleBytes"], size);
    assert_eq!(planned["totals"]["tags"], 18);
    assert_eq!(planned["totals"]["repositories"], 13);
    assert_eq!(packed["bundleDigest"].as_str().unwrap().parse::<Digest>().unwrap(), {
        Digest::of(&fs::read(folder.join("images.tar")).unwrap())
    });
}

#[test]
fn each_blob_is_in_the_bundle_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let _ = Tree::everything(&folder.join("storage"), 13);
    packer()
        .args(["pack", "--storage", "storage", "-o", "images.tar"])
        .current_dir(folder)
        .run()
        .ok();
    assert_eq!(shell(folder, "tar tf images.tar | sort | uniq -d"), "");
}

#[test]
fn each_blob_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut tree = Tree::new(&folder.join("storage"), 14);
    let base = tree.layer(Family::Oci, 4_000_000);
    for repository in ["one", "two", "three"] {
        let image = tree.image(repository, Family::Oci, repository, std::slice::from_ref(&base));
        tree.tag(repository, "1", digest_of(&image));
    }
    let size = fs::metadata(tree.blob_path(tree.last_layer("one:1"))).unwrap().len();
    // The kernel adds what an ended child has read to its parent's account.
    let script = format!(
        "account() {{ sed -n 's/rchar: //p' /proc/$$/io; }}
         before=$(account)
         {} pack --storage storage -o images.tar > log
         echo $(($(account) - before))",
        packer().get_program().display(),
    );
    let read: u64 = shell(folder, &script).trim().parse().unwrap();
    assert!((size..size + size / 10).contains(&read), "{read} bytes read for {size}");
}
