//! Bundles that come through a pipe: what is kept of them, and for how long.

use std::fs::File;
use std::process::{Command, Stdio};

use e2e::content::{EMPTY, descriptor};
use e2e::programs::{Run, load, loader, shell};
use e2e::{Bundle, Registry, Tree};
use tranship_common::{Digest, kinds};

use crate::disk::with_small_disk;

/// Just more than what is kept in memory (bytes).
const SPOOLED: usize = (1 << 20) + 1;

/// Blobs of one byte value each, so that making them costs nothing.
fn image(tree: &mut Tree, repository: &str, tag: &str, config: &str, layers: &[(u8, usize)]) {
    let mut descriptors = Vec::new();
    for (value, size) in layers {
        let digest = tree.layer_blob(repository, &vec![*value; *size]);
        descriptors.push(descriptor("application/vnd.oci.image.layer.v1.tar", digest, *size));
    }
    let config = tree.layer_blob(repository, config.as_bytes());
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": kinds::OCI_MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", config, 2),
        "layers": descriptors,
    });
    let digest = tree.manifest(repository, &manifest);
    tree.tag(repository, tag, digest);
}

/// `loader load -` within a number of open files.
fn load_within(files: usize, bundle: &Bundle, target: &Registry) -> Command {
    let mut command = Command::new("bash");
    let script = format!("ulimit -n {files}; exec \"$0\" load - --to \"$1\" --retry-delay 10");
    let program = loader().get_program().to_owned();
    command.args(["-c", &script]).arg(program).arg(target.url());
    command.env("HOME", "/nonexistent").stdin(File::open(bundle.path()).unwrap());
    command
}

#[test]
fn what_the_target_has_already_is_not_kept() {
    let layers: Vec<(u8, usize)> = (1..=70).map(|value| (value, SPOOLED)).collect();
    let of = |tag: &str, config: &str| {
        Bundle::of(|root| {
            let mut tree = Tree::new(root, 1);
            image(&mut tree, "team/image", tag, config, &layers);
            tree
        })
    };
    let (first, second) = (of("1", "{}"), of("2", "[]"));
    let target = Registry::start();
    load_within(60, &first, &target).run().ok().prints("1 image loaded");
    load_within(60, &second, &target)
        .run()
        .ok()
        .prints("1 image loaded, 0 already there, 0 failed");
    for blob in second.blobs() {
        assert_eq!(target.commits(&blob), 1, "{blob}");
    }
}

#[test]
fn layers_of_many_repositories_are_mounted_while_their_bytes_pass_by() {
    let layers: Vec<(u8, usize)> = (1..=40).map(|value| (value, SPOOLED)).collect();
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 2);
        for repository in ["a/image", "b/image", "c/image"] {
            image(&mut tree, repository, "1", &format!("{{\"a\":\"{repository}\"}}"), &layers);
        }
        tree
    });
    let target = Registry::start();
    load_within(60, &bundle, &target)
        .run()
        .ok()
        .prints("3 images loaded, 0 already there, 0 failed");
    for blob in bundle.blobs() {
        assert_eq!(target.commits(&blob), 1, "{blob}");
    }
}

#[test]
fn a_blob_without_room_in_the_temporary_folder_costs_its_images_alone() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 3);
        image(&mut tree, "team/large", "1", "{}", &[(7, 4 << 20)]);
        image(&mut tree, "team/small", "1", EMPTY, &[(8, 5000)]);
        image(&mut tree, "team/last", "1", "{ }", &[(9, 6000)]);
        tree
    });
    let target = Registry::start();
    let script = format!(
        "TMPDIR=small {} load - --to {} --report report.json <images.tar; echo $?; ls -A small",
        loader().get_program().display(),
        target.url()
    );
    let folder = bundle.file("");
    let ended = with_small_disk(&folder, &script).ok();
    let large = Digest::of(&vec![7; 4 << 20]);
    let ended = ended
        .prints("2 images loaded, 0 already there, 1 failed")
        .prints("\n3\n")
        .says(&format!("failed: team/large:1: blob {large}: it has 4194304 bytes, and there is no"))
        .says("temporary folder small")
        .says("set TMPDIR to a folder with more");
    assert!(!ended.stderr.contains("damaged"), "{}", ended.stderr);
    // Where there is room it goes on.
    load(&bundle.path(), &target.url()).run().ok().prints("1 image loaded, 2 already there");
}

#[test]
fn damage_in_a_pipe_is_a_load_that_was_done_in_part() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 4);
        image(&mut tree, "team/first", "1", "{}", &[(1, 2000)]);
        image(&mut tree, "team/second", "1", EMPTY, &[(2, 3000)]);
        tree
    });
    let target = Registry::start();
    // Bytes behind the end cost no image, but the bundle is not what was packed.
    let script = "cat images.tar > more.tar; echo more >> more.tar";
    shell(&bundle.file(""), script);
    let mut from_pipe = loader();
    from_pipe.args(["load", "-", "--to", &target.url()]);
    from_pipe.stdin(Stdio::from(File::open(bundle.file("more.tar")).unwrap()));
    from_pipe
        .run()
        .expect(3)
        .prints("2 images loaded, 0 already there, 0 failed")
        .says("there are bytes behind the end of the archive");
}
