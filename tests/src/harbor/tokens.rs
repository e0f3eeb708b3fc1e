//! The token endpoint, the challenges that lead to it, and what tokens are good for.

use std::time::Instant;

use serde_json::json;

use super::State;
use super::accounts::{Kind, Login};
use super::images::Subject;
use crate::front::{Request, Verdict};

/// A token grows by so much for each repository that it names (bytes).
const TOKEN_SCOPE: usize = 100;

/// A token that was given out; its rights are those of the moment.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) account: Option<(String, Kind)>,
    repositories: Vec<String>,
    issued: Instant,
    expires: Instant,
}

impl Token {
    /// Whether it was asked for with this repository.
    pub(super) fn names(&self, repository: &str) -> bool {
        self.repositories.iter().any(|named| named == repository)
    }
}

impl State {
    /// All tokens that were given out are too old.
    pub fn expire_tokens(&mut self) {
        self.tokens.clear();
    }

    pub(super) fn token_of(&self, value: &str) -> Option<Token> {
        self.tokens.get(value).filter(|token| token.expires > Instant::now()).cloned()
    }

    /// Whether a token may be about a project: from version 2.15 on it may not be older.
    pub(super) fn knew(&self, project: &str, token: &Token) -> bool {
        let made = self.projects.get(project).and_then(|project| project.made);
        self.minor_version() < 15
            || made.is_none_or(|made| token.issued + self.token_leeway >= made)
    }

    /// Asks for credentials. Once something was refused, always for Basic.
    pub(super) fn challenge(&self, request: &Request, subject: Option<&Subject<'_>>) -> Verdict {
        let asked = match (request.header("authorization"), subject) {
            (Some(_), _) => "Basic realm=\"harbor\"".to_owned(),
            (None, subject) => {
                let scope = subject.map_or(String::new(), |subject| {
                    let from = request
                        .parameter("from")
                        .map_or(String::new(), |from| format!(" repository:{from}:pull"));
                    format!(",scope=\"repository:{}:pull,push{from}\"", subject.repository)
                });
                let realm = self.realm(request);
                let service = &self.service;
                format!("Bearer realm=\"{realm}/service/token\",service=\"{service}\"{scope}")
            }
        };
        Verdict::error(401, "UNAUTHORIZED", "unauthorized: unauthorized")
            .with_header("www-authenticate", &asked)
            .with_header("docker-distribution-api-version", "registry/2.0")
    }

    /// Harbor names its own address, and not the one that is in use.
    fn realm(&self, request: &Request) -> String {
        match request.header("host") {
            Some(host) if !self.realm_is_external => {
                let scheme = self.external_url.split("://").next().unwrap_or("http");
                format!("{scheme}://{host}")
            }
            _ => self.external_url.clone(),
        }
    }

    /// The token endpoint: a wrong password is told only where nothing is asked for.
    pub(super) fn token(&mut self, request: &Request) -> Verdict {
        if request.method != "GET" {
            return Verdict::text(405, "text/plain", "Method Not Allowed".into());
        }
        let service = request.parameter("service").unwrap_or_default();
        if service != self.service {
            let words = format!("Unable to handle service: {service}");
            return Verdict::text(400, "text/plain", words);
        }
        let parameters = request.parameters();
        let scopes: Vec<&str> = parameters
            .iter()
            .filter(|(name, _)| name == "scope")
            .flat_map(|(_, value)| value.split(' '))
            .collect();
        let account = match self.login(request) {
            Ok(Login::Account { name, kind }) => Some((name, kind)),
            Err(refusal) if scopes.is_empty() => return refusal,
            _ if scopes.is_empty() => return Verdict::status(401),
            _ => None,
        };
        // A project that does not exist yet gives no rights, not later either.
        let exists = |name: &&str| {
            name.split('/').next().is_some_and(|project| self.projects.contains_key(project))
        };
        let named = scopes.iter().filter_map(|scope| scope.strip_prefix("repository:"));
        let repositories = named.filter_map(|scope| scope.split(':').next()).filter(exists);
        let repositories: Vec<String> = repositories.map(str::to_owned).collect();
        let value = format!("{:0<1$}", request.number, 300 + TOKEN_SCOPE * repositories.len());
        let issued = Instant::now();
        let expires = issued + self.token_lifetime;
        self.tokens.insert(value.clone(), Token { account, repositories, issued, expires });
        let seconds = self.token_lifetime.as_secs();
        Verdict::json(200, &json!({"token": value, "access_token": "", "expires_in": seconds}))
    }
}
