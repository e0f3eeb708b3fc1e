//! Killed at any moment, then run again: the same bundle, the same target.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use e2e::content::Family;
use e2e::programs::{Run, load, loader, packer, shell, signal, wait};
use e2e::shown::whole_tags;
use e2e::tree::{Tree, digest_of};
use e2e::{Bundle, Front, Registry, Verdict};
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

/// Kills a process when the front has seen this many requests.
fn killed_after(
    requests: usize,
    name: &'static str,
    bundle: &Bundle,
    target: &Registry,
) -> Option<i32> {
    let process = Arc::new(AtomicUsize::new(0));
    let seen = AtomicUsize::new(0);
    let to_kill = Arc::clone(&process);
    let front = Front::start(target.address(), move |_| {
        if seen.fetch_add(1, Ordering::SeqCst) == requests {
            while to_kill.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            signal(u32::try_from(to_kill.load(Ordering::SeqCst)).unwrap(), name);
        }
        Verdict::Forward
    });
    let child: Child = load(&bundle.path(), &front.url()).start();
    process.store(child.id() as usize, Ordering::SeqCst);
    wait(child).code
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
        let before = target.requests().len();
        load(&bundle.path(), &target.url()).run().ok().prints(" 0 failed");
        loader().arg("check").arg(bundle.path()).args(["--to", &target.url()]).run().ok();
        let commits: usize = bundle.blobs().iter().map(|blob| target.commits(blob)).sum();
        // What was under way may be sent again: at most one blob for each of the 8 jobs.
        assert!(commits <= bundle.blobs().len() + 8, "at {requests}: {commits} uploads");
        let again = target.requests().split_off(before);
        let uploads =
            again.iter().filter(|line| line.starts_with("PUT ") && line.contains("/uploads/"));
        assert!(uploads.count() <= bundle.blobs().len(), "at {requests}: {again:#?}");
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
    let target = Registry::start();
    let code = killed_after(70, "INT", &bundle, &target);
    assert_eq!(code, Some(3));
    // Every session that was opened is closed.
    assert_eq!(target.uploads("POST", 202), target.uploads("PUT", 201));
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
