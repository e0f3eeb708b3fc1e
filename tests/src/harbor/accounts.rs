//! Accounts, passwords, tokens and rights, with Harbor's peculiarities.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::images::Subject;
use super::{State, parameter};
use crate::front::{Request, Verdict};

/// A token grows by so much for each repository that it names (bytes).
const TOKEN_SCOPE: usize = 100;

/// What an account is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// May do everything.
    Administrator,
    /// A user with the role of a developer in these projects; in those that it makes itself it is
    /// an administrator.
    User(Vec<String>),
    /// A robot that may push into all projects.
    SystemRobot,
    /// The same, that may also read projects, their artifacts and their rules.
    ReadingRobot,
    /// A robot with the system permission to create projects, which costs it all others.
    CreatingRobot,
    /// A robot that may push into one project.
    ProjectRobot(String),
}

impl Kind {
    /// Whether it is a robot.
    pub(super) fn is_robot(&self) -> bool {
        !matches!(self, Self::Administrator | Self::User(_))
    }

    /// Whether it is shown what is in projects.
    pub(super) fn may_look_at(&self, project: &str) -> bool {
        match self {
            Self::Administrator | Self::ReadingRobot => true,
            Self::User(projects) => projects.iter().any(|named| named == project),
            Self::SystemRobot | Self::CreatingRobot | Self::ProjectRobot(_) => false,
        }
    }
}

/// Somebody who can log in.
#[derive(Debug, Clone)]
pub struct Account {
    password: String,
    /// What it may do.
    pub kind: Kind,
}

impl Account {
    /// An account with this password.
    #[must_use]
    pub fn new(password: &str, kind: Kind) -> Self {
        Self { password: password.to_owned(), kind }
    }
}

/// A token that was given out; its rights are those of the moment.
#[derive(Debug, Clone)]
pub(super) struct Token {
    account: Option<(String, Kind)>,
    repositories: Vec<String>,
    expires: Instant,
}

/// Who a request comes from.
#[derive(Debug, Clone)]
pub(super) enum Login {
    Anonymous,
    Account { name: String, kind: Kind },
    Token(Token),
}

impl Login {
    pub(super) fn is_anonymous(&self) -> bool {
        matches!(self, Self::Anonymous)
    }

    /// Whether it may push to a repository, or pull from it.
    pub(super) fn may(&self, repository: &str, push: bool, state: &State) -> bool {
        let kind = match self {
            Self::Anonymous => None,
            Self::Account { kind, .. } => Some(kind),
            Self::Token(token) => {
                if !token.repositories.iter().any(|named| named == repository) {
                    return false;
                }
                token.account.as_ref().map(|(_, kind)| kind)
            }
        };
        let project = repository.split('/').next().unwrap_or_default();
        let is_public = state.projects.get(project).is_some_and(|project| project.public);
        match kind {
            _ if !push && is_public => true,
            None | Some(Kind::CreatingRobot) => false,
            Some(Kind::Administrator | Kind::SystemRobot | Kind::ReadingRobot) => true,
            Some(Kind::User(projects)) => projects.iter().any(|named| named == project),
            Some(Kind::ProjectRobot(named)) => named == project,
        }
    }

    /// Whether it may delete in a project, upload sessions too. A developer may not.
    pub(super) fn may_delete(&self, project: &str, state: &State) -> bool {
        let (name, kind) = match self {
            Self::Anonymous => return false,
            Self::Account { name, kind } => (name, kind),
            Self::Token(Token { account: Some((name, kind)), .. }) => (name, kind),
            Self::Token(_) => return false,
        };
        let maker = state.projects.get(project).and_then(|project| project.maker.as_ref());
        *kind == Kind::Administrator || maker == Some(name)
    }
}

impl State {
    /// All tokens that were given out are too old.
    pub fn expire_tokens(&mut self) {
        self.tokens.clear();
    }

    /// Somebody has tried a wrong password for this user.
    pub fn lock_user(&mut self, name: &str, time: Duration) {
        self.locked.insert(name.to_owned(), Instant::now() + time);
    }

    /// Who sent a request, or the refusal of a wrong password. A token that is not known, or too
    /// old, counts as none.
    pub(super) fn login(&mut self, request: &Request) -> Result<Login, Verdict> {
        let refused = || {
            Verdict::error(401, "UNAUTHORIZED", "unauthorized: unauthorized")
                .with_header("www-authenticate", "Basic realm=\"harbor\"")
        };
        let Some(header) = request.header("authorization") else { return Ok(Login::Anonymous) };
        if let Some(token) = header.strip_prefix("Bearer ") {
            if request.target.starts_with("/api/") {
                return Err(refused());
            }
            let token = self.tokens.get(token).filter(|token| token.expires > Instant::now());
            return Ok(token.cloned().map_or(Login::Anonymous, Login::Token));
        }
        let decoded =
            header.strip_prefix("Basic ").and_then(|text| BASE64_STANDARD.decode(text).ok());
        let text = String::from_utf8(decoded.unwrap_or_default()).unwrap_or_default();
        let Some((name, password)) = text.split_once(':') else { return Err(refused()) };
        let is_robot = name.starts_with("robot$");
        let now = Instant::now();
        if !is_robot && self.locked.get(name).is_some_and(|until| *until > now) {
            return Err(refused());
        }
        match self.accounts.get(name) {
            Some(account) if account.password == password => {
                Ok(Login::Account { name: name.to_owned(), kind: account.kind.clone() })
            }
            _ => {
                self.wrong_passwords += 1;
                self.lock_user(name, self.lock);
                Err(refused())
            }
        }
    }

    /// Asks for credentials. Once something was refused, always for Basic.
    pub(super) fn challenge(&self, request: &Request, subject: Option<&Subject<'_>>) -> Verdict {
        let asked = match (request.header("authorization"), subject) {
            (Some(_), _) => "Basic realm=\"harbor\"".to_owned(),
            (None, subject) => {
                let scope = subject.map_or(String::new(), |subject| {
                    let from = parameter(&request.target, "from")
                        .map_or(String::new(), |from| format!(" repository:{from}:pull"));
                    format!(",scope=\"repository:{}:pull,push{from}\"", subject.repository)
                });
                let here = request.header("host").map(|host| {
                    let scheme = self.external_url.split("://").next().unwrap_or("http");
                    format!("{scheme}://{host}")
                });
                let here = here.unwrap_or_else(|| self.external_url.clone());
                format!("Bearer realm=\"{here}/service/token\",service=\"harbor-registry\"{scope}")
            }
        };
        Verdict::error(401, "UNAUTHORIZED", "unauthorized: unauthorized")
            .with_header("www-authenticate", &asked)
            .with_header("docker-distribution-api-version", "registry/2.0")
    }

    /// The token endpoint: a wrong password is told only where no repository is asked for.
    pub(super) fn token(&mut self, request: &Request) -> Verdict {
        if request.method != "GET" {
            return Verdict::text(405, "text/plain", "Method Not Allowed".into());
        }
        let service = parameter(&request.target, "service").unwrap_or_default();
        if service != "harbor-registry" {
            return Verdict::text(
                400,
                "text/plain",
                format!("Unable to handle service: {service}"),
            );
        }
        let decoded = request.target.replace("%3A", ":").replace("%2F", "/");
        let repositories: Vec<String> = decoded
            .split("scope=repository:")
            .skip(1)
            .filter_map(|scope| Some(scope.split(':').next()?.to_owned()))
            .collect();
        let account = match self.login(request) {
            Ok(Login::Account { name, kind }) => Some((name, kind)),
            Err(refusal) if repositories.is_empty() => return refusal,
            _ => None,
        };
        // A project that does not exist yet gives no rights, not later either.
        let exists = |name: &String| {
            name.split('/').next().is_some_and(|project| self.projects.contains_key(project))
        };
        let repositories: Vec<String> = repositories.into_iter().filter(exists).collect();
        let value = format!("{:0<1$}", request.number, 300 + TOKEN_SCOPE * repositories.len());
        let expires = Instant::now() + self.token_lifetime;
        self.tokens.insert(value.clone(), Token { account, repositories, expires });
        let seconds = self.token_lifetime.as_secs();
        Verdict::json(200, &json!({"token": value, "access_token": "", "expires_in": seconds}))
    }
}
