//! What the target refuses for good fails at once, with its words and ours.

use std::fs;

use e2e::programs::{Run, load, packer};
use e2e::{Bundle, Registry, Tree, registry};
use serde_json::{Value, json};

#[test]
fn images_with_foreign_layers_where_they_are_not_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let tree = Tree::everything(&folder.path().join("storage"), 2);
    let bundle = folder.path().join("images.tar");
    packer().args(["pack", "--storage"]).arg(tree.root()).arg("-o").arg(&bundle).run().ok();
    let target =
        Registry::with(&registry::Options { foreign_layers_refused: true, ..Default::default() });
    load(&bundle, &target.url())
        .run()
        .expect(3)
        .prints("17 images loaded, 0 already there, 1 failed")
        .says("windows/server:2022")
        .says("MANIFEST_BLOB_UNKNOWN")
        .says("validation.manifests.urls.allow");
    let puts = target.requests().into_iter().filter(|line| line.ends_with("manifests/2022 500"));
    assert_eq!(puts.count(), 1, "what cannot pass is not repeated");
}

#[test]
fn a_run_that_comes_to_nothing_leaves_a_report_that_says_so() {
    let bundle = Bundle::simple();
    let target = Registry::start();
    let file = bundle.file("load.json");
    let reported = |to: &str, more: &[&str]| {
        // That of an earlier run said that all is well.
        load(&bundle.path(), &target.url()).arg("--report").arg(&file).run().ok();
        let mut load = load(&bundle.path(), to);
        let ended = load.arg("--report").arg(&file).args(more).run().expect(1);
        let report: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let error = report["error"].as_str().unwrap().to_owned();
        assert!(ended.stderr.contains(&format!("error: {error}\n")), "{}", ended.stderr);
        assert_eq!((&report["images"], &report["totals"]["loaded"]), (&json!([]), &json!(0)));
        (report["target"].as_str().unwrap().to_owned(), error)
    };
    let (to, error) = reported("http://127.0.0.1:1", &[]);
    assert_eq!(to, "http://127.0.0.1:1");
    assert!(error.contains("cannot connect to http://127.0.0.1:1"), "{error}");
    let (_, error) = reported(&target.url(), &["--map", "team*=team*", "--map-file", "/none"]);
    assert!(error.contains("cannot read /none"), "{error}");
    // An address with a password in it is no address.
    let (to, error) = reported("https://me:secret@harbor.example", &[]);
    assert_eq!(to, "");
    assert!(!error.contains("secret"), "{error}");
    assert!(!fs::read_to_string(&file).unwrap().contains("secret"));

    let page = bundle.file("load.html");
    let mut lost = load(&bundle.file("none.tar"), &target.url());
    let _ = lost.arg("--report").arg(&page).run().expect(1).says("none.tar");
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("<p id=\"totals\">Nothing was loaded: "), "{page}");
    assert!(page.contains("none.tar"), "{page}");
}
