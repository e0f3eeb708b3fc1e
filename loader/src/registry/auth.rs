//! Authentication as registries ask for it: Basic, or Bearer tokens of a token endpoint
//! (Distribution's "Token Authentication Specification").

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use reqwest::header::{DATE, HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use tokio::sync::Mutex;
use tranship_common::Repository;
use url::Url;

use super::endpoints::{answer, transport_error};
use super::{Credentials, RequestError, Target};

/// What the token specification says a token lasts when the answer does not.
const DEFAULT_LIFETIME: u64 = 60;

/// No token is kept longer (s), whatever its answer says.
const LONGEST_LIFETIME: u64 = 24 * 3600;

/// A token endpoint does no work that takes longer.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(60);

/// Clocks that are further apart make one machine refuse the tokens of another.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);

/// The repositories that a request concerns. A token is for these and no more: Harbor's become too
/// long for a header when they name many.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Scope {
    /// Pushed to, and pulled from.
    pub(super) push: Option<Repository>,
    /// Mounted from.
    pub(super) pull: Option<Repository>,
}

impl Scope {
    fn parameters(&self) -> impl Iterator<Item = (&'static str, String)> {
        let push = self.push.iter().map(|name| format!("repository:{name}:pull,push"));
        let pull = self.pull.iter().map(|name| format!("repository:{name}:pull"));
        push.chain(pull).map(|scope| ("scope", scope))
    }
}

/// How the target wants to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scheme {
    None,
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

/// What a request had with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    Password,
    Token(String),
}

struct Token {
    value: String,
    renew_at: Instant,
    given_at: Instant,
    /// The same moment by the clock of the token endpoint.
    given_there: Option<SystemTime>,
}

pub(super) struct Auth {
    credentials: Option<Credentials>,
    scheme: Mutex<Scheme>,
    tokens: Mutex<HashMap<Scope, Token>>,
    /// How long Harbor locks a user name after a wrong password of anybody's; with it, a refused
    /// password is shown once more.
    lock: OnceLock<Duration>,
    /// Seconds between the clocks of the registry and the token endpoint, if that is too much.
    clock_difference: AtomicU64,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    expires_in: Option<u64>,
}

impl Auth {
    pub(super) fn new(credentials: Option<Credentials>) -> Self {
        let (scheme, tokens) = (Mutex::new(Scheme::None), Mutex::default());
        let (lock, clock_difference) = (OnceLock::new(), AtomicU64::new(0));
        Self { credentials, scheme, tokens, lock, clock_difference }
    }

    /// By how many seconds the clocks of the registry and the token endpoint differ, as far as that
    /// was a reason to refuse a token; else 0.
    pub(super) fn clock_difference(&self) -> u64 {
        self.clock_difference.load(Ordering::Relaxed)
    }

    /// The service that the target wants tokens for, once it has asked for one.
    pub(super) async fn service(&self) -> Option<String> {
        match &*self.scheme.lock().await {
            Scheme::Bearer { service, .. } => service.clone(),
            Scheme::None | Scheme::Basic => None,
        }
    }

    /// From now on the password goes with each request, where there is one. Harbor takes that
    /// everywhere at the same cost, and it neither expires nor lags behind rights that change.
    pub(super) async fn prefer_password(&self, lock: Duration) {
        if let Some(Credentials::Password { .. }) = self.credentials {
            *self.scheme.lock().await = Scheme::Basic;
            let _ = self.lock.set(lock);
        }
    }

    /// Whether there is anything to log in with.
    pub(super) fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// The account that is used, for messages.
    pub(super) fn account(&self) -> String {
        self.credentials.as_ref().map_or_else(|| "anonymous".into(), Credentials::name)
    }

    /// Adds what the target has asked for so far, and tells what that is.
    pub(super) async fn authorize(
        &self,
        http: &Client,
        request: RequestBuilder,
        scope: &Scope,
    ) -> Result<(RequestBuilder, Shown), RequestError> {
        let scheme = self.scheme.lock().await.clone();
        Ok(match (scheme, &self.credentials) {
            (Scheme::Bearer { realm, service }, _) => {
                let token = self.token(http, &realm, service.as_deref(), scope).await?;
                (request.bearer_auth(&token), Shown::Token(token))
            }
            (Scheme::Basic, Some(Credentials::Password { username, password })) => {
                (request.basic_auth(username, Some(password)), Shown::Password)
            }
            _ => (request, Shown::Nothing),
        })
    }

    /// Takes notice of a 401 to a request of this scope, and tells whether it is worth sending
    /// again: the target asks for what was not shown, or the token was perhaps too old.
    pub(super) async fn refused(
        &self,
        target: &Target,
        headers: &HeaderMap,
        scope: &Scope,
        shown: &Shown,
    ) -> bool {
        if let Shown::Token(refused) = shown {
            let mut tokens = self.tokens.lock().await;
            // Another request may have renewed it already.
            if tokens.get(scope).is_some_and(|token| token.value == *refused) {
                tokens.remove(scope);
            }
            return true;
        }
        if let (Shown::Password, Some(lock)) = (shown, self.lock.get()) {
            tokio::time::sleep(*lock).await;
            return true;
        }
        let Some(asked) = challenge(target, headers) else { return false };
        let has_password = matches!(self.credentials, Some(Credentials::Password { .. }));
        if asked == Scheme::Basic && (!has_password || *shown == Shown::Password) {
            return false;
        }
        *self.scheme.lock().await = asked;
        true
    }

    /// Finds out whether a token that was just given is refused since two clocks differ.
    pub(super) async fn compare_clocks(&self, refusal: &HeaderMap, scope: &Scope, shown: &Shown) {
        let tokens = self.tokens.lock().await;
        let token = tokens.get(scope).filter(|token| *shown == Shown::Token(token.value.clone()));
        let Some(token) = token else { return };
        let Some((given, refused)) = token.given_there.zip(date(refusal)) else { return };
        let expected = given + token.given_at.elapsed();
        let difference =
            refused.duration_since(expected).unwrap_or_else(|behind| behind.duration());
        let too_much = if difference > CLOCK_TOLERANCE { difference.as_secs() } else { 0 };
        self.clock_difference.store(too_much, Ordering::Relaxed);
    }

    /// A token for this scope: the one at hand, or a new one before the old one expires.
    async fn token(
        &self,
        http: &Client,
        realm: &Url,
        service: Option<&str>,
        scope: &Scope,
    ) -> Result<String, RequestError> {
        // Held while asking, so that many requests that need one token ask for it once.
        let mut tokens = self.tokens.lock().await;
        let now = Instant::now();
        tokens.retain(|_, token| token.renew_at > now);
        if let Some(token) = tokens.get(scope) {
            return Ok(token.value.clone());
        }
        let (asked, given_there) = self.ask(http, realm, service, scope).await?;
        let seconds = asked.expires_in.unwrap_or(DEFAULT_LIFETIME).min(LONGEST_LIFETIME);
        let lifetime = Duration::from_secs(seconds);
        // Harbor leaves `access_token` empty, others leave `token` out.
        let value = if asked.token.is_empty() { asked.access_token } else { asked.token };
        // Our own clock: the target's may differ. A quarter is left for requests under way.
        let renew_at = now + lifetime * 3 / 4;
        let token = Token { value: value.clone(), renew_at, given_at: Instant::now(), given_there };
        tokens.insert(scope.clone(), token);
        Ok(value)
    }

    async fn ask(
        &self,
        http: &Client,
        realm: &Url,
        service: Option<&str>,
        scope: &Scope,
    ) -> Result<(TokenAnswer, Option<SystemTime>), RequestError> {
        let mut parameters: Vec<_> = scope.parameters().collect();
        parameters.extend(service.map(|service| ("service", service.to_owned())));
        let request = match &self.credentials {
            Some(Credentials::IdentityToken(token)) => {
                parameters.push(("grant_type", "refresh_token".into()));
                parameters.push(("client_id", "tranship-loader".into()));
                parameters.push(("refresh_token", token.clone()));
                http.post(realm.clone()).form(&parameters)
            }
            credentials => {
                let mut url = realm.clone();
                url.query_pairs_mut().extend_pairs(parameters);
                match credentials {
                    Some(Credentials::Password { username, password }) => {
                        http.get(url).basic_auth(username, Some(password))
                    }
                    _ => http.get(url),
                }
            }
        };
        let name = format!("token endpoint {}", realm.path());
        let host = realm.host_str().unwrap_or_default();
        let response = request.timeout(TOKEN_TIMEOUT).send().await;
        let response = response.map_err(|error| transport_error(host, error))?;
        if response.status() == StatusCode::UNAUTHORIZED && self.has_credentials() {
            let (target, account) = (host.to_owned(), self.account());
            return Err(RequestError::Credentials { target, account });
        }
        if !response.status().is_success() {
            return Err(RequestError::Answer(Box::new(
                answer(&name, response, TOKEN_TIMEOUT).await,
            )));
        }
        let given_there = date(response.headers());
        let body = response.bytes().await.map_err(|error| transport_error(host, error))?;
        let token = serde_json::from_slice(&body).map_err(|_| RequestError::Protocol {
            target: host.to_owned(),
            what: "a request for a token with something else".into(),
        })?;
        Ok((token, given_there))
    }
}

/// When an answer was given, by the clock of who gave it.
fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}

/// The scheme that a 401 asks for. A token endpoint that would carry the password over plain HTTP
/// although the registry itself is encrypted is not accepted.
fn challenge(target: &Target, headers: &HeaderMap) -> Option<Scheme> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    values
        .filter_map(|value| {
            let (scheme, parameters) = value.split_once(' ').unwrap_or((value, ""));
            match scheme.to_ascii_lowercase().as_str() {
                "basic" => Some(Scheme::Basic),
                "bearer" => {
                    let realm = Url::parse(&parameter(parameters, "realm")?).ok()?;
                    let safe = realm.scheme() == "https" || !target.is_https();
                    let service = parameter(parameters, "service");
                    safe.then_some(Scheme::Bearer { realm, service })
                }
                _ => None,
            }
        })
        .next()
}

/// The value of `name="value"` in a challenge.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    let mut rest = parameters;
    while let Some((key, after)) = rest.split_once("=\"") {
        let (value, next) = after.split_once('"')?;
        if key.trim_start_matches([',', ' ']).eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str, to: &str) -> Option<Scheme> {
        let mut headers = HeaderMap::new();
        headers.insert(WWW_AUTHENTICATE, value.parse().unwrap());
        challenge(&Target::parse(to, true).unwrap(), &headers)
    }

    #[test]
    fn challenges() {
        let realm = Url::parse("https://h/service/token").unwrap();
        let bearer = r#"Bearer realm="https://h/service/token",service="harbor-registry",scope="repository:a/b:pull,push repository:c:pull""#;
        let service = Some("harbor-registry".to_owned());
        assert_eq!(asked(bearer, "https://h"), Some(Scheme::Bearer { realm, service }));
        assert_eq!(asked(r#"Basic realm="harbor""#, "https://h"), Some(Scheme::Basic));
        assert_eq!(asked("basic", "https://h"), Some(Scheme::Basic));
        assert_eq!(asked("", "https://h"), None);
        assert_eq!(asked("Bearer service=\"x\"", "https://h"), None);
        assert_eq!(asked("Bearer realm=\"unended", "https://h"), None);
    }

    #[test]
    fn a_password_does_not_leave_an_encrypted_registry_in_the_clear() {
        let bearer = r#"Bearer realm="http://h/token""#;
        assert_eq!(asked(bearer, "https://h"), None);
        assert!(asked(bearer, "http://h").is_some());
    }

    #[test]
    fn parameters_of_a_scope() {
        let scope = Scope { push: "a/b".parse().ok(), pull: "c".parse().ok() };
        let texts: Vec<_> = scope.parameters().map(|(_, text)| text).collect();
        assert_eq!(texts, ["repository:a/b:pull,push", "repository:c:pull"]);
    }
}
