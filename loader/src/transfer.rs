//! Does the work of a load: many requests side by side, one place that decides.

pub(crate) mod retry;
pub(crate) mod throttle;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use serde::Serialize;
use tokio::sync::{Mutex, Semaphore};
use tranship_common::bundle::{DescriptionError, ManifestEntry, ReadError};
use tranship_common::{Digest, Progress, Repository};
use url::Url;

use crate::plan::mapping::project_of;
use crate::plan::work::{Status, Task, Work};
use crate::registry::{Answer, Payload, Quota, Registry, RequestError, Upload};
use crate::source::Cargo;
use crate::transfer::retry::RetryPolicy;
use crate::transfer::throttle::Throttle;

/// Blobs of this size (bytes) and more go one or two at a time.
const LARGE: u64 = 512 << 20;

/// How many of these at once.
pub(crate) const LARGE_AT_ONCE: usize = 2;

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
pub(crate) struct Transfer {
    pub(crate) registry: Rc<Registry>,
    pub(crate) retry: RetryPolicy,
    pub(crate) throttle: Throttle,
    /// Keeps the largest blobs apart: several at once have driven registries out of memory.
    pub(crate) large: Semaphore,
    pub(crate) progress: Arc<dyn Progress>,
    /// Whether the target is Harbor, where rights and quotas are those of projects.
    pub(crate) is_harbor: bool,
    /// Projects that were made for this load: what nobody has brought there is not there.
    pub(crate) new_projects: HashSet<String>,
    /// What was brought to the target in this run: blobs, and where they went.
    pub(crate) brought: RefCell<HashSet<(Digest, Repository)>>,
    /// Pairs of projects, from and to, between which nothing may be mounted.
    pub(crate) denied_mounts: RefCell<HashSet<(String, String)>>,
}

/// How a blob came to its repository.
#[derive(Debug, Clone, Copy)]
enum Delivery {
    Uploaded(u64),
    Mounted,
    Present,
}

/// What came of asking for a blob to be mounted or uploaded.
enum Begun {
    There(Delivery),
    Session(Url),
}

/// What came of a task.
enum Outcome {
    Delivered { blob: Digest, to: usize, result: Result<Delivery, RequestError> },
    Pushed { image: usize, manifests: u64, result: Result<(), PushError> },
}

impl Outcome {
    fn is_good(&self) -> bool {
        match self {
            Self::Delivered { result, .. } => result.is_ok(),
            Self::Pushed { result, .. } => result.is_ok(),
        }
    }
}

/// What an image's manifests could not be stored for.
enum PushError {
    Request(RequestError),
    Bundle(Arc<ReadError>),
    Description(Digest, DescriptionError),
}

/// The bytes of a blob, kept while more than one repository may need them.
type SharedPayload = Rc<Mutex<Option<Payload>>>;

impl Transfer {
    /// Does all that can be done. When `stop` completes nothing new is begun, and what is under
    /// way is brought to its end.
    pub(crate) async fn run(
        &self,
        work: &mut Work,
        cargo: &Rc<Mutex<Cargo>>,
        stop: impl Future<Output = ()>,
    ) -> Counts {
        let mut counts = Counts::default();
        let mut payloads: HashMap<Digest, SharedPayload> = HashMap::new();
        let mut under_way = FuturesUnordered::new();
        let mut stop = std::pin::pin!(stop.fuse());
        loop {
            while under_way.len() < self.throttle.allowed() {
                let Some(task) = work.next() else { break };
                under_way.push(match task.clone() {
                    Task::Deliver { blob, to, from } => {
                        let payload = Rc::clone(payloads.entry(blob).or_default());
                        let to_name = work.repository(to).clone();
                        let from_name = from.map(|from| work.repository(from).clone());
                        let delivery = self.deliver(blob, to_name, from_name, cargo, payload);
                        futures_util::future::Either::Left(async move {
                            (task, Outcome::Delivered { blob, to, result: delivery.await })
                        })
                    }
                    Task::Push { image } => {
                        let state = &work.images()[image];
                        let repository = work.repository(state.repository).clone();
                        let tag = state.tag.to_string();
                        let parts = work.manifests_to_push(image);
                        futures_util::future::Either::Right(async move {
                            let manifests = parts.len() as u64;
                            let result = self.push(&repository, &tag, parts, cargo).await;
                            (task, Outcome::Pushed { image, manifests, result })
                        })
                    }
                });
            }
            let outcome = tokio::select! {
                outcome = under_way.next() => outcome,
                () = &mut stop => {
                    work.give_up("interrupted");
                    continue;
                }
            };
            let Some((task, outcome)) = outcome else { return counts };
            work.over(&task);
            self.settle(outcome, work, &mut counts);
            if let Task::Deliver { blob, .. } = task
                && work.is_settled(blob)
            {
                payloads.remove(&blob);
            }
        }
    }

    /// Enters an outcome into the books.
    fn settle(&self, outcome: Outcome, work: &mut Work, counts: &mut Counts) {
        if outcome.is_good() {
            self.throttle.went_well();
            self.retry.outage.over(&*self.progress);
        }
        match outcome {
            Outcome::Delivered { blob, to, result: Ok(delivery) } => {
                match delivery {
                    Delivery::Uploaded(bytes) => {
                        counts.uploaded_blobs += 1;
                        counts.uploaded_bytes += bytes;
                    }
                    Delivery::Mounted => counts.mounted_blobs += 1,
                    Delivery::Present => counts.present_blobs += 1,
                }
                self.brought.borrow_mut().insert((blob, work.repository(to).clone()));
                work.delivered(blob, to);
            }
            Outcome::Delivered { blob, to, result: Err(error) } => {
                let reason = format!("blob {blob}: {}", error.in_words());
                match &error {
                    RequestError::Bundle(_) => work.unreadable(blob, &reason),
                    error => {
                        self.give_up(work, to, error);
                        work.undeliverable(blob, to, &reason);
                    }
                }
            }
            Outcome::Pushed { image, manifests, result: Ok(()) } => {
                counts.manifests += manifests;
                self.progress.add_images(1);
                work.pushed(image, Ok(()));
            }
            Outcome::Pushed { image, result: Err(PushError::Bundle(error)), .. } => {
                let error = RequestError::Bundle(error);
                work.pushed(image, Err(error.in_words()));
            }
            Outcome::Pushed {
                image, result: Err(PushError::Description(digest, error)), ..
            } => {
                work.pushed(image, Err(format!("manifest {digest}: {error}")));
            }
            Outcome::Pushed { image, result: Err(PushError::Request(error)), .. } => {
                let place = work.images()[image].repository;
                self.give_up(work, place, &error);
                work.pushed(image, Err(error.in_words()));
            }
        }
    }

    /// Gives up what an error leaves no hope for: everything, a project, or a repository.
    fn give_up(&self, work: &mut Work, place: usize, error: &RequestError) {
        let words = error.in_words();
        let name = work.repository(place).clone();
        let answer = error.answer();
        if self.retry.is_lost(error) || answer.is_some_and(Answer::is_read_only) {
            work.give_up(&words);
        } else if error.is_over_quota() {
            let project = project_of(&name);
            let reason = format!(
                "project {project} is full: {words}; raise its storage quota, then run the same \
                 command again"
            );
            work.give_up_project(place, &reason);
        } else if answer.is_some_and(Answer::is_project_missing) {
            let reason = format!(
                "project {} does not exist: {words}; make it with `loader projects`",
                project_of(&name)
            );
            work.give_up_project(place, &reason);
        } else if answer.is_some_and(Answer::is_denied) {
            let account = self.registry.account();
            let reason = format!("{account} may not push to {name}: {words}");
            match self.is_harbor {
                true => work.give_up_project(place, &reason),
                false => work.give_up_repository(place, &reason),
            }
        }
    }

    /// Brings a blob to a repository, trying again where that may help.
    async fn deliver(
        &self,
        blob: Digest,
        to: Repository,
        from: Option<Repository>,
        cargo: &Mutex<Cargo>,
        payload: SharedPayload,
    ) -> Result<Delivery, RequestError> {
        let mut attempts = self.retry.begin();
        let mut pause = Duration::ZERO;
        // An upload that broke off cannot go on, but its session may still take up room.
        let mut abandoned = Vec::new();
        let delivery = loop {
            let error = match self.begin(blob, &to, from.as_ref(), attempts.is_first()).await {
                Ok(Begun::There(delivery)) => break delivery,
                Ok(Begun::Session(session)) => {
                    match self.send(blob, &to, &session, cargo, &payload, pause).await {
                        Ok(bytes) => break Delivery::Uploaded(bytes),
                        Err(error) => {
                            abandoned.push(session);
                            self.explained(error, &to, &payload).await
                        }
                    }
                }
                Err(error) => error,
            };
            self.take_notice(&error);
            if error.may_be_refusal() {
                pause = self.retry.hesitation;
            }
            attempts.pause_after(error, &*self.progress).await?;
        };
        for session in &abandoned {
            let _ = self.registry.cancel_upload(&to, session).await;
        }
        Ok(delivery)
    }

    fn take_notice(&self, error: &RequestError) {
        if error.is_overload() {
            self.throttle.overloaded();
        }
    }

    /// What a refusal in the middle of a body looks like from here: a bad gateway or a broken
    /// connection. Harbor is asked whether its project is full before that is believed.
    async fn explained(
        &self,
        error: RequestError,
        to: &Repository,
        payload: &Mutex<Option<Payload>>,
    ) -> RequestError {
        if !(self.is_harbor && error.may_be_refusal()) {
            return error;
        }
        let size = payload.lock().await.as_ref().map_or(0, Payload::size);
        match self.registry.quota(project_of(to)).await {
            Ok(Some(Quota { used, limit: Some(limit) }))
                if used.saturating_add_unsigned(size) > limit =>
            {
                RequestError::Full { used, limit, size }
            }
            _ => error,
        }
    }

    /// Mounts a blob, or opens an upload session for it.
    async fn begin(
        &self,
        blob: Digest,
        to: &Repository,
        from: Option<&Repository>,
        is_first: bool,
    ) -> Result<Begun, RequestError> {
        let pair = from.map(|from| (project_of(from).to_owned(), project_of(to).to_owned()));
        let denied = pair.as_ref().is_some_and(|pair| self.denied_mounts.borrow().contains(pair));
        let from = from.filter(|_| !denied);
        let mount = match from {
            // Naming the repository itself asks, in the same request, whether it has the blob.
            _ if !self.is_harbor => Some((blob, from.unwrap_or(to))),
            // Harbor takes room for a mount that leads to an upload, and never gives it back: only
            // one that will succeed is asked for there.
            Some(from) if self.holds(blob, from).await? => Some((blob, from)),
            // The answer to an upload that did arrive may have been lost.
            _ if !is_first && self.registry.has_blob(to, blob).await? => {
                return Ok(Begun::There(Delivery::Present));
            }
            _ if is_first && self.holds(blob, to).await? => {
                return Ok(Begun::There(Delivery::Present));
            }
            _ => None,
        };
        let asked = Instant::now();
        let begun = self.registry.begin_upload(to, mount).await;
        self.throttle.answered_after(asked.elapsed());
        let begun = match begun {
            // The other repository may be out of reach for us: that is no reason not to upload.
            Err(error) if from.is_some() && error.is_refused_mount() => {
                self.denied_mounts.borrow_mut().extend(pair);
                self.registry.begin_upload(to, None).await
            }
            // Harbor's database may know of a blob that its backend has lost.
            Err(error) if error.is_not_found() => self.registry.begin_upload(to, None).await,
            other => other,
        };
        Ok(match begun? {
            Upload::Mounted if from.is_some() => Begun::There(Delivery::Mounted),
            Upload::Mounted => Begun::There(Delivery::Present),
            Upload::Session(session) => Begun::Session(session),
        })
    }

    /// Whether a repository has a blob: known from this run, or asked.
    async fn holds(&self, blob: Digest, repository: &Repository) -> Result<bool, RequestError> {
        if self.brought.borrow().contains(&(blob, repository.clone())) {
            return Ok(true);
        }
        if self.new_projects.contains(project_of(repository)) {
            return Ok(false);
        }
        self.registry.has_blob(repository, blob).await
    }

    /// Sends the bytes of a blob, and tells how many there were.
    async fn send(
        &self,
        blob: Digest,
        to: &Repository,
        session: &Url,
        cargo: &Mutex<Cargo>,
        payload: &Mutex<Option<Payload>>,
        pause: Duration,
    ) -> Result<u64, RequestError> {
        let mut held = payload.lock().await;
        let bytes = match &*held {
            Some(bytes) => bytes.clone(),
            None => {
                let bytes = cargo.lock().await.payload(blob).await.map_err(RequestError::Bundle)?;
                held.insert(bytes).clone()
            }
        };
        drop(held);
        let _turn = match bytes.size() >= LARGE {
            true => self.large.acquire().await.ok(),
            false => None,
        };
        self.registry.finish_upload(to, session, blob, &bytes, pause, &self.progress).await?;
        Ok(bytes.size())
    }

    /// Stores manifests, children first, and the last one under the tag.
    async fn push(
        &self,
        repository: &Repository,
        tag: &str,
        parts: Vec<Rc<ManifestEntry>>,
        cargo: &Mutex<Cargo>,
    ) -> Result<(), PushError> {
        let last = parts.len().saturating_sub(1);
        for (position, part) in parts.into_iter().enumerate() {
            let payload =
                cargo.lock().await.payload(part.digest).await.map_err(PushError::Bundle)?;
            let bytes =
                payload.bytes().await.map_err(|error| PushError::Bundle(Arc::new(error)))?;
            part.check(bytes.to_vec())
                .map_err(|error| PushError::Description(part.digest, error))?;
            let digest = part.digest.to_string();
            let reference = if position == last { tag } else { digest.as_str() };
            let mut attempts = self.retry.begin();
            loop {
                let put = self.registry.put_manifest(
                    repository,
                    reference,
                    &part.media_type,
                    bytes.clone(),
                );
                match put.await {
                    Ok(()) => break,
                    Err(error) => {
                        self.take_notice(&error);
                        let pause = attempts.pause_after(error, &*self.progress);
                        pause.await.map_err(PushError::Request)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// What became of the images, counted.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Tally {
    pub(crate) loaded: u64,
    pub(crate) present: u64,
    pub(crate) failed: u64,
    /// Not tried, or not to the end, since the load ended before its time.
    pub(crate) left: u64,
}

impl Tally {
    /// Counts images by their status.
    pub(crate) fn of(work: &Work) -> Self {
        let mut tally = Self::default();
        for image in work.images() {
            match image.status {
                Status::Loaded => tally.loaded += 1,
                Status::Present => tally.present += 1,
                Status::Failed(_) => tally.failed += 1,
                Status::Pending => tally.left += 1,
            }
        }
        tally
    }
}
