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

use super::leftovers::Leftovers;
use super::{Deliver, Delivered, Price};
use crate::failure::{About, Failure, Kind};
use crate::harbor::{Harbor, Quota};
use crate::plan::mapping::TargetRepository;
use crate::plan::survey::Standing;
use crate::plan::work::{Holder, Job, LARGE};
use crate::registry::{Answer, Content, Registry, RequestError, Upload};
use crate::source::Source;
use crate::transfer::retry::Patience;

/// So often a mount or a question may go without an answer; after that the bytes are sent without.
const MAX_UNANSWERED: u32 = 3;

/// Whoever does not answer within this time takes no session back.
const PARTING: Duration = Duration::from_secs(2);

/// Mounts and uploads.
pub(crate) struct Uploads {
    registry: Rc<Registry>,
    harbor: Option<Rc<Harbor>>,
    patience: Rc<Patience>,
    leftovers: Leftovers,
    /// Repositories that nothing may be mounted from.
    closed: RefCell<HashSet<Repository>>,
    /// Upload sessions that were opened to see whether they can be.
    sessions: RefCell<HashMap<Repository, Url>>,
    /// The account may not give sessions back.
    keeps_sessions: Cell<bool>,
    /// The registry takes bytes and digest in one request. Unknown until the first upload.
    in_one: Cell<Option<bool>>,
}

/// What one delivery has tried so far.
struct Tried {
    is_first: bool,
    /// Mounts and questions that went without an answer.
    unanswered: u32,
    /// The registry gets this time to refuse an upload before its bytes begin.
    pause: Duration,
    /// A session of no more use.
    broken: Option<Url>,
    /// Bytes were sent, if only to be lost.
    was_sent: bool,
}

/// What came of asking for a blob to be mounted or uploaded.
enum Begun {
    Over(Delivered),
    Session(Url),
}

/// What came of asking for a mount.
enum Mount {
    Done,
    /// Not done, but an upload may begin here.
    Session(Url),
    /// Not done; `is_denied` when there is no right to mount from that repository.
    Refused {
        is_denied: bool,
    },
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
            leftovers: Leftovers::new(leftovers),
            closed: RefCell::default(),
            sessions: RefCell::default(),
            keeps_sessions: Cell::new(false),
            in_one: Cell::new(None),
        }
    }

    async fn bring(&self, job: &Job, source: &dyn Source) -> Result<Delivered, Failure> {
        let mut retries = self.patience.begin(About::Repository(&job.to)).of_blob(job.digest);
        let pause = Duration::ZERO;
        let mut tried =
            Tried { is_first: true, unanswered: 0, pause, broken: None, was_sent: false };
        loop {
            let error = match self.attempt(job, source, &mut tried).await? {
                Ok(delivered) => {
                    retries.went_well();
                    return Ok(delivered);
                }
                Err(error) => error,
            };
            let to = job.to.name();
            // An upload that broke off cannot go on, but takes up room. Where nobody has answered
            // there may be nobody to give it back to before the next try.
            if error.answer().is_some()
                && let Some(session) = tried.broken.take()
            {
                self.give_back(to, &session).await;
            }
            let again = retries.after(&error).await;
            if let Some(session) = tried.broken.take() {
                match again {
                    Ok(()) => self.give_back(to, &session).await,
                    Err(_) => self.give_back_in_parting(to, &session).await,
                };
            }
            again?;
            if may_be_refusal(&error) {
                tried.pause = self.patience.pauses.hesitation;
                if let Some(full) = self.is_full(job).await {
                    return Err(full);
                }
            }
            tried.is_first = false;
        }
    }

    /// One attempt. An error within may pass; a failure is one for good.
    async fn attempt(
        &self,
        job: &Job,
        source: &dyn Source,
        tried: &mut Tried,
    ) -> Result<Result<Delivered, RequestError>, Failure> {
        let mut session = match self.begin(job, tried).await {
            // The answer to our own upload was lost.
            Ok(Begun::Over(Delivered::Present)) if tried.was_sent => {
                self.patience.progress.add_bytes(job.size);
                return Ok(Ok(Delivered::Sent(job.size)));
            }
            Ok(Begun::Over(delivered)) => return Ok(Ok(delivered)),
            Ok(Begun::Session(session)) => session,
            Err(error) => return Ok(Err(error)),
        };
        let to = job.to.name();
        // Asked for now, so that what is mounted is not read.
        let content = match source.blob(job.blob).await {
            Ok(content) => content,
            Err(failure) => {
                match failure.kind {
                    Kind::Stopped => self.give_back_in_parting(to, &session).await,
                    _ => self.give_back(to, &session).await,
                };
                return Err(failure);
            }
        };
        tried.was_sent = true;
        let sent = self.send(job, &mut session, &content, tried.pause).await;
        if sent.is_err() {
            tried.broken = Some(session);
        }
        Ok(sent.map(|()| Delivered::Sent(job.size)))
    }

    /// Mounts a blob, or opens an upload session for it.
    async fn begin(&self, job: &Job, tried: &mut Tried) -> Result<Begun, RequestError> {
        let to = job.to.name();
        if job.is_lost && tried.is_first {
            return self.open(to).await.map(Begun::Session);
        }
        let mount = match self.holder(job, tried).await? {
            Some(holder) => Some((holder, self.mount(job, holder, tried).await?)),
            None => None,
        };
        let (session, denied) = match mount {
            Some((_, Mount::Done)) => return Ok(Begun::Over(Delivered::Mounted)),
            Some((_, Mount::Session(session))) => (Some(session), None),
            Some((holder, Mount::Refused { is_denied })) => (None, is_denied.then_some(holder)),
            None => (None, None),
        };
        // A registry that mounts nothing may have the blob all the same, and the answer to an
        // upload that did arrive may have been lost.
        let is_asked = match tried.is_first {
            true if job.standing == Standing::New => false,
            true => job.holder.is_some() || self.leftovers.may_be_in(job.standing),
            false => true,
        };
        let is_there = match is_asked {
            true => self.has(to, job, tried).await,
            false => Ok(false),
        };
        if tried.is_first && job.holder.is_none() {
            self.leftovers.learn(job.standing, matches!(is_there, Ok(true)));
        }
        // Large ones have their turns, and this is not one.
        let is_out_of_turn = job.holder.is_some() && job.size >= LARGE;
        if let (Some(session), true) = (&session, is_out_of_turn || !matches!(is_there, Ok(false)))
        {
            self.give_back(to, session).await;
        }
        if is_there? {
            return Ok(Begun::Over(Delivered::Present));
        }
        if is_out_of_turn {
            return Ok(Begun::Over(Delivered::NotMounted));
        }
        let session = match session {
            Some(session) => session,
            None => self.open(to).await?,
        };
        // The right to push here is not what was missing.
        if let Some(holder) = denied {
            self.closed.borrow_mut().insert(holder.name.name().clone());
        }
        Ok(Begun::Session(session))
    }

    /// The repository that a blob can be mounted from. Harbor takes room for a mount that fails, and
    /// never gives it back: only one that will succeed is asked for there.
    async fn holder<'a>(
        &self,
        job: &'a Job,
        tried: &mut Tried,
    ) -> Result<Option<&'a Holder>, RequestError> {
        let is_open = |holder: &&Holder| !self.closed.borrow().contains(holder.name.name());
        let Some(holder) = job.holder.as_ref().filter(is_open) else { return Ok(None) };
        let is_certain = holder.is_proven || self.harbor.is_none();
        let has_it = is_certain || self.has(holder.name.name(), job, tried).await?;
        Ok(has_it.then_some(holder))
    }

    /// Whether a repository has a blob. What is not told is as if it had not.
    async fn has(
        &self,
        repository: &Repository,
        job: &Job,
        tried: &mut Tried,
    ) -> Result<bool, RequestError> {
        match self.registry.has_blob(repository, job.digest).await {
            Err(error) => self.do_without(error, tried).map(|()| false),
            answer => answer,
        }
    }

    /// Asks for a mount. A refusal is no reason not to upload, whatever it is.
    async fn mount(
        &self,
        job: &Job,
        holder: &Holder,
        tried: &mut Tried,
    ) -> Result<Mount, RequestError> {
        let (to, from) = (job.to.name(), holder.name.name());
        let asked = Instant::now();
        let answer = self.registry.begin_upload(to, Some((job.digest, from))).await;
        self.patience.throttle.answered_after(asked.elapsed());
        match answer {
            Ok(Upload::Mounted) => Ok(Mount::Done),
            Ok(Upload::Session(session)) => Ok(Mount::Session(session)),
            Err(error) => match Kind::of(&error) {
                Kind::Full | Kind::ReadOnly => Err(error),
                kind => {
                    self.do_without(error, tried)?;
                    let is_denied = matches!(kind, Kind::Denied | Kind::NoProject);
                    Ok(Mount::Refused { is_denied })
                }
            },
        }
    }

    /// A mount or a question has failed, and the bytes can be sent without it.
    ///
    /// # Errors
    /// When it is rather to be tried again: nobody has said anything against it.
    fn do_without(&self, error: RequestError, tried: &mut Tried) -> Result<(), RequestError> {
        let is_answer = |answer: &Answer| answer.status != StatusCode::TOO_MANY_REQUESTS;
        if !error.answer().is_some_and(is_answer) && tried.unanswered < MAX_UNANSWERED {
            tried.unanswered += 1;
            return Err(error);
        }
        tracing::info!("{}; going on without it", error.in_words());
        Ok(())
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

    /// Sends the bytes of a blob. The session is afterwards where it goes on, or is to be given back.
    async fn send(
        &self,
        job: &Job,
        session: &mut Url,
        content: &Arc<dyn Content>,
        pause: Duration,
    ) -> Result<(), RequestError> {
        let (registry, progress) = (&self.registry, &self.patience.progress);
        let (to, digest) = (job.to.name(), job.digest);
        let is_stored = if self.in_one.get() == Some(false) {
            self.send_in_two(job, session, content).await?
        } else {
            match registry.finish_upload(to, session, digest, content, pause, progress).await {
                Ok(is_stored) => {
                    self.in_one.set(Some(true));
                    is_stored
                }
                Err(error) if self.in_one.get().is_none() && wants_two(&error) => {
                    self.try_in_two(job, session, content, error).await?
                }
                Err(error) => return Err(error),
            }
        };
        if is_stored || registry.has_blob(to, digest).await? {
            return Ok(());
        }
        progress.take_back_bytes(job.size);
        Err(registry.protocol("an upload as if it had taken it, but does not show the blob"))
    }

    /// Sends the bytes first, and then the digest.
    async fn send_in_two(
        &self,
        job: &Job,
        session: &mut Url,
        content: &Arc<dyn Content>,
    ) -> Result<bool, RequestError> {
        let (registry, progress, to) = (&self.registry, &self.patience.progress, job.to.name());
        *session = registry.append_to_upload(to, session, content, progress).await?;
        let closed = registry.close_upload(to, session, job.digest).await;
        if closed.is_err() {
            progress.take_back_bytes(job.size);
        }
        closed
    }

    /// Tries whether a registry that has refused an upload wants the bytes before the digest.
    async fn try_in_two(
        &self,
        job: &Job,
        session: &mut Url,
        content: &Arc<dyn Content>,
        refusal: RequestError,
    ) -> Result<bool, RequestError> {
        let to = job.to.name();
        self.give_back(to, session).await;
        *session = self.open(to).await?;
        match self.send_in_two(job, session, content).await {
            Ok(is_stored) => {
                self.in_one.set(Some(false));
                Ok(is_stored)
            }
            // It may have been the right form.
            Err(error) if Kind::of(&error).is_overload() => Err(error),
            // The refusal was not about the form.
            Err(_) => Err(refusal),
        }
    }

    /// What a refusal in the middle of a body looks like from here: a bad gateway or a broken
    /// connection. Harbor is asked whether its project is full before that is believed.
    async fn is_full(&self, job: &Job) -> Option<Failure> {
        let harbor = self.harbor.as_ref()?;
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
    /// Tells whether there was an answer.
    async fn give_back(&self, repository: &Repository, session: &Url) -> bool {
        if self.keeps_sessions.get() {
            return true;
        }
        match self.registry.cancel_upload(repository, session).await {
            Ok(()) => true,
            Err(error) => {
                if Kind::of(&error) == Kind::Denied {
                    self.keeps_sessions.set(true);
                }
                error.answer().is_some()
            }
        }
    }

    /// The same, where the registry may be gone. Tells whether there was an answer.
    async fn give_back_in_parting(&self, repository: &Repository, session: &Url) -> bool {
        let parting = tokio::time::timeout(PARTING, self.give_back(repository, session));
        parting.await.unwrap_or(false)
    }

    async fn try_to_push(&self, to: &TargetRepository) -> Result<(), Failure> {
        if self.sessions.borrow().contains_key(to.name()) {
            return Ok(());
        }
        let open = || self.open(to.name());
        let session = self.patience.ask(About::Repository(to), open).await?;
        self.sessions.borrow_mut().insert(to.name().clone(), session);
        Ok(())
    }

    async fn give_all_back(&self) {
        let sessions: Vec<_> = self.sessions.borrow_mut().drain().collect();
        for (repository, session) in sessions {
            if !self.give_back_in_parting(&repository, &session).await {
                // Whoever does not answer takes none of them back.
                return;
            }
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
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::RANGE_NOT_SATISFIABLE => true,
        // Without a look at the body, there are too few bytes, and others than the digest's.
        StatusCode::BAD_REQUEST => matches!(Kind::of(error), Kind::Refused | Kind::Lost),
        _ => false,
    })
}
