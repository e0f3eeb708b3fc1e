//! The report as a page.

use std::fs;
use std::process::Command;

use e2e::programs::Run;
use e2e::{Bundle, Harbor, Verdict};

use super::loading;

#[test]
fn the_report_is_a_page_that_needs_nothing_else() {
    let bundle = Bundle::everything(92);
    let harbor = Harbor::with_trouble(|request, _| {
        let refused =
            request.method == "PUT" && request.target.ends_with("/team/odd/manifests/layers");
        let words = "<script>alert(1)</script> & not to my taste";
        let errors =
            serde_json::json!({"errors": [{"code": "MANIFEST_INVALID", "message": words}]});
        refused.then(|| Verdict::json(400, &errors))
    });
    let file = bundle.file("load.html");
    loading(&bundle, &harbor).arg("--report").arg(&file).run().expect(3).prints("17 images loaded");
    let page = fs::read_to_string(&file).unwrap();
    assert!(page.contains("17 images loaded, 0 there before, 1 failed, 0 left."));
    let rows: Vec<&str> = page.lines().filter(|line| line.contains("<code>sha256:")).collect();
    assert_eq!(rows.len(), 18);
    assert!(rows[0].starts_with("<tr><td>team/odd:layers</td><td class=\"failed\">failed</td>"));
    assert!(rows[0].contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; not to my taste"));
    assert!(rows.iter().any(|row| row.contains("library/alpine:3.18 (from alpine)")));
    assert_eq!(page.matches("class=\"bar\"").count(), 7, "a bar for each project");
    // In a browser: what is searched for stays, the rest is hidden.
    let address = |search: &str| format!("file://{}{search}", file.display());
    for (search, shown) in
        [("", "18 of 18"), ("#failed", "1 of 18"), ("#library%20alpine", "3 of 18")]
    {
        let seen = browsed(&address(search));
        assert!(seen.contains(&format!("<span id=\"shown\">{shown}</span>")), "{search}: {seen}");
        let hidden = seen.matches("<tr hidden=\"\">").count();
        assert_eq!(format!("{} of 18", 18 - hidden), shown, "{search}");
    }
    // From a disk, without a network.
    for outside in ["src=", "href=", "url(", "@import", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_known_before_anything_is_sent() {
    let bundle = Bundle::simple();
    let harbor = Harbor::start();
    for path in ["/nonexistent/load.json", "/dev/full", "/"] {
        loading(&bundle, &harbor)
            .args(["--report", path])
            .run()
            .expect(1)
            .says(&format!("cannot write the report to {path}"));
    }
    assert!(harbor.requests().is_empty());
}

/// What a page has become in a browser, its script run.
fn browsed(address: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let mut chromium = Command::new("chromium");
    chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
    chromium.arg(format!("--user-data-dir={}", profile.path().display()));
    chromium.args(["--dump-dom", address]).run().ok().stdout
}
