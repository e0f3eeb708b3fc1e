//! A disk that is full.

use std::fs;
use std::path::Path;

use e2e::content::Family;
use e2e::programs::{Finished, Run, packer, shell};
use e2e::tree::{Tree, digest_of};

/// Runs a shell script with `small`, an empty file system of 1 MiB, in the folder. It is mounted
/// in a namespace of the script's own, so nothing of it is left; no root is needed.
pub(crate) fn with_small_disk(folder: &Path, script: &str) -> Finished {
    fs::create_dir_all(folder.join("small")).unwrap();
    let mut command = std::process::Command::new("unshare");
    let mount = "mount -t tmpfs -o size=1m tmpfs small";
    command.args(["--user", "--map-root-user", "--mount", "bash", "-c"]);
    command.arg(format!("{mount} || exit 77; {script}")).current_dir(folder);
    command.run()
}

fn storage(folder: &Path) -> String {
    let mut tree = Tree::new(&folder.join("storage"), 61);
    let layer = tree.layer(Family::Oci, 4_000_000);
    let image = tree.image("team/image", Family::Oci, "1", &[layer]);
    tree.tag("team/image", "1", digest_of(&image));
    packer().get_program().display().to_string()
}

#[test]
fn packer_leaves_nothing_on_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let packer = storage(folder.path());
    let finished = with_small_disk(
        folder.path(),
        &format!("{packer} pack --storage storage --output small/images.tar; echo $?; ls -A small"),
    );
    let said = finished.ok().says("small/images.tar needs ").says("the disk has 1048576 free");
    let mut lines = said.stdout.lines();
    assert_eq!(lines.next(), Some("1"));
    assert_eq!(lines.next(), None, "something is left: {}", said.stdout);
}

#[test]
fn a_disk_that_is_full_in_the_end_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let packer = storage(folder.path());
    // The disk has room for the bundle, and none for its checksum.
    let script = format!(
        "{packer} pack --storage storage --output images.tar -q >&2
         pages=$(( ($(stat -c %s images.tar) + 4095) / 4096 ))
         mount -t tmpfs -o size=$((pages * 4096)) tmpfs small
         {packer} pack --storage storage --output small/images.tar; echo $?; ls -A small"
    );
    let said = with_small_disk(folder.path(), &script).ok().says("No space left on device");
    assert_eq!(said.stdout, "1\n");
}

#[test]
fn a_bundle_that_was_there_before_stays() {
    let folder = tempfile::tempdir().unwrap();
    let packer = storage(folder.path());
    let finished = with_small_disk(
        folder.path(),
        &format!(
            "echo precious > small/images.tar
             {packer} pack --storage storage --output small/images.tar; echo $?; cat small/*"
        ),
    );
    assert_eq!(finished.ok().stdout, "1\nprecious\n");
}

#[test]
fn a_device_or_a_pipe_is_not_replaced_by_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let tree = Tree::everything(&folder.path().join("storage"), 64);
    shell(folder.path(), "mkfifo pipe");
    for output in ["/dev/full", "pipe", "."] {
        let mut pack = packer();
        pack.args(["pack", "--output", output, "--storage"]).arg(tree.root());
        pack.current_dir(folder.path()).run().expect(1).says("is there and is not a file");
    }
    shell(folder.path(), "test -p pipe && test -c /dev/full");
    let mut from_pipe = e2e::loader();
    from_pipe.args(["verify", "/dev/stdin"]).stdin(std::process::Stdio::piped());
    from_pipe.run().expect(1).says("only `loader load -` reads it from a pipe");
}

#[test]
fn a_device_that_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let packer = storage(folder.path());
    for arguments in ["pack --storage storage --output -", "list --storage storage"] {
        let script = format!("{packer} {arguments} 2>&1 >/dev/full || echo $?");
        let said = shell(folder.path(), &script);
        assert!(said.contains("No space left on device") && said.ends_with("1\n"), "{said}");
    }
}
