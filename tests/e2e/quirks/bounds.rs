use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{check, hasty, names};
use e2e::front::{Answer, Judge};
use e2e::programs::{Finished, Run, load, loader};
use e2e::{Bundle, Front, Registry, Request, Tree, Verdict};
use serde_json::json;

/// Two tags of one repository, so that its list is asked for, and one of another.
fn three_images() -> Bundle {
    Bundle::of(|root| {
        let mut tree = Tree::new(root, 251);
        for (repository, tag) in [("team/one", "1"), ("team/one", "2"), ("team/two", "1")] {
            tree.simple(repository, tag);
        }
        tree
    })
}

/// A target that has an image beside those of a bundle, so that all of its lists are asked for.
fn begun() -> Registry {
    let target = Registry::start();
    let other = Bundle::of(|root| {
        let mut tree = Tree::new(root, 252);
        tree.simple("team/one", "0");
        tree
    });
    super::load_all(&other, &target);
    target
}

fn is_list(request: &Request) -> bool {
    request.target.contains("/tags/list") || request.target.contains("/_catalog")
}

/// Runs loader with no more memory than this (KiB, of addresses).
fn within(memory: usize, command: &Command) -> Finished {
    let mut bounded = Command::new("bash");
    bounded.args(["-c", &format!("ulimit -v {memory}; exec \"$@\""), "bash"]);
    bounded.arg(command.get_program()).args(command.get_args());
    bounded.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", "/nonexistent");
    bounded.env("MALLOC_ARENA_MAX", "2").stdin(std::process::Stdio::null());
    bounded.run()
}

#[test]
fn lists_that_never_end() {
    let bundle = three_images();
    for (next_name, repeats) in [("new", false), ("same", true)] {
        let target = begun();
        let pages = AtomicUsize::new(0);
        let front = Front::start(target.address(), move |request| {
            if !is_list(request) {
                return Verdict::Forward;
            }
            let page = pages.fetch_add(1, Ordering::SeqCst);
            let name = if repeats { next_name.to_owned() } else { format!("{next_name}{page}") };
            let path = request.target.split('?').next().unwrap_or_default();
            let link = format!("<{path}?last={name}>; rel=\"next\"");
            let list = json!({"name": "team/one", "tags": [name], "repositories": [name]});
            Verdict::json(200, &list).with_header("link", &link)
        });
        load(&bundle.path(), &front.url()).run().ok().prints("3 images loaded");
        let asked = front.requests().iter().filter(|request| is_list(request)).count();
        assert!(asked <= 6, "{next_name}: {asked} pages of lists");
        check(&bundle, &target);
    }
}

#[test]
fn lists_in_a_body_that_never_ends() {
    let bundle = three_images();
    for (piece, pause) in [(1, 50), (1 << 16, 0)] {
        let target = begun();
        let pause = Duration::from_millis(pause);
        let front = Front::start(target.address(), move |request| match is_list(request) {
            true => Verdict::Endless { status: 200, piece, pause },
            false => Verdict::Forward,
        });
        let mut load = hasty(&bundle.path(), &front.url());
        load.args(["--timeout", "1", "--max-wait", "1"]);
        within(600_000, &load).ok().prints("3 images loaded");
        check(&bundle, &target);
    }
}

#[test]
fn errors_in_a_body_that_never_ends() {
    let bundle = three_images();
    for (piece, pause) in [(1, 50), (1 << 16, 0)] {
        let target = Registry::start();
        let pause = Duration::from_millis(pause);
        let front = Front::start(target.address(), move |request| {
            match request.method == "PUT" && request.target.contains("/team/one/manifests/") {
                true => Verdict::Endless { status: 400, piece, pause },
                false => Verdict::Forward,
            }
        });
        let mut load = hasty(&bundle.path(), &front.url());
        load.args(["--timeout", "1"]);
        let loaded = within(600_000, &load).expect(3);
        let _ = loaded.prints("1 image loaded, 0 already there, 2 failed").says("400 Bad Request");
    }
}

#[test]
fn manifests_in_a_body_that_never_ends() {
    let bundle = three_images();
    let target = Registry::start();
    super::load_all(&bundle, &target);
    for (piece, pause) in [(1, 50), (1 << 16, 0)] {
        let pause = Duration::from_millis(pause);
        let front = Front::start(target.address(), move |request| {
            match (names(request, "/team/one/manifests/1"), request.method.as_str()) {
                (true, "HEAD") => Verdict::status(405),
                (true, _) => Verdict::Endless { status: 200, piece, pause },
                _ => Verdict::Forward,
            }
        });
        let mut check = loader();
        check.arg("check").arg(bundle.path()).args(["--to", &front.url(), "--timeout", "1"]);
        check.args(["--retry-delay", "2", "--max-wait", "0"]);
        let found = within(600_000, &check).expect(1);
        let found = found.prints("unknown: team/one:1: ");
        assert_eq!(found.stdout.lines().count(), 2, "{}", found.stdout);
    }
}

#[test]
fn heads_that_are_larger_than_any() {
    let bundle = Bundle::simple();
    for (length, words) in [
        (40_000, "an upload with a Location of 40"),
        (300_000, "an upload with a Location of 300"),
        (1_000_000, "message head is too large"),
    ] {
        let target = Registry::start();
        let front = Front::start(target.address(), move |request| {
            match request.method == "POST" && request.target.contains("/uploads/") {
                true => Verdict::status(202)
                    .with_header("location", &format!("/v2/x/{}", "y".repeat(length))),
                false => Verdict::Forward,
            }
        });
        let mut load = hasty(&bundle.path(), &front.url());
        load.args(["--max-wait", "1"]);
        let lost = within(600_000, &load).expect(1).says(words);
        assert!(lost.stderr.len() < 4000, "{} bytes of messages", lost.stderr.len());
    }
}

/// Opens uploads at addresses of any length, and answers them.
struct Elsewhere(usize);

impl Judge for Elsewhere {
    fn judge(&self, request: &mut Request) -> Verdict {
        match request.method.as_str() {
            "PUT" if request.target.contains("/long/") => {
                Verdict::error(400, "BLOB_UPLOAD_INVALID", "no such upload")
            }
            "DELETE" => Verdict::status(404),
            _ => Verdict::Forward,
        }
    }

    fn answered(&self, request: &Request, answer: &mut Answer) {
        if request.method == "POST" {
            let location = format!("/v2/a/blobs/uploads/long/{}", "y".repeat(self.0));
            answer.headers.insert("location", location.parse().unwrap());
        }
    }
}

#[test]
fn long_words_are_cut_in_messages_and_reports() {
    let bundle = three_images();
    let target = Registry::start();
    let front = Front::with(target.address(), std::sync::Arc::new(Elsewhere(20_000)), None);
    let file = bundle.file("report.json");
    let mut lengthy = hasty(&bundle.path(), &front.url());
    let lost = lengthy.arg("--report").arg(&file).run().expect(1);
    assert!(lost.stderr.len() < 3 * 2500, "{} bytes of messages", lost.stderr.len());
    let report = fs::read_to_string(&file).unwrap();
    assert!(report.len() < 3 * 2500, "a report of {} bytes", report.len());

    // Sixty thousand characters a message, many messages.
    let words = "no \u{1b}[31m".repeat(6000);
    let error = json!({"code": "DENIED", "message": words, "detail": words});
    let errors = json!({"errors": vec![error; 10]});
    let front = Front::start(target.address(), move |request| {
        match request.method == "PUT" && request.target.contains("/manifests/") {
            true => Verdict::json(400, &errors),
            false => Verdict::Forward,
        }
    });
    let lost = load(&bundle.path(), &front.url()).arg("--report").arg(&file).run().expect(1);
    assert!(lost.stderr.len() < 3 * 4000, "{} bytes of messages", lost.stderr.len());
    let report = fs::read_to_string(&file).unwrap();
    assert!(report.len() < 3 * 8000, "a report of {} bytes", report.len());
}

#[test]
fn words_of_the_registry_command_neither_terminal_nor_page() {
    let bundle = Bundle::simple();
    let target = Registry::start();
    let words = "a\u{1b}c\nsame: all is well\r\u{202e}<script>&\u{9b}31m";
    let front = Front::start(target.address(), move |request| {
        let is_put = request.method == "PUT" && request.target.contains("/manifests/");
        let is_question = request.method != "PUT" && request.target.contains("/manifests/");
        match (is_put, is_question) {
            (true, _) => Verdict::error(400, "TAG\u{1b}c_INVALID", words),
            (_, true) => Verdict::error(403, "DENIED", words),
            _ => Verdict::Forward,
        }
    });
    let is_raw = |text: &str| {
        text.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}')
            || text.lines().any(|line| line.starts_with("same: "))
    };
    for ending in ["json", "html"] {
        let file = bundle.file(&format!("report.{ending}"));
        let mut load = load(&bundle.path(), &front.url());
        let lost = load.arg("--report").arg(&file).run().expect(1);
        let lost = lost.says("failed: team/image:1: ").says(r"a\u001bc\nsame: all is well");
        assert!(!is_raw(&lost.stderr) && !is_raw(&lost.stdout), "{lost:?}");
        let report = fs::read_to_string(&file).unwrap();
        assert!(!is_raw(&report), "{report}");
        if ending == "html" {
            assert!(report.contains("&lt;script&gt;&amp;"), "{report}");
            assert!(!report.contains("<script>&"), "{report}");
        } else {
            let report: serde_json::Value = serde_json::from_str(&report).unwrap();
            let reason = report["images"][0]["reason"].as_str().unwrap();
            assert!(reason.contains(words), "JSON is exact: {reason:?}");
        }
    }
    let mut check = loader();
    check.arg("check").arg(bundle.path()).args(["--to", &front.url()]);
    let found = check.run().expect(1).prints("unknown: team/image:1: ");
    assert!(!is_raw(&found.stdout) && !is_raw(&found.stderr), "{found:?}");
}

#[test]
fn a_registry_that_listens_to_nothing_but_the_first_bytes() {
    // It answers at once, and never reads the body: what was sent is not waited for.
    let bundle = Bundle::simple();
    let target = Registry::start();
    let stalls = Mutex::new(2);
    let front = Front::start(target.address(), move |request| {
        let mut stalls = stalls.lock().unwrap();
        match request.method == "PUT" && *stalls > 0 {
            true => {
                *stalls -= 1;
                Verdict::Early(Box::new(Verdict::status(503)))
            }
            false => Verdict::Forward,
        }
    });
    hasty(&bundle.path(), &front.url()).run().ok().prints("1 image loaded");
}
