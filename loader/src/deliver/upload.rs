//! Blobs through the registry's own interface: mounted from a repository that has them, else
//! uploaded (OCI distribution specification, "Pushing blobs").

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use reqwest::StatusCode;
use tranship_common::Repository;
use url::Url;

use super::{Deliver, Delivered, Price};
use crate::failure::{About, Failure, Kind};
use crate::harbor::{Harbor, Quota};
use crate::plan::mapping::TargetRepository;
use crate::plan::survey::Standing;
use crate::plan::work::{Holder, Job};
use crate::registry::{Answer, Content, Registry, RequestError, Upload};
use crate::source::Source;
use crate::transfer::retry::Patience;

/// So many blobs are asked for before repositories without tags are believed to hold nothing.
const SAMPLE: u32 = 8;

/// Mounts and uploads.
pub(crate) struct Uploads {
    registry: Rc<Registry>,
    harbor: Option<Rc<Harbor>>,
    patience: Rc<Patience>,
    /// Repositories without tags may hold blobs that an earlier run has left: whether that is to be
    /// reckoned with. Without an answer, the first blobs show it.
    leftovers: Cell<Option<bool>>,
    sampled: Cell<u32>,
    /// Repositories that nothing may be mounted from.
    closed: RefCell<HashSet<Repository>>,
    /// Upload sessions that were opened to see whether they can be.
    sessions: RefCell<HashMap<Repository, Url>>,
    /// The account may not give sessions back.
    keeps_sessions: Cell<bool>,
    /// The registry takes bytes and digest in one request. Unknown until the first upload.
    in_one: Cell<Option<bool>>,
}

/// What came of asking for a blob to be mounted or uploaded.
enum Begun {
    There(Delivered),
    Session(Url),
}

impl Uploads {
    /// Uploads to a registry. `leftovers` tells that an earlier load has come some way.
    pub(crate) fn new(
        registry: &Rc<Registry>,
        harbor: Option<&Rc<Harbor>>,
        patience: &Rc<Patience>,
        leftovers: bool,
    ) -> Self {
        Self {
            registry: Rc::clone(registry),
            harbor: harbor.cloned(),
            patience: Rc::clone(patience),
            leftovers: Cell::new(leftovers.then_some(true)),
            sampled: Cell::new(0),
            closed: RefCell::default(),
            sessions: RefCell::default(),
            keeps_sessions: Cell::new(false),
            in_one: Cell::new(None),
        }
    }

    async fn bring(&self, job: &Job, source: &dyn Source) -> Result<Delivered, Failure> {
        let about = About::Repository(&job.to);
        let mut retries = self.patience.begin(about);
        let mut pause = Duration::ZERO;
        let mut was_sent = false;
        loop {
            let error = match self.begin(job, retries.is_first()).await {
                // The answer to our own upload was lost.
                Ok(Begun::There(Delivered::Present)) if was_sent => {
                    self.patience.progress.add_bytes(job.size);
                    return Ok(Delivered::Sent(job.size));
                }
                Ok(Begun::There(delivered)) => return Ok(delivered),
                Ok(Begun::Session(session)) => {
                    // Asked for now, so that what is mounted is not read.
                    let content = source.blob(job.blob).await;
                    let content = match content {
                        Ok(content) => content,
                        Err(failure) => {
                            self.give_back(job.to.name(), &session).await;
                            return Err(failure);
                        }
                    };
                    was_sent = true;
                    match self.send(job, &session, &content, pause).await {
                        Ok(()) => return Ok(Delivered::Sent(job.size)),
                        Err(error) => {
                            // An upload that broke off cannot go on, but takes up room.
                            self.give_back(job.to.name(), &session).await;
                            if let Some(full) = self.is_full(&error, job).await {
                                return Err(full);
                            }
                            error
                        }
                    }
                }
                Err(error) => error,
            };
            if may_be_refusal(&error) {
                pause = self.patience.pauses.hesitation;
            }
            retries.after(&error).await?;
        }
    }

    /// Mounts a blob, or opens an upload session for it.
    async fn begin(&self, job: &Job, is_first: bool) -> Result<Begun, RequestError> {
        let to = job.to.name();
        if job.is_lost && is_first {
            return self.open(to).await.map(Begun::Session);
        }
        if let Some(holder) = &job.holder
            && !self.closed.borrow().contains(holder.name.name())
            && self.holds(holder, job).await?
        {
            match self.mount(job, holder).await? {
                Some(Begun::Session(session)) => {
                    // A registry that mounts nothing may have the blob all the same.
                    return Ok(match self.registry.has_blob(to, job.digest).await? {
                        true => {
                            self.give_back(to, &session).await;
                            Begun::There(Delivered::Present)
                        }
                        false => Begun::Session(session),
                    });
                }
                Some(mounted) => return Ok(mounted),
                None => {}
            }
        }
        // The answer to an upload that did arrive may have been lost.
        let is_there =
            (!is_first || self.may_be_there(job)) && self.registry.has_blob(to, job.digest).await?;
        if is_first {
            self.learn(job, is_there);
        }
        if is_there {
            return Ok(Begun::There(Delivered::Present));
        }
        self.open(to).await.map(Begun::Session)
    }

    /// Whether a repository that should have the blob does. Harbor takes room for a mount that
    /// fails, and never gives it back: only one that will succeed is asked for there.
    async fn holds(&self, holder: &Holder, job: &Job) -> Result<bool, RequestError> {
        if holder.is_proven || self.harbor.is_none() {
            return Ok(true);
        }
        match self.registry.has_blob(holder.name.name(), job.digest).await {
            Err(error) if Kind::of(&error) == Kind::Denied => Ok(false),
            answer => answer,
        }
    }

    /// Asks for a mount. A refusal is no reason not to upload, whatever it is.
    async fn mount(&self, job: &Job, holder: &Holder) -> Result<Option<Begun>, RequestError> {
        let (to, from) = (job.to.name(), holder.name.name());
        let asked = Instant::now();
        let answer = self.registry.begin_upload(to, Some((job.digest, from))).await;
        self.patience.throttle.answered_after(asked.elapsed());
        match answer {
            Ok(Upload::Mounted) => Ok(Some(Begun::There(Delivered::Mounted))),
            Ok(Upload::Session(session)) => Ok(Some(Begun::Session(session))),
            Err(error) => match Kind::of(&error) {
                Kind::Full | Kind::ReadOnly | Kind::Away | Kind::Overloaded => Err(error),
                kind => {
                    if matches!(kind, Kind::Denied | Kind::NoProject) {
                        self.closed.borrow_mut().insert(from.clone());
                    }
                    tracing::info!("{}; uploading instead", error.in_words());
                    Ok(None)
                }
            },
        }
    }

    /// Opens an upload session, or takes one that is open already.
    async fn open(&self, to: &Repository) -> Result<Url, RequestError> {
        if let Some(session) = self.sessions.borrow_mut().remove(to) {
            return Ok(session);
        }
        let asked = Instant::now();
        let answer = self.registry.begin_upload(to, None).await;
        self.patience.throttle.answered_after(asked.elapsed());
        match answer? {
            Upload::Session(session) => Ok(session),
            Upload::Mounted => {
                Err(self.registry.protocol("an upload with a blob that nobody named"))
            }
        }
    }

    /// Whether a blob may be in a repository that it was not brought to in this run.
    fn may_be_there(&self, job: &Job) -> bool {
        match job.standing {
            Standing::New => false,
            Standing::Filled => true,
            Standing::Empty => self.leftovers.get().unwrap_or_else(|| self.sampled.get() < SAMPLE),
        }
    }

    /// Looks at what the first blobs show. They are those that an earlier run has begun with.
    fn learn(&self, job: &Job, is_there: bool) {
        if job.standing == Standing::Empty && self.leftovers.get().is_none() {
            self.sampled.set(self.sampled.get() + 1);
            if is_there {
                self.leftovers.set(Some(true));
            }
        }
    }

    /// Sends the bytes of a blob.
    async fn send(
        &self,
        job: &Job,
        session: &Url,
        content: &Arc<dyn Content>,
        pause: Duration,
    ) -> Result<(), RequestError> {
        let (registry, progress) = (&self.registry, &self.patience.progress);
        let (to, digest) = (job.to.name(), job.digest);
        if self.in_one.get() == Some(false) {
            return registry.finish_upload_in_two(to, session, digest, content, progress).await;
        }
        let sent = registry.finish_upload(to, session, digest, content, pause, progress).await;
        match sent {
            Ok(()) => {
                self.in_one.set(Some(true));
                Ok(())
            }
            Err(error) if self.in_one.get().is_none() && wants_two(&error) => {
                self.give_back(to, session).await;
                let session = self.open(to).await?;
                let sent =
                    registry.finish_upload_in_two(to, &session, digest, content, progress).await;
                match sent {
                    Ok(()) => {
                        self.in_one.set(Some(false));
                        Ok(())
                    }
                    // The first refusal was not about the form.
                    Err(_) => {
                        self.give_back(to, &session).await;
                        Err(error)
                    }
                }
            }
            Err(error) => Err(error),
        }
    }

    /// What a refusal in the middle of a body looks like from here: a bad gateway or a broken
    /// connection. Harbor is asked whether its project is full before that is believed.
    async fn is_full(&self, error: &RequestError, job: &Job) -> Option<Failure> {
        let harbor = self.harbor.as_ref().filter(|_| may_be_refusal(error))?;
        let project = job.to.project();
        match harbor.quota(project).await {
            Ok(Some(Quota { used, limit: Some(limit) }))
                if used.saturating_add_unsigned(job.size) > limit =>
            {
                Some(Failure::full(project, used, limit, job.size))
            }
            _ => None,
        }
    }

    /// Gives a session back, where the account may do so; what it may not the registry does in time.
    async fn give_back(&self, repository: &Repository, session: &Url) {
        if self.keeps_sessions.get() {
            return;
        }
        if let Err(error) = self.registry.cancel_upload(repository, session).await
            && Kind::of(&error) == Kind::Denied
        {
            self.keeps_sessions.set(true);
        }
    }

    async fn try_to_push(&self, to: &TargetRepository) -> Result<(), Failure> {
        let open = || self.open(to.name());
        let session = self.patience.ask(About::Repository(to), open).await?;
        self.sessions.borrow_mut().insert(to.name().clone(), session);
        Ok(())
    }

    async fn give_all_back(&self) {
        let sessions: Vec<_> = self.sessions.borrow_mut().drain().collect();
        for (repository, session) in sessions {
            self.give_back(&repository, &session).await;
        }
    }
}

impl Deliver for Uploads {
    fn deliver<'a>(
        &'a self,
        job: &'a Job,
        source: &'a dyn Source,
    ) -> LocalBoxFuture<'a, Result<Delivered, Failure>> {
        self.bring(job, source).boxed_local()
    }

    /// Opens an upload session; the first upload takes it.
    fn rehearse<'a>(&'a self, to: &'a TargetRepository) -> LocalBoxFuture<'a, Result<(), Failure>> {
        self.try_to_push(to).boxed_local()
    }

    fn price(&self, job: &Job) -> Price {
        match job.holder {
            Some(_) => Price { requests: 1, bytes: 0, is_mount: true },
            None => Price { requests: 2, bytes: job.size, is_mount: false },
        }
    }

    fn finish(&self) -> LocalBoxFuture<'_, ()> {
        self.give_all_back().boxed_local()
    }
}

/// Whether it may have been a refusal that did not get through while a body was being sent: to a
/// proxy, and so to us, that is a server that went away.
fn may_be_refusal(error: &RequestError) -> bool {
    let is_bad_gateway = |answer: &Answer| answer.status == StatusCode::BAD_GATEWAY;
    matches!(error, RequestError::Interrupted { .. }) || error.answer().is_some_and(is_bad_gateway)
}

/// Whether the registry may have objected to bytes that come together with their digest.
fn wants_two(error: &RequestError) -> bool {
    error.answer().is_some_and(|answer| match answer.status {
        StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::NOT_IMPLEMENTED
        | StatusCode::LENGTH_REQUIRED
        | StatusCode::UNSUPPORTED_MEDIA_TYPE => true,
        StatusCode::BAD_REQUEST => {
            Kind::of(error) == Kind::Refused
                || ["SIZE_INVALID", "BLOB_UPLOAD_INVALID"].iter().any(|code| answer.has_code(code))
        }
        _ => false,
    })
}
