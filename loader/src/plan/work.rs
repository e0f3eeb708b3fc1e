//! The work of a load: which blob goes where, and which image may be tagged when.
//!
//! This is bookkeeping alone: it sends nothing. [`Work::next`] says what to do, and what came of
//! it is told by [`Work::delivered`], [`Work::pushed`] and their kin.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use tranship_common::bundle::{Contents, ManifestEntry};
use tranship_common::{Digest, Repository, Tag};

use crate::plan::lanes::Lanes;
use crate::plan::mapping::project_of;
use crate::plan::subjects::{Referrer, subjects_first};
use crate::plan::survey::Found;

/// What to do next. The numbers name repositories and images of [`Work`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    /// Bring a blob to a repository: by a mount from another one that has it, else by an upload.
    Deliver { blob: Digest, to: usize, from: Option<usize> },
    /// Store an image's manifests, children first, and its tag.
    Push { image: usize },
}

/// In which order work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// That of the bundle, so that it is read forward.
    Bundle,
    /// Spread over the projects of Harbor, each of which takes one change at a time.
    Projects,
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
    Failed(String),
}

#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) repository: usize,
    pub(crate) tag: Tag,
    pub(crate) digest: Digest,
    pub(crate) status: Status,
    /// The digest that the tag had in the target, if it was another one.
    pub(crate) replaces: Option<Digest>,
    /// Blobs that its repository does not have yet.
    missing: usize,
    /// Its manifests, children first, the tagged one last.
    manifests: Vec<Rc<ManifestEntry>>,
}

impl Referrer for Image {
    fn tag(&self) -> &Tag {
        &self.tag
    }

    fn manifests(&self) -> impl Iterator<Item = &ManifestEntry> {
        self.manifests.iter().map(AsRef::as_ref)
    }
}

#[derive(Debug)]
struct Place {
    name: Repository,
    /// The lane of its project.
    lane: usize,
    /// Images to tag, oldest first, but after what they refer to.
    queue: VecDeque<usize>,
    /// Whether an image of it is being pushed.
    pushing: bool,
    /// Manifests that are stored there.
    stored: HashSet<Digest>,
}

/// A blob and the repositories that still need it, each with its waiting images.
#[derive(Debug, Default)]
struct Demand {
    waiting: Vec<(usize, Vec<usize>)>,
    /// A repository of the target that has it.
    holder: Option<usize>,
}

/// All work that is left.
#[derive(Debug)]
pub(crate) struct Work {
    images: Vec<Image>,
    places: Vec<Place>,
    demands: HashMap<Digest, Demand>,
    /// What can be done now.
    lanes: Lanes,
    /// Blobs on their way into a project, and the mounts that wait for that: Harbor counts a blob
    /// for each of its deliveries that are under way at once.
    on_their_way: HashMap<(Digest, String), Vec<usize>>,
    /// Why the work ended before its time, if it did.
    given_up: Option<String>,
}

impl Work {
    /// What is to be done to bring `contents` to a target where `found` is what it has.
    pub(crate) fn new(contents: &Contents, found: &[Found], order: Order) -> Self {
        let mut work = Self {
            images: Vec::new(),
            places: Vec::new(),
            demands: HashMap::new(),
            lanes: Lanes::default(),
            on_their_way: HashMap::new(),
            given_up: None,
        };
        let mut entries: HashMap<Digest, Rc<ManifestEntry>> = HashMap::new();
        let mut shared = |part: &ManifestEntry| {
            Rc::clone(entries.entry(part.digest).or_insert_with(|| Rc::new(part.clone())))
        };
        let mut blobs_there: Vec<HashSet<Digest>> = Vec::new();
        for repository in &contents.catalog().repositories {
            let place = work.places.len();
            let lane = match (order, work.places.last()) {
                (Order::Bundle, Some(last)) => last.lane,
                (Order::Projects, Some(last))
                    if project_of(&last.name) == project_of(&repository.name) =>
                {
                    last.lane
                }
                _ => work.lanes.add(),
            };
            work.places.push(Place {
                name: repository.name.clone(),
                lane,
                queue: VecDeque::new(),
                pushing: false,
                stored: HashSet::new(),
            });
            blobs_there.push(HashSet::new());
            for tag in &repository.tags {
                let image = work.images.len();
                let there = found[image] == Found::Same;
                let status = match &found[image] {
                    Found::Same => Status::Present,
                    Found::Unknown(reason) => Status::Failed(reason.clone()),
                    Found::Different(_) | Found::Missing => Status::Pending,
                };
                let replaces = match found[image] {
                    Found::Different(digest) => Some(digest),
                    _ => None,
                };
                let closure = contents.closure(tag.digest);
                if there {
                    // The target takes no manifest without its blobs: it has these too.
                    work.places[place].stored.extend(closure.iter().map(|part| part.digest));
                    blobs_there[place].extend(closure.iter().flat_map(|part| &part.blobs));
                } else {
                    work.places[place].queue.push_back(image);
                }
                work.images.push(Image {
                    repository: place,
                    tag: tag.name.clone(),
                    digest: tag.digest,
                    status,
                    replaces,
                    missing: 0,
                    manifests: closure.iter().map(|part| shared(part)).collect(),
                });
            }
        }
        for place in &mut work.places {
            place.queue = subjects_first(std::mem::take(&mut place.queue), &work.images);
        }
        work.demand(contents, &blobs_there);
        work
    }

    /// Finds out which blobs are needed where.
    fn demand(&mut self, contents: &Contents, blobs_there: &[HashSet<Digest>]) {
        for (place, there) in blobs_there.iter().enumerate() {
            for blob in there {
                self.demands.entry(*blob).or_default().holder.get_or_insert(place);
            }
        }
        for (image, state) in self.images.iter_mut().enumerate() {
            if state.status != Status::Pending {
                continue;
            }
            let place = state.repository;
            let mut needed = HashSet::new();
            for part in contents.closure(state.digest) {
                let known = |blob: &&Digest| !blobs_there[place].contains(*blob);
                needed.extend(part.blobs.iter().filter(known).copied());
            }
            state.missing = needed.len();
            for blob in needed {
                let waiting = &mut self.demands.entry(blob).or_default().waiting;
                match waiting.iter_mut().find(|(to, _)| *to == place) {
                    Some((_, images)) => images.push(image),
                    None => waiting.push((place, vec![image])),
                }
            }
        }
        for entry in contents.entries() {
            match self.demands.get(&entry.digest) {
                Some(demand) if demand.waiting.is_empty() => {}
                Some(Demand { waiting, holder: Some(_) }) => {
                    for (to, _) in waiting {
                        let lane = self.lanes.lane(self.places[*to].lane);
                        lane.mounts.push_back((entry.digest, *to));
                    }
                }
                Some(Demand { waiting, holder: None }) => {
                    if let Some((to, _)) = waiting.first() {
                        self.lanes.lane(self.places[*to].lane).uploads.push_back(entry.digest);
                    }
                }
                None => {}
            }
        }
        for place in 0..self.places.len() {
            self.look_at(place);
        }
    }

    /// The next thing to do, if anything can be done now: in the lane where the least is under way.
    /// When it is over, [`Work::over`] has to be told.
    pub(crate) fn next(&mut self) -> Option<Task> {
        if self.given_up.is_some() {
            return None;
        }
        let lanes = self.lanes.by_need();
        let task = lanes.into_iter().find_map(|lane| self.next_in(lane))?;
        let place = self.place_of(&task);
        self.lanes.lane(self.places[place].lane).busy += 1;
        Some(task)
    }

    /// A task is over, well or not.
    pub(crate) fn over(&mut self, task: &Task) {
        let place = self.place_of(task);
        self.lanes.lane(self.places[place].lane).busy -= 1;
        if let Task::Deliver { blob, to, .. } = *task {
            let way = (blob, project_of(&self.places[to].name).to_owned());
            for waiting in self.on_their_way.remove(&way).unwrap_or_default() {
                let lane = self.places[waiting].lane;
                self.lanes.lane(lane).mounts.push_back((blob, waiting));
            }
        }
    }

    /// The repository that a task changes.
    pub(crate) fn place_of(&self, task: &Task) -> usize {
        match *task {
            Task::Deliver { to, .. } => to,
            Task::Push { image } => self.images[image].repository,
        }
    }

    /// The next thing to do in a lane. Tags come before mounts, so that images appear early; mounts
    /// before uploads, so that no blob's bytes are kept for long. What was entered earlier may
    /// have failed since.
    fn next_in(&mut self, lane: usize) -> Option<Task> {
        while let Some(place) = self.lanes.lane(lane).ready.pop_front() {
            if let Some(image) = self.ready_image(place) {
                self.places[place].pushing = true;
                return Some(Task::Push { image });
            }
        }
        while let Some((blob, to)) = self.lanes.lane(lane).mounts.pop_front() {
            let way = (blob, project_of(&self.places[to].name).to_owned());
            if let Some(waiting) = self.on_their_way.get_mut(&way) {
                waiting.push(to);
            } else if self.is_wanted(blob, to) {
                self.on_their_way.insert(way, Vec::new());
                return Some(Task::Deliver { blob, to, from: self.demands[&blob].holder });
            }
        }
        while let Some(blob) = self.lanes.lane(lane).uploads.pop_front() {
            if let Some(to) = self.first_wanting(blob) {
                let way = (blob, project_of(&self.places[to].name).to_owned());
                self.on_their_way.insert(way, Vec::new());
                return Some(Task::Deliver { blob, to, from: None });
            }
        }
        None
    }

    /// The repository has the blob now.
    pub(crate) fn delivered(&mut self, blob: Digest, to: usize) {
        let Some(demand) = self.demands.get_mut(&blob) else { return };
        let images = match demand.waiting.iter().position(|(place, _)| *place == to) {
            Some(at) => demand.waiting.remove(at).1,
            None => Vec::new(),
        };
        if demand.holder.is_none() {
            demand.holder = Some(to);
            for (place, _) in &demand.waiting {
                self.lanes.lane(self.places[*place].lane).mounts.push_back((blob, *place));
            }
        }
        for image in images {
            self.images[image].missing -= 1;
        }
        self.look_at(to);
    }

    /// The blob cannot be brought to this repository; the images there that need it fail.
    pub(crate) fn undeliverable(&mut self, blob: Digest, to: usize, reason: &str) {
        let Some(demand) = self.demands.get_mut(&blob) else { return };
        if let Some(at) = demand.waiting.iter().position(|(place, _)| *place == to) {
            let (_, images) = demand.waiting.remove(at);
            let next = demand.waiting.first().filter(|_| demand.holder.is_none());
            if let Some((place, _)) = next {
                self.lanes.lane(self.places[*place].lane).uploads.push_front(blob);
            }
            images.into_iter().for_each(|image| self.fail(image, reason));
        }
        self.look_at(to);
    }

    /// The blob itself cannot be had; every image that still waits for it fails.
    pub(crate) fn unreadable(&mut self, blob: Digest, reason: &str) {
        let Some(demand) = self.demands.get_mut(&blob) else { return };
        for (place, images) in std::mem::take(&mut demand.waiting) {
            images.into_iter().for_each(|image| self.fail(image, reason));
            self.look_at(place);
        }
    }

    /// The image is stored and tagged, or could not be.
    pub(crate) fn pushed(&mut self, image: usize, result: Result<(), String>) {
        let place = self.images[image].repository;
        self.places[place].pushing = false;
        self.places[place].queue.retain(|queued| *queued != image);
        match result {
            Ok(()) => {
                let manifests = self.images[image].manifests.iter().map(|part| part.digest);
                self.places[place].stored.extend(manifests);
                self.images[image].status = Status::Loaded;
            }
            Err(reason) => self.fail(image, &reason),
        }
        self.look_at(place);
    }

    /// Nothing more can be done in the project of this repository.
    pub(crate) fn give_up_project(&mut self, place: usize, reason: &str) {
        let project = project_of(&self.places[place].name).to_owned();
        for place in 0..self.places.len() {
            if project_of(&self.places[place].name) == project {
                self.give_up_repository(place, reason);
            }
        }
    }

    /// Nothing more can be done in this repository.
    pub(crate) fn give_up_repository(&mut self, place: usize, reason: &str) {
        let left: Vec<usize> = self.places[place].queue.iter().copied().collect();
        left.into_iter().for_each(|image| self.fail(image, reason));
        self.look_at(place);
    }

    /// Nothing more can be done at all; what is under way may still come to its end.
    pub(crate) fn give_up(&mut self, reason: &str) {
        self.given_up.get_or_insert_with(|| reason.to_owned());
    }

    /// Why the work ended before its time, if it did.
    pub(crate) fn given_up(&self) -> Option<&str> {
        self.given_up.as_deref()
    }

    /// The images and what became of them, in the order of the catalog.
    pub(crate) fn images(&self) -> &[Image] {
        &self.images
    }

    /// A repository's name.
    pub(crate) fn repository(&self, place: usize) -> &Repository {
        &self.places[place].name
    }

    /// The manifests of an image that its repository does not have under their digests, children
    /// first; the tagged one comes last in any case.
    pub(crate) fn manifests_to_push(&self, image: usize) -> Vec<Rc<ManifestEntry>> {
        let Image { repository, digest, manifests, .. } = &self.images[image];
        let stored = &self.places[*repository].stored;
        let needed =
            |part: &&Rc<ManifestEntry>| part.digest == *digest || !stored.contains(&part.digest);
        manifests.iter().filter(needed).cloned().collect()
    }

    /// Manifests and blobs whose bytes may be needed.
    pub(crate) fn wanted(&self) -> HashSet<Digest> {
        let pending = self.images.iter().filter(|image| image.status == Status::Pending);
        let manifests = pending.flat_map(|image| image.manifests.iter().map(|part| part.digest));
        let blobs = self.demands.iter().filter(|(_, demand)| !demand.waiting.is_empty());
        manifests.chain(blobs.map(|(blob, _)| *blob)).collect()
    }

    /// Whether all repositories that needed the blob have it or have failed.
    pub(crate) fn is_settled(&self, blob: Digest) -> bool {
        self.first_wanting(blob).is_none()
    }

    fn fail(&mut self, image: usize, reason: &str) {
        if self.images[image].status == Status::Pending {
            self.images[image].status = Status::Failed(reason.to_owned());
        }
    }

    fn is_pending(&self, image: usize) -> bool {
        self.images[image].status == Status::Pending
    }

    /// Whether an image of this repository that has not failed still needs the blob.
    fn is_wanted(&self, blob: Digest, to: usize) -> bool {
        let waiting = self.demands.get(&blob).map_or(&[][..], |demand| &demand.waiting);
        waiting.iter().any(|(place, images)| {
            *place == to && images.iter().any(|image| self.is_pending(*image))
        })
    }

    fn first_wanting(&self, blob: Digest) -> Option<usize> {
        let places = self.demands.get(&blob)?.waiting.iter().map(|(place, _)| *place);
        places.into_iter().find(|place| self.is_wanted(blob, *place))
    }

    /// Sees whether the next image of a repository can be pushed.
    fn look_at(&mut self, place: usize) {
        let is_ready = self.ready_image(place).is_some();
        let ready = &mut self.lanes.lane(self.places[place].lane).ready;
        if is_ready && !ready.contains(&place) {
            ready.push_back(place);
        }
    }

    /// The next image of a repository, if all its blobs are there. Failed ones make way; one that
    /// only waits does not, since the tags of a repository are to appear oldest first.
    fn ready_image(&mut self, place: usize) -> Option<usize> {
        let Self { places, images, .. } = self;
        let Place { queue, pushing, .. } = &mut places[place];
        while queue.front().is_some_and(|image| images[*image].status != Status::Pending) {
            queue.pop_front();
        }
        let image = *queue.front()?;
        (!*pushing && images[image].missing == 0).then_some(image)
    }
}
