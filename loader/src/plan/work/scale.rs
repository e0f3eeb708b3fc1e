//! Loads of a size at which nothing may take steps for each pair of things: one of these would take
//! minutes then.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};

use super::{LARGE, Order, Status, Task, Work};
use crate::failure::{Extent, Failure, Kind};
use crate::plan::made_up::{MadeUp, MadeUpManifest, MadeUpTag, survey};
use crate::plan::survey::{Found, Survey};

/// Tags of one repository.
const TAGS: usize = 80_000;

/// Repositories, and projects.
const MANY: usize = 20_000;

/// So many tasks are under way.
const JOBS: usize = 16;

fn tag(name: usize, manifest: usize) -> MadeUpTag {
    MadeUpTag { pushed: 0, name: format!("t{name}"), manifest }
}

/// One image with a base and a layer of its own in each of many repositories.
fn one_image_in_each(size: u64, name: impl Fn(usize) -> String) -> Survey {
    let image = MadeUpManifest { blobs: vec![1, 2], ..MadeUpManifest::default() };
    let tags = (0..MANY).map(|at| (name(at), vec![tag(0, 0)]));
    let made_up = MadeUp {
        manifests: vec![image],
        blobs: vec![size, 1],
        tags: tags.collect(),
        ..MadeUp::default()
    };
    survey(&made_up.contents(), |_| Found::Missing)
}

/// Runs a load to its end; `fails` tells what each task fails for.
fn run(work: Work, fails: impl Fn(&Task) -> Option<Failure>) -> Work {
    run_with(work, |work, task| match (fails(task), task) {
        (Some(failure), _) => work.failed(task, &failure),
        (None, Task::Deliver(job)) => work.delivered(job),
        (None, Task::Push { image }) => work.pushed(*image),
    })
}

/// The same, where `end` tells what comes of each task.
fn run_with(mut work: Work, end: impl Fn(&mut Work, &Task)) -> Work {
    let mut under_way = VecDeque::new();
    loop {
        while under_way.len() < JOBS
            && let Some(task) = work.next()
        {
            under_way.push_back(task);
        }
        let Some(task) = under_way.pop_front() else { return work };
        end(&mut work, &task);
    }
}

fn count(work: &Work, is_it: impl Fn(&Status) -> bool) -> usize {
    work.images().iter().filter(|image| is_it(&image.status)).count()
}

fn is_loaded(status: &Status) -> bool {
    *status == Status::Loaded
}

fn is_failed(status: &Status) -> bool {
    matches!(status, Status::Failed(_))
}

fn failure(extent: Extent) -> Failure {
    Failure { extent, kind: Kind::Refused, text: "refused".into() }
}

/// A delivery that is no mount.
fn is_upload(task: &Task) -> bool {
    matches!(task, Task::Deliver(job) if job.holder.is_none())
}

fn every_image_arrives(survey: &Survey) {
    for (order, has_projects) in
        [(Order::Images, true), (Order::Bundle, true), (Order::Images, false)]
    {
        let work = run(Work::new(survey, order, has_projects), |_| None);
        assert_eq!(count(&work, is_loaded), MANY, "{order:?}, {has_projects}");
    }
}

fn no_image_arrives_without_uploads(survey: &Survey, extent: Extent) {
    let uploads = |task: &Task| is_upload(task).then(|| failure(extent));
    let work = run(Work::new(survey, Order::Images, true), uploads);
    assert_eq!(count(&work, is_failed), MANY, "{extent:?}");
}

fn every_image_arrives_without_mounts(survey: &Survey) {
    let work = run_with(Work::new(survey, Order::Images, true), |work, task| match task {
        Task::Deliver(job) if job.holder.is_some() => work.not_mounted(job),
        Task::Deliver(job) => work.delivered(job),
        Task::Push { image } => work.pushed(*image),
    });
    assert_eq!(count(&work, is_loaded), MANY);
}

#[test]
fn many_tags_in_one_repository() {
    let images = 100;
    let manifest = |at| MadeUpManifest { blobs: vec![images, at], ..MadeUpManifest::default() };
    let made_up = MadeUp {
        manifests: (0..images).map(|at| manifest(images + 1 + at)).collect(),
        blobs: vec![1; images + 1],
        tags: [("p/r".to_owned(), (0..TAGS).map(|at| tag(at, at % images)).collect())].into(),
        ..MadeUp::default()
    };
    let found = survey(&made_up.contents(), |_| Found::Missing);
    let work = run(Work::new(&found, Order::Images, true), |_| None);
    assert_eq!(count(&work, is_loaded), TAGS);
    let refused = |extent| move |_: &Task| Some(failure(extent));
    let work = run(Work::new(&found, Order::Images, true), refused(Extent::Repository));
    assert_eq!(count(&work, is_failed), TAGS);
    let pushes = |task: &Task| match task {
        Task::Push { .. } => Some(failure(Extent::Blob)),
        Task::Deliver(_) => None,
    };
    let work = run(Work::new(&found, Order::Bundle, false), pushes);
    assert_eq!(count(&work, is_failed), TAGS);
}

#[test]
fn many_repositories_of_one_project_share_a_base() {
    let survey = one_image_in_each(LARGE, |at| format!("p/r{at}"));
    every_image_arrives(&survey);
    every_image_arrives_without_mounts(&survey);
    for extent in [Extent::Blob, Extent::Source, Extent::Repository] {
        no_image_arrives_without_uploads(&survey, extent);
        let mounts = |task: &Task| match task {
            Task::Deliver(job) if job.holder.is_some() => Some(failure(extent)),
            _ => None,
        };
        let work = run(Work::new(&survey, Order::Images, true), mounts);
        assert_eq!(count(&work, is_loaded), 1, "{extent:?}");
    }
}

#[test]
fn many_projects() {
    let survey = one_image_in_each(LARGE, |at| format!("p{at}/r"));
    every_image_arrives(&survey);
    every_image_arrives_without_mounts(&survey);
    for extent in [Extent::Blob, Extent::Source, Extent::Project] {
        no_image_arrives_without_uploads(&survey, extent);
    }
    let blocked: BTreeMap<String, String> =
        (0..MANY).map(|at| (format!("p{at}"), "full".to_owned())).collect();
    let mut work = Work::new(&survey, Order::Images, true);
    work.block(&blocked);
    let work = run(work, |_| panic!("nothing is brought"));
    assert_eq!(count(&work, is_failed), MANY);
}

#[test]
fn large_blobs_in_many_projects_wait_for_their_turn() {
    let manifest = |blob| MadeUpManifest { blobs: vec![blob], ..MadeUpManifest::default() };
    let made_up = MadeUp {
        manifests: (0..MANY).map(|at| manifest(MANY + at)).collect(),
        blobs: vec![LARGE; MANY],
        tags: (0..MANY).map(|at| (format!("p{at}/r"), vec![tag(0, at)])).collect(),
        ..MadeUp::default()
    };
    let survey = survey(&made_up.contents(), |_| Found::Missing);
    let work = run(Work::new(&survey, Order::Images, true), |_| None);
    assert_eq!(count(&work, is_loaded), MANY);
}

#[test]
fn an_image_with_many_layers_of_which_none_is_left() {
    let image = MadeUpManifest { blobs: (1..=MANY).collect(), ..MadeUpManifest::default() };
    let tags = [("p/r".to_owned(), vec![tag(0, 0)])].into();
    let made_up =
        MadeUp { manifests: vec![image], blobs: vec![1; MANY], tags, ..MadeUp::default() };
    let contents = made_up.contents();
    let mut digests: Vec<_> = contents.entries().map(|entry| entry.digest).collect();
    digests.sort_unstable();
    let broken = survey(&contents, |_| Found::Broken(digests.clone()));
    let work = run(Work::new(&broken, Order::Images, true), |_| None);
    assert_eq!(count(&work, is_loaded), 1);
    // The same, where a push shows it.
    let missing = survey(&contents, |_| Found::Missing);
    let kind = Kind::Incomplete(digests.into());
    let incomplete = Failure { kind, ..failure(Extent::Blob) };
    let is_first = Cell::new(true);
    let work = run(Work::new(&missing, Order::Images, true), |task| match task {
        Task::Push { .. } => is_first.replace(false).then(|| incomplete.clone()),
        Task::Deliver(_) => None,
    });
    assert_eq!(count(&work, is_loaded), 1);
}
