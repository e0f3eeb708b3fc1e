//! What the programs write beside a bundle, and what they leave when they fail.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::time::{Duration, Instant};

use e2e::Tree;
use e2e::programs::{Run, loader, packer, signal, wait};
use serde_json::{Value, json};

use crate::disk::with_small_disk;

#[test]
fn a_failed_run_leaves_no_report_that_says_all_is_well() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    Tree::new(&folder.join("storage"), 73).simple("team/image", "1");
    let pack = |storage: &str| {
        let mut command = packer();
        command.args(["pack", "--storage", storage, "-o", "images.tar", "--report", "report.json"]);
        command.current_dir(folder).run()
    };
    let (report, previous) = (folder.join("report.json"), folder.join("report.json.previous"));
    pack("storage").ok();
    let written = fs::read(&report).unwrap();
    let _ = pack("nowhere").expect(1).says("no report was written; that of an earlier run is now");
    assert!(!report.exists());
    assert_eq!(fs::read(&previous).unwrap(), written);
    // It stays until a run has something to say.
    assert!(!pack("nowhere").expect(1).stderr.contains("no report was written"));
    assert_eq!(fs::read(&previous).unwrap(), written);

    // What loader has to say of such a run is why.
    let mut load = loader();
    load.args(["load", "missing.tar", "--to", "http://127.0.0.1:1", "--report", "report.json"]);
    let _ = load.current_dir(folder).run().expect(1);
    let failed: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    assert!(failed["error"].as_str().unwrap().contains("missing.tar"), "{failed}");
    pack("storage").ok();
    pack("storage").ok();
    assert!(report.exists() && !previous.exists());

    // What is killed cannot tidy up.
    let mut command = loader();
    command.args(["load", "-", "--to", "http://127.0.0.1:1", "--report", "report.json"]);
    let mut waiting = command.current_dir(folder).stdin(Stdio::piped()).start();
    let begun = Instant::now();
    while report.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the older report stays");
        std::thread::yield_now();
    }
    assert_eq!(waiting.try_wait().unwrap(), None, "it waits for its bundle");
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    assert!(!report.exists() && previous.exists());
}

#[test]
fn a_link_in_the_place_of_a_partial_file_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    Tree::new(&folder.join("storage"), 74).simple("team/image", "1");
    fs::write(folder.join("victim"), "mine").unwrap();
    let options = ["pack", "--storage", "storage", "-o", "images.tar", "--report", "report.json"];
    let pack = || packer().args(options).current_dir(folder).run();
    for name in ["images.tar.partial", "images.tar.sha256.partial", "report.json.partial"] {
        symlink("victim", folder.join(name)).unwrap();
        let refused = pack().expect(1);
        let _ = refused.says(&format!("{name} is there and is not a file: remove it"));
        assert_eq!(fs::read(folder.join("victim")).unwrap(), b"mine");
        fs::remove_file(folder.join(name)).unwrap();
    }
    pack().ok();
}

#[test]
fn a_report_is_not_written_into_the_storage() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    Tree::new(&folder.join("storage"), 75).simple("team/image", "1");
    let mut command = packer();
    command.args(["pack", "--storage", "storage", "-o", "images.tar"]);
    command.args(["--report", "storage/docker/registry/v2/report.json"]).current_dir(folder);
    let _ = command.run().expect(1).says("the report would be inside the storage");
    assert!(!folder.join("images.tar").exists());
}

#[test]
fn no_link_leads_into_the_storage() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut tree = Tree::new(&folder.join("storage"), 76);
    tree.simple("team/image", "1");
    let blob = tree.blob_path(tree.last_layer("team/image:1"));
    let bytes = fs::read(&blob).unwrap();
    let new = tree.v2().join("new");
    fs::create_dir(folder.join("out")).unwrap();
    symlink(tree.v2(), folder.join("inside")).unwrap();
    let pack = |output: &str, report: &str| {
        let mut command = packer();
        command.args(["pack", "--storage", "storage", "-o", output, "--report", report]);
        command.current_dir(folder).run().expect(1)
    };
    for (name, end) in [("out/a.tar", &blob), ("out/b.tar", &new), ("out/c.tar.sha256", &blob)] {
        symlink(end, folder.join(name)).unwrap();
        let output = name.trim_end_matches(".sha256");
        let _ = pack(output, "out/report").says("the output would be inside the storage");
    }
    // A link to a link to what is not there yet.
    symlink("b.tar", folder.join("out/d.tar")).unwrap();
    for output in ["out/d.tar", "inside/e.tar", "inside/../v2/f.tar"] {
        let _ = pack(output, "out/report").says("the output would be inside the storage");
    }
    for report in ["out/a.tar", "out/d.tar", "inside/report"] {
        let _ = pack("out/x.tar", report).says("the report would be inside the storage");
    }
    assert_eq!(fs::read(&blob).unwrap(), bytes);
    assert!(!new.exists());
    assert_eq!(fs::read_dir(tree.v2()).unwrap().count(), 2);
}

#[test]
fn what_hinders_writing_is_found_before_the_storage_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut tree = Tree::new(&folder.join("storage"), 77);
    tree.simple("team/image", "1");
    let layer = tree.blob_path(tree.last_layer("team/image:1"));
    for dry_run in [None, Some("--dry-run")] {
        let pack = |output: &str| {
            let mut command = packer();
            command.args(["pack", "--storage", "storage", "-o", output]).args(dry_run);
            command.current_dir(folder).run().expect(1)
        };
        // The missing layer would be named if the storage had been read.
        fs::rename(&layer, folder.join("layer")).unwrap();
        let missing = pack("nowhere/images.tar").says("cannot write nowhere/images.tar");
        assert!(!missing.stderr.contains("broken"), "{}", missing.stderr);
        fs::rename(folder.join("layer"), &layer).unwrap();
        let _ = pack("/").says("cannot write /");

        let packer = packer().get_program().display().to_string();
        let dry_run = dry_run.unwrap_or_default();
        let pack = format!("{packer} pack --storage storage {dry_run} --output");
        let script = format!("mount -o remount,ro small; {pack} small/images.tar; echo $?");
        let read_only = with_small_disk(folder, &script).ok();
        let _ = read_only.says("cannot write small/images.tar: Read-only file system");
        let script = format!("ulimit -f 1; {pack} images.tar; echo $?");
        let limited = with_small_disk(folder, &script).ok();
        let limited = limited.says("this user's files may have 1024 (ulimit -f");
        assert_eq!(limited.stdout, "1\n");
        assert!(!folder.join("images.tar").exists() && !folder.join("images.tar.partial").exists());
    }
}

#[test]
fn a_stop_says_what_it_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // A layer that takes long to read and no room on the disk.
    let mut tree = Tree::new(&folder.join("storage"), 78);
    tree.simple("team/image", "1");
    let blob = tree.blob_path(tree.last_layer("team/image:1"));
    fs::OpenOptions::new().write(true).open(&blob).unwrap().set_len(4 << 30).unwrap();
    let size = fs::metadata(&blob).unwrap().len();
    let manifest = json!({
        "schemaVersion": 2,
        "layers": [{"digest": tree.last_layer("team/image:1"), "size": size}],
    });
    let digest = tree.manifest("team/image", &manifest);
    tree.tag("team/image", "1", digest);
    let partial = folder.join("images.tar.partial");
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let mut command = packer();
        command.args(["pack", "--storage", "storage", "-o", "images.tar", "-q"]);
        let child = command.current_dir(folder).start();
        let begun = Instant::now();
        // Only the front is written until the layer flows.
        while fs::metadata(&partial).map_or(0, |partial| partial.len()) < 1 << 20 {
            assert!(begun.elapsed() < Duration::from_secs(60), "nothing is written");
            std::thread::yield_now();
        }
        signal(child.id(), name);
        let stopped = wait(child).expect(code);
        let _ = stopped.says("images.tar.partial is left, incomplete");
        assert!(partial.exists() && !folder.join("images.tar").exists());
        fs::remove_file(&partial).unwrap();
    }
}
