//! Why something could not be done, and how far that reaches.

use std::sync::Arc;

use reqwest::StatusCode;
use tranship_common::{Digest, Repository};

use crate::plan::mapping::TargetRepository;
use crate::registry::{Answer, RequestError};

/// How far a failure reaches: what else need not be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extent {
    /// One blob or manifest on its way to one repository.
    Blob,
    /// One blob or manifest, wherever it is to go: its bytes cannot be had.
    Source,
    /// A repository.
    Repository,
    /// A project of Harbor.
    Project,
    /// The target.
    Target,
}

/// What a failure means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nobody answers, or nobody who has the target behind it.
    Away,
    /// The target has too much to do.
    Overloaded,
    /// The target says that it has failed.
    Internal,
    /// An upload was lost on its way.
    Lost,
    /// Whoever answers is not trusted.
    Untrusted,
    /// The account or its password is wrong, or cannot be shown to the target.
    Credentials,
    /// The account has not the right, or the target does not know the account.
    Denied,
    /// The project does not exist.
    NoProject,
    /// The project is a cache of another registry.
    Cache,
    /// The project holds all that it may.
    Full,
    /// The target takes no changes.
    ReadOnly,
    /// A rule or a policy of the project forbids it.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// A manifest refers to these, and the target does not have them.
    Incomplete(Arc<[Digest]>),
    /// Any other answer that does not change when the same is asked again.
    Refused,
    /// Our own bytes are damaged or cannot be read.
    Bytes,
    /// The bundle ends before our own bytes.
    Ended,
    /// The user wants to stop.
    Stopped,
}

/// Why something could not be done.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) extent: Extent,
    pub(crate) kind: Kind,
    /// What a person has to know. Shared by all that fails for it.
    pub(crate) text: Arc<str>,
}

/// What was done when it failed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum About<'a> {
    /// Something that concerns the target as a whole.
    Target,
    /// Something that concerns a project of Harbor.
    Project(&'a str),
    /// A question about a repository.
    Question(&'a TargetRepository),
    /// A blob or manifest that is to go to a repository.
    Repository(&'a TargetRepository),
}

impl Kind {
    /// What an error means.
    pub(crate) fn of(error: &RequestError) -> Self {
        match error {
            RequestError::Connect { .. }
            | RequestError::Interrupted { .. }
            | RequestError::Stalled { .. } => Self::Away,
            RequestError::Certificate { .. }
            | RequestError::NotTls { .. }
            | RequestError::Handshake { .. } => Self::Untrusted,
            RequestError::Credentials { .. } | RequestError::Login { .. } => Self::Credentials,
            RequestError::Protocol { .. } | RequestError::TooMuch { .. } => Self::Refused,
            RequestError::Content(_) => Self::Bytes,
            RequestError::Answer(answer) => Self::of_answer(answer),
        }
    }

    fn of_answer(answer: &Answer) -> Self {
        const LOST: [&str; 4] =
            ["BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "DIGEST_INVALID", "SIZE_INVALID"];
        let missing_project = |(_, message): &(String, String)| {
            message.starts_with("project ") && message.contains(" not found")
        };
        match answer.status {
            _ if answer.says("in read only mode") => Self::ReadOnly,
            _ if answer.says("configured upper limit") => Self::Full,
            _ if answer.says("to a proxy project") => Self::Cache,
            _ if answer.has_code("MANIFEST_BLOB_UNKNOWN") => {
                Self::Incomplete(answer.digests("MANIFEST_BLOB_UNKNOWN").into())
            }
            // Distribution says 500 when one of several findings in a manifest has no code.
            _ if answer.is_about_manifest() => Self::Refused,
            // To Harbor a project that does not exist is as if it were forbidden.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND
                if answer.errors.iter().any(missing_project) =>
            {
                Self::NoProject
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Denied,
            StatusCode::PRECONDITION_FAILED => Self::Forbidden,
            StatusCode::TOO_MANY_REQUESTS => Self::Overloaded,
            StatusCode::REQUEST_TIMEOUT
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Self::Away,
            StatusCode::NOT_IMPLEMENTED => Self::Refused,
            status if status.is_server_error() => Self::Internal,
            _ if LOST.iter().any(|code| answer.has_code(code)) => Self::Lost,
            StatusCode::NOT_FOUND => Self::NotFound,
            _ => Self::Refused,
        }
    }

    /// Whether the target has too much to do, or is not there for the moment.
    pub(crate) fn is_overload(&self) -> bool {
        matches!(self, Self::Away | Self::Overloaded | Self::Internal)
    }

    /// How far a failure of this kind reaches. That one repository is closed does not prove that its
    /// project is, though Harbor's rights are those of projects.
    fn extent(&self) -> Extent {
        match self {
            Self::Untrusted | Self::Credentials | Self::ReadOnly | Self::Stopped => Extent::Target,
            Self::Full | Self::NoProject | Self::Cache => Extent::Project,
            Self::Denied => Extent::Repository,
            Self::Bytes | Self::Ended => Extent::Source,
            _ => Extent::Blob,
        }
    }
}

impl Failure {
    /// What an error means for what it was about. `account` is who asked.
    pub(crate) fn of(error: &RequestError, about: About<'_>, account: &str) -> Self {
        let kind = Kind::of(error);
        let words = error.in_words();
        let text = match (&kind, about.project()) {
            (Kind::Full, Some(project)) => full_project(project, &words),
            (Kind::NoProject, Some(project)) => {
                format!("project {project} does not exist: {words}; make it with `loader projects`")
            }
            (Kind::Denied, _) => match about {
                About::Repository(name) => format!("{account} may not push to {name}: {words}"),
                About::Question(_) | About::Project(_) | About::Target => words,
            },
            _ => words,
        };
        let extent = kind.extent();
        Self { extent, kind, text: text.into() }
    }

    /// A failure of our own bytes.
    pub(crate) fn of_bytes(text: &str) -> Self {
        Self { extent: Extent::Source, kind: Kind::Bytes, text: text.into() }
    }

    /// A project has no room for what is to come.
    pub(crate) fn full(project: &str, used: i64, limit: i64, size: u64) -> Self {
        let words =
            format!("it holds {used} of at most {limit} bytes, and {size} bytes are to come");
        Self {
            extent: Extent::Project,
            kind: Kind::Full,
            text: full_project(project, &words).into(),
        }
    }

    /// Something that has to do with one blob or manifest alone.
    pub(crate) fn refused(text: String) -> Self {
        Self { extent: Extent::Blob, kind: Kind::Refused, text: text.into() }
    }

    /// The user wants to stop.
    pub(crate) fn stopped() -> Self {
        Self { extent: Extent::Target, kind: Kind::Stopped, text: "interrupted".into() }
    }

    /// The user wanted to stop before all of a bundle was read, when everything had arrived.
    pub(crate) fn stopped_in_rest() -> Self {
        let text = "interrupted: nothing is known of the rest of the bundle, which no image needs";
        Self { text: text.into(), ..Self::stopped() }
    }

    /// The same failure, in which all hope for the target is lost.
    pub(crate) fn of_target(self) -> Self {
        Self { extent: Extent::Target, ..self }
    }

    /// The same failure, said of something in particular.
    pub(crate) fn of_what(self, what: &str) -> Self {
        match self.kind {
            Kind::Stopped | Kind::Ended => self,
            _ => Self { text: format!("{what}: {}", self.text).into(), ..self },
        }
    }

    /// The same failure, with more to say of it.
    pub(crate) fn with(self, more: &str) -> Self {
        Self { text: format!("{}; {more}", self.text).into(), ..self }
    }

    /// Whether other things may still be had of the target. Read-only mode is a finding of its own.
    pub(crate) fn leaves_hope(&self) -> bool {
        self.extent != Extent::Target || self.kind == Kind::ReadOnly
    }

    /// Why something is not shown.
    pub(crate) fn why(&self) -> String {
        match self.kind {
            Kind::Denied => "these rights do not show it".to_owned(),
            _ => self.text.to_string(),
        }
    }
}

/// An answer, or a failure that leaves hope for the target.
///
/// # Errors
/// When the failure leaves none.
pub(crate) fn hopeful<T>(answer: Result<T, Failure>) -> Result<Result<T, Failure>, Failure> {
    match answer {
        Err(failure) if !failure.leaves_hope() => Err(failure),
        answer => Ok(answer),
    }
}

fn full_project(project: &str, words: &str) -> String {
    format!(
        "project {project} is full: {words}; raise its storage quota, then run the same command again"
    )
}

impl<'a> About<'a> {
    fn project(self) -> Option<&'a str> {
        match self {
            Self::Target => None,
            Self::Project(project) => Some(project),
            Self::Question(name) | Self::Repository(name) => Some(name.project()),
        }
    }

    /// The repository, where it is about one.
    pub(crate) fn repository(self) -> Option<&'a Repository> {
        match self {
            Self::Target | Self::Project(_) => None,
            Self::Question(name) | Self::Repository(name) => Some(name.name()),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}
