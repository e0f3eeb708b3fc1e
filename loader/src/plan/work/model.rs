//! Random loads with random failures: whatever happens, the rules of [`Work`] hold.

mod draw;
mod target;
mod watch;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use fastrand::Rng;
use tranship_common::Digest;
use tranship_common::bundle::{BlobId, Contents};

use super::{LARGE, Order, Status, Task, Work};
use crate::failure::{Extent, Failure, Kind};
use crate::plan::made_up::{MadeUp, id};
use crate::plan::survey::Survey;
use draw::{draw_bundle, draw_target};
use target::Target;
use watch::{Begun, Watch};

/// So many bundles,
const BUNDLES: u64 = 2_000;

/// and so many loads of each.
const LOADS: u64 = 10;

#[test]
fn random_loads() {
    let mut seen = Seen::new();
    for seed in 0..BUNDLES {
        let made_up = draw_bundle(&mut Rng::with_seed(seed));
        let contents = made_up.contents();
        for nth in 0..LOADS {
            let run = |seen: &mut Seen| {
                let chance = Rng::with_seed(seed * LOADS + nth);
                Load::draw(chance, &made_up, &contents, seen).run()
            };
            let result = catch_unwind(AssertUnwindSafe(|| {
                let trace = run(&mut seen);
                // A hash map has another order each time.
                if nth == 0 {
                    assert_eq!(run(&mut Seen::new()), trace, "another order");
                }
            }));
            assert!(result.is_ok(), "bundle {seed}, load {nth}: {made_up:?}");
        }
    }
    seen.check();
}

/// What has happened at all: a model that never meets a case proves nothing about it.
struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    fn new() -> Self {
        Self(BTreeMap::new())
    }

    fn note(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    fn check(&self) {
        for what in [
            "an upload",
            "a large upload",
            "a mount",
            "a refused mount",
            "a doubted holder",
            "a repair",
            "a push",
            "a push of a referrer",
            "an incomplete push",
            "a push after its failure",
            "a blob lost",
            "a failed delivery",
            "a failed push",
            "a project left out",
            "given up",
            "waiting",
            "loaded",
            "failed",
            "left",
        ] {
            let times = self.0.get(what).copied().unwrap_or_default();
            assert!(times >= 100, "{what}: {times} times");
        }
    }
}

/// A load under way.
struct Load<'a> {
    chance: Rng,
    contents: &'a Arc<Contents>,
    survey: Survey,
    work: Work,
    target: Target,
    watch: Watch,
    under_way: Vec<Task>,
    /// Tasks at once.
    most: usize,
    /// One of so many tasks fails; none when it is 0.
    failing: usize,
    failures: usize,
    /// One of so many mounts is refused, and one in whose place bytes were sent.
    refusing: usize,
    seen: &'a mut Seen,
}

impl<'a> Load<'a> {
    fn draw(
        mut chance: Rng,
        made_up: &MadeUp,
        contents: &'a Arc<Contents>,
        seen: &'a mut Seen,
    ) -> Self {
        let (survey, target) = draw_target(&mut chance, made_up, contents);
        let order = if chance.bool() { Order::Bundle } else { Order::Images };
        let has_projects = chance.bool();
        let mut work = Work::new(&survey, order, has_projects);
        let mut watch = Watch::new(made_up, &survey, &work, has_projects);
        if chance.usize(0..8) == 0 {
            seen.note("a project left out");
            watch.block("p0", "left out");
            work.block(&BTreeMap::from([("p0".to_owned(), "left out".to_owned())]));
        }
        let most = chance.usize(1..=16);
        let failing = [0, 0, 3, 10, 30][chance.usize(0..5)];
        let (under_way, failures) = (Vec::new(), 0);
        let refusing = [usize::MAX, 20, 3][chance.usize(0..3)];
        Self {
            chance,
            contents,
            survey,
            work,
            target,
            watch,
            under_way,
            most,
            failing,
            failures,
            refusing,
            seen,
        }
    }

    /// Runs it to its end. Returns all that was begun.
    fn run(mut self) -> Vec<Begun> {
        loop {
            while self.under_way.len() < self.most {
                let Some(task) = self.work.next() else {
                    if !self.under_way.is_empty() {
                        self.seen.note("waiting");
                    }
                    self.watch.nothing_to_begin(&self.work);
                    break;
                };
                self.begin(task);
            }
            let forgotten = self.work.take_forgotten();
            self.watch.forget(&forgotten, &self.work);
            if self.under_way.is_empty() {
                break;
            }
            let nth = self.chance.usize(0..self.under_way.len());
            let task = self.under_way.swap_remove(nth);
            self.end(&task);
            if self.failing > 0 && self.chance.usize(0..200) == 0 {
                self.seen.note("given up");
                self.watch.give_up();
                self.work.give_up(&Failure::stopped());
            }
        }
        self.watch.end(&self.work, &self.target);
        for image in self.work.images() {
            self.seen.note(match image.status {
                Status::Present => "present",
                Status::Loaded => "loaded",
                Status::Failed(_) => "failed",
                Status::Pending => "left",
            });
        }
        self.watch.trace
    }

    fn begin(&mut self, task: Task) {
        self.watch.begin(&task, &self.work, &self.target);
        self.seen.note(match &task {
            Task::Deliver(job) if job.is_lost => "a repair",
            Task::Deliver(job) if job.holder.is_some() => "a mount",
            Task::Deliver(job) if job.size >= LARGE => "a large upload",
            Task::Deliver(_) => "an upload",
            Task::Push { image } => match self.survey.images[*image].image.tag {
                Some(_) => "a push",
                None => "a push of a referrer",
            },
        });
        self.under_way.push(task);
    }

    /// Something comes of a task.
    fn end(&mut self, task: &Task) {
        let fails = self.failing > 0 && self.chance.usize(0..self.failing) == 0;
        match task {
            Task::Deliver(job) => {
                let to = self.repository_of(task);
                self.watch.end_delivery(job);
                if job.holder.is_some() && !fails && self.chance.usize(0..self.refusing) == 0 {
                    self.seen.note("a refused mount");
                    self.watch.not_mounted(job);
                    self.work.not_mounted(job);
                    return;
                }
                // The answer may be what was lost.
                if !fails || self.chance.bool() {
                    self.target.bring(to, job.blob);
                }
                if fails {
                    self.seen.note("a failed delivery");
                    let failure = self.draw_failure();
                    self.fail(task, &failure);
                } else {
                    if job.holder.is_some() && self.chance.usize(0..self.refusing) == 0 {
                        self.seen.note("a doubted holder");
                        self.watch.doubt_holder(job);
                        self.work.doubt_holder(job);
                    }
                    self.watch.delivered(job);
                    self.work.delivered(job);
                }
            }
            Task::Push { image } => {
                self.watch.end_push(*image);
                if fails {
                    self.seen.note("a failed push");
                    let failure = self.draw_failure();
                    self.fail(task, &failure);
                } else {
                    self.push(*image, task);
                }
            }
        }
        if self.failing > 0 && self.chance.usize(0..10) == 0 {
            let (repository, part) = (self.chance.usize(0..9), self.draw_part());
            if let Some((repository, part)) = self.target.any((repository, part)) {
                self.seen.note("a blob lost");
                self.target.lose(repository, part);
            }
        }
    }

    fn repository_of(&self, task: &Task) -> usize {
        match task {
            Task::Deliver(job) => {
                let is_it = |name: &_| *name == job.to;
                let names = self.survey.repositories.iter().map(|repository| &repository.name);
                names.into_iter().position(is_it).unwrap()
            }
            Task::Push { image } => self.survey.images[*image].image.repository,
        }
    }

    /// Stores manifests as an honest target does.
    fn push(&mut self, image: usize, task: &Task) {
        let repository = self.repository_of(task);
        for part in self.work.manifests_to_push(image) {
            let lacks = self.target.lacks(self.contents, repository, part);
            if !lacks.is_empty() {
                self.seen.note("an incomplete push");
                let failure = self.incomplete(repository, &lacks);
                if self.watch.incomplete(image, &lacks) {
                    self.work.failed(task, &failure);
                } else {
                    self.fail(task, &failure);
                }
                return;
            }
            self.target.bring(repository, part);
        }
        if self.work.images()[image].status != Status::Pending {
            self.seen.note("a push after its failure");
        }
        self.work.pushed(image);
        assert_eq!(self.work.images()[image].status, Status::Loaded, "it is there");
    }

    fn incomplete(&mut self, repository: usize, lacks: &[BlobId]) -> Failure {
        for part in lacks {
            self.target.tell_of(repository, *part);
        }
        // A layer that a manifest lists twice is missed twice.
        let twice = lacks.iter().chain(lacks);
        let digests = twice.map(|part| self.contents.entry(*part).digest).collect();
        Failure { kind: Kind::Incomplete(digests), ..self.failure(Extent::Blob) }
    }

    fn fail(&mut self, task: &Task, failure: &Failure) {
        self.watch.will_fail(task, failure, &self.target);
        self.work.failed(task, failure);
        self.watch.failed(task, failure, &self.work);
    }

    /// A failure with a text of its own.
    fn failure(&mut self, extent: Extent) -> Failure {
        self.failures += 1;
        let text = format!("failure {}", self.failures).into();
        Failure { extent, kind: Kind::Refused, text }
    }

    /// Any failure, whatever sense it makes.
    fn draw_failure(&mut self) -> Failure {
        let extents = [Extent::Blob, Extent::Source, Extent::Repository, Extent::Project];
        let extent = match self.chance.usize(0..40) {
            0 => Extent::Target,
            n => extents[n % extents.len()],
        };
        let strange = Arc::new([Digest::of(b"of no bundle")]);
        let kinds = [
            Kind::Away,
            Kind::Overloaded,
            Kind::Internal,
            Kind::Lost,
            Kind::Untrusted,
            Kind::Credentials,
            Kind::Denied,
            Kind::NoProject,
            Kind::Full,
            Kind::ReadOnly,
            Kind::Forbidden,
            Kind::NotFound,
            Kind::Incomplete(strange),
            Kind::Refused,
            Kind::Bytes,
            Kind::Stopped,
        ];
        let kind = self.chance.choice(kinds).unwrap();
        Failure { kind, ..self.failure(extent) }
    }

    fn draw_part(&mut self) -> BlobId {
        id(self.contents, self.chance.usize(0..self.contents.ids().len()))
    }
}
