//! What the programs write beside a bundle, and what they leave when they fail.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::time::{Duration, Instant};

use e2e::Tree;
use e2e::programs::{Run, loader, packer};
use serde_json::Value;

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
