//! How the target is: whether a failure is that of one thing, or the target's own illness.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use tokio::sync::Mutex;
use tranship_common::{Digest, Progress, Repository};

use crate::failure::{About, Failure, Kind};
use crate::registry::{Registry, RequestError};

/// When so many things have failed and none has gone well, it is not for them that they fail.
const MANY: usize = 3;

/// A target that has not answered so many pings, or has failed so often, is worth a word.
const WORTH_A_WORD: u32 = 2;

/// What a failure is due to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// What was asked for: other things go well.
    Asked,
    /// The target, as far as can be seen: it is there, but nothing goes well.
    Unwell,
    /// The target, which was away.
    Away,
    /// The target, which has been ill for as long as it may.
    IllForLong,
}

/// An operation that has failed, and what it is about.
#[derive(Debug, Clone)]
pub(super) struct Failing {
    /// The number of the operation.
    pub(super) operation: u64,
    /// When the attempt had begun.
    pub(super) begun: Instant,
    pub(super) repository: Option<Repository>,
    pub(super) blob: Option<Digest>,
}

/// What all operations know of the target.
pub(super) struct Health {
    registry: Rc<Registry>,
    progress: Arc<dyn Progress>,
    /// So long the target may be ill.
    max_wait: Duration,
    first_pause: Duration,
    longest_pause: Duration,
    /// When an operation has last gone well,
    well: Cell<Option<Instant>>,
    /// and when the target has last answered a ping: it can do that and nothing else.
    alive: Cell<Option<Instant>>,
    /// What has failed since something went well.
    failing: RefCell<HashMap<u64, Failing>>,
    /// The two repositories that have last answered as they should.
    answered: RefCell<[Option<Repository>; 2]>,
    /// When one of them was last asked whether it still does, and what came of it.
    asked: Cell<Option<(Instant, bool)>>,
    /// Since then something has waited in vain for as long as it may.
    spent: Cell<bool>,
    /// Failures since then, and whether the user has been told.
    failures: Cell<u32>,
    told: Cell<bool>,
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
        max_wait: Duration,
        [first_pause, longest_pause]: [Duration; 2],
    ) -> Self {
        Self {
            registry,
            progress,
            max_wait,
            first_pause,
            longest_pause,
            well: Cell::default(),
            alive: Cell::default(),
            failing: RefCell::default(),
            answered: RefCell::default(),
            asked: Cell::default(),
            spent: Cell::default(),
            failures: Cell::default(),
            told: Cell::default(),
            back: Cell::default(),
            asking: Mutex::default(),
            lost: RefCell::default(),
        }
    }

    /// An operation has gone well.
    pub(super) fn went_well(&self) {
        self.well.set(Some(Instant::now()));
        self.begin_anew();
        if self.told.take() {
            self.progress.say("it is well again");
        }
    }

    /// A repository has answered as it should.
    pub(super) fn has_answered(&self, repository: &Repository) {
        let mut answered = self.answered.borrow_mut();
        if answered[0].as_ref() != Some(repository) {
            answered.swap(0, 1);
            answered[0] = Some(repository.clone());
        }
    }

    fn begin_anew(&self) {
        self.failing.borrow_mut().clear();
        self.spent.set(false);
        self.failures.set(0);
    }

    /// Something has waited for as long as it may: nothing else does, until one goes well.
    pub(super) fn is_spent(&self) {
        self.spent.set(true);
    }

    /// Whether what has failed since is more than one bad repository, or one bad blob.
    fn fails_everywhere(&self) -> bool {
        let failing = self.failing.borrow();
        let repositories: HashSet<_> = failing.values().map(|what| &what.repository).collect();
        let things: HashSet<_> =
            failing.values().map(|what| what.blob.ok_or(what.operation)).collect();
        repositories.len() >= MANY && things.len() >= MANY
    }

    /// Finds out what a failure is due to.
    ///
    /// Whatever else has gone well since the attempt began proves that the target is well. Without
    /// that it is pinged, and waited for when it does not answer; and since it may answer pings and
    /// nothing else, a repository that has answered before is asked something.
    ///
    /// # Errors
    /// When the target has not answered for as long as it may.
    pub(super) async fn cause(
        &self,
        what: Failing,
        error: &RequestError,
    ) -> Result<Cause, Failure> {
        let after = |time: Option<Instant>, than: Instant| time > Some(than);
        if after(self.well.get(), what.begun) {
            return Ok(Cause::Asked);
        }
        let now = Instant::now();
        let repository = what.repository.clone();
        self.failing.borrow_mut().insert(what.operation, what);
        {
            let _turn = self.asking.lock().await;
            if let Some(lost) = &*self.lost.borrow() {
                return Err(lost.clone());
            }
            if !after(self.alive.get(), now) && !after(self.well.get(), now) {
                self.wait_for_answer(error).await?;
            }
            if after(self.back.get(), now) {
                return Ok(Cause::Away);
            }
            if !self.fails_everywhere() && self.answers_elsewhere(repository.as_ref(), now).await {
                return Ok(Cause::Asked);
            }
        }
        if self.spent.get() {
            return Ok(Cause::IllForLong);
        }
        self.failures.set(self.failures.get() + 1);
        if self.failures.get() > WORTH_A_WORD && !self.told.replace(true) {
            let (words, seconds) = (error.in_words(), self.max_wait.as_secs());
            self.progress.say(&format!(
                "{words}; nothing goes well now: trying again for up to {seconds} s"
            ));
        }
        Ok(Cause::Unwell)
    }

    /// Whether a repository that has answered before does so now; another one than this if there is
    /// one. What was asked since that time is not asked again.
    async fn answers_elsewhere(&self, than: Option<&Repository>, since: Instant) -> bool {
        if let Some((_, answers)) = self.asked.get().filter(|(asked, _)| *asked > since) {
            return answers;
        }
        let asked = {
            let answered = self.answered.borrow();
            let other = answered.iter().flatten().find(|name| Some(*name) != than);
            other.or(answered[0].as_ref()).cloned()
        };
        let Some(name) = asked else { return false };
        // Whatever it says of a blob that may be there or not: it has had a look.
        let answer = self.registry.has_blob(&name, Digest::of(b"")).await;
        let is_ill = |error| matches!(Kind::of(&error), Kind::Away | Kind::Internal);
        let answers = !answer.is_err_and(is_ill);
        self.asked.set(Some((Instant::now(), answers)));
        answers
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
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(self.longest_pause);
        }
        let now = Instant::now();
        self.alive.set(Some(now));
        if unanswered > 0 {
            // What it does from now on is judged anew.
            self.back.set(Some(now));
            self.begin_anew();
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
