//! Does the work of a load: many requests side by side, one place that decides.

pub(crate) mod health;
pub(crate) mod retry;
pub(crate) mod stop;
pub(crate) mod throttle;

mod push;
mod trouble;

use futures_util::StreamExt;
use futures_util::future::{Either, FutureExt};
use futures_util::stream::FuturesUnordered;
use serde::Serialize;
use tranship_common::bundle::BlobId;

use crate::deliver::{Deliver, Delivered};
use crate::failure::Failure;
use crate::plan::work::{Job, Status, Task, Work};
use crate::registry::Registry;
use crate::source::Source;
use retry::Patience;

/// What a load has done, in numbers.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counts {
    /// Blobs whose bytes were sent.
    pub(crate) uploaded_blobs: u64,
    /// Bytes of these blobs.
    pub(crate) uploaded_bytes: u64,
    /// Blobs that were mounted from another repository.
    pub(crate) mounted_blobs: u64,
    /// Blobs that turned out to be in their repository already.
    pub(crate) present_blobs: u64,
    /// Manifests that were stored, under a digest or a tag.
    pub(crate) manifests: u64,
}

/// A load under way.
pub(crate) struct Transfer<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) source: &'a dyn Source,
    pub(crate) delivery: &'a dyn Deliver,
    pub(crate) patience: &'a Patience,
}

/// What came of a task.
enum Outcome {
    Delivered(Job, Result<Delivered, Failure>),
    Pushed { image: usize, stored: Vec<BlobId>, result: Result<(), Failure> },
}

/// Takes notice of what has arrived.
pub(crate) trait Ledger {
    /// A blob has come to a repository.
    fn delivered(&mut self, job: &Job, how: Delivered);
    /// Manifests of an image have, whether it is whole then or not.
    fn stored(&mut self, image: usize, manifests: &[BlobId]);
}

impl Transfer<'_> {
    /// Does all that can be done. When the user wants to stop nothing new is begun, and what is
    /// under way is brought to its end.
    pub(crate) async fn run(&self, work: &mut Work, ledger: &mut dyn Ledger) -> Counts {
        let mut counts = Counts::default();
        let mut under_way = FuturesUnordered::new();
        let mut stop = std::pin::pin!(self.patience.stop.wanted().fuse());
        loop {
            while under_way.len() < self.patience.throttle.allowed() {
                let Some(task) = work.next() else { break };
                under_way.push(match task {
                    Task::Deliver(job) => Either::Left(async move {
                        let result = self.delivery.deliver(&job, self.source).await;
                        let what = format!("blob {}", job.digest);
                        Outcome::Delivered(job, result.map_err(|failure| failure.of_what(&what)))
                    }),
                    Task::Push { image } => {
                        let push = self.push(work, image);
                        Either::Right(async move {
                            let (stored, result) = push.await;
                            Outcome::Pushed { image, stored, result }
                        })
                    }
                });
            }
            for id in work.take_forgotten() {
                self.source.forget(id);
            }
            let outcome = tokio::select! {
                outcome = under_way.next() => outcome,
                () = self.patience.throttle.rested() => continue,
                () = &mut stop => {
                    work.give_up(&Failure::stopped());
                    continue;
                }
            };
            let Some(outcome) = outcome else { return counts };
            self.settle(outcome, work, ledger, &mut counts);
        }
    }

    /// Enters an outcome into the books.
    fn settle(
        &self,
        outcome: Outcome,
        work: &mut Work,
        ledger: &mut dyn Ledger,
        counts: &mut Counts,
    ) {
        match outcome {
            Outcome::Delivered(job, Ok(delivered)) => {
                match delivered {
                    Delivered::NotMounted => return work.not_mounted(&job),
                    Delivered::Sent(bytes) => {
                        counts.uploaded_blobs += 1;
                        counts.uploaded_bytes += bytes;
                        work.doubt_holder(&job);
                    }
                    Delivered::Mounted => counts.mounted_blobs += 1,
                    Delivered::Present => {
                        counts.present_blobs += 1;
                        if job.holder.is_none() {
                            // Its bytes need not be sent any more.
                            self.patience.progress.add_bytes(job.size);
                        }
                    }
                }
                self.patience.task_went_well();
                ledger.delivered(&job, delivered);
                work.delivered(&job);
            }
            Outcome::Delivered(job, Err(failure)) => work.failed(&Task::Deliver(job), &failure),
            Outcome::Pushed { image, stored, result } => {
                counts.manifests += stored.len() as u64;
                ledger.stored(image, &stored);
                match result {
                    Ok(()) => {
                        self.patience.task_went_well();
                        self.patience.progress.add_images(1);
                        work.pushed(image);
                    }
                    Err(failure) => work.failed(&Task::Push { image }, &failure),
                }
            }
        }
    }
}

/// What became of images, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    pub(crate) loaded: u64,
    pub(crate) present: u64,
    pub(crate) failed: u64,
    /// Not tried, or not to the end, since the load ended before its time.
    pub(crate) left: u64,
}

impl Tally {
    fn count(&mut self, status: &Status) {
        *match status {
            Status::Loaded => &mut self.loaded,
            Status::Present => &mut self.present,
            Status::Failed(_) => &mut self.failed,
            Status::Pending => &mut self.left,
        } += 1;
    }

    /// How many there are in all.
    pub(crate) fn all(&self) -> u64 {
        self.loaded + self.present + self.failed + self.left
    }

    fn is_empty(&self) -> bool {
        self.all() == 0
    }
}

/// What became of images and of the referrers beside them.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Tallies {
    #[serde(flatten)]
    pub(crate) images: Tally,
    #[serde(skip_serializing_if = "Tally::is_empty")]
    pub(crate) referrers: Tally,
}

impl Tallies {
    /// Counts them by their status.
    pub(crate) fn of(work: &Work) -> Self {
        let mut tallies = Self::default();
        for image in work.images() {
            let tally = match image.surveyed.image.tag {
                Some(_) => &mut tallies.images,
                None => &mut tallies.referrers,
            };
            tally.count(&image.status);
        }
        tallies
    }

    /// Those that could not be loaded.
    pub(crate) fn failed(&self) -> u64 {
        self.images.failed + self.referrers.failed
    }

    /// Those that were not tried, or not to the end.
    pub(crate) fn left(&self) -> u64 {
        self.images.left + self.referrers.left
    }
}
