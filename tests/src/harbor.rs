//! A double of Harbor 2.9 (and, where it is told so, of later ones): a front before a real docker-registry that adds what Harbor adds, and
//! answers as a running Harbor was seen to answer.
//!
//! It knows accounts and their rights, tokens, projects with quotas and immutable tags, read-only
//! mode, and the API calls that a load makes. As Harbor does, it lets one request at a time push
//! into a project.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use tranship_common::Digest;

use crate::front::{Answer, Front, Judge, Request, Verdict};
use crate::registry::{self, Registry};
use crate::schema1;
use crate::tls::Certificates;

mod accounts;
mod api;
mod database;
mod images;
mod immutable;
mod names;
mod policy;
mod project;
mod projects;
mod quota;
mod tokens;

pub use accounts::{Account, Kind};
pub use immutable::Immutable;
pub use policy::Policy;
pub use project::Project;

/// nginx refuses longer header lines (bytes).
const HEADER_LIMIT: usize = 8 << 10;

/// How Harbor is set up, and what has happened to it.
#[derive(Debug)]
pub struct State {
    /// By name.
    pub projects: BTreeMap<String, Project>,
    /// By name.
    pub accounts: BTreeMap<String, Account>,
    /// The version that it plays, as 2.9.5; up to 2.15.
    pub version: String,
    /// What it calls itself, whatever address is used.
    pub external_url: String,
    /// It names its own address as that of the token endpoint too, as Harbor does, and not the one
    /// that the request came to.
    pub realm_is_external: bool,
    /// What its tokens are for. By any other name than Harbor's it gets no password but for tokens.
    pub service: String,
    /// So many of the next requests find its database away; `usize::MAX` until it is back.
    pub database_away: usize,
    /// Takes no changes.
    pub read_only: bool,
    /// Only administrators make projects.
    pub admin_only: bool,
    /// Projects have no quotas.
    pub quotas_off: bool,
    /// Bytes that a new project may hold; -1 without a limit.
    pub storage_per_project: i64,
    /// Its books need not be right at the end, since a test leads to what Harbor miscounts.
    pub miscounts: bool,
    /// The proxy before it is a real one, not part of the double.
    pub without_proxy: bool,
    /// So long a push holds its project.
    pub push_time: Duration,
    /// So long a wrong password is thought about, and locks the user's name.
    pub lock: Duration,
    /// So long a token is good for.
    pub token_lifetime: Duration,
    /// So much older than its project a token may be, from version 2.15 on.
    pub token_leeway: Duration,
    /// Pushes that found somebody else pushing into their project.
    pub waits: usize,
    /// Where the backend has its files.
    storage: PathBuf,
    /// Names of users that are locked after wrong passwords.
    locked: HashMap<String, accounts::Lock>,
    wrong_passwords: usize,
    tokens: HashMap<String, tokens::Token>,
    /// References that manifests were pushed under, by the number of the request, where the registry
    /// was told another.
    pushed_as: HashMap<u64, String>,
    /// Sizes of everything that was ever pushed, into whichever project.
    sizes: HashMap<String, u64>,
    /// Bytes that upload sessions have taken piece by piece.
    accepted: HashMap<String, u64>,
}

type Trouble = dyn Fn(&Request, &mut State) -> Option<Verdict> + Send + Sync;

type Hold = dyn Fn(&Request) + Send + Sync;

struct Double {
    state: Mutex<State>,
    hold: Mutex<Arc<Hold>>,
    project_is_free: Condvar,
    trouble: Box<Trouble>,
}

/// A running double.
pub struct Harbor {
    /// The backend.
    pub registry: Registry,
    front: Front,
    double: Arc<Double>,
}

impl std::fmt::Debug for Harbor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Harbor at {}", self.url())
    }
}

impl Default for Harbor {
    fn default() -> Self {
        Self::start()
    }
}

impl Harbor {
    /// Starts one with the account `admin` (password `Harbor12345`) and the project `library`.
    #[must_use]
    pub fn start() -> Self {
        Self::with_trouble(|_, _| None)
    }

    /// The same, with a chance for trouble before each request.
    pub fn with_trouble(
        trouble: impl Fn(&Request, &mut State) -> Option<Verdict> + Send + Sync + 'static,
    ) -> Self {
        Self::with(None, trouble)
    }

    /// The same; with certificates it speaks TLS.
    pub fn with(
        certificates: Option<&Certificates>,
        trouble: impl Fn(&Request, &mut State) -> Option<Verdict> + Send + Sync + 'static,
    ) -> Self {
        let registry = Registry::with(&registry::Options { schema1: true, ..Default::default() });
        let double = Arc::new(Double {
            state: Mutex::new(State::new(registry.storage(), certificates.is_some())),
            hold: Mutex::new(Arc::new(|_| {})),
            project_is_free: Condvar::new(),
            trouble: Box::new(trouble),
        });
        let judge: Arc<dyn Judge> = Arc::<Double>::clone(&double);
        let front = Front::with(registry.address(), judge, certificates);
        Self { registry, front, double }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        self.front.url()
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.front.requests()
    }

    /// Does this with each request that was judged, before it is passed on or answered. It may
    /// wait: so requests can be made to come at the same time.
    ///
    /// # Panics
    /// When a thread of the double has panicked.
    pub fn hold(&self, hold: impl Fn(&Request) + Send + Sync + 'static) {
        *self.double.hold.lock().expect("no panic while it was held") = Arc::new(hold);
    }

    /// Waits until all that was asked for is over; the clients must have ended.
    pub fn settle(&self) {
        self.front.settle();
    }

    /// Compares what its projects use with what they hold. What requests under way have reserved
    /// does not matter.
    ///
    /// # Panics
    /// When it is not the same.
    #[track_caller]
    pub fn assert_books(&self, when: &str) {
        let state = self.state();
        // What is not counted cannot be wrong.
        for (name, project) in state.projects.iter().filter(|_| !state.quotas_off) {
            assert_eq!(project.settled(), project.held_bytes(), "{when}: project {name} uses");
        }
    }

    /// Its state, to be changed or looked at.
    ///
    /// # Panics
    /// When a thread of the double has panicked.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.double.state.lock().expect("no panic while it was held")
    }
}

impl Drop for Harbor {
    /// Whatever a load was made to do, at the end each project uses what it holds, to the byte.
    fn drop(&mut self) {
        if !thread::panicking() && !self.state().miscounts {
            self.assert_books("at the end");
        }
    }
}

impl State {
    fn new(storage: PathBuf, is_https: bool) -> Self {
        let scheme = if is_https { "https" } else { "http" };
        let admin = Account::new("Harbor12345", Kind::Administrator);
        Self {
            projects: [("library".to_owned(), Project::public())].into(),
            accounts: [("admin".to_owned(), admin)].into(),
            version: "2.9.5".to_owned(),
            external_url: format!("{scheme}://harbor.internal"),
            realm_is_external: false,
            service: "harbor-registry".to_owned(),
            database_away: 0,
            read_only: false,
            admin_only: false,
            quotas_off: false,
            storage_per_project: -1,
            miscounts: false,
            without_proxy: false,
            push_time: Duration::ZERO,
            lock: Duration::from_millis(1500),
            token_lifetime: Duration::from_secs(1800),
            token_leeway: Duration::from_secs(60),
            waits: 0,
            storage,
            locked: HashMap::new(),
            wrong_passwords: 0,
            tokens: HashMap::new(),
            pushed_as: HashMap::new(),
            sizes: HashMap::new(),
            accepted: HashMap::new(),
        }
    }

    /// What becomes of a request.
    fn verdict(&mut self, request: &mut Request) -> Verdict {
        let is_too_long =
            |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
                name.as_str().len() + value.len() > HEADER_LIMIT
            };
        if request.headers.iter().any(is_too_long) {
            return Verdict::page(400, "Request Header Or Cookie Too Large");
        }
        if self.database_away > 0 {
            self.database_away -= usize::from(self.database_away != usize::MAX);
            let refusal = Verdict::error(500, "UNKNOWN", "internal server error");
            return self.in_mid_body(request, refusal);
        }
        let writes = !matches!(request.method.as_str(), "GET" | "HEAD");
        if writes && request.header("cookie").is_some_and(|cookie| cookie.contains("sid=")) {
            return Verdict::error(403, "FORBIDDEN", "CSRF token invalid");
        }
        if request.target.starts_with("/service/token") {
            self.token(request)
        } else if request.target.starts_with("/api/") {
            self.api(request).with_header("set-cookie", "sid=0123456789; Path=/; HttpOnly")
        } else {
            let refusal = self.refusal(request, writes);
            let refusal = refusal.or_else(|| self.find_manifest(request));
            self.keep_tag(request);
            refusal.unwrap_or(Verdict::Forward)
        }
    }
}

/// What the registry stores of a manifest that is pushed: of schema 1 the payload.
fn stored(manifest: &[u8]) -> Cow<'_, [u8]> {
    schema1::payload(manifest).map_or(Cow::Borrowed(manifest), Cow::Owned)
}

/// The digest of a manifest that is pushed.
fn digest_of(manifest: &[u8]) -> String {
    Digest::of(&stored(manifest)).to_string()
}

/// The project that a push of an image goes into.
fn pushed_project(request: &Request) -> Option<&str> {
    let is_push = request.method == "PUT" && request.target.contains("/manifests/");
    request.target.strip_prefix("/v2/").filter(|_| is_push)?.split('/').next()
}

impl Judge for Double {
    fn judge(&self, request: &mut Request) -> Verdict {
        let verdict = self.judged(request);
        let hold = Arc::clone(&self.hold.lock().expect("no panic while it was held"));
        hold(request);
        verdict
    }

    fn answered(&self, request: &Request, answer: &mut Answer) {
        self.state.lock().expect("no panic while it was held").answered(request, answer);
    }

    fn done(&self, request: &Request) {
        let mut state = self.state.lock().expect("no panic while it was held");
        for project in state.projects.values_mut() {
            project.done(request.number);
        }
        self.project_is_free.notify_all();
    }
}

impl Double {
    /// What becomes of a request, once its turn to push has come.
    fn judged(&self, request: &mut Request) -> Verdict {
        let mut state = self.state.lock().expect("no panic while it was held");
        let trouble = (self.trouble)(request, &mut state);
        if let Some(trouble) = trouble.as_ref().filter(|trouble| !trouble.passes_on()) {
            return trouble.clone();
        }
        let wrong_passwords = state.wrong_passwords;
        let verdict = state.verdict(request);
        if state.wrong_passwords > wrong_passwords {
            let lock = state.lock;
            drop(state);
            thread::sleep(lock);
            return verdict;
        }
        let request = &*request;
        // What happens to a request on its way happens behind Harbor's back.
        let verdict = match verdict {
            Verdict::Forward => trouble.unwrap_or(Verdict::Forward),
            answer => answer,
        };
        let Some(project) = pushed_project(request).filter(|_| verdict.passes_on()) else {
            return verdict;
        };
        // One push at a time goes into a project.
        let is_busy = |state: &State| state.projects.get(project).is_some_and(Project::is_busy);
        if is_busy(&state) {
            state.waits += 1;
        }
        while is_busy(&state) {
            state = self.project_is_free.wait(state).expect("no panic while it was held");
        }
        if let Some(project) = state.projects.get_mut(project) {
            project.pushed_by = Some(request.number);
        }
        let push_time = state.push_time;
        drop(state);
        // The time that the quota's update takes, not a wait for anything.
        thread::sleep(push_time);
        verdict
    }
}
