//! How the target is: whether a failure is that of one thing, or the target's own illness.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use tokio::sync::Mutex;
use tranship_common::Progress;

use super::stop::Stop;
use crate::failure::{About, Failure, Kind};
use crate::registry::{Registry, RequestError};

/// When so many things have failed and none has gone well, it is not for them that they fail.
const MANY: usize = 3;

/// A target that has not answered so many pings is worth a word.
const WORTH_A_WORD: u32 = 2;

/// What a failure is due to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// What was asked for: the target is well otherwise.
    Asked,
    /// The target, which may be well again.
    Target,
}

/// What all operations know of the target.
pub(super) struct Health {
    registry: Rc<Registry>,
    progress: Arc<dyn Progress>,
    stop: Stop,
    /// So long the target may be ill.
    max_wait: Duration,
    first_pause: Duration,
    longest_pause: Duration,
    /// When something has last gone well, and when a ping was last answered. That it lives does not
    /// mean that it is well.
    well: Cell<Option<Instant>>,
    pinged: Cell<Option<Instant>>,
    /// Operations that have failed since, and since when.
    failing: RefCell<HashSet<u64>>,
    failing_since: Cell<Option<Instant>>,
    /// When the target was last found to be back.
    back: Cell<Option<Instant>>,
    /// Held by who pings it: one does for all.
    asking: Mutex<()>,
    /// Why it is given up.
    lost: RefCell<Option<Failure>>,
}

impl Health {
    pub(super) fn new(
        registry: Rc<Registry>,
        progress: Arc<dyn Progress>,
        stop: Stop,
        max_wait: Duration,
        [first_pause, longest_pause]: [Duration; 2],
    ) -> Self {
        Self {
            registry,
            progress,
            stop,
            max_wait,
            first_pause,
            longest_pause,
            well: Cell::default(),
            pinged: Cell::default(),
            failing: RefCell::default(),
            failing_since: Cell::default(),
            back: Cell::default(),
            asking: Mutex::default(),
            lost: RefCell::default(),
        }
    }

    /// An operation has gone well.
    pub(super) fn went_well(&self) {
        self.well.set(Some(Instant::now()));
        self.failing.borrow_mut().clear();
        self.failing_since.set(None);
    }

    /// Finds out what a failure is due to. The operation with this number had begun at that time.
    ///
    /// Every other operation that has gone well since proves that the target lives; without one it
    /// is pinged, and waited for when it does not answer that either.
    ///
    /// # Errors
    /// When the target has not answered for as long as it may.
    pub(super) async fn cause(
        &self,
        operation: u64,
        begun: Instant,
        error: &RequestError,
    ) -> Result<Cause, Failure> {
        let after = |time: &Cell<Option<Instant>>, than: Instant| time.get() > Some(than);
        if after(&self.well, begun) {
            return Ok(Cause::Asked);
        }
        let now = Instant::now();
        self.failing.borrow_mut().insert(operation);
        let since = self.failing_since.get().unwrap_or(now);
        self.failing_since.set(Some(since));
        {
            let _turn = self.asking.lock().await;
            if let Some(lost) = &*self.lost.borrow() {
                return Err(lost.clone());
            }
            let is_known = after(&self.pinged, now) || after(&self.well, now);
            if !is_known {
                self.wait_for_answer(error).await?;
            }
        }
        if after(&self.back, now) {
            return Ok(Cause::Target);
        }
        let many = self.failing.borrow().len() >= MANY && since.elapsed() < self.max_wait;
        Ok(if many { Cause::Target } else { Cause::Asked })
    }

    /// Waits until the account is let in. Tells whether it had to wait.
    ///
    /// # Errors
    /// When it has not been let in for as long as that may be.
    pub(super) async fn let_in(&self, refusal: &RequestError) -> Result<bool, Failure> {
        let _turn = self.asking.lock().await;
        if let Some(lost) = &*self.lost.borrow() {
            return Err(lost.clone());
        }
        self.wait_for_answer(refusal).await
    }

    /// Pings the target until it answers. Tells whether it had to wait.
    async fn wait_for_answer(&self, error: &RequestError) -> Result<bool, Failure> {
        let begun = Instant::now();
        let mut pause = self.first_pause;
        let mut unanswered = 0;
        while self.registry.ping().await.is_err_and(|silence| !is_answer(&silence)) {
            unanswered += 1;
            if unanswered == WORTH_A_WORD {
                let (words, seconds) = (error.in_words(), self.max_wait.as_secs());
                self.progress
                    .say(&format!("{words}; waiting up to {seconds} s for it to come back"));
            }
            let left = self.max_wait.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let account = self.registry.account();
                let lost = Failure::of(error, About::Target, &account).of_target();
                return Err(self.lost.borrow_mut().insert(lost).clone());
            }
            tokio::select! {
                () = tokio::time::sleep(pause.min(left)) => {}
                () = self.stop.wanted() => return Err(Failure::stopped()),
            }
            pause = (pause * 2).min(self.longest_pause);
        }
        let now = Instant::now();
        self.pinged.set(Some(now));
        if unanswered > 0 {
            self.back.set(Some(now));
        }
        if unanswered >= WORTH_A_WORD {
            let seconds = begun.elapsed().as_secs_f32();
            self.progress.say(&format!("it is back after {seconds:.0} s"));
        }
        Ok(unanswered > 0)
    }
}

/// Whether what a ping has met is an answer of the target itself.
fn is_answer(error: &RequestError) -> bool {
    match Kind::of(error) {
        Kind::Away | Kind::Internal | Kind::Credentials | Kind::Untrusted => false,
        Kind::Denied => error.answer().is_some_and(|a| a.status != StatusCode::UNAUTHORIZED),
        _ => true,
    }
}
