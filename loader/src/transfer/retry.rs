//! Repeats what may succeed later: one level of retries, around whole operations.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use tranship_common::{Digest, Progress};

use super::health::{Cause, Failing, Health};
use super::stop::Stop;
use super::throttle::Throttle;
use super::trouble::Trouble;
use crate::failure::{About, Failure, Kind};
use crate::harbor::LOCK;
use crate::registry::{Registry, RequestError};

/// So often an operation may fail for itself, while the target is well,
const MAX_OWN: u32 = 10;

/// and so often when the target says that it has failed: some inputs make it fail each time.
const MAX_INTERNAL: u32 = 6;

/// An operation that has failed so often is worth a word.
const WORTH_A_WORD: u32 = 3;

/// How long things are waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pauses {
    /// The pause after the first failure; it doubles with each further one.
    pub(crate) first: Duration,
    /// No pause is longer, unless the registry asks for it.
    pub(crate) longest: Duration,
    /// So long the target may be away, and so long an operation waits in all.
    pub(crate) max_wait: Duration,
    /// After a failure that may have been a refusal, the target gets this time to say so before
    /// the bytes of an upload begin again.
    pub(crate) hesitation: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            max_wait: Duration::from_secs(300),
            hesitation: Duration::from_secs(2),
        }
    }
}

/// When to try again and when to give up.
pub(crate) struct Patience {
    pub(crate) pauses: Pauses,
    pub(crate) throttle: Throttle,
    pub(crate) stop: Stop,
    pub(crate) progress: Arc<dyn Progress>,
    registry: Rc<Registry>,
    health: Health,
    trouble: Trouble,
    /// The target is Harbor.
    is_harbor: Cell<bool>,
    operations: Cell<u64>,
}

/// The retries of one operation.
pub(crate) struct Retries<'a> {
    patience: &'a Patience,
    about: About<'a>,
    /// The blob that is to be delivered.
    blob: Option<Digest>,
    operation: u64,
    /// When the attempt under way has begun.
    begun: Instant,
    /// Failures, and those that were the operation's own.
    failures: u32,
    own: u32,
    /// When the account was seen to be let in, after the last failure was a refusal.
    let_in: Option<Instant>,
    /// The time in which nothing has moved: that of the pauses, and of attempts as far as no bytes
    /// were on their way.
    waited: Duration,
}

impl Patience {
    /// Patience with a registry that has not been asked for anything yet.
    pub(crate) fn new(
        registry: &Rc<Registry>,
        pauses: Pauses,
        jobs: usize,
        progress: Arc<dyn Progress>,
        stop: Stop,
    ) -> Self {
        let health = Health::new(
            Rc::clone(registry),
            Arc::clone(&progress),
            pauses.max_wait,
            [pauses.first, pauses.longest],
        );
        Self {
            pauses,
            throttle: Throttle::new(jobs),
            stop,
            progress,
            registry: Rc::clone(registry),
            health,
            trouble: Trouble::default(),
            is_harbor: Cell::new(false),
            operations: Cell::new(0),
        }
    }

    /// From now on answers are understood as Harbor's.
    pub(crate) fn use_as_harbor(&self) {
        self.is_harbor.set(true);
    }

    /// Begins to count for one operation.
    pub(crate) fn begin<'a>(&'a self, about: About<'a>) -> Retries<'a> {
        let operation = self.operations.get();
        self.operations.set(operation + 1);
        Retries {
            patience: self,
            about,
            blob: None,
            operation,
            begun: Instant::now(),
            failures: 0,
            own: 0,
            let_in: None,
            waited: Duration::ZERO,
        }
    }

    /// Whether an account is refused that is only locked perhaps.
    fn may_be_locked(&self, error: &RequestError) -> bool {
        let status = error.answer().map(|answer| answer.status);
        self.is_harbor.get()
            && self.registry.has_credentials()
            && status == Some(StatusCode::UNAUTHORIZED)
    }

    /// A task has gone well.
    pub(crate) fn task_went_well(&self) {
        self.health.went_well();
        self.throttle.went_well();
    }

    /// What an error means for what it was about.
    pub(crate) fn failure(&self, error: &RequestError, about: About<'_>) -> Failure {
        Failure::of(error, about, &self.registry.account())
    }

    /// Puts a question again for as long as it may be answered. The user's wish to stop ends it at
    /// once: nothing is lost with it.
    pub(crate) async fn ask<T>(
        &self,
        about: About<'_>,
        question: impl AsyncFn() -> Result<T, RequestError>,
    ) -> Result<T, Failure> {
        let asking = async {
            let mut retries = self.begin(about);
            loop {
                match question().await {
                    Ok(answer) => {
                        self.health.went_well();
                        self.answered(about, None);
                        return Ok(answer);
                    }
                    Err(error) => retries.after(&error).await?,
                }
            }
        };
        tokio::select! {
            answer = asking => answer,
            () = self.stop.wanted() => Err(Failure::stopped()),
        }
    }

    /// Puts a question that need not be answered. The user's wish to stop ends it at once.
    pub(crate) async fn ask_once<T>(
        &self,
        about: About<'_>,
        question: impl Future<Output = Result<T, RequestError>>,
    ) -> Result<T, Failure> {
        let answer = tokio::select! {
            answer = question => answer,
            () = self.stop.wanted() => return Err(Failure::stopped()),
        };
        if answer.is_ok() {
            self.health.went_well();
            self.answered(about, None);
        }
        answer.map_err(|error| self.failure(&error, about))
    }

    fn answered(&self, about: About<'_>, blob: Option<Digest>) {
        self.trouble.over(about, blob);
        if let Some(repository) = about.repository() {
            self.health.has_answered(repository);
        }
    }

    /// Waits before something is looked at again for the `nth` time, from 0 on.
    pub(crate) async fn pause(&self, nth: u32) -> Result<(), Failure> {
        let pause = self.pauses.first.saturating_mul(1 << nth.min(16)).min(self.pauses.longest);
        self.sleep(pause).await
    }

    async fn sleep(&self, pause: Duration) -> Result<(), Failure> {
        let _resting = self.throttle.rest();
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.stop.wanted() => Err(Failure::stopped()),
        }
    }
}

impl Retries<'_> {
    /// The same, for the delivery of a blob.
    pub(crate) fn of_blob(self, blob: Digest) -> Self {
        Self { blob: Some(blob), ..self }
    }

    /// It has gone well.
    pub(crate) fn went_well(&self) {
        self.patience.answered(self.about, self.blob);
    }

    /// Waits until it is time to try again after this error.
    ///
    /// # Errors
    /// When it is not tried again.
    pub(crate) async fn after(&mut self, error: &RequestError) -> Result<(), Failure> {
        let Self { patience, about, blob, .. } = *self;
        let kind = Kind::of(error);
        self.waited += match (error, about) {
            (RequestError::Stalled { seconds, .. }, _) => Duration::from_secs(*seconds),
            (_, About::Repository(_)) => Duration::ZERO,
            _ => self.begun.elapsed(),
        };
        let cause = tokio::select! {
            cause = self.cause(error, &kind) => match cause? {
                Some(cause) => cause,
                None => return Ok(()),
            },
            () = patience.stop.wanted() => return Err(Failure::stopped()),
        };
        if kind.is_overload() && (cause != Cause::Asked || self.failures == 0) {
            patience.throttle.overloaded();
        }
        let is_troubled = cause == Cause::Asked && patience.trouble.is_known(about, blob);
        let pause = match is_troubled {
            true => None,
            false => self.pause(error, &kind, cause, fastrand::f64()),
        };
        let Some(pause) = pause else {
            match cause {
                Cause::Asked => patience.trouble.with(about, blob),
                _ => patience.health.is_spent(),
            }
            return Err(patience.failure(error, about));
        };
        let (words, seconds) = (error.in_words(), pause.as_secs_f32());
        if self.own == WORTH_A_WORD {
            patience.progress.say(&format!("{words}; trying again in {seconds:.1} s"));
        } else {
            tracing::info!("{words}; trying again in {seconds:.1} s");
        }
        patience.sleep(pause).await?;
        self.begun = Instant::now();
        Ok(())
    }

    /// What an error that can pass is due to; nothing when it is to be tried again at once.
    ///
    /// # Errors
    /// When it cannot, or is not waited for any longer.
    async fn cause(&mut self, error: &RequestError, kind: &Kind) -> Result<Option<Cause>, Failure> {
        let patience = self.patience;
        let about = self.about;
        let failure = || patience.failure(error, about);
        let cause = match kind {
            Kind::Away | Kind::Internal => {
                let what = Failing {
                    operation: self.operation,
                    begun: self.begun,
                    repository: about.repository().cloned(),
                    blob: self.blob,
                };
                patience.health.cause(what, error).await?
            }
            Kind::Denied if patience.may_be_locked(error) => match self.refusal(error).await? {
                Refusal::Proven => return Err(failure()),
                Refusal::First => return Ok(None),
                Refusal::Slow => Cause::Asked,
                Refusal::Lock => Cause::Away,
            },
            Kind::Overloaded => Cause::Unwell,
            Kind::Lost => Cause::Asked,
            _ => return Err(failure()),
        };
        match cause {
            // A long upload may have broken off just now: everything gets a second chance.
            Cause::IllForLong if self.failures > 0 => Err(failure()),
            other => Ok(Some(other)),
        }
    }

    /// Finds out what a refusal is due to: somebody else's wrong passwords make Harbor refuse the
    /// right one as well, for some time after each. What is refused although the account was let in
    /// before and after, within less than that time, is refused for itself.
    async fn refusal(&mut self, error: &RequestError) -> Result<Refusal, Failure> {
        let now = Instant::now();
        let has_waited = self.patience.health.let_in(error).await?;
        let before = self.let_in.replace(now);
        self.failures += 1;
        Ok(match before {
            _ if has_waited => Refusal::Lock,
            None => Refusal::First,
            Some(before) if before.elapsed() < LOCK => Refusal::Proven,
            Some(_) => Refusal::Slow,
        })
    }

    /// The pause before the next try; `chance` is between 0 and 1. The registry's word counts more
    /// than our own rule, and a random part keeps many workers from knocking at once.
    fn pause(
        &mut self,
        error: &RequestError,
        kind: &Kind,
        cause: Cause,
        chance: f64,
    ) -> Option<Duration> {
        let pauses = self.patience.pauses;
        self.failures += 1;
        self.own += u32::from(cause == Cause::Asked);
        let most = if *kind == Kind::Internal { MAX_INTERNAL } else { MAX_OWN };
        let left = pauses.max_wait.checked_sub(self.waited).filter(|left| !left.is_zero())?;
        if self.own >= most {
            return None;
        }
        let doubled = pauses.first.saturating_mul(1 << (self.failures - 1).min(16));
        let jittered = doubled.min(pauses.longest).mul_f64(0.5 + chance / 2.0);
        let asked = error.answer().and_then(|answer| answer.retry_after).unwrap_or_default();
        // The last try comes when patience ends, not later.
        let pause = jittered.max(asked).min(left);
        self.waited += pause;
        Some(pause)
    }
}

/// What a refusal is due to.
enum Refusal {
    /// The account is let in; whether it was is not known.
    First,
    /// The account has no right.
    Proven,
    /// Nothing, since it took too long to find out.
    Slow,
    /// The account was locked. It is not any more.
    Lock,
}
