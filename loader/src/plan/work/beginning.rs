//! What is to be done, as it follows from what was found in the target.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};

use tranship_common::bundle::BlobId;

use super::{Delivery, Holding, Image, Order, Part, RepositoryWork, State, Status, Work};
use crate::plan::lanes::{Lanes, Queue};
use crate::plan::subjects::subjects_first;
use crate::plan::survey::{Found, Survey};

/// The place of an image in the order of all: images of the repository that has the most left come
/// first, since their tags appear one after another, and among these the oldest.
type ImagePosition = (Reverse<u32>, u32);

/// The place of a delivery in the order of all.
type Position = (ImagePosition, BlobId, u32);

impl Work {
    /// What is to be done to bring a bundle to a target that has what was surveyed. With
    /// `has_projects`, as Harbor has them, work is spread over the projects, and a blob or a manifest
    /// is on its way into a project only once at a time: Harbor counts each delivery under way.
    pub(crate) fn new(survey: &Survey, order: Order, has_projects: bool) -> Self {
        let parts = vec![Part::default(); survey.contents.ids().len()];
        let mut work = Self::empty(&survey.contents, parts, has_projects);
        work.enter_repositories(survey, order);
        for image in &survey.images {
            let status = if image.is_there() { Status::Present } else { Status::Pending };
            let surveyed = image.clone();
            work.images.push(Image { surveyed, status, missing: 0, repaired: BTreeSet::new() });
        }
        let mut positions = Vec::new();
        for repository in 0..work.repositories.len() {
            work.order_images(repository);
            work.enter_deliveries(repository, order, &mut positions);
        }
        positions.sort_unstable();
        for (.., delivery) in positions {
            work.queue(delivery, Queue::Deliveries);
        }
        for repository in 0..work.repositories.len() {
            work.look_at(repository);
        }
        work
    }

    fn enter_repositories(&mut self, survey: &Survey, order: Order) {
        let mut projects: HashMap<&str, usize> = HashMap::new();
        for (at, repository) in survey.repositories.iter().enumerate() {
            let next = projects.len();
            let project = *projects.entry(repository.name.project()).or_insert(next);
            self.projects.resize_with(projects.len(), Vec::new);
            self.projects[project].push(at as u32);
            let has_lanes = self.has_projects && order == Order::Images;
            self.repositories.push(RepositoryWork {
                surveyed: repository.clone(),
                project: project as u32,
                lane: if has_lanes { project } else { 0 },
                queue: Vec::new().into(),
                pushing: None,
                called: Vec::new(),
                is_queued: false,
            });
        }
        self.lanes = Lanes::new(projects.len().max(1));
    }

    /// The order in which the images of a repository appear.
    fn order_images(&mut self, repository: usize) {
        let images = self.repositories[repository].surveyed.images.clone();
        let pending = images.filter(|image| self.is_pending(*image)).map(|image| image as u32);
        self.repositories[repository].queue = subjects_first(
            pending.collect(),
            |image| self.images[image as usize].surveyed.image.tag.as_ref(),
            |image| self.manifests(image as usize),
        );
    }

    /// Finds out which blobs a repository needs. Each needed blob gets its position in `order`.
    fn enter_deliveries(&mut self, repository: usize, order: Order, positions: &mut Vec<Position>) {
        let there = self.there(repository);
        for blob in &there {
            let holding = Holding { repository: repository as u32, is_proven: false };
            self.parts[blob.index()].holder.get_or_insert(holding);
        }
        let mut needs: Vec<(BlobId, u32)> = Vec::new();
        let images = self.repositories[repository].surveyed.images.clone();
        let pending: Vec<usize> = images.filter(|image| self.is_pending(*image)).collect();
        for image in pending.iter().copied() {
            let manifests = self.closure(image);
            let blobs = manifests.iter().flat_map(|manifest| self.blobs(*manifest));
            let mut missing: Vec<BlobId> = blobs.filter(|blob| !there.contains(blob)).collect();
            missing.sort_unstable();
            missing.dedup();
            for manifest in manifests {
                self.parts[manifest.index()].users += 1;
            }
            self.images[image].missing = missing.len() as u32;
            needs.extend(missing.into_iter().map(|blob| (blob, image as u32)));
        }
        needs.sort_unstable();
        for same in needs.chunk_by(|a, b| a.0 == b.0) {
            // Images stand in the order of their age.
            let (blob, oldest) = same[0];
            let images = same.iter().map(|(_, image)| *image);
            let digest = self.contents.entry(blob).digest;
            let found = |image: u32| &self.images[image as usize].surveyed.found;
            let is_lost = images.clone().any(|image| found(image).is_without(digest));
            let delivery = self.add_delivery(blob, repository as u32, images, is_lost);
            let position = match order {
                Order::Bundle => (Reverse(0), 0),
                Order::Images => {
                    let before = pending.partition_point(|image| *image < oldest as usize);
                    let age = self.images[oldest as usize].surveyed.image.age;
                    (Reverse((pending.len() - before) as u32), age)
                }
            };
            positions.push((position, blob, delivery));
        }
    }

    /// The blobs that a repository has, as far as it follows from the images that are there: the
    /// target takes no manifest without its blobs.
    fn there(&mut self, repository: usize) -> HashSet<BlobId> {
        let mut there = HashSet::new();
        for image in self.repositories[repository].surveyed.images.clone() {
            let found = &self.images[image].surveyed.found;
            if !matches!(found, Found::Same | Found::Broken(_)) {
                continue;
            }
            let manifests = self.closure(image);
            let blobs = manifests.iter().flat_map(|manifest| self.blobs(*manifest));
            there.extend(blobs.filter(|blob| !found.is_without(self.contents.entry(*blob).digest)));
            if matches!(found, Found::Same) {
                let stored = manifests.into_iter().map(|manifest| (repository as u32, manifest));
                self.stored.extend(stored);
            }
        }
        there
    }

    /// The config and layers of a manifest.
    pub(super) fn blobs(&self, manifest: BlobId) -> impl Iterator<Item = BlobId> {
        let entry = self.contents.manifest_by_id(manifest);
        let blobs = entry.map_or(&[][..], |entry| &entry.blobs);
        blobs.iter().filter_map(|blob| self.contents.id(*blob))
    }

    /// Adds a delivery to those that there are; it is not queued yet.
    pub(super) fn add_delivery(
        &mut self,
        blob: BlobId,
        repository: u32,
        images: impl IntoIterator<Item = u32>,
        is_lost: bool,
    ) -> u32 {
        let delivery = self.deliveries.len() as u32;
        let first = self.waiting.len() as u32;
        self.waiting.extend(images);
        let images = first..self.waiting.len() as u32;
        let part = &mut self.parts[blob.index()];
        part.users += 1;
        let earlier = part.latest.replace(delivery);
        let state = State::Waiting;
        let is_unmounted = false;
        self.deliveries.push(Delivery {
            blob,
            repository,
            images,
            state,
            is_lost,
            is_unmounted,
            earlier,
        });
        delivery
    }
}
