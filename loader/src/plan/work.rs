//! The work of a load: which blob goes where, and which image may be tagged when.
//!
//! This is bookkeeping alone: it sends nothing. [`Work::next`] says what to do, and what came of
//! it is told by [`Work::delivered`], [`Work::pushed`] and [`Work::failed`].

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use tranship_common::Digest;
use tranship_common::bundle::{BlobId, Contents, ManifestEntry};

use super::lanes::{Lanes, Queue};
use super::mapping::TargetRepository;
use super::subjects::subjects_first;
use super::survey::{Found, Standing, Survey, SurveyedImage, SurveyedRepository};
use crate::failure::{Extent, Failure, Kind};

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
    demand: u32,
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
    /// Image by image, oldest first, so that whole ones appear soon.
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
    /// What the target was missing when the image was pushed was brought once more.
    is_repaired: bool,
}

#[derive(Debug)]
struct Place {
    surveyed: SurveyedRepository,
    project: u32,
    lane: usize,
    /// Images to tag, oldest first, but after what they refer to.
    queue: VecDeque<u32>,
    /// An image of it is being pushed.
    is_pushing: bool,
    /// It stands in its lane among those whose next image may be pushed.
    is_queued: bool,
}

/// A blob that a repository needs.
#[derive(Debug)]
struct Demand {
    blob: BlobId,
    repository: u32,
    /// The images that need it there, in `Work::waiting`.
    images: Range<u32>,
    state: State,
    is_lost: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    UnderWay,
    Done,
    Failed,
}

/// What is known of a blob that is needed somewhere.
#[derive(Debug, Default)]
struct Needed {
    demands: Vec<u32>,
    /// Of these, how many are neither done nor failed.
    open: u32,
    /// A repository that has it, and whether that is proven.
    holder: Option<(u32, bool)>,
    /// Its bytes are on their way.
    is_uploading: bool,
    /// Demands that wait for that.
    parked: Vec<u32>,
}

/// All work that is left.
#[derive(Debug)]
pub(crate) struct Work {
    contents: Arc<Contents>,
    images: Vec<Image>,
    places: Vec<Place>,
    /// Places by project.
    projects: Vec<Vec<u32>>,
    /// Whether a blob or a manifest may go into a project only once at a time.
    one_by_one: bool,
    demands: Vec<Demand>,
    /// The images of demands.
    waiting: Vec<u32>,
    needed: HashMap<BlobId, Needed>,
    lanes: Lanes,
    /// Blobs that are on their way into a project, and the demands that wait for that.
    on_their_way: HashMap<(BlobId, u32), Vec<u32>>,
    /// Manifests that are being pushed into a project, and the places that wait for that.
    being_pushed: HashMap<(BlobId, u32), Vec<u32>>,
    large_under_way: usize,
    /// Manifests that repositories have.
    stored: HashSet<(u32, BlobId)>,
    /// How many pending images need a manifest.
    manifest_users: HashMap<BlobId, u32>,
    /// What nobody needs any more.
    forgotten: Vec<BlobId>,
    /// Why the work ended before its time, if it did.
    given_up: Option<Failure>,
}

impl Work {
    /// What is to be done to bring a bundle to a target that has what was surveyed. With
    /// `has_projects`, as Harbor has them, work is spread over the projects, and a blob or a manifest
    /// is on its way into a project only once at a time: Harbor counts each delivery under way.
    pub(crate) fn new(survey: &Survey, order: Order, has_projects: bool) -> Self {
        let mut work = Self {
            contents: Arc::clone(&survey.contents),
            images: Vec::with_capacity(survey.images.len()),
            places: Vec::with_capacity(survey.repositories.len()),
            projects: Vec::new(),
            one_by_one: has_projects,
            demands: Vec::new(),
            waiting: Vec::new(),
            needed: HashMap::new(),
            lanes: Lanes::default(),
            on_their_way: HashMap::new(),
            being_pushed: HashMap::new(),
            large_under_way: 0,
            stored: HashSet::new(),
            manifest_users: HashMap::new(),
            forgotten: Vec::new(),
            given_up: None,
        };
        let mut projects: HashMap<&str, u32> = HashMap::new();
        for (at, repository) in survey.repositories.iter().enumerate() {
            let next = projects.len() as u32;
            let project = *projects.entry(repository.name.project()).or_insert(next);
            work.projects.resize_with(projects.len(), Vec::new);
            work.projects[project as usize].push(at as u32);
            let has_lanes = has_projects && order == Order::Images;
            work.places.push(Place {
                surveyed: repository.clone(),
                project,
                lane: if has_lanes { project as usize } else { 0 },
                queue: VecDeque::new(),
                is_pushing: false,
                is_queued: false,
            });
        }
        work.lanes = Lanes::new(work.projects.len().max(1));
        for image in &survey.images {
            let status = if image.is_there() { Status::Present } else { Status::Pending };
            let surveyed = image.clone();
            work.images.push(Image { surveyed, status, missing: 0, is_repaired: false });
        }
        work.queue_images();
        work.queue_deliveries(order);
        for place in 0..work.places.len() {
            work.look_at(place);
        }
        work
    }

    /// The order in which the tags of each repository appear.
    fn queue_images(&mut self) {
        for place in 0..self.places.len() {
            let images = self.places[place].surveyed.images.clone();
            let pending = images.filter(|image| self.is_pending(*image)).map(|image| image as u32);
            self.places[place].queue = subjects_first(
                pending.collect(),
                |image| &self.images[image as usize].surveyed.image.tag,
                |image| self.manifests(image as usize),
            );
        }
    }

    /// Finds out which blobs are needed where, and in which order.
    fn queue_deliveries(&mut self, order: Order) {
        let mut pending: Vec<usize> =
            (0..self.images.len()).filter(|image| self.is_pending(*image)).collect();
        if pending.is_empty() {
            return;
        }
        pending.sort_by_key(|image| self.images[*image].surveyed.image.age);
        let there = self.there();
        // Blob, repository, place in the order of images, image.
        let mut needs: Vec<(BlobId, u32, u32, u32)> = Vec::new();
        for (nth, image) in pending.iter().enumerate() {
            let repository = self.images[*image].surveyed.image.repository as u32;
            let mut seen = HashSet::new();
            for manifest in self.closure(*image) {
                *self.manifest_users.entry(manifest).or_default() += 1;
                let blobs = self.contents.manifest_by_id(manifest).map_or(&[][..], |m| &m.blobs);
                for blob in blobs.iter().filter_map(|blob| self.contents.id(*blob)) {
                    if !there.contains(&(repository, blob)) && seen.insert(blob) {
                        needs.push((blob, repository, nth as u32, *image as u32));
                    }
                }
            }
            self.images[*image].missing = seen.len() as u32;
        }
        needs.sort_unstable();
        let mut first_needed = Vec::new();
        for same in needs.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let (blob, repository, nth, _) = same[0];
            first_needed.push((nth, blob, self.demands.len() as u32));
            let first = self.waiting.len() as u32;
            self.waiting.extend(same.iter().map(|(.., image)| image));
            let is_lost = same.iter().any(|(.., image)| {
                let digest = self.contents.entry(blob).digest;
                let found = &self.images[*image as usize].surveyed.found;
                matches!(found, Found::Broken(missing) if missing.contains(&digest))
            });
            self.add_demand(blob, repository, first..self.waiting.len() as u32, is_lost);
        }
        for (repository, blob) in there {
            if let Some(needed) = self.needed.get_mut(&blob) {
                // The same one each time, whatever the order of the set.
                let first = needed.holder.map_or(repository, |(other, _)| other.min(repository));
                needed.holder = Some((first, false));
            }
        }
        if order == Order::Images {
            first_needed.sort_unstable();
        }
        for (.., demand) in first_needed {
            self.queue(demand, Queue::Deliveries);
        }
    }

    /// Which repositories have which blobs, as far as it follows from the images that are there: the
    /// target takes no manifest without its blobs.
    fn there(&mut self) -> HashSet<(u32, BlobId)> {
        let mut there = HashSet::new();
        for image in 0..self.images.len() {
            let missing = match &self.images[image].surveyed.found {
                Found::Same => Vec::new(),
                Found::Broken(missing) => missing.clone(),
                _ => continue,
            };
            let repository = self.images[image].surveyed.image.repository as u32;
            for manifest in self.closure(image) {
                let entry = self.contents.manifest_by_id(manifest);
                let blobs = entry.map_or(&[][..], |entry| &entry.blobs).iter();
                let blobs = blobs.filter(|blob| !missing.contains(blob));
                there.extend(
                    blobs.filter_map(|blob| self.contents.id(*blob)).map(|blob| (repository, blob)),
                );
                if missing.is_empty() {
                    self.stored.insert((repository, manifest));
                }
            }
        }
        there
    }

    fn add_demand(&mut self, blob: BlobId, repository: u32, images: Range<u32>, is_lost: bool) {
        let needed = self.needed.entry(blob).or_default();
        needed.demands.push(self.demands.len() as u32);
        needed.open += 1;
        self.demands.push(Demand { blob, repository, images, state: State::Waiting, is_lost });
    }

    /// The next thing to do, if anything can be done now: in the lane where the least is under way.
    /// What comes of it has to be told.
    pub(crate) fn next(&mut self) -> Option<Task> {
        if self.given_up.is_some() {
            return None;
        }
        let mut after = None;
        while let Some(rank) = self.lanes.next(after) {
            let lane = rank.2;
            if let Some(task) = self.next_in(lane) {
                self.lanes.begin(lane);
                return Some(task);
            }
            // What it has cannot be done now.
            after = Some(rank);
        }
        None
    }

    /// The next thing to do in a lane. Tags come first, so that images appear early. What was
    /// entered earlier may have failed since.
    fn next_in(&mut self, lane: usize) -> Option<Task> {
        while let Some(place) = self.lanes.pop(lane, Queue::Ready) {
            let place = place as usize;
            self.places[place].is_queued = false;
            if let Some(image) = self.ready_image(place)
                && self.may_begin(image)
            {
                self.places[place].is_pushing = true;
                return Some(Task::Push { image });
            }
        }
        for queue in [Queue::Urgent, Queue::Large, Queue::Deliveries] {
            if queue == Queue::Large && self.large_under_way >= LARGE_AT_ONCE {
                continue;
            }
            while let Some(demand) = self.lanes.pop(lane, queue) {
                if let Some(job) = self.job(demand) {
                    return Some(Task::Deliver(job));
                }
            }
        }
        None
    }

    /// The job that a demand is now, if it can be one; else it waits for what keeps it from that.
    fn job(&mut self, demand: u32) -> Option<Job> {
        let Demand { blob, repository, state, is_lost, .. } = self.demands[demand as usize];
        if state != State::Waiting {
            return None;
        }
        if !self.is_wanted(demand) {
            self.settle(demand, State::Failed);
            return None;
        }
        let place = &self.places[repository as usize];
        let (project, lane) = (place.project, place.lane);
        if self.one_by_one
            && let Some(waiting) = self.on_their_way.get_mut(&(blob, project))
        {
            waiting.push(demand);
            return None;
        }
        let size = self.contents.entry(blob).size;
        let needed = self.needed.get_mut(&blob)?;
        let holder = needed.holder.filter(|(place, _)| *place != repository && !is_lost);
        if holder.is_none() {
            if needed.is_uploading {
                needed.parked.push(demand);
                return None;
            }
            if size >= LARGE {
                if self.large_under_way >= LARGE_AT_ONCE {
                    self.lanes.push(lane, Queue::Large, demand);
                    return None;
                }
                self.large_under_way += 1;
            }
            needed.is_uploading = true;
        }
        self.on_their_way.insert((blob, project), Vec::new());
        self.demands[demand as usize].state = State::UnderWay;
        let holder = holder.map(|(place, is_proven)| Holder {
            name: Arc::clone(&self.places[place as usize].surveyed.name),
            is_proven,
        });
        let SurveyedRepository { name, standing, .. } = &self.places[repository as usize].surveyed;
        Some(Job {
            blob,
            digest: self.contents.entry(blob).digest,
            size,
            to: Arc::clone(name),
            standing: *standing,
            holder,
            is_lost,
            repository,
            demand,
        })
    }

    /// The repository has the blob now.
    pub(crate) fn delivered(&mut self, job: &Job) {
        if let Some(needed) = self.needed.get_mut(&job.blob)
            && !needed.holder.is_some_and(|(_, is_proven)| is_proven)
        {
            needed.holder = Some((job.repository, true));
        }
        for image in self.demands[job.demand as usize].images.clone() {
            let image = self.waiting[image as usize] as usize;
            self.images[image].missing -= 1;
        }
        self.settle(job.demand, State::Done);
        self.job_is_over(job);
        self.look_at(job.repository as usize);
    }

    /// The image is stored and tagged.
    pub(crate) fn pushed(&mut self, image: usize) {
        let repository = self.images[image].surveyed.image.repository;
        let stored = self.closure(image).into_iter().map(|part| (repository as u32, part));
        self.stored.extend(stored.collect::<Vec<_>>());
        self.close(image, Status::Loaded);
        self.push_is_over(image);
    }

    /// A task could not be done. What the failure reaches fails with it.
    pub(crate) fn failed(&mut self, task: &Task, failure: &Failure) {
        let place = match task {
            Task::Deliver(job) => job.repository as usize,
            Task::Push { image } => self.images[*image].surveyed.image.repository,
        };
        match (failure.extent, task) {
            (Extent::Target, _) => self.give_up(failure),
            (Extent::Project, _) => {
                for place in self.projects[self.places[place].project as usize].clone() {
                    self.give_up_repository(place as usize, failure);
                }
            }
            (Extent::Repository, _) => self.give_up_repository(place, failure),
            (Extent::Source, Task::Deliver(job)) => {
                let demands = self.needed.get(&job.blob).map(|needed| needed.demands.clone());
                for demand in demands.unwrap_or_default() {
                    self.fail_demand(demand, failure);
                }
            }
            (Extent::Blob, Task::Deliver(job)) => self.fail_demand(job.demand, failure),
            (Extent::Blob | Extent::Source, Task::Push { image }) => {
                if !self.repair(*image, failure) {
                    self.fail(*image, failure);
                }
            }
        }
        match task {
            Task::Deliver(job) => {
                if self.demands[job.demand as usize].state == State::UnderWay {
                    self.settle(job.demand, State::Failed);
                }
                self.job_is_over(job);
            }
            Task::Push { image } => self.push_is_over(*image),
        }
        self.look_at(place);
    }

    /// Nothing is to be brought into this project.
    pub(crate) fn block(&mut self, project: &str, reason: &str) {
        let failure = Failure::refused(reason.to_owned());
        for place in 0..self.places.len() {
            if self.places[place].surveyed.name.project() == project {
                self.give_up_repository(place, &failure);
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
        &self.places[self.images[image].surveyed.image.repository].surveyed.name
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
        self.manifest_users.keys().chain(self.needed.keys()).copied()
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

    fn queue(&mut self, demand: u32, queue: Queue) {
        let place = self.demands[demand as usize].repository as usize;
        self.lanes.push(self.places[place].lane, queue, demand);
    }

    /// A job has come to its end, well or not: what waited for it goes on.
    fn job_is_over(&mut self, job: &Job) {
        let Place { project, lane, .. } = self.places[job.repository as usize];
        self.lanes.over(lane);
        let mut waiting = self.on_their_way.remove(&(job.blob, project)).unwrap_or_default();
        if job.holder.is_none() {
            if job.size >= LARGE {
                self.large_under_way -= 1;
            }
            if let Some(needed) = self.needed.get_mut(&job.blob) {
                needed.is_uploading = false;
                waiting.append(&mut needed.parked);
            }
        }
        for demand in waiting {
            self.queue(demand, Queue::Urgent);
        }
    }

    /// Whether an image can be pushed now; else its repository waits for what keeps it from that.
    fn may_begin(&mut self, image: usize) -> bool {
        if !self.one_by_one {
            return true;
        }
        let place = self.images[image].surveyed.image.repository;
        let project = self.places[place].project;
        let parts = self.closure(image);
        for part in &parts {
            if let Some(waiting) = self.being_pushed.get_mut(&(*part, project)) {
                waiting.push(place as u32);
                return false;
            }
        }
        self.being_pushed.extend(parts.into_iter().map(|part| ((part, project), Vec::new())));
        true
    }

    fn push_is_over(&mut self, image: usize) {
        let place = self.images[image].surveyed.image.repository;
        let Place { project, lane, .. } = self.places[place];
        self.lanes.over(lane);
        self.places[place].is_pushing = false;
        self.look_at(place);
        for part in self.closure(image) {
            for waiting in self.being_pushed.remove(&(part, project)).unwrap_or_default() {
                self.look_at(waiting as usize);
            }
        }
    }

    /// Brings what the target was missing when an image was pushed once more, if that has not been
    /// tried yet. Returns whether there is hope.
    fn repair(&mut self, image: usize, failure: &Failure) -> bool {
        let Kind::Incomplete(missing) = &failure.kind else { return false };
        if self.images[image].is_repaired {
            return false;
        }
        let repository = self.images[image].surveyed.image.repository as u32;
        let parts = self.closure(image);
        let blobs: HashSet<Digest> =
            self.manifests(image).flat_map(|part| part.blobs.iter().copied()).collect();
        let mut is_hopeful = false;
        for digest in missing.iter() {
            let Some(id) = self.contents.id(*digest) else { continue };
            if parts.contains(&id) {
                is_hopeful |= self.stored.remove(&(repository, id));
            } else if blobs.contains(digest) {
                let first = self.waiting.len() as u32;
                self.waiting.push(image as u32);
                self.images[image].missing += 1;
                let demand = self.demands.len() as u32;
                self.add_demand(id, repository, first..first + 1, true);
                self.queue(demand, Queue::Urgent);
                is_hopeful = true;
            }
        }
        self.images[image].is_repaired = is_hopeful;
        is_hopeful
    }

    fn fail_demand(&mut self, demand: u32, failure: &Failure) {
        if matches!(self.demands[demand as usize].state, State::Done | State::Failed) {
            return;
        }
        for image in self.demands[demand as usize].images.clone() {
            self.fail(self.waiting[image as usize] as usize, failure);
        }
        self.settle(demand, State::Failed);
        self.look_at(self.demands[demand as usize].repository as usize);
    }

    fn give_up_repository(&mut self, place: usize, failure: &Failure) {
        for image in self.places[place].queue.clone() {
            self.fail(image as usize, failure);
        }
        self.look_at(place);
    }

    fn fail(&mut self, image: usize, failure: &Failure) {
        if self.is_pending(image) {
            self.close(image, Status::Failed(Arc::clone(&failure.text)));
        }
    }

    /// An image is done with, well or not.
    fn close(&mut self, image: usize, status: Status) {
        self.images[image].status = status;
        for manifest in self.closure(image) {
            if let Some(users) = self.manifest_users.get_mut(&manifest) {
                *users -= 1;
                if *users == 0 {
                    self.forgotten.push(manifest);
                }
            }
        }
    }

    fn settle(&mut self, demand: u32, state: State) {
        let Demand { blob, state: ref mut before, .. } = self.demands[demand as usize];
        let was_open = matches!(before, State::Waiting | State::UnderWay);
        *before = state;
        if let Some(needed) = self.needed.get_mut(&blob).filter(|_| was_open) {
            needed.open -= 1;
            if needed.open == 0 {
                self.forgotten.push(blob);
            }
        }
    }

    /// Whether an image that has not failed still waits for this.
    fn is_wanted(&self, demand: u32) -> bool {
        let images = self.demands[demand as usize].images.clone();
        images.into_iter().any(|at| self.is_pending(self.waiting[at as usize] as usize))
    }

    /// Sees whether the next image of a repository can be pushed.
    fn look_at(&mut self, place: usize) {
        if self.ready_image(place).is_some() && !self.places[place].is_queued {
            self.places[place].is_queued = true;
            self.lanes.push(self.places[place].lane, Queue::Ready, place as u32);
        }
    }

    /// The next image of a repository, if all its blobs are there. Failed ones make way; one that
    /// only waits does not, since the tags of a repository are to appear oldest first.
    fn ready_image(&mut self, place: usize) -> Option<usize> {
        let Self { places, images, .. } = self;
        let Place { queue, is_pushing, .. } = &mut places[place];
        while queue.front().is_some_and(|image| images[*image as usize].status != Status::Pending) {
            queue.pop_front();
        }
        let image = *queue.front()? as usize;
        (!*is_pushing && images[image].missing == 0).then_some(image)
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
