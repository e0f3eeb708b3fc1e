//! The work of a load: which blob goes where, and which image may be tagged when.
//!
//! This is bookkeeping alone: it sends nothing. [`Work::next`] says what to do, and what came of
//! it is told by [`Work::delivered`], [`Work::pushed`] and [`Work::failed`].

mod beginning;
mod deliveries;
#[cfg(test)]
mod model;
mod pushes;
#[cfg(test)]
mod scale;
mod turns;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use tranship_common::Digest;
use tranship_common::bundle::{BlobId, Contents, ManifestEntry};

use super::lanes::{Lanes, Queue};
use super::mapping::TargetRepository;
use super::survey::{Found, Standing, SurveyedImage, SurveyedRepository};
use crate::failure::{Extent, Failure};
use turns::Turns;

/// Blobs of this size (bytes) and more are uploaded one or two at a time: several at once have
/// driven registries out of memory.
pub(crate) const LARGE: u64 = 512 << 20;

/// How many of these at once.
pub(crate) const LARGE_AT_ONCE: usize = 2;

/// What to do next.
#[derive(Debug, Clone)]
pub(crate) enum Task {
    /// Bring a blob to a repository.
    Deliver(Job),
    /// Store the manifests of this image, children first, and its tag.
    Push { image: usize },
}

/// A blob that is to be brought to a repository.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) blob: BlobId,
    pub(crate) digest: Digest,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) to: Arc<TargetRepository>,
    /// What is known of that repository.
    pub(crate) standing: Standing,
    /// Another repository of the target that has it.
    pub(crate) holder: Option<Holder>,
    /// The target has said that it is missing: whatever else it says, its bytes are to be sent.
    pub(crate) is_lost: bool,
    /// Its number among the repositories of [`Work`].
    repository: u32,
    delivery: u32,
}

/// A repository of the target that has a blob.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) name: Arc<TargetRepository>,
    /// It was seen there, or brought there in this run; else it follows from an image that is there.
    pub(crate) is_proven: bool,
}

/// In which order blobs are brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// That of the bundle, so that it is read forward.
    Bundle,
    /// Image by image, so that whole ones appear soon: of the repository that has the most left, the
    /// oldest.
    Images,
}

/// What has become of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// Not done yet.
    Pending,
    /// The tag had the digest before.
    Present,
    /// The tag was set in this run.
    Loaded,
    /// It could not be loaded, for this reason.
    Failed(Arc<str>),
}

/// An image of a load.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) surveyed: SurveyedImage,
    pub(crate) status: Status,
    /// Blobs that its repository does not have yet.
    missing: u32,
    /// What the target was missing when the image was pushed, and was brought once more.
    repaired: BTreeSet<BlobId>,
}

/// A repository of the target.
#[derive(Debug)]
struct RepositoryWork {
    surveyed: SurveyedRepository,
    project: u32,
    lane: usize,
    /// Images to tag, oldest first, but after what they refer to.
    queue: VecDeque<u32>,
    /// The image of it that is being pushed.
    pushing: Option<u32>,
    /// Manifests that it may push now, since nobody else does any more.
    called: Vec<BlobId>,
    /// It stands in its lane among those whose next image may be pushed.
    is_queued: bool,
}

/// A blob that a repository needs.
#[derive(Debug)]
struct Delivery {
    blob: BlobId,
    repository: u32,
    /// The images that need it there, in `Work::waiting`.
    images: Range<u32>,
    state: State,
    is_lost: bool,
    /// A mount of it was refused.
    is_unmounted: bool,
    /// Another delivery of the same blob.
    earlier: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    UnderWay,
    Done,
    Failed,
}

/// What is known of a manifest or blob.
#[derive(Debug, Clone, Default)]
struct Part {
    /// Images that need a manifest and are not done with, or deliveries of a blob.
    users: u32,
    /// A repository that has a blob.
    holder: Option<Holding>,
    /// A delivery of it; the others follow from that.
    latest: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Holding {
    repository: u32,
    is_proven: bool,
}

/// All work that is left.
#[derive(Debug)]
pub(crate) struct Work {
    contents: Arc<Contents>,
    images: Vec<Image>,
    repositories: Vec<RepositoryWork>,
    /// Repositories by project.
    projects: Vec<Vec<u32>>,
    /// The target has projects: a blob or a manifest may go into each only once at a time.
    has_projects: bool,
    deliveries: Vec<Delivery>,
    /// The images of deliveries.
    waiting: Vec<u32>,
    /// By id.
    parts: Vec<Part>,
    lanes: Lanes,
    /// The turns of deliveries to bring a blob into a project.
    into_projects: Turns<(BlobId, u32)>,
    /// The turns of deliveries to upload a blob.
    uploads: Turns<BlobId>,
    /// Deliveries that wait for an upload of a blob, to mount it then.
    mounts: Turns<BlobId>,
    /// The turns of repositories to push a manifest into a project.
    pushes: Turns<(BlobId, u32)>,
    /// Deliveries of large blobs that wait for a turn.
    large: VecDeque<u32>,
    large_under_way: usize,
    /// Manifests that repositories have.
    stored: HashSet<(u32, BlobId)>,
    /// What nobody needs any more.
    forgotten: Vec<BlobId>,
    /// Why the work ended before its time, if it did.
    given_up: Option<Failure>,
}

impl Work {
    /// Nothing to be done yet.
    fn empty(contents: &Arc<Contents>, parts: Vec<Part>, has_projects: bool) -> Self {
        Self {
            contents: Arc::clone(contents),
            images: Vec::new(),
            repositories: Vec::new(),
            projects: Vec::new(),
            has_projects,
            deliveries: Vec::new(),
            waiting: Vec::new(),
            parts,
            lanes: Lanes::default(),
            into_projects: Turns::default(),
            uploads: Turns::default(),
            mounts: Turns::default(),
            pushes: Turns::default(),
            large: VecDeque::new(),
            large_under_way: 0,
            stored: HashSet::new(),
            forgotten: Vec::new(),
            given_up: None,
        }
    }

    /// The next thing to do, if anything can be done now: in the lane where the least is under way,
    /// but large blobs, which take longest, as soon as they have a turn. What comes of it has to be
    /// told.
    pub(crate) fn next(&mut self) -> Option<Task> {
        if self.given_up.is_some() {
            return None;
        }
        if let Some(job) = self.next_large() {
            self.lanes.begin(self.repositories[job.repository as usize].lane);
            return Some(Task::Deliver(job));
        }
        // A lane in which nothing can be done now is empty then.
        while let Some(lane) = self.lanes.next() {
            if let Some(task) = self.next_in(lane) {
                self.lanes.begin(lane);
                return Some(task);
            }
        }
        None
    }

    /// The next thing to do in a lane. Tags come first, so that images appear early. What was
    /// entered earlier may have failed since.
    fn next_in(&mut self, lane: usize) -> Option<Task> {
        while let Some(repository) = self.lanes.pop(lane, Queue::Ready) {
            if let Some(image) = self.next_push(repository as usize) {
                return Some(Task::Push { image });
            }
        }
        for queue in [Queue::Urgent, Queue::Deliveries] {
            while let Some(delivery) = self.lanes.pop(lane, queue) {
                if let Some(job) = self.job(delivery) {
                    return Some(Task::Deliver(job));
                }
            }
        }
        None
    }

    /// The repository has the blob now.
    pub(crate) fn delivered(&mut self, job: &Job) {
        let part = &mut self.parts[job.blob.index()];
        if !part.holder.is_some_and(|holder| holder.is_proven) {
            part.holder = Some(Holding { repository: job.repository, is_proven: true });
        }
        for image in self.deliveries[job.delivery as usize].images.clone() {
            let image = self.waiting[image as usize] as usize;
            self.images[image].missing -= 1;
        }
        self.settle(job.delivery, State::Done);
        self.call_mounters(job.blob);
        self.end_job(job);
        self.look_at(job.repository as usize);
    }

    /// The image is stored and tagged.
    pub(crate) fn pushed(&mut self, image: usize) {
        let repository = self.images[image].surveyed.image.repository;
        let stored = self.closure(image).into_iter().map(|part| (repository as u32, part));
        self.stored.extend(stored);
        // Whatever it may have failed for meanwhile.
        self.images[image].status = Status::Loaded;
        self.end_push(image);
    }

    /// A task could not be done. What the failure reaches fails with it.
    pub(crate) fn failed(&mut self, task: &Task, failure: &Failure) {
        let repository = match task {
            Task::Deliver(job) => job.repository as usize,
            Task::Push { image } => self.images[*image].surveyed.image.repository,
        };
        match (failure.extent, task) {
            (Extent::Target, _) => self.give_up(failure),
            (Extent::Project, _) => {
                let project = self.repositories[repository].project;
                for repository in self.projects[project as usize].clone() {
                    self.give_up_repository(repository as usize, failure);
                }
            }
            (Extent::Repository, _) => self.give_up_repository(repository, failure),
            (Extent::Source, Task::Deliver(job)) => self.fail_source(job, failure),
            (Extent::Blob, Task::Deliver(job)) => self.fail_delivery(job.delivery, failure),
            (Extent::Blob | Extent::Source, Task::Push { image }) => {
                if !self.repair(*image, failure) {
                    self.fail(*image, failure);
                }
            }
        }
        match task {
            Task::Deliver(job) => {
                self.settle(job.delivery, State::Failed);
                self.end_job(job);
                self.look_at(repository);
            }
            Task::Push { image } => self.end_push(*image),
        }
    }

    /// Nothing is to be brought into these projects, each for its reason.
    pub(crate) fn block(&mut self, projects: &BTreeMap<String, String>) {
        let failures: BTreeMap<&str, Failure> = projects
            .iter()
            .map(|(project, reason)| (project.as_str(), Failure::refused(reason.clone())))
            .collect();
        for repository in 0..self.repositories.len() {
            let project = self.repositories[repository].surveyed.name.project();
            if let Some(failure) = failures.get(project) {
                self.give_up_repository(repository, failure);
            }
        }
    }

    /// Nothing more can be done at all; what is under way may still come to its end.
    pub(crate) fn give_up(&mut self, failure: &Failure) {
        self.given_up.get_or_insert_with(|| failure.clone());
    }

    /// Why the work ended before its time, if it did.
    pub(crate) fn given_up(&self) -> Option<&Failure> {
        self.given_up.as_ref()
    }

    /// What the bundle holds.
    pub(crate) fn contents(&self) -> &Arc<Contents> {
        &self.contents
    }

    /// The images and what became of them, in the order of the survey.
    pub(crate) fn images(&self) -> &[Image] {
        &self.images
    }

    /// The repository of an image.
    pub(crate) fn repository(&self, image: usize) -> &Arc<TargetRepository> {
        &self.repositories[self.images[image].surveyed.image.repository].surveyed.name
    }

    /// The manifests of an image that its repository does not have under their digests, children
    /// first; the tagged one comes last in any case.
    pub(crate) fn manifests_to_push(&self, image: usize) -> Vec<BlobId> {
        let repository = self.images[image].surveyed.image.repository as u32;
        let mut parts = self.closure(image);
        let root = parts.pop();
        parts.retain(|part| !self.stored.contains(&(repository, *part)));
        parts.extend(root);
        parts
    }

    /// Manifests and blobs whose bytes may be needed.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = BlobId> {
        self.contents.ids().filter(|id| self.parts[id.index()].users > 0)
    }

    /// What has become of no use to anybody since this was asked last.
    pub(crate) fn take_forgotten(&mut self) -> Vec<BlobId> {
        std::mem::take(&mut self.forgotten)
    }

    fn closure(&self, image: usize) -> Vec<BlobId> {
        self.contents.closure_ids(self.images[image].surveyed.image.root)
    }

    fn manifests(&self, image: usize) -> impl Iterator<Item = &ManifestEntry> {
        self.closure(image).into_iter().filter_map(|part| self.contents.manifest_by_id(part))
    }

    fn is_pending(&self, image: usize) -> bool {
        self.images[image].status == Status::Pending
    }

    fn give_up_repository(&mut self, repository: usize, failure: &Failure) {
        for image in std::mem::take(&mut self.repositories[repository].queue) {
            self.fail(image as usize, failure);
        }
    }

    /// An image fails, unless it is done with already. One that is being pushed may arrive all the
    /// same, and its manifests are needed until that is known.
    fn fail(&mut self, image: usize, failure: &Failure) {
        if self.is_pending(image) {
            self.images[image].status = Status::Failed(Arc::clone(&failure.text));
            let repository = self.images[image].surveyed.image.repository;
            if self.repositories[repository].pushing != Some(image as u32) {
                self.release_manifests(image);
            }
        }
    }

    fn release_manifests(&mut self, image: usize) {
        for manifest in self.closure(image) {
            self.release(manifest);
        }
    }

    /// A manifest or blob is needed once less.
    fn release(&mut self, part: BlobId) {
        let users = &mut self.parts[part.index()].users;
        *users -= 1;
        if *users == 0 {
            self.forgotten.push(part);
        }
    }
}

impl Image {
    /// The digest that the tag had in the target, if it was another one.
    pub(crate) fn replaces(&self) -> Option<Digest> {
        match self.surveyed.found {
            Found::Different(digest) => Some(digest),
            _ => None,
        }
    }
}
