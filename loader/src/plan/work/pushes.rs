//! Pushes: which image of a repository is next, and when it can begin.

use tranship_common::bundle::BlobId;

use super::{RepositoryWork, Status, Work};
use crate::plan::lanes::Queue;

impl Work {
    /// The image of a repository that is pushed now, if one can be.
    pub(super) fn next_push(&mut self, repository: usize) -> Option<usize> {
        let state = &mut self.repositories[repository];
        state.is_queued = false;
        let (project, called) = (state.project, std::mem::take(&mut state.called));
        let image = self.ready_image(repository).map(|image| image as usize);
        let image = image.filter(|image| self.take_turns(*image, repository));
        // It may have been called for what it does not push now.
        for manifest in called {
            self.call_pusher(manifest, project);
        }
        let image = image?;
        self.repositories[repository].pushing = Some(image as u32);
        Some(image)
    }

    /// Takes the turns of an image's manifests, or waits for one of them.
    fn take_turns(&mut self, image: usize, repository: usize) -> bool {
        if !self.has_projects {
            return true;
        }
        let project = self.repositories[repository].project;
        let manifests = self.closure(image);
        let mut taken = manifests.iter().filter(|part| self.pushes.is_taken((**part, project)));
        if let Some(manifest) = taken.next() {
            self.pushes.wait((*manifest, project), repository as u32);
            return false;
        }
        for manifest in manifests {
            self.pushes.take((manifest, project));
        }
        true
    }

    /// Whoever is next may push a manifest, if nobody does now.
    fn call_pusher(&mut self, manifest: BlobId, project: u32) {
        if let Some(repository) = self.pushes.call((manifest, project)) {
            self.repositories[repository as usize].called.push(manifest);
            self.queue_push(repository as usize);
        }
    }

    /// A push has come to its end, well or not: who waited for its manifests goes on.
    pub(super) fn end_push(&mut self, image: usize) {
        let repository = self.images[image].surveyed.image.repository;
        let RepositoryWork { project, lane, ref mut pushing, .. } = self.repositories[repository];
        *pushing = None;
        self.lanes.end(lane);
        if !self.is_pending(image) {
            self.release_manifests(image);
        }
        if self.has_projects {
            let manifests = self.closure(image);
            manifests.iter().for_each(|part| self.pushes.give_back((*part, project)));
            manifests.iter().for_each(|part| self.call_pusher(*part, project));
        }
        self.look_at(repository);
    }

    /// Sees whether the next image of a repository can be pushed.
    pub(super) fn look_at(&mut self, repository: usize) {
        if self.ready_image(repository).is_some() {
            self.queue_push(repository);
        }
    }

    fn queue_push(&mut self, repository: usize) {
        let RepositoryWork { lane, ref mut is_queued, .. } = self.repositories[repository];
        if !std::mem::replace(is_queued, true) {
            self.lanes.push(lane, Queue::Ready, repository as u32);
        }
    }

    /// The next image of a repository, if all its blobs are there. Failed ones make way; one that
    /// only waits does not, since the tags of a repository are to appear oldest first.
    fn ready_image(&mut self, repository: usize) -> Option<u32> {
        let Self { repositories, images, .. } = self;
        let RepositoryWork { queue, pushing, .. } = &mut repositories[repository];
        while queue.front().is_some_and(|image| images[*image as usize].status != Status::Pending) {
            queue.pop_front();
        }
        let image = *queue.front()?;
        (pushing.is_none() && images[image as usize].missing == 0).then_some(image)
    }
}
