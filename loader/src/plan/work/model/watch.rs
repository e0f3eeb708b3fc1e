//! What has to hold in every load: looked at from outside, with books of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use tranship_common::bundle::{BlobId, Contents};
use tranship_common::{Digest, Tag};

use super::super::{Job, LARGE, LARGE_AT_ONCE, Status, Task, Work};
use super::target::Target;
use crate::failure::{Extent, Failure, Kind};
use crate::plan::made_up::{MadeUp, id};
use crate::plan::mapping::TargetRepository;
use crate::plan::survey::{Found, Survey};

/// An image, as the bundle describes it.
#[derive(Debug)]
struct Image {
    repository: usize,
    age: u32,
    manifests: BTreeSet<BlobId>,
    blobs: BTreeSet<BlobId>,
    /// Blobs that are to be brought before it can be pushed.
    missing: BTreeSet<BlobId>,
    /// Of these, what was on its way already when it turned out to be missing: it is brought again.
    again: BTreeSet<BlobId>,
    was_pending: bool,
    /// Images that it is about, or the manifests in it.
    subjects: BTreeSet<usize>,
    /// These, their own subjects, and so on.
    refers_to: BTreeSet<usize>,
    /// It may have failed for these reasons.
    reasons: Vec<Arc<str>>,
    /// What the target was missing, and was brought once more.
    repaired: BTreeSet<BlobId>,
}

/// Something that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// By their numbers: a repository, and that which it is mounted from.
    Delivery {
        blob: BlobId,
        to: usize,
        from: Option<usize>,
        is_lost: bool,
    },
    Push {
        image: usize,
    },
}

/// A delivery that is under way.
#[derive(Debug)]
struct Delivery {
    blob: BlobId,
    to: usize,
    is_upload: bool,
    is_large: bool,
}

/// The books.
#[derive(Debug)]
pub(super) struct Watch {
    images: Vec<Image>,
    /// By their numbers.
    repositories: Vec<Arc<TargetRepository>>,
    /// By id.
    is_large: Vec<bool>,
    has_projects: bool,
    wanted: BTreeSet<BlobId>,
    forgotten: BTreeSet<BlobId>,
    brought: BTreeSet<(usize, BlobId)>,
    /// Mounts that were refused.
    refused: BTreeSet<(usize, BlobId)>,
    /// Holders that let nothing be mounted.
    doubted: BTreeSet<(usize, BlobId)>,
    deliveries: Vec<Delivery>,
    pushes: BTreeSet<usize>,
    has_given_up: bool,
    /// All that was begun, in its order.
    pub(super) trace: Vec<Begun>,
}

impl Watch {
    pub(super) fn new(made_up: &MadeUp, survey: &Survey, work: &Work, has_projects: bool) -> Self {
        let contents = &survey.contents;
        let mut images = Vec::new();
        for surveyed in &survey.images {
            let repository = surveyed.image.repository;
            let (parts, blobs) = made_up.parts(surveyed.image.root.index());
            images.push(Image {
                repository,
                age: surveyed.image.age,
                manifests: parts.into_iter().map(|part| id(contents, part)).collect(),
                blobs: blobs.into_iter().map(|blob| id(contents, blob)).collect(),
                missing: BTreeSet::new(),
                again: BTreeSet::new(),
                was_pending: !surveyed.is_there(),
                subjects: BTreeSet::new(),
                refers_to: BTreeSet::new(),
                reasons: Vec::new(),
                repaired: BTreeSet::new(),
            });
        }
        let mut there = BTreeSet::new();
        for (image, surveyed) in images.iter().zip(&survey.images) {
            let is_there = |part: &&BlobId| match &surveyed.found {
                Found::Same => true,
                Found::Broken(missing) => !missing.contains(&contents.entry(**part).digest),
                _ => false,
            };
            let parts = image.blobs.iter().filter(is_there);
            there.extend(parts.map(|part| (image.repository, *part)));
        }
        for image in &mut images {
            let is_missing = |blob: &&BlobId| !there.contains(&(image.repository, **blob));
            image.missing = image.blobs.iter().filter(is_missing).copied().collect();
        }
        let mut watch = Self {
            images,
            repositories: survey.repositories.iter().map(|r| Arc::clone(&r.name)).collect(),
            is_large: contents.entries().map(|entry| entry.size >= LARGE).collect(),
            has_projects,
            wanted: work.wanted().collect(),
            forgotten: BTreeSet::new(),
            brought: BTreeSet::new(),
            refused: BTreeSet::new(),
            doubted: BTreeSet::new(),
            deliveries: Vec::new(),
            pushes: BTreeSet::new(),
            has_given_up: false,
            trace: Vec::new(),
        };
        watch.find_references(made_up, survey);
        watch
    }

    /// Which images refer to which: their manifests to subjects, and tags by their names.
    fn find_references(&mut self, made_up: &MadeUp, survey: &Survey) {
        let contents = &survey.contents;
        let direct = |at: usize| -> BTreeSet<usize> {
            let image = &self.images[at];
            let of_manifests = image.manifests.iter().filter_map(|manifest| {
                made_up.manifests[manifest.index()].subject.map(|subject| id(contents, subject))
            });
            let subjects =
                of_manifests.chain(named(contents, survey.images[at].image.tag.as_ref()));
            let holder = |subject: BlobId| {
                let of_repository = |other: &usize| {
                    let other = &self.images[*other];
                    other.was_pending
                        && other.repository == image.repository
                        && other.manifests.contains(&subject)
                };
                let holders = (0..self.images.len()).filter(of_repository);
                holders.min_by_key(|other| self.images[*other].age)
            };
            subjects.filter_map(holder).collect()
        };
        let direct: Vec<BTreeSet<usize>> = (0..self.images.len()).map(direct).collect();
        for (at, image) in self.images.iter_mut().enumerate() {
            let mut open = vec![at];
            while let Some(next) = open.pop() {
                open.extend(direct[next].iter().filter(|to| image.refers_to.insert(**to)));
            }
        }
        for (image, subjects) in self.images.iter_mut().zip(direct) {
            image.subjects = subjects;
        }
    }

    fn repository(&self, name: &TargetRepository) -> usize {
        let mut names = self.repositories.iter();
        names.position(|known| **known == *name).expect("a repository of the survey")
    }

    fn is_same_project(&self, one: usize, other: usize) -> bool {
        self.repositories[one].project() == self.repositories[other].project()
    }

    fn uploads(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries.iter().filter(|delivery| delivery.is_upload)
    }

    fn pending<'a>(&'a self, work: &'a Work, repository: usize) -> impl Iterator<Item = usize> {
        (0..self.images.len()).filter(move |image| {
            self.images[*image].repository == repository
                && work.images()[*image].status == Status::Pending
        })
    }

    /// A task begins.
    pub(super) fn begin(&mut self, task: &Task, work: &Work, target: &Target) {
        assert!(!self.has_given_up, "nothing is begun any more");
        match task {
            Task::Deliver(job) => self.begin_delivery(job, work, target),
            Task::Push { image } => self.begin_push(*image, work, target),
        }
    }

    fn begin_delivery(&mut self, job: &Job, work: &Work, target: &Target) {
        let Job { blob, is_lost, .. } = *job;
        let to = self.repository(&job.to);
        let from = job.holder.as_ref().map(|holder| self.repository(&holder.name));
        let (is_upload, is_large) = (from.is_none(), self.is_large[blob.index()]);
        assert!(
            self.pending(work, to).any(|image| self.images[image].missing.contains(&blob)),
            "nobody waits for what is brought"
        );
        let mut others = self.deliveries.iter().filter(|other| other.blob == blob);
        assert!(!others.clone().any(|other| other.to == to), "it is on its way there already");
        assert!(
            !(self.has_projects && others.any(|other| self.is_same_project(other.to, to))),
            "one delivery of a blob into a project at a time"
        );
        if let Some(from) = from {
            assert_ne!(from, to, "it is mounted from where it is to go");
            assert!(target.is_known_to_have(from, blob), "its holder has it not");
            assert!(!is_lost, "bytes that are lost are sent");
            assert!(!self.refused.contains(&(to, blob)), "the mount was refused");
            assert!(!self.doubted.contains(&(from, blob)), "its holder is doubted");
        } else {
            assert!(
                !self.uploads().any(|other| other.blob == blob),
                "one upload of a blob at a time"
            );
            let large = self.uploads().filter(|other| other.is_large).count();
            assert!(!is_large || large < LARGE_AT_ONCE, "too many large uploads");
        }
        let is_new = self.brought.insert((to, blob));
        assert!(is_new || is_lost, "it was brought there before");
        assert!(is_lost || !self.forgotten.contains(&blob), "it was forgotten");
        self.deliveries.push(Delivery { blob, to, is_upload, is_large });
        self.trace.push(Begun::Delivery { blob, to, from, is_lost });
    }

    fn begin_push(&mut self, image: usize, work: &Work, target: &Target) {
        self.trace.push(Begun::Push { image });
        let Image { repository, blobs, manifests, .. } = &self.images[image];
        assert_eq!(work.images()[image].status, Status::Pending, "it is done with");
        let of_pushes = |other: &usize| self.images[*other].repository == *repository;
        assert!(!self.pushes.iter().any(of_pushes), "one push into a repository at a time");
        assert!(!self.is_being_pushed(image), "one push of a manifest into a project at a time");
        assert!(
            blobs.iter().all(|blob| target.seems_to_have(*repository, *blob)),
            "a tag before its blobs"
        );
        assert!(self.may_be_next(image, work), "out of order");
        let parts = work.manifests_to_push(image);
        assert!(manifests.is_superset(&parts.iter().copied().collect()), "manifests of another");
        for (position, part) in parts.iter().enumerate() {
            let there = |child| parts[..position].contains(&child);
            let mut references = work.contents().references(*part);
            assert!(
                references.all(|part| there(part) || target.seems_to_have(*repository, part)),
                "an index before what it lists"
            );
            assert!(!self.forgotten.contains(part), "a manifest was forgotten");
        }
        self.pushes.insert(image);
    }

    /// Whether a manifest of an image is being pushed into its project.
    fn is_being_pushed(&self, image: usize) -> bool {
        let this = &self.images[image];
        let is_it = |other: &usize| {
            let that = &self.images[*other];
            self.is_same_project(this.repository, that.repository)
                && !this.manifests.is_disjoint(&that.manifests)
        };
        self.has_projects && self.pushes.iter().any(is_it)
    }

    /// Whether an image may be pushed before the others of its repository: it is older, or
    /// something older refers to it; and it refers to none of them, but in a circle.
    fn may_be_next(&self, image: usize, work: &Work) -> bool {
        let this = &self.images[image];
        let is_needed_by_older = |than: &Image| {
            self.images
                .iter()
                .any(|by| by.was_pending && by.age <= than.age && by.refers_to.contains(&image))
        };
        self.pending(work, this.repository).filter(|other| *other != image).all(|other| {
            let that = &self.images[other];
            let is_subject = this.subjects.contains(&other) && !that.refers_to.contains(&image);
            !is_subject && (this.age < that.age || is_needed_by_older(that))
        })
    }

    /// There was nothing to begin: all that is left waits for something that is under way.
    pub(super) fn nothing_to_begin(&self, work: &Work) {
        if self.has_given_up {
            return;
        }
        for repository in 0..self.repositories.len() {
            let is_pushing =
                self.pushes.iter().any(|image| self.images[*image].repository == repository);
            let has_to_wait = |image: &usize| {
                !self.images[*image].missing.is_empty() || self.is_being_pushed(*image)
            };
            let next =
                self.pending(work, repository).filter(|image| self.may_be_next(*image, work));
            let mut next = next.peekable();
            assert!(
                is_pushing || next.peek().is_none() || next.any(|image| has_to_wait(&image)),
                "an image could be pushed"
            );
            for image in self.pending(work, repository) {
                for blob in &self.images[image].missing {
                    assert!(self.has_to_wait(repository, *blob), "{blob:?} could be brought");
                }
            }
        }
    }

    fn has_to_wait(&self, repository: usize, blob: BlobId) -> bool {
        let into_project = |other: &Delivery| {
            other.to == repository
                || self.has_projects && self.is_same_project(other.to, repository)
        };
        let mut same = self.deliveries.iter().filter(|other| other.blob == blob);
        let large = || self.uploads().filter(|other| other.is_large).count();
        same.any(|other| other.is_upload || into_project(other))
            || self.is_large[blob.index()] && large() == LARGE_AT_ONCE
    }

    pub(super) fn end_delivery(&mut self, job: &Job) {
        let to = self.repository(&job.to);
        let is_it = |other: &Delivery| other.blob == job.blob && other.to == to;
        let at = self.deliveries.iter().position(is_it).expect("it is under way");
        self.deliveries.swap_remove(at);
    }

    /// A mount was refused: the bytes are sent another time.
    pub(super) fn not_mounted(&mut self, job: &Job) {
        let place = (self.repository(&job.to), job.blob);
        self.brought.remove(&place);
        self.refused.insert(place);
    }

    pub(super) fn doubt_holder(&mut self, job: &Job) {
        let from = job.holder.as_ref().map(|holder| (self.repository(&holder.name), job.blob));
        self.doubted.extend(from);
    }

    pub(super) fn delivered(&mut self, job: &Job) {
        let to = self.repository(&job.to);
        self.doubted.remove(&(to, job.blob));
        for image in self.images.iter_mut().filter(|image| image.repository == to) {
            if !image.again.remove(&job.blob) {
                image.missing.remove(&job.blob);
            }
        }
    }

    pub(super) fn end_push(&mut self, image: usize) {
        assert!(self.pushes.remove(&image), "it is under way");
    }

    /// A push was refused for what is not there. Each part is brought once more.
    pub(super) fn incomplete(&mut self, image: usize, missing: &[BlobId]) -> bool {
        let Image { repository, blobs, repaired, missing: to_bring, again, .. } =
            &mut self.images[image];
        let news: Vec<BlobId> =
            missing.iter().copied().filter(|part| repaired.insert(*part)).collect();
        to_bring.extend(news.iter().filter(|part| blobs.contains(part)));
        let is_on_its_way = |part: &&BlobId| {
            self.deliveries.iter().any(|other| other.blob == **part && other.to == *repository)
        };
        again.extend(news.iter().filter(is_on_its_way));
        !news.is_empty()
    }

    /// Notes for which images a failure may be the reason, before it is told.
    pub(super) fn will_fail(&mut self, task: &Task, failure: &Failure, target: &Target) {
        let (repository, blob) = match task {
            Task::Deliver(job) => (self.repository(&job.to), Some(job.blob)),
            Task::Push { image } => (self.images[*image].repository, None),
        };
        // Where it can be mounted, others need no bytes.
        let is_held = |job: &Job| {
            let from = job.holder.as_ref().map(|holder| self.repository(&holder.name));
            from.is_some_and(|from| target.is_known_to_have(from, job.blob))
        };
        let is_alone = matches!(task, Task::Deliver(job) if is_held(job));
        let project = self.repositories[repository].project();
        for (at, image) in self.images.iter_mut().enumerate() {
            if let Some(blob) = blob.filter(|_| image.repository == repository) {
                image.again.remove(&blob);
            }
            let is_itself = match (task, blob) {
                (Task::Push { image }, _) => at == *image,
                (_, blob) => blob.is_some_and(|blob| image.blobs.contains(&blob)),
            };
            let is_reached = match failure.extent {
                Extent::Target => false,
                Extent::Project => self.repositories[image.repository].project() == project,
                Extent::Repository => image.repository == repository,
                Extent::Source if !is_alone => is_itself,
                Extent::Source | Extent::Blob => is_itself && image.repository == repository,
            };
            if is_reached {
                image.reasons.push(Arc::clone(&failure.text));
            }
        }
        self.has_given_up |= failure.extent == Extent::Target;
    }

    /// A failure was told.
    pub(super) fn failed(&self, task: &Task, failure: &Failure, work: &Work) {
        let repository = match task {
            Task::Deliver(job) => self.repository(&job.to),
            Task::Push { image } => self.images[*image].repository,
        };
        let of_project = |at: &usize| self.is_same_project(*at, repository);
        let reached: Vec<usize> = match failure.extent {
            Extent::Project => (0..self.repositories.len()).filter(of_project).collect(),
            Extent::Repository => vec![repository],
            _ => Vec::new(),
        };
        let mut left = reached.into_iter().flat_map(|repository| self.pending(work, repository));
        assert_eq!(left.next(), None, "the failure reaches it");
        if let (Task::Push { image }, Extent::Blob | Extent::Source) = (task, failure.extent)
            && !matches!(failure.kind, Kind::Incomplete(_))
        {
            assert_ne!(work.images()[*image].status, Status::Pending, "it has failed");
        }
    }

    pub(super) fn give_up(&mut self) {
        self.has_given_up = true;
    }

    /// A project is left out.
    pub(super) fn block(&mut self, project: &str, reason: &str) {
        for image in &mut self.images {
            if self.repositories[image.repository].project() == project {
                image.reasons.push(reason.into());
            }
        }
    }

    /// Nobody is to ask for these any more.
    pub(super) fn forget(&mut self, forgotten: &[BlobId], work: &Work) {
        for id in forgotten {
            assert!(
                !self.deliveries.iter().any(|delivery| delivery.blob == *id),
                "it is being brought"
            );
            let pushed = |image: &usize| self.images[*image].manifests.contains(id);
            assert!(!self.pushes.iter().any(pushed), "it is being pushed");
            let needs = |(image, done): (&Image, &super::super::Image)| {
                done.status == Status::Pending
                    && (image.missing.contains(id) || image.manifests.contains(id))
            };
            let is_needed = self.images.iter().zip(work.images()).any(needs);
            assert!(!is_needed || self.has_given_up, "somebody waits for it");
        }
        self.forgotten.extend(forgotten);
    }

    /// The load has come to its end.
    pub(super) fn end(&self, work: &Work, target: &Target) {
        assert!(self.deliveries.is_empty() && self.pushes.is_empty());
        assert_eq!(work.given_up().is_some(), self.has_given_up);
        for (image, done) in self.images.iter().zip(work.images()) {
            match &done.status {
                Status::Pending => assert!(self.has_given_up, "it is left"),
                Status::Present => assert!(!image.was_pending, "nobody has seen it there"),
                Status::Failed(why) => {
                    assert!(image.reasons.contains(why), "{why} is about others");
                }
                Status::Loaded => {
                    let mut parts = image.manifests.iter().chain(&image.blobs);
                    assert!(parts.all(|part| target.seems_to_have(image.repository, *part)));
                }
            }
        }
        if !self.has_given_up {
            let kept: Vec<_> = self.wanted.difference(&self.forgotten).collect();
            assert!(kept.is_empty(), "kept for nobody: {kept:?}");
        }
    }
}

/// What the name of a tag says that it is about: `sha256-HEX`, whatever comes after it.
fn named(contents: &Contents, tag: Option<&Tag>) -> Option<BlobId> {
    let hex = tag?.as_str().strip_prefix("sha256-")?.get(..64)?;
    contents.id(Digest::from_hex(hex).ok()?)
}
