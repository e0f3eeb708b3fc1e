//! Accounts, passwords, tokens and rights, with Harbor's peculiarities.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::{State, Subject, error};
use crate::front::{Request, Verdict};

/// So long a wrong password locks a user's name.
const LOCK: Duration = Duration::from_millis(1500);

/// What an account is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// May do everything.
    Administrator,
    /// A user with the role of a developer in these projects.
    User(Vec<String>),
    /// A robot that may push into all projects.
    SystemRobot,
    /// A robot that may push into one project.
    ProjectRobot(String),
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
    account: Option<Kind>,
    repositories: Vec<String>,
    expires: Instant,
}

/// Who a request comes from.
#[derive(Debug, Clone)]
pub(super) enum Login {
    Anonymous,
    Account(Kind),
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
            Self::Account(kind) => Some(kind),
            Self::Token(token) => {
                if !token.repositories.iter().any(|named| named == repository) {
                    return false;
                }
                token.account.as_ref()
            }
        };
        let project = repository.split('/').next().unwrap_or_default();
        let is_public = state.projects.get(project).is_some_and(|project| project.public);
        match kind {
            _ if !push && is_public => true,
            None => false,
            Some(Kind::Administrator | Kind::SystemRobot) => true,
            Some(Kind::User(projects)) => projects.iter().any(|named| named == project),
            Some(Kind::ProjectRobot(named)) => named == project,
        }
    }
}

impl State {
    /// Who sent a request, or the refusal of a wrong password.
    pub(super) fn login(&mut self, request: &Request) -> Result<Login, Verdict> {
        let refused = || {
            error("401 Unauthorized", "UNAUTHORIZED", "unauthorized: unauthorized")
                .with_header("Www-Authenticate: Basic realm=\"harbor\"")
        };
        let Some(header) = request.header("authorization") else { return Ok(Login::Anonymous) };
        if let Some(token) = header.strip_prefix("Bearer ") {
            // A token is not accepted on the API, and one that has expired nowhere.
            let token = self.tokens.get(token).filter(|token| token.expires > Instant::now());
            let is_api = request.target.starts_with("/api/");
            return token.filter(|_| !is_api).cloned().map(Login::Token).ok_or_else(refused);
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
                Ok(Login::Account(account.kind.clone()))
            }
            _ => {
                self.locked.insert(name.to_owned(), now + LOCK);
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
                    format!(",scope=\"repository:{}:pull,push\"", subject.repository)
                });
                format!(
                    "Bearer realm=\"{}/service/token\",service=\"harbor-registry\"{scope}",
                    request
                        .header("host")
                        .map_or_else(|| self.external_url.clone(), |host| format!("http://{host}"))
                )
            }
        };
        error("401 Unauthorized", "UNAUTHORIZED", "unauthorized: unauthorized")
            .with_header(&format!("Www-Authenticate: {asked}"))
    }

    /// The token endpoint: a wrong password is told only where no repository is asked for.
    pub(super) fn token(&mut self, request: &Request) -> Verdict {
        if request.method != "GET" {
            return Verdict::status("405 Method Not Allowed");
        }
        if super::parameter(&request.target, "service").as_deref() != Some("harbor-registry") {
            return Verdict::status("400 Bad Request");
        }
        let decoded = request.target.replace("%3A", ":").replace("%2F", "/");
        let repositories: Vec<String> = decoded
            .split("scope=repository:")
            .skip(1)
            .filter_map(|scope| Some(scope.split(':').next()?.to_owned()))
            .collect();
        let account = match self.login(request) {
            Ok(Login::Account(kind)) => Some(kind),
            Err(refusal) if repositories.is_empty() => return refusal,
            _ => None,
        };
        // A project that does not exist yet gives no rights, not later either.
        let exists = |name: &String| {
            name.split('/').next().is_some_and(|project| self.projects.contains_key(project))
        };
        let repositories = repositories.into_iter().filter(exists).collect();
        let value = format!("token-{}", request.number);
        let expires = Instant::now() + Duration::from_secs(1800);
        self.tokens.insert(value.clone(), Token { account, repositories, expires });
        Verdict::json("200 OK", &json!({"token": value, "access_token": "", "expires_in": 1800}))
    }
}
