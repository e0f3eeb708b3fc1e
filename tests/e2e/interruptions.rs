//! Killed at any moment, then run again: the same bundle, the same target.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use e2e::content::Family;
use e2e::programs::{Finished, Run, load, loader, packer, shell, signal, wait};
use e2e::shown::whole_tags;
use e2e::tree::{Tree, digest_of};
use e2e::{Bundle, Front, Registry, Request, Verdict};
use serde_json::Value;
use tranship_common::Digest;

/// A tree that takes packer a while.
fn slow(root: &Path) -> Tree {
    let mut tree = Tree::new(root, 71);
    for number in 0..30 {
        let layer = tree.layer(Family::Oci, 300_000);
        let repository = format!("team/image-{}", number % 5);
        let image = tree.image(&repository, Family::Oci, &number.to_string(), &[layer]);
        tree.tag(&repository, &number.to_string(), digest_of(&image));
    }
    tree
}

#[test]
fn packer_killed_at_any_moment() {
    let bundle = Bundle::of(slow);
    let want = Digest::of(&fs::read(bundle.path()).unwrap());
    let output = bundle.file("again.tar");
    let pack = || {
        let mut command = packer();
        command.args(["pack", "--storage"]).arg(bundle.tree.root()).arg("-o").arg(&output);
        command
    };
    let begun = Instant::now();
    pack().run().ok();
    let whole = begun.elapsed();
    let mut random = fastrand::Rng::with_seed(72);
    let mut interrupted = 0;
    for _ in 0..40 {
        fs::remove_file(&output).unwrap();
        let mut child = pack().start();
        std::thread::sleep(whole.mul_f64(random.f64()));
        child.kill().unwrap();
        let ended = wait(child);
        if output.exists() {
            // It was in place already, so it is whole.
            assert_eq!(Digest::of(&fs::read(&output).unwrap()), want);
        } else {
            assert_eq!(ended.code, None, "{ended:?}");
            interrupted += 1;
        }
        pack().run().ok();
        assert_eq!(Digest::of(&fs::read(&output).unwrap()), want);
        let left = shell(bundle.file("").as_path(), "ls | grep partial || true");
        assert_eq!(left, "", "the next run clears up");
    }
    assert!(interrupted > 5, "only {interrupted} of 40 were killed in time");
}

/// A process to which a front sends one signal, as soon as it is known.
#[derive(Clone, Default)]
struct Signalled {
    process: Arc<AtomicUsize>,
    is_sent: Arc<AtomicBool>,
}

impl Signalled {
    fn send(&self, name: &str) {
        if self.is_sent.swap(true, Ordering::SeqCst) {
            return;
        }
        while self.process.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        signal(u32::try_from(self.process.load(Ordering::SeqCst)).unwrap(), name);
    }

    fn start(&self, command: &mut Command) -> Child {
        let child = command.start();
        self.process.store(child.id() as usize, Ordering::SeqCst);
        child
    }

    fn run(&self, command: &mut Command) -> Finished {
        wait(self.start(command))
    }
}

/// A load that would wait for an hour.
fn patient(bundle: &Path, url: &str) -> Command {
    let mut command = load(bundle, url);
    command.args(["--max-wait", "3600", "--timeout", "3600"]);
    command
}

/// A load that gets a signal when a front is asked for what `at` tells, and for this answer to it.
#[track_caller]
fn stopped_at(
    name: &'static str,
    bundle: &Bundle,
    target: &Registry,
    at: impl Fn(&Request) -> Option<Verdict> + Send + Sync + 'static,
    arguments: &[&str],
) -> (Finished, Front) {
    let signalled = Signalled::default();
    let sender = signalled.clone();
    let front = Front::start(target.address(), move |request| match at(request) {
        Some(verdict) => {
            sender.send(name);
            verdict
        }
        None => Verdict::Forward,
    });
    let mut command = patient(&bundle.path(), &front.url());
    (signalled.run(command.args(arguments)), front)
}

/// Kills a process when the front has seen this many requests.
fn killed_after(
    requests: usize,
    name: &'static str,
    bundle: &Bundle,
    target: &Registry,
) -> Option<i32> {
    let seen = AtomicUsize::new(0);
    let at = move |_: &Request| {
        (seen.fetch_add(1, Ordering::SeqCst) == requests).then_some(Verdict::Forward)
    };
    stopped_at(name, bundle, target, at, &[]).0.code
}

fn three_images() -> Bundle {
    Bundle::of(|root| {
        let mut tree = Tree::new(root, 73);
        for (repository, tag) in [("team/one", "1"), ("team/one", "2"), ("team/two", "1")] {
            tree.simple(repository, tag);
        }
        tree
    })
}

#[test]
fn loader_killed_at_every_request() {
    let bundle = three_images();
    let target = Registry::start();
    load(&bundle.path(), &target.url()).run().ok();
    for requests in 0..target.requests().len() {
        let target = Registry::start();
        assert_eq!(killed_after(requests, "KILL", &bundle, &target), None, "at {requests}");
        let _ = whole_tags(&target, &bundle.tree.tags);
        // The registry enters requests into its log when they are over; a front sees them come.
        let front = Front::start(target.address(), |_| Verdict::Forward);
        load(&bundle.path(), &front.url()).run().ok().prints(" 0 failed");
        loader().arg("check").arg(bundle.path()).args(["--to", &target.url()]).run().ok();
        let commits: usize = bundle.blobs().iter().map(|blob| target.commits(blob)).sum();
        // What was under way may be sent again: at most one blob for each of the 8 jobs.
        assert!(commits <= bundle.blobs().len() + 8, "at {requests}: {commits} uploads");
        let is_upload =
            |request: &&Request| request.method == "PUT" && request.target.contains("/uploads/");
        let again = front.requests().iter().filter(is_upload).count();
        assert!(again <= bundle.blobs().len(), "at {requests}: {again} uploads once more");
    }
}

#[test]
fn loader_killed_at_many_seeded_moments_of_one_load() {
    let bundle = Bundle::everything(74);
    let target = Registry::start();
    let mut random = fastrand::Rng::with_seed(75);
    let mut runs = 0;
    while killed_after(random.usize(..60), "KILL", &bundle, &target).is_none() {
        let _ = whole_tags(&target, &bundle.tree.tags);
        runs += 1;
        assert!(runs < 100, "it does not get on");
    }
    assert!(runs > 2, "only {runs} runs were killed");
    load(&bundle.path(), &target.url()).run().ok().prints("0 images loaded, 18 already there");
}

#[test]
fn ctrl_c_finishes_what_is_under_way() {
    let bundle = Bundle::everything(76);
    for name in ["INT", "TERM"] {
        let target = Registry::start();
        let code = killed_after(70, name, &bundle, &target);
        assert_eq!(code, Some(3), "{name}");
        // Every session that was opened is closed.
        assert_eq!(target.open_sessions(), 0, "{name}");
        let _ = whole_tags(&target, &bundle.tree.tags);
        load(&bundle.path(), &target.url()).run().ok();
    }
}

#[test]
fn a_stop_while_the_target_is_asked() {
    let bundle = three_images();
    let is_question =
        |request: &Request| request.method == "HEAD" || request.target.contains("/tags/list");
    let no_answer = [
        ("INT", Verdict::Stall),
        ("TERM", Verdict::Stall),
        ("INT", Verdict::status(503).with_header("retry-after", "3600")),
        ("TERM", Verdict::status(500)),
        ("INT", Verdict::status(429)),
        ("TERM", Verdict::CutUp(0)),
    ];
    for (name, verdict) in no_answer {
        let target = Registry::start();
        let report = bundle.file("report.json");
        let what = format!("{name}, {verdict:?}");
        let at = move |request: &Request| is_question(request).then(|| verdict.clone());
        let arguments = ["--report", report.to_str().unwrap()];
        let (ended, front) = stopped_at(name, &bundle, &target, at, &arguments);
        assert_eq!(ended.code, Some(1), "{what}: {ended:?}");
        let ended = ended.says("again to stop at once").says("error: interrupted");
        assert!(!ended.stderr.contains("failed"), "{what}: {}", ended.stderr);
        assert!(front.requests().iter().all(|request| request.method != "PUT"), "{what}");
        let report: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
        assert_eq!(report["error"], "interrupted", "{what}");
    }
}

#[test]
fn a_stop_while_an_upload_waits_for_its_next_try() {
    let bundle = three_images();
    let no_answer = [
        Verdict::status(503).with_header("retry-after", "3600"),
        Verdict::status(500).with_header("retry-after", "3600"),
        Verdict::status(429).with_header("retry-after", "3600"),
    ];
    let places = ["/team/two/blobs/uploads/", "/team/two/manifests/"];
    for (verdict, place) in no_answer.iter().flat_map(|v| places.map(|place| (v.clone(), place))) {
        let target = Registry::start();
        let file = bundle.file("report.json");
        let arguments = ["--jobs", "1", "--report", file.to_str().unwrap()];
        let at = move |request: &Request| {
            let is_it = request.method == "PUT" && request.target.contains(place);
            is_it.then(|| verdict.clone())
        };
        let (ended, _front) = stopped_at("TERM", &bundle, &target, at, &arguments);
        // The others are older.
        let ended = ended.expect(3).prints("2 images loaded, 0 already there, 0 failed");
        let _ = ended.says("interrupted; 1 image left: the same command goes on with them");
        let report: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(report["totals"]["left"], 1);
        let images = report["images"].as_array().unwrap();
        let left = images.iter().find(|image| image["status"] == "left").unwrap();
        assert_eq!((&left["name"], &left["reason"]), (&"team/two:1".into(), &"interrupted".into()));
        assert_eq!(target.open_sessions(), 0);
        load(&bundle.path(), &target.url()).run().ok().prints("1 image loaded, 2 already there");
    }
}

#[test]
fn a_stop_while_the_target_is_away() {
    let bundle = three_images();
    for verdict in [Verdict::CutUp(0), Verdict::Stall, Verdict::status(502)] {
        let target = Registry::start();
        let signalled = Signalled::default();
        let sender = signalled.clone();
        let (is_gone, pings) = (AtomicBool::new(false), AtomicUsize::new(0));
        let front = Front::start(target.address(), move |request| {
            if request.method == "PUT" {
                is_gone.store(true, Ordering::SeqCst);
                return Verdict::CutUp(0);
            }
            if !is_gone.load(Ordering::SeqCst) {
                return Verdict::Forward;
            }
            // It is asked whether it is back: some do not answer, some hang.
            let hangs = verdict == Verdict::Stall;
            if request.target == "/v2/" && (hangs || pings.fetch_add(1, Ordering::SeqCst) == 2) {
                sender.send("INT");
            }
            verdict.clone()
        });
        let ended = signalled.run(&mut patient(&bundle.path(), &front.url()));
        let ended = ended.expect(1).prints("0 images loaded, 0 already there, 0 failed");
        let _ = ended.says("interrupted; 3 images left: the same command goes on with them");
        drop(front);
        load(&bundle.path(), &target.url()).run().ok();
    }
}

#[test]
fn a_stop_finishes_the_upload_that_is_under_way() {
    let bundle = three_images();
    let target = Registry::start();
    let at = |request: &Request| (request.method == "PUT").then_some(Verdict::Forward);
    let (ended, _front) = stopped_at("INT", &bundle, &target, at, &["--jobs", "1"]);
    let ended = ended.expect(1).prints("0 images loaded, 0 already there, 0 failed");
    let _ = ended.prints("1 blob uploaded").says("interrupted; 3 images left");
    assert_eq!(target.open_sessions(), 0);
    load(&bundle.path(), &target.url()).run().ok();
    for blob in bundle.blobs() {
        assert_eq!(target.commits(&blob), 1, "{blob}");
    }
}

/// Writes the beginning of a bundle into the standard input of a process, and lets it wait for more.
fn begin_to_write(child: &mut Child, bundle: &Bundle, length: usize) -> ChildStdin {
    let mut input = child.stdin.take().unwrap();
    input.write_all(&fs::read(bundle.path()).unwrap()[..length]).unwrap();
    input
}

#[test]
fn a_stop_while_the_rest_of_a_pipe_is_awaited() {
    let bundle = three_images();
    let target = Registry::start();
    load(&bundle.path(), &target.url()).run().ok();
    let signalled = Signalled::default();
    let sender = signalled.clone();
    // All is there, which is known when all was asked for.
    let asked = AtomicUsize::new(0);
    let front = Front::start(target.address(), move |request| {
        if request.method == "HEAD" && asked.fetch_add(1, Ordering::SeqCst) == 2 {
            let sender = sender.clone();
            std::thread::spawn(move || sender.send("INT"));
        }
        Verdict::Forward
    });
    let mut command = patient(Path::new("-"), &front.url());
    let mut child = signalled.start(command.stdin(Stdio::piped()));
    let length = fs::metadata(bundle.path()).unwrap().len() as usize - 600;
    let input = begin_to_write(&mut child, &bundle, length);
    let ended = wait(child);
    drop(input);
    // It may have come while the last answer was on its way.
    if ended.code == Some(1) {
        let _ = ended.says("error: interrupted");
    } else {
        let ended = ended.expect(3).prints("0 images loaded, 3 already there, 0 failed");
        let _ = ended.says("interrupted: nothing is known of the rest of the bundle");
    }
}

#[test]
fn a_stop_while_a_pipe_does_not_flow() {
    let bundle = three_images();
    let target = Registry::start();
    let signalled = Signalled::default();
    let sender = signalled.clone();
    let front = Front::start(target.address(), move |request| {
        // Its bytes are not there yet.
        if request.method == "POST" && request.target.contains("/team/two/") {
            sender.send("TERM");
        }
        Verdict::Forward
    });
    let mut command = patient(Path::new("-"), &front.url());
    let mut child = signalled.start(command.stdin(Stdio::piped()));
    let layer = bundle.tree.last_layer("team/two:1").hex();
    let bytes = fs::read(bundle.path()).unwrap();
    let name = format!("blobs/sha256/{layer}");
    let header = bytes.windows(name.len()).rposition(|window| window == name.as_bytes()).unwrap();
    let input = begin_to_write(&mut child, &bundle, header + 512 + 100);
    let ended = wait(child);
    drop(input);
    assert!(matches!(ended.code, Some(1 | 3)), "{ended:?}");
    let ended = ended.prints(" 0 failed").says("left: the same command goes on with them");
    assert!(ended.stderr.contains("interrupted; "), "{}", ended.stderr);
    assert_eq!(target.open_sessions(), 0);
    load(&bundle.path(), &target.url()).run().ok();
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let bundle = Bundle::simple();
    let target = Registry::start();
    let stalled = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&stalled);
    let front = Front::start(target.address(), move |request| {
        if request.method == "PUT" {
            seen.fetch_add(1, Ordering::SeqCst);
            return Verdict::Stall;
        }
        Verdict::Forward
    });
    let child = load(&bundle.path(), &front.url()).start();
    let until = Instant::now() + Duration::from_secs(30);
    while stalled.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < until, "no upload begins");
        std::thread::yield_now();
    }
    let id = child.id();
    let mut stderr = StderrOf(child);
    signal(id, "INT");
    stderr.until("again to stop at once");
    signal(id, "INT");
    assert_eq!(wait(stderr.0).code, Some(130));
}

/// A process whose messages are read while it runs.
struct StderrOf(Child);

impl StderrOf {
    fn until(&mut self, text: &str) {
        use std::io::Read;
        let stderr = self.0.stderr.as_mut().unwrap();
        let mut said = Vec::new();
        let mut byte = [0];
        while !String::from_utf8_lossy(&said).contains(text) {
            assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&said));
            said.push(byte[0]);
        }
    }
}
