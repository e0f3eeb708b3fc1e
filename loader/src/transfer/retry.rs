//! Repeats what may succeed later: one level of retries, around whole operations.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tranship_common::Progress;

use crate::registry::RequestError;

/// So often an operation is tried that the server says it has failed at.
const MAX_INTERNAL: u32 = 6;

/// An operation that has failed so often is worth a word.
const WORTH_A_WORD: u32 = 3;

/// When to try again and when to give up.
#[derive(Debug, Clone)]
pub(crate) struct RetryPolicy {
    /// The pause after the first failure; it doubles with each further one.
    pub(crate) first_pause: Duration,
    /// No pause is longer, unless the registry asks for it.
    pub(crate) longest_pause: Duration,
    /// How often one operation is tried in all.
    pub(crate) tries: u32,
    /// After this time since the first failure an operation is not tried again.
    pub(crate) patience: Duration,
    /// After a failure that may have been a refusal, the target gets this time to say so before
    /// the bytes of an upload begin again.
    pub(crate) hesitation: Duration,
    /// What all operations know of the target's being away.
    pub(crate) outage: Rc<Outage>,
}

/// The time that the target is away, noticed by whichever operation, and said once for all.
#[derive(Debug, Default)]
pub(crate) struct Outage(Cell<Option<Instant>>);

impl Outage {
    /// An operation finds nobody there.
    fn noticed(&self, error: &RequestError, patience: Duration, progress: &dyn Progress) {
        if self.0.get().is_none() {
            self.0.set(Some(Instant::now()));
            let (words, seconds) = (error.in_words(), patience.as_secs());
            progress.say(&format!("{words}; waiting up to {seconds} s for it to come back"));
        }
    }

    /// An operation has gone well.
    pub(crate) fn over(&self, progress: &dyn Progress) {
        if let Some(begun) = self.0.take() {
            progress.say(&format!("it is back after {:.0} s", begun.elapsed().as_secs_f32()));
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            tries: 40,
            patience: Duration::from_secs(300),
            hesitation: Duration::from_secs(2),
            outage: Rc::default(),
        }
    }
}

/// The retries of one operation.
#[derive(Debug)]
pub(crate) struct Attempts {
    policy: RetryPolicy,
    failures: u32,
    first_failure: Option<Instant>,
}

impl RetryPolicy {
    /// Begins to count for one operation.
    pub(crate) fn begin(&self) -> Attempts {
        Attempts { policy: self.clone(), failures: 0, first_failure: None }
    }

    /// Whether an error leaves no hope for any other request: while some of them fare well, the
    /// failure of one is its own.
    pub(crate) fn is_lost(&self, error: &RequestError) -> bool {
        error.is_unreachable() || error.is_away() && self.outage.0.get().is_some()
    }

    /// Repeats a request as long as it may pass.
    pub(crate) async fn insist<T>(
        &self,
        progress: &dyn Progress,
        request: impl AsyncFn() -> Result<T, RequestError>,
    ) -> Result<T, RequestError> {
        let mut attempts = self.begin();
        loop {
            match request().await {
                Ok(done) => {
                    self.outage.over(progress);
                    return Ok(done);
                }
                Err(error) => attempts.pause_after(error, progress).await?,
            }
        }
    }
}

impl Attempts {
    /// Whether nothing has failed yet.
    pub(crate) fn is_first(&self) -> bool {
        self.failures == 0
    }

    /// Waits until it is time to try again after this error, or returns the error for good.
    pub(crate) async fn pause_after(
        &mut self,
        error: RequestError,
        progress: &dyn Progress,
    ) -> Result<(), RequestError> {
        let Some(pause) = self.next_pause(&error, Instant::now(), fastrand::f64()) else {
            return Err(error);
        };
        let seconds = pause.as_secs_f32();
        if self.failures < WORTH_A_WORD {
            tracing::info!("{}; trying again in {seconds:.1} s", error.in_words());
        } else if error.is_away() {
            self.policy.outage.noticed(&error, self.policy.patience, progress);
        } else {
            progress.say(&format!("{}; trying again in {seconds:.1} s", error.in_words()));
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// The pause before the next try; `chance` is between 0 and 1. The registry's word counts more
    /// than our own rule, and a random part keeps many workers from knocking at once.
    fn next_pause(&mut self, error: &RequestError, now: Instant, chance: f64) -> Option<Duration> {
        let first = *self.first_failure.get_or_insert(now);
        self.failures += 1;
        // Some inputs make a server fail each time.
        let tries = if error.is_internal() { MAX_INTERNAL } else { self.policy.tries };
        let given_up = self.failures >= tries || now - first >= self.policy.patience;
        if !error.can_pass() || given_up {
            return None;
        }
        let doubled = self.policy.first_pause.saturating_mul(1 << (self.failures - 1).min(16));
        let jittered = doubled.min(self.policy.longest_pause).mul_f64(0.5 + chance / 2.0);
        // The last try comes when patience ends, not later.
        let left = self.policy.patience - (now - first);
        let jittered = jittered.min(left);
        let asked = error.answer().and_then(|answer| answer.retry_after).unwrap_or_default();
        Some(jittered.max(asked.min(left)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Answer;
    use reqwest::StatusCode;

    fn error(status: StatusCode, retry_after: Option<u64>) -> RequestError {
        RequestError::Answer(Box::new(Answer {
            request: "PUT /v2/a".into(),
            status,
            errors: Vec::new(),
            retry_after: retry_after.map(Duration::from_secs),
            location: None,
            clock_difference: 0,
            anonymous: false,
        }))
    }

    fn policy() -> RetryPolicy {
        RetryPolicy {
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(4),
            tries: 5,
            patience: Duration::from_secs(100),
            hesitation: Duration::ZERO,
            outage: Rc::default(),
        }
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_then_end() {
        let mut attempts = policy().begin();
        let now = Instant::now();
        let unavailable = error(StatusCode::SERVICE_UNAVAILABLE, None);
        let mut pause = || attempts.next_pause(&unavailable, now, 1.0).map(|pause| pause.as_secs());
        assert_eq!(
            [pause(), pause(), pause(), pause(), pause()],
            [Some(1), Some(2), Some(4), Some(4), None]
        );
    }

    #[test]
    fn time_ends_them_too() {
        let mut attempts = policy().begin();
        let now = Instant::now();
        let unavailable = error(StatusCode::BAD_GATEWAY, None);
        assert!(attempts.next_pause(&unavailable, now, 0.0).is_some());
        assert!(attempts.next_pause(&unavailable, now + Duration::from_secs(100), 0.0).is_none());
    }

    #[test]
    fn the_registry_may_ask_for_longer() {
        let mut attempts = policy().begin();
        let busy = error(StatusCode::TOO_MANY_REQUESTS, Some(7));
        assert_eq!(attempts.next_pause(&busy, Instant::now(), 0.0), Some(Duration::from_secs(7)));
    }

    #[test]
    fn what_cannot_pass_is_not_repeated() {
        for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::BAD_REQUEST] {
            assert!(
                policy().begin().next_pause(&error(status, None), Instant::now(), 0.0).is_none()
            );
        }
    }
}
