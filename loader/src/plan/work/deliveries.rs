//! Deliveries: which of them can begin, and what comes of them.

use std::collections::HashSet;
use std::sync::Arc;

use tranship_common::bundle::BlobId;

use super::{Delivery, Holder, Holding, Job, LARGE, LARGE_AT_ONCE, State, Work};
use crate::failure::{Failure, Kind};
use crate::plan::lanes::Queue;
use crate::plan::survey::SurveyedRepository;

impl Work {
    /// A large blob whose turn has come.
    pub(super) fn next_large(&mut self) -> Option<Job> {
        while self.large_under_way < LARGE_AT_ONCE {
            let delivery = self.large.pop_front()?;
            if let Some(job) = self.job(delivery) {
                return Some(job);
            }
        }
        None
    }

    /// The job that a delivery is now, if it can be one; else it waits for what keeps it from that.
    pub(super) fn job(&mut self, delivery: u32) -> Option<Job> {
        let Delivery { blob, repository, state, is_lost, is_unmounted, .. } =
            self.deliveries[delivery as usize];
        let project = self.repositories[repository as usize].project;
        if state != State::Waiting || !self.is_wanted(delivery) {
            self.settle(delivery, State::Failed);
            // It may have been called to what it does not do now.
            self.call(blob, project);
            return None;
        }
        if self.has_projects && self.into_projects.is_taken((blob, project)) {
            self.into_projects.wait((blob, project), delivery);
            return None;
        }
        let size = self.contents.entry(blob).size;
        let holder = self.parts[blob.index()].holder;
        let may_mount = !is_lost && !is_unmounted;
        let holder = holder.filter(|holder| holder.repository != repository && may_mount);
        if holder.is_none() {
            if self.uploads.is_taken(blob) {
                let turns = if may_mount { &mut self.mounts } else { &mut self.uploads };
                turns.wait(blob, delivery);
                return None;
            }
            if size >= LARGE {
                if self.large_under_way >= LARGE_AT_ONCE {
                    self.large.push_back(delivery);
                    return None;
                }
                self.large_under_way += 1;
            }
            self.uploads.take(blob);
        }
        if self.has_projects {
            self.into_projects.take((blob, project));
        }
        self.deliveries[delivery as usize].state = State::UnderWay;
        let holder = holder.map(|Holding { repository, is_proven }| Holder {
            name: Arc::clone(&self.repositories[repository as usize].surveyed.name),
            is_proven,
        });
        let SurveyedRepository { name, standing, .. } =
            &self.repositories[repository as usize].surveyed;
        Some(Job {
            blob,
            digest: self.contents.entry(blob).digest,
            size,
            to: Arc::clone(name),
            standing: *standing,
            holder,
            is_lost,
            repository,
            delivery,
        })
    }

    /// The blob could not be mounted, and its bytes have to wait for their turn.
    pub(crate) fn not_mounted(&mut self, job: &Job) {
        let delivery = &mut self.deliveries[job.delivery as usize];
        delivery.is_unmounted = true;
        if delivery.state == State::UnderWay {
            delivery.state = State::Waiting;
            self.queue(job.delivery, Queue::Urgent);
        }
        self.end_job(job);
    }

    /// The holder of a blob did not let it be mounted: whoever has it next is asked instead.
    pub(crate) fn doubt_holder(&mut self, job: &Job) {
        let Some(doubted) = &job.holder else { return };
        let repositories = &self.repositories;
        let holder = &mut self.parts[job.blob.index()].holder;
        *holder = holder.filter(|holder| {
            repositories[holder.repository as usize].surveyed.name != doubted.name
        });
    }

    /// A job has come to its end: what waited for it goes on.
    pub(super) fn end_job(&mut self, job: &Job) {
        let project = self.repositories[job.repository as usize].project;
        self.lanes.end(self.repositories[job.repository as usize].lane);
        self.into_projects.give_back((job.blob, project));
        if job.holder.is_none() {
            self.uploads.give_back(job.blob);
            if job.size >= LARGE {
                self.large_under_way -= 1;
            }
        }
        self.call(job.blob, project);
    }

    /// Repositories that wait for an upload of a blob can mount it now.
    pub(super) fn call_mounters(&mut self, blob: BlobId) {
        for delivery in self.mounts.call_all(blob) {
            self.queue(delivery, Queue::Urgent);
        }
    }

    /// Whoever is next takes the turns that are free.
    fn call(&mut self, blob: BlobId, project: u32) {
        let uploader = match self.uploads.is_taken(blob) {
            true => None,
            false => self.mounts.call(blob).or_else(|| self.uploads.call(blob)),
        };
        let next = self.into_projects.call((blob, project));
        for delivery in next.into_iter().chain(uploader) {
            self.queue(delivery, Queue::Urgent);
        }
    }

    pub(super) fn queue(&mut self, delivery: u32, queue: Queue) {
        let repository = self.deliveries[delivery as usize].repository as usize;
        self.lanes.push(self.repositories[repository].lane, queue, delivery);
    }

    /// Whether an image that has not failed still waits for this.
    fn is_wanted(&self, delivery: u32) -> bool {
        let mut images = self.deliveries[delivery as usize].images.clone();
        images.any(|at| self.is_pending(self.waiting[at as usize] as usize))
    }

    pub(super) fn settle(&mut self, delivery: u32, state: State) {
        let Delivery { blob, state: ref mut before, .. } = self.deliveries[delivery as usize];
        let was_open = matches!(before, State::Waiting | State::UnderWay);
        *before = state;
        if was_open {
            self.release(blob);
        }
    }

    /// The bytes of a blob cannot be had. Repositories that can mount it need none.
    pub(super) fn fail_source(&mut self, job: &Job, failure: &Failure) {
        self.fail_delivery(job.delivery, failure);
        let part = &self.parts[job.blob.index()];
        let mut next = part.latest.filter(|_| part.holder.is_none());
        while let Some(delivery) = next {
            let Delivery { state, earlier, .. } = self.deliveries[delivery as usize];
            if state == State::Waiting {
                self.fail_delivery(delivery, failure);
            }
            next = earlier;
        }
    }

    pub(super) fn fail_delivery(&mut self, delivery: u32, failure: &Failure) {
        for image in self.deliveries[delivery as usize].images.clone() {
            self.fail(self.waiting[image as usize] as usize, failure);
        }
        self.settle(delivery, State::Failed);
        self.look_at(self.deliveries[delivery as usize].repository as usize);
    }

    /// Brings what the target was missing when an image was pushed once more, as far as that has not
    /// been tried yet: some registries name one thing at a time. Returns whether there is hope.
    pub(super) fn repair(&mut self, image: usize, failure: &Failure) -> bool {
        let Kind::Incomplete(missing) = &failure.kind else { return false };
        let repository = self.images[image].surveyed.image.repository as u32;
        let ids: Vec<BlobId> =
            missing.iter().filter_map(|digest| self.contents.id(*digest)).collect();
        let closure = self.closure(image);
        let blobs: HashSet<BlobId> =
            closure.iter().flat_map(|manifest| self.blobs(*manifest)).collect();
        let mut is_hopeful = false;
        for id in ids {
            let holder = &mut self.parts[id.index()].holder;
            *holder = holder.filter(|holder| holder.repository != repository);
            let was_stored = self.stored.remove(&(repository, id));
            // Perhaps only now: what a manifest lists twice is missed twice.
            if self.images[image].repaired.contains(&id) {
                continue;
            }
            if blobs.contains(&id) {
                self.images[image].missing += 1;
                let delivery = self.add_delivery(id, repository, [image as u32], true);
                self.queue(delivery, Queue::Urgent);
            } else if !was_stored {
                continue;
            }
            self.images[image].repaired.insert(id);
            is_hopeful = true;
        }
        is_hopeful
    }
}
