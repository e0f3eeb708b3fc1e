//! A double of Harbor 2.9: a front before a real docker-registry that adds what Harbor adds, and
//! answers as a running Harbor was seen to answer.
//!
//! It knows accounts and their rights, projects with quotas and immutable tags, read-only mode, and
//! the API calls that a load makes. As Harbor does, it lets one request at a time push into a
//! project.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::front::{Answer, Front, Judge, Request, Verdict};
use crate::registry::Registry;

mod accounts;
mod api;

pub use accounts::{Account, Kind};

/// nginx refuses longer header lines (bytes).
const HEADER_LIMIT: usize = 8 << 10;

/// A project.
#[derive(Debug, Default)]
pub struct Project {
    /// Anybody may pull.
    pub public: bool,
    /// Bytes that it may hold.
    pub limit: Option<u64>,
    /// Tags that never change once they are set, in any repository.
    pub immutable: HashSet<String>,
    /// Blobs and manifests that it holds, with their sizes.
    held: HashMap<String, u64>,
    /// Somebody is pushing into it.
    busy: bool,
    /// Tags of its repositories: digest by `REPOSITORY:TAG`.
    tags: BTreeMap<String, String>,
}

impl Project {
    /// One that anybody may pull from.
    #[must_use]
    pub fn public() -> Self {
        Self { public: true, ..Self::default() }
    }

    /// One that may hold so many bytes.
    #[must_use]
    pub fn limited(limit: u64) -> Self {
        Self { limit: Some(limit), ..Self::default() }
    }

    /// Bytes that it holds.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.held.values().sum()
    }

    fn has_room_for(&self, digest: &str, size: u64) -> bool {
        let gain = if self.held.contains_key(digest) { 0 } else { size };
        self.limit.is_none_or(|limit| self.used() + gain <= limit)
    }
}

/// How Harbor is set up, and what has happened to it.
#[derive(Debug, Default)]
pub struct State {
    /// By name.
    pub projects: BTreeMap<String, Project>,
    /// By name.
    pub accounts: BTreeMap<String, Account>,
    /// What it calls itself, whatever address is used.
    pub external_url: String,
    /// Where the backend has its files.
    storage: PathBuf,
    /// Takes no changes.
    pub read_only: bool,
    /// Only administrators make projects.
    pub admin_only: bool,
    /// So long a push holds its project.
    pub push_time: Duration,
    /// Pushes that found somebody else pushing into their project.
    pub waits: usize,
    /// Until when a user name is locked after a wrong password.
    locked: HashMap<String, Instant>,
    /// Sizes of everything that was ever pushed.
    sizes: HashMap<String, u64>,
    tokens: HashMap<String, accounts::Token>,
}

type Trouble = dyn Fn(&Request) -> Option<Verdict> + Send + Sync;

struct Double {
    state: Mutex<State>,
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
        Self::with_trouble(|_| None)
    }

    /// The same, with a chance for trouble before each request.
    pub fn with_trouble(
        trouble: impl Fn(&Request) -> Option<Verdict> + Send + Sync + 'static,
    ) -> Self {
        let external_url = "http://harbor.internal".into();
        let mut state = State { external_url, ..State::default() };
        state.projects.insert("library".into(), Project::public());
        state.accounts.insert("admin".into(), Account::new("Harbor12345", Kind::Administrator));
        let registry = Registry::start();
        state.storage = registry.storage();
        let double = Arc::new(Double {
            state: Mutex::new(state),
            project_is_free: Condvar::new(),
            trouble: Box::new(trouble),
        });
        let judge: Arc<dyn Judge> = Arc::<Double>::clone(&double);
        let front = Front::with(registry.address(), judge);
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

    /// Its state, to be changed or looked at.
    ///
    /// # Panics
    /// When a thread of the double has panicked.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.double.state.lock().expect("no panic while it was held")
    }
}

/// An error envelope.
fn error(status: &'static str, code: &str, message: &str) -> Verdict {
    Verdict::json(status, &json!({"errors": [{"code": code, "message": message}]}))
}

/// What a request to the registry's API is about.
struct Subject<'a> {
    repository: &'a str,
    project: &'a str,
    /// What comes behind `manifests/` or `blobs/uploads/`.
    reference: &'a str,
    is_manifest: bool,
}

impl<'a> Subject<'a> {
    fn of(target: &'a str) -> Option<Self> {
        let path = target.strip_prefix("/v2/")?.split('?').next()?;
        let (repository, reference, is_manifest) =
            if let Some((repository, reference)) = path.split_once("/manifests/") {
                (repository, reference, true)
            } else if let Some((repository, reference)) = path.split_once("/blobs/") {
                (repository, reference, false)
            } else {
                (path.strip_suffix("/tags/list")?, "", false)
            };
        let project = repository.split('/').next()?;
        Some(Self { repository, project, reference, is_manifest })
    }
}

/// The value of a query parameter, decoded as far as digests and names need it.
fn parameter(target: &str, name: &str) -> Option<String> {
    let query = target.split_once('?')?.1;
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(value.replace("%3A", ":").replace("%2F", "/"))
}

impl Judge for Double {
    fn judge(&self, request: &mut Request) -> Verdict {
        if let Some(trouble) = (self.trouble)(request) {
            return trouble;
        }
        if request.headers.iter().any(|line| line.len() > HEADER_LIMIT) {
            return Verdict::status("400 Request Header Or Cookie Too Large");
        }
        let mut state = self.state.lock().expect("no panic while it was held");
        if request.target.starts_with("/service/token") {
            return state.token(request);
        }
        if request.target.starts_with("/api/") {
            return state.api(request);
        }
        if let Some(refusal) = state.refusal(request) {
            return refusal;
        }
        if !is_push(request) {
            return Verdict::Forward;
        }
        // One push at a time goes into a project.
        let Some(subject) = Subject::of(&request.target) else { return Verdict::Forward };
        let project = subject.project.to_owned();
        let push_time = state.push_time;
        let is_busy = |state: &State| state.projects.get(&project).is_some_and(|found| found.busy);
        if is_busy(&state) {
            state.waits += 1;
        }
        while is_busy(&state) {
            state = self.project_is_free.wait(state).expect("no panic while it was held");
        }
        if let Some(project) = state.projects.get_mut(&project) {
            project.busy = true;
        }
        drop(state);
        // The time that the quota's update takes, not a wait for anything.
        thread::sleep(push_time);
        Verdict::Forward
    }

    fn answered(&self, request: &Request, answer: &mut Answer) {
        let mut state = self.state.lock().expect("no panic while it was held");
        for line in &mut answer.lines {
            if let Some((_, path)) = line.split_once("Location: ")
                && let Some(at) = path.find("/v2/")
            {
                *line = format!("Location: {}{}", state.external_url, &path[at..]);
            }
        }
        if answer.status == 201 {
            state.stored(request);
        }
    }

    fn done(&self, request: &Request) {
        if !is_push(request) {
            return;
        }
        let mut state = self.state.lock().expect("no panic while it was held");
        let project = Subject::of(&request.target).map(|subject| subject.project.to_owned());
        if let Some(project) = project.and_then(|project| state.projects.get_mut(&project)) {
            project.busy = false;
        }
        self.project_is_free.notify_all();
    }
}

fn is_push(request: &Request) -> bool {
    request.method == "PUT" && request.target.contains("/manifests/")
}

impl State {
    /// Why Harbor does not pass a request on to its registry, if it does not.
    fn refusal(&mut self, request: &Request) -> Option<Verdict> {
        let login = match self.login(request) {
            Ok(login) => login,
            Err(refusal) => return Some(refusal),
        };
        let Some(subject) = Subject::of(&request.target) else {
            // The ping.
            return login.is_anonymous().then(|| self.challenge(request, None));
        };
        let writes = !matches!(request.method.as_str(), "GET" | "HEAD");
        if writes && self.read_only {
            let words = "The system is in read only mode. Any modification is prohibited.";
            return Some(error("403 Forbidden", "DENIED", words));
        }
        if !subject.repository.contains('/') && writes {
            let words = format!("bad request: invalid repository name: {}", subject.repository);
            return Some(error("400 Bad Request", "BAD_REQUEST", &words));
        }
        if !self.projects.contains_key(subject.project) {
            return Some(no_project(subject.project));
        }
        if !login.may(subject.repository, writes, self) {
            return Some(self.challenge(request, Some(&subject)));
        }
        if let Some(from) = parameter(&request.target, "from") {
            let project = from.split('/').next().unwrap_or_default();
            if !self.projects.contains_key(project) {
                return Some(no_project(project));
            }
            if !login.may(&from, false, self) {
                let words = format!("unauthorized to access repository: {from}, action: pull");
                return Some(error("401 Unauthorized", "UNAUTHORIZED", &words));
            }
        }
        self.over_quota(request, &subject).or_else(|| self.manifest_refusal(request, &subject))
    }

    fn over_quota(&mut self, request: &Request, subject: &Subject<'_>) -> Option<Verdict> {
        let project = self.projects.get_mut(subject.project)?;
        let (digest, size) = match request.method.as_str() {
            "PUT" if subject.is_manifest => (digest_of(&request.body), request.body.len() as u64),
            "PUT" => (parameter(&request.target, "digest")?, request.content_length()),
            "POST" => {
                let digest = parameter(&request.target, "mount")?;
                let size = self.sizes.get(&digest).copied().unwrap_or(0);
                (digest, size)
            }
            _ => return None,
        };
        if project.has_room_for(&digest, size) {
            // Room is taken before the bytes come, so that nobody else takes it meanwhile.
            if request.method == "PUT" {
                project.held.insert(digest, size);
            }
            return None;
        }
        // A body that is still on its way makes a bad gateway of the answer.
        if request.content_length() > 64 << 10 && !subject.is_manifest {
            return Some(Verdict::AnswerEarly { status: "502 Bad Gateway" });
        }
        let words = format!(
            "adding {size} bytes of storage resource, which when updated to current usage of {} \
             bytes will exceed the configured upper limit of {} bytes.",
            project.used(),
            project.limit.unwrap_or(0)
        );
        Some(error("403 Forbidden", "DENIED", &words))
    }

    fn manifest_refusal(&self, request: &Request, subject: &Subject<'_>) -> Option<Verdict> {
        if !(request.method == "PUT" && subject.is_manifest) {
            return None;
        }
        if !self.config_is_json(&request.body) {
            let words = "internal server error";
            return Some(error("500 Internal Server Error", "UNKNOWN", words));
        }
        let project = &self.projects[subject.project];
        let name = format!("{}:{}", subject.repository, subject.reference);
        if project.immutable.contains(subject.reference) && project.tags.contains_key(&name) {
            let words =
                format!("Failed to process request due to '{name}' configured as immutable.");
            return Some(error("412 Precondition Failed", "PRECONDITION", &words));
        }
        None
    }

    /// Harbor reads the config of each image, and fails at one that is no JSON object.
    fn config_is_json(&self, manifest: &[u8]) -> bool {
        let manifest: Value = serde_json::from_slice(manifest).unwrap_or_default();
        let Some(hex) = text(&manifest["config"], "digest").strip_prefix("sha256:") else {
            return true;
        };
        let path = format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
        match fs::read(self.storage.join(path)) {
            Ok(config) if config.is_empty() => true,
            Ok(config) => serde_json::from_slice::<Value>(&config).is_ok_and(|v| v.is_object()),
            Err(_) => true,
        }
    }

    /// Enters what the registry has stored into the books.
    fn stored(&mut self, request: &Request) {
        let Some(subject) = Subject::of(&request.target) else { return };
        let (digest, size) = match request.method.as_str() {
            "PUT" if subject.is_manifest => (digest_of(&request.body), request.body.len() as u64),
            "PUT" => match parameter(&request.target, "digest") {
                Some(digest) => (digest, request.content_length()),
                None => return,
            },
            "POST" => match parameter(&request.target, "mount") {
                Some(digest) => {
                    let size = self.sizes.get(&digest).copied().unwrap_or(0);
                    (digest, size)
                }
                None => return,
            },
            _ => return,
        };
        self.sizes.insert(digest.clone(), size);
        let Some(project) = self.projects.get_mut(subject.project) else { return };
        project.held.insert(digest.clone(), size);
        if subject.is_manifest && !subject.reference.contains(':') {
            project.tags.insert(format!("{}:{}", subject.repository, subject.reference), digest);
        }
    }
}

fn digest_of(bytes: &[u8]) -> String {
    tranship_common::Digest::of(bytes).to_string()
}

/// Whoever asks: a project that does not exist looks like one that is forbidden.
fn no_project(name: &str) -> Verdict {
    let words = format!("project {name} not found: project {name} not found");
    error("401 Unauthorized", "UNAUTHORIZED", &words).with_header("Www-Authenticate: ")
}

/// The text of a JSON field, empty where there is none.
fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
