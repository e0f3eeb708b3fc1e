//! Harbor behind a network and a proxy that fail, again and again, by a seed: each load is
//! complete after few runs, and nothing wrong is ever to be seen.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use e2e::harbor::Project;
use e2e::programs::{Run, load, signal, wait};
use e2e::shown::whole_tags;
use e2e::{Bundle, Harbor, Tree, Verdict};

/// No load may need more runs than this.
const MAX_RUNS: usize = 3;

/// So many requests are under way at a time.
const SIDE_BY_SIDE: usize = 8;

fn five_projects() -> Bundle {
    Bundle::of(|root| {
        let mut tree = Tree::new(root, 91);
        for project in 0..5 {
            let repository = format!("project{project}/image");
            tree.simple(&repository, "1");
            tree.simple(&repository, "2");
        }
        tree
    })
}

/// What goes wrong in one load: chances for each request, a window in which nobody answers, a start
/// anew of Harbor, and a request at which loader is killed.
struct Weather {
    harbor: Harbor,
    kind: &'static str,
    faults: Arc<AtomicUsize>,
    calm: Arc<AtomicBool>,
    process: Arc<AtomicU32>,
}

impl Weather {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let chance = random.u32(5..40);
        let (gone, restart) = (random.usize(..150), random.usize(..150));
        let kill = random.usize(..200);
        let random = Mutex::new(random);
        let (faults, calm) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let process = Arc::new(AtomicU32::new(0));
        // Half of the loads use tokens, as with any registry.
        let kind = if seed.is_multiple_of(2) { "harbor" } else { "registry" };
        let (count, is_calm, to_kill) = (faults.clone(), calm.clone(), process.clone());
        let seen = AtomicUsize::new(0);
        let harbor = Harbor::with_trouble(move |request, state| {
            if is_calm.load(Ordering::SeqCst) {
                return None;
            }
            let number = seen.fetch_add(1, Ordering::SeqCst);
            if number == kill {
                while to_kill.load(Ordering::SeqCst) == 0 {
                    std::thread::yield_now();
                }
                signal(to_kill.load(Ordering::SeqCst), "KILL");
            }
            let mut random = random.lock().unwrap();
            let trouble = if (gone..gone + 10).contains(&number) {
                Verdict::bad_gateway()
            } else if number == restart {
                Verdict::Restart(random.usize(1..20))
            } else if random.u32(..chance) == 0 {
                match random.u32(..8) {
                    0 => Verdict::CutUp(random.u64(..2000)),
                    1 => Verdict::CutDown(random.u64(..200)),
                    2 => Verdict::bad_gateway(),
                    3 => Verdict::status(429).with_header("retry-after", "0"),
                    4 => Verdict::status(500),
                    5 if request.header("authorization").is_some() => {
                        Verdict::error(401, "UNAUTHORIZED", "unauthorized: unauthorized")
                            .with_header("www-authenticate", "Basic realm=\"harbor\"")
                    }
                    6 => Verdict::ForwardAndClose,
                    7 => {
                        state.expire_tokens();
                        return None;
                    }
                    _ => Verdict::CutUp(0),
                }
            } else {
                return None;
            };
            // A start anew takes all that is under way with it: what the registry has taken then is
            // in nobody's books, and is sent again.
            let hit = if matches!(trouble, Verdict::Restart(_)) { SIDE_BY_SIDE } else { 1 };
            count.fetch_add(hit, Ordering::SeqCst);
            Some(trouble)
        });
        if kind == "registry" {
            // With tokens, as other registries have them.
            harbor.state().service = "registry".into();
            let projects = (0..5).map(|number| (format!("project{number}"), Project::default()));
            harbor.state().projects.extend(projects);
        }
        Self { harbor, kind, faults, calm, process }
    }

    /// One run of loader; `None` when it was killed.
    fn load(&self, bundle: &Bundle) -> Option<i32> {
        let mut command = load(&bundle.path(), &self.harbor.url());
        super::log_in(&mut command, "admin", "Harbor12345").args(["--target-kind", self.kind]);
        self.process.store(0, Ordering::SeqCst);
        let child = command.stdin(Stdio::null()).start();
        self.process.store(child.id(), Ordering::SeqCst);
        let ended = wait(child);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        ended.code
    }
}

#[test]
fn a_hundred_loads_in_bad_weather() {
    loads_in_bad_weather(0..100);
}

#[test]
fn another_hundred_loads_in_bad_weather() {
    loads_in_bad_weather(100..200);
}

fn loads_in_bad_weather(seeds: std::ops::Range<u64>) {
    let bundle = five_projects();
    let (mut all_killed, mut faults) = (0, 0);
    for seed in seeds {
        let weather = Weather::new(seed);
        let mut complete = false;
        let (mut runs, mut killed) = (0, 0);
        while !complete {
            runs += 1;
            assert!(runs <= MAX_RUNS, "seed {seed}: not complete after {MAX_RUNS} runs");
            // In the last run the weather is good: it has to finish what the others have left.
            weather.calm.store(runs == MAX_RUNS, Ordering::SeqCst);
            let code = weather.load(&bundle);
            killed += usize::from(code.is_none());
            let tags = whole_tags(&weather.harbor.registry, &bundle.tree.tags);
            complete = code == Some(0);
            assert!(!complete || tags == bundle.tree.tags.len(), "seed {seed}: {tags} tags");
        }
        let commits: usize =
            bundle.blobs().iter().map(|blob| weather.harbor.registry.commits(blob)).sum();
        let excuses = weather.faults.load(Ordering::SeqCst) + killed * SIDE_BY_SIDE;
        assert!(
            commits <= bundle.blobs().len() + excuses,
            "seed {seed}: {commits} uploads of {} blobs with {excuses} excuses",
            bundle.blobs().len()
        );
        faults += weather.faults.load(Ordering::SeqCst);
        all_killed += killed;
    }
    assert!(all_killed > 10 && faults > 200, "{all_killed} killed, {faults} faults");
}
