//! Accounts, passwords and rights, with Harbor's peculiarities.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::tokens::Token;
use super::{Project, State};
use crate::front::{Request, Verdict};

/// What an account is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// May do everything.
    Administrator,
    /// A user with the role of a developer in these projects; in those that it makes itself it is
    /// an administrator.
    User(Vec<String>),
    /// The same with an account of another house (OIDC), whose password is a secret for the command
    /// line: it is good for pushes and pulls and for a few calls of the API.
    OidcUser(Vec<String>),
    /// A robot that may push into all projects.
    SystemRobot,
    /// The same, that may also read projects, their artifacts and their rules.
    ReadingRobot,
    /// The same, that may also give tags to artifacts.
    TaggingRobot,
    /// A robot with the system permission to create projects, which costs it all others.
    CreatingRobot,
    /// A robot that may push into one project.
    ProjectRobot(String),
}

impl Kind {
    /// Whether it is a robot.
    pub(super) fn is_robot(&self) -> bool {
        !matches!(self, Self::Administrator | Self::User(_) | Self::OidcUser(_))
    }

    /// Whether it is shown what is in a project that is not public.
    pub(super) fn may_look_at(&self, project: &str) -> bool {
        match self {
            Self::Administrator | Self::ReadingRobot | Self::TaggingRobot => true,
            Self::User(projects) | Self::OidcUser(projects) => is_among(projects, project),
            Self::SystemRobot | Self::CreatingRobot | Self::ProjectRobot(_) => false,
        }
    }

    /// Whether a project is in its list of projects.
    pub(super) fn is_listed(&self, name: &str, project: &Project) -> bool {
        match self {
            Self::User(projects) | Self::OidcUser(projects) => {
                project.public || is_among(projects, name)
            }
            Self::ProjectRobot(own) => project.public || own == name,
            _ => true,
        }
    }

    /// Whether it may give an artifact another tag.
    pub(super) fn may_tag_in(&self, project: &str) -> bool {
        match self {
            Self::Administrator | Self::TaggingRobot => true,
            Self::User(projects) => is_among(projects, project),
            _ => false,
        }
    }

    fn may_push_to(&self, project: &str) -> bool {
        match self {
            Self::Administrator | Self::SystemRobot | Self::ReadingRobot | Self::TaggingRobot => {
                true
            }
            Self::User(projects) | Self::OidcUser(projects) => is_among(projects, project),
            Self::ProjectRobot(own) => own == project,
            Self::CreatingRobot => false,
        }
    }
}

fn is_among(projects: &[String], name: &str) -> bool {
    projects.iter().any(|project| project == name)
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

/// Who a request comes from.
#[derive(Debug, Clone)]
pub(super) enum Login {
    Anonymous,
    Account { name: String, kind: Kind },
    Token(Token),
}

impl Login {
    /// Whether it may push to a repository, or pull from it.
    pub(super) fn may(&self, repository: &str, push: bool, state: &State) -> bool {
        let project = repository.split('/').next().unwrap_or_default();
        if let Self::Token(token) = self
            && !(token.names(repository) && state.knew(project, token))
        {
            return false;
        }
        let is_public = state.projects.get(project).is_some_and(|project| project.public);
        (is_public && !push) || self.account().is_some_and(|(_, kind)| kind.may_push_to(project))
    }

    /// Whether it may delete in a project, upload sessions too. A developer may not.
    pub(super) fn may_delete(&self, project: &str, state: &State) -> bool {
        let maker = state.projects.get(project).and_then(|project| project.maker.as_deref());
        self.account()
            .is_some_and(|(name, kind)| *kind == Kind::Administrator || maker == Some(name))
    }

    fn account(&self) -> Option<(&str, &Kind)> {
        match self {
            Self::Anonymous => None,
            Self::Account { name, kind } => Some((name, kind)),
            Self::Token(token) => token.account.as_ref().map(|(name, kind)| (name.as_str(), kind)),
        }
    }
}

/// What keeps somebody from logging in, although the password is right.
#[derive(Debug)]
pub(super) enum Lock {
    Until(Instant),
    /// For so many tries.
    Tries(usize),
}

impl State {
    /// Somebody has tried a wrong password for this user: right ones are refused for so long.
    /// Robots are not affected.
    pub fn lock_user(&mut self, name: &str, time: Duration) {
        self.locked.insert(name.to_owned(), Lock::Until(Instant::now() + time));
    }

    /// Somebody goes on trying wrong passwords for this user, during so many right ones.
    pub fn lock_user_for_tries(&mut self, name: &str, tries: usize) {
        self.locked.insert(name.to_owned(), Lock::Tries(tries));
    }

    fn is_locked(&mut self, name: &str) -> bool {
        match self.locked.get_mut(name) {
            Some(Lock::Until(time)) => *time > Instant::now(),
            Some(Lock::Tries(left)) => {
                let is_locked = *left > 0;
                *left = left.saturating_sub(1);
                is_locked
            }
            None => false,
        }
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
            let is_api = request.target.starts_with("/api/");
            return Ok(self
                .token_of(token)
                .filter(|_| !is_api)
                .map_or(Login::Anonymous, Login::Token));
        }
        let decoded =
            header.strip_prefix("Basic ").and_then(|text| BASE64_STANDARD.decode(text).ok());
        let text = String::from_utf8(decoded.unwrap_or_default()).unwrap_or_default();
        let Some((name, password)) = text.split_once(':') else { return Err(refused()) };
        if !name.starts_with("robot$") && self.is_locked(name) {
            return Err(refused());
        }
        match self.accounts.get(name) {
            Some(Account { kind: Kind::OidcUser(_), .. }) if !takes_secret(request) => {
                Ok(Login::Anonymous)
            }
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
}

/// Whether Harbor looks at the secret of an OIDC account: in its API for a few calls only.
fn takes_secret(request: &Request) -> bool {
    let path = request.target.split('?').next().unwrap_or_default().trim_end_matches('/');
    let Some(path) = path.strip_prefix("/api/v2.0/") else { return true };
    match request.method.as_str() {
        "POST" => path == "projects",
        "GET" => {
            matches!(path, "projects" | "systeminfo" | "labels")
                || path.ends_with("/repositories")
                || path.ends_with("/artifacts")
        }
        _ => false,
    }
}
