//! What a bundle says of what it does not hold, on the other side.

use super::*;

/// `team/app:1` is whole, `team/app:2` is broken, `other/app:1` was not chosen.
fn part_of_a_storage(seed: u64) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut tree = Tree::new(&folder.path().join("storage"), seed);
    for name in ["team/app:1", "team/app:2", "other/app:1"] {
        let (repository, tag) = name.split_once(':').unwrap();
        tree.simple(repository, tag);
    }
    let lost = tree.last_layer("team/app:2");
    fs::remove_file(tree.blob_path(lost)).unwrap();
    pack(folder.path(), &["--include", "team/**", "--skip-broken"])
        .expect(3)
        .prints("packed 1 tag");
    (folder, format!("{lost}: the blob is missing; it is a layer of {}", tree.tags["team/app:2"]))
}

const SENTENCE: &str = "the bundle holds a selection: what fits `team/**`; left out of it: 1";

#[test]
fn every_command_that_loads_or_judges_says_it() {
    let (folder, reason) = part_of_a_storage(321);
    let target = Registry::start();
    let run = |name: &str, options: &[&str]| {
        let mut command = loader();
        command.args([name, "images.tar", "--to", &target.url()]).args(options);
        command.current_dir(folder.path()).run().ok()
    };
    run("plan", &[]).prints(SENTENCE);
    let left_out = json!({
        "selection": "what fits `team/**`",
        "images": [{"name": "team/app:2", "reason": reason}],
    });
    assert_eq!(run("plan", &["--json"]).json()["leftOut"], left_out);
    run("load", &["--report", "load.json"]).says(SENTENCE).prints("1 image loaded");
    run("load", &["--report", "load.html"]).says(SENTENCE).prints("1 already there");
    run("check", &[]).says(SENTENCE).prints("1 tag checked, all in");
    loader()
        .args(["verify", "images.tar"])
        .current_dir(folder.path())
        .run()
        .ok()
        .says(SENTENCE)
        .prints("images.tar is whole: 1 image, ");
    let report = fs::read(folder.path().join("load.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["leftOut"], left_out);
    let page = fs::read_to_string(folder.path().join("load.html")).unwrap();
    assert!(page.contains(&format!("<h2>Not in the bundle</h2>\n<p>{SENTENCE}</p>")));
    assert!(page.contains(&format!("<tr><td>team/app:2</td><td>{reason}</td></tr>")));
}

#[test]
fn of_a_whole_storage_nothing_is_said() {
    let bundle = Bundle::simple();
    let target = Registry::start();
    let page = bundle.file("load.html");
    let loaded = load(&bundle.path(), &target.url()).arg("--report").arg(&page).run().ok();
    assert!(!loaded.stderr.contains("left out"), "{}", loaded.stderr);
    assert!(!fs::read_to_string(page).unwrap().contains("Not in the bundle"));
}
