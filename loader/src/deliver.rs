//! How a blob gets to its repository.

mod leftovers;
mod upload;

use futures_util::future::LocalBoxFuture;

use crate::failure::Failure;
use crate::plan::mapping::TargetRepository;
use crate::plan::work::Job;
use crate::source::Source;

pub(crate) use upload::Uploads;

/// How a blob came to its repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// Its bytes were sent, so many.
    Sent(u64),
    /// It was mounted from another repository.
    Mounted,
    /// It was there.
    Present,
    /// It did not: it could not be mounted, and is so large that its bytes have to wait for their
    /// turn.
    NotMounted,
}

/// What a delivery takes when nothing goes wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Price {
    pub(crate) requests: u64,
    /// Bytes to be sent.
    pub(crate) bytes: u64,
    /// No bytes are sent: the blob is mounted.
    pub(crate) is_mount: bool,
}

/// A way for blobs to get to their repositories.
pub(crate) trait Deliver {
    /// Brings a blob to its repository, trying again where that may help.
    fn deliver<'a>(
        &'a self,
        job: &'a Job,
        source: &'a dyn Source,
    ) -> LocalBoxFuture<'a, Result<Delivered, Failure>>;

    /// Whether the target takes blobs in this repository, as far as that can be tried without
    /// bringing any.
    fn rehearse<'a>(&'a self, to: &'a TargetRepository) -> LocalBoxFuture<'a, Result<(), Failure>>;

    /// What a delivery takes.
    fn price(&self, job: &Job) -> Price;

    /// Nothing more is to be delivered: what was begun and not used is given back.
    fn finish(&self) -> LocalBoxFuture<'_, ()>;
}
