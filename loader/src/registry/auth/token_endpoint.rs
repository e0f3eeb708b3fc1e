//! Where tokens are had (Distribution's "Token Authentication Specification", and its "OAuth2" for
//! identity tokens).

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, LOCATION};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Deserializer, Value};
use url::Url;

use super::super::transport::{error_answer, gather, transport_error};
use super::super::{Credentials, RequestError, Target};

/// The service that Harbor gives tokens for: that is how it is known.
const HARBOR: &str = "harbor-registry";

/// What the token specification says a token lasts when the answer does not (s).
const DEFAULT_LIFETIME: f64 = 60.0;

/// No token is kept longer (s), whatever its answer says.
const LONGEST_LIFETIME: f64 = 24.0 * 3600.0;

/// No answer with a token is longer (bytes); one for twenty repositories has some thousands.
const LONGEST_ANSWER: u64 = 256 << 10;

/// So often one request is redirected at most.
const MAX_REDIRECTS: usize = 5;

/// A token endpoint, as a challenge names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TokenEndpoint {
    pub(super) realm: Url,
    pub(super) service: Option<String>,
}

/// A token that was just given.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) value: String,
    pub(super) lifetime: Duration,
    /// When, by the clock of who gave it.
    pub(super) date: Option<SystemTime>,
}

/// A token endpoint, on behalf of somebody.
#[derive(Debug, Clone, Copy)]
pub(super) struct Applicant<'a> {
    pub(super) http: &'a Client,
    /// Whose endpoint it is.
    pub(super) target: &'a Target,
    pub(super) credentials: Option<&'a Credentials>,
    /// The whole exchange takes no longer.
    pub(super) limit: Duration,
}

impl TokenEndpoint {
    /// Whether it is Harbor's.
    pub(super) fn is_of_harbor(&self) -> bool {
        self.service.as_deref() == Some(HARBOR)
    }

    /// Its address, for messages.
    pub(super) fn name(&self) -> String {
        shown(&self.realm)
    }

    /// What to set right where its address is wrong.
    pub(super) fn setting(&self) -> &'static str {
        match self.is_of_harbor() {
            true => "Harbor's external_url",
            false => "the realm in the registry's settings",
        }
    }

    /// Asks for a token for these scopes.
    pub(super) async fn ask(
        &self,
        applicant: Applicant<'_>,
        scopes: &[String],
    ) -> Result<Given, RequestError> {
        let limit = applicant.limit;
        let asked = tokio::time::timeout(limit, self.ask_patiently(applicant, scopes)).await;
        let stalled = || RequestError::Stalled { target: self.name(), seconds: limit.as_secs() };
        asked.unwrap_or_else(|_| Err(stalled()))
    }

    async fn ask_patiently(
        &self,
        applicant: Applicant<'_>,
        scopes: &[String],
    ) -> Result<Given, RequestError> {
        let mut parameters: Vec<_> = scopes.iter().map(|scope| ("scope", scope.as_str())).collect();
        parameters.extend(self.service.iter().map(|service| ("service", service.as_str())));
        let is_identity = matches!(applicant.credentials, Some(Credentials::IdentityToken(_)));
        let mut url = self.realm.clone();
        if !is_identity {
            url.query_pairs_mut().extend_pairs(&parameters);
        }
        for _ in 0..=MAX_REDIRECTS {
            let response = request(applicant, &url, &parameters).send().await;
            let response = response.map_err(|error| self.failure(applicant.target, error))?;
            let Some(location) = redirection(&response) else {
                return self.read(applicant, response).await;
            };
            let next = url.join(&location).ok();
            // A form is sent a second time only where that is what the answer means.
            let is_repeated = !is_identity || matches!(response.status().as_u16(), 307 | 308);
            match next.filter(|next| is_repeated && is_same_host(&url, next)) {
                Some(next) => url = next,
                None => {
                    let what = format!(
                        "its token endpoint {} redirects to {location}, where a password is not \
                         carried after it; set {} right",
                        self.name(),
                        self.setting()
                    );
                    return Err(RequestError::Login { target: applicant.target.to_string(), what });
                }
            }
        }
        let what = format!("its token endpoint {} redirects without end", self.name());
        Err(RequestError::Login { target: applicant.target.to_string(), what })
    }

    async fn read(
        &self,
        applicant: Applicant<'_>,
        mut response: Response,
    ) -> Result<Given, RequestError> {
        if !response.status().is_success() {
            let request = format!("token endpoint {}", self.name());
            let mut answer = error_answer(&request, response, applicant.limit).await;
            answer.anonymous = applicant.credentials.is_none();
            return Err(RequestError::Answer(Box::new(answer)));
        }
        let date = date(response.headers());
        let mut body = Vec::new();
        gather(&mut response, LONGEST_ANSWER, &mut body)
            .await
            .map_err(|error| self.failure(applicant.target, error))?;
        let token = token_in(&body).filter(|_| body.len() as u64 <= LONGEST_ANSWER);
        let (value, lifetime) = token.ok_or_else(|| RequestError::Login {
            target: applicant.target.to_string(),
            what: format!("its token endpoint {} answers with something else", self.name()),
        })?;
        Ok(Given { value, lifetime, date })
    }

    /// Sorts what went wrong below HTTP. Nobody there is perhaps a wrong address, not an outage.
    fn failure(&self, target: &Target, error: reqwest::Error) -> RequestError {
        match transport_error(&self.name(), error) {
            RequestError::Connect { target: name, source } if !target.is_at(&self.realm) => {
                let right = self.setting();
                let target = format!(
                    "{name}, where {target} sends for tokens; if that is not the right address, set \
                     {right} right"
                );
                RequestError::Connect { target, source }
            }
            other => other,
        }
    }
}

fn request(applicant: Applicant<'_>, url: &Url, parameters: &[(&str, &str)]) -> RequestBuilder {
    match applicant.credentials {
        Some(Credentials::IdentityToken(token)) => {
            let mut form = parameters.to_vec();
            form.push(("grant_type", "refresh_token"));
            form.push(("client_id", "tranship-loader"));
            form.push(("refresh_token", token));
            applicant.http.post(url.clone()).form(&form)
        }
        Some(Credentials::Password { username, password }) => {
            applicant.http.get(url.clone()).basic_auth(username, Some(password))
        }
        None => applicant.http.get(url.clone()),
    }
}

/// An address without what is of no use to a person, or secret.
fn shown(url: &Url) -> String {
    format!(
        "{}://{}{}",
        url.scheme(),
        &url[url::Position::BeforeHost..url::Position::AfterPort],
        url.path()
    )
}

/// Where an answer sends us.
fn redirection(response: &Response) -> Option<String> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    response.status().is_redirection().then(|| location.to_owned())
}

/// Whether whoever is trusted with a password at one address is so at the other.
fn is_same_host(from: &Url, to: &Url) -> bool {
    let is_encrypted_now = (from.scheme(), to.scheme()) == ("http", "https");
    let is_same_door =
        from.scheme() == to.scheme() && from.port_or_known_default() == to.port_or_known_default();
    from.host() == to.host() && (is_same_door || is_encrypted_now)
}

/// When an answer was given, by the clock of who gave it.
pub(super) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}

/// The token in an answer, and how long it lasts. It may stand under either name, and the number
/// may be anything: other clients read such answers too.
fn token_in(body: &[u8]) -> Option<(String, Duration)> {
    let answer = Deserializer::from_slice(body).into_iter::<Value>().next()?.ok()?;
    let answer = answer.as_object()?;
    let field = |name: &str| {
        answer.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let is_token =
        |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    // Harbor leaves `access_token` empty, others leave `token` out.
    let mut values = ["token", "access_token"].into_iter().filter_map(|name| field(name)?.as_str());
    let token = values.find(is_token)?;
    let seconds = match field("expires_in") {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    let seconds = seconds.filter(|seconds| *seconds >= 1.0).unwrap_or(DEFAULT_LIFETIME);
    Some((token.to_owned(), Duration::from_secs_f64(seconds.min(LONGEST_LIFETIME))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_with_a_token() {
        let read = |body: &str| {
            token_in(body.as_bytes()).map(|(token, lifetime)| (token, lifetime.as_secs()))
        };
        for (body, want) in [
            (r#"{"token":"a","expires_in":300}"#, Some(("a", 300))),
            (
                r#"{"token":"a","access_token":"","expires_in":1800,"issued_at":"x"}"#,
                Some(("a", 1800)),
            ),
            (r#"{"access_token":"b"}"#, Some(("b", 60))),
            (r#"{"token":"","access_token":"b"}"#, Some(("b", 60))),
            (r#"{"token":null,"access_token":"b","expires_in":null}"#, Some(("b", 60))),
            (r#"{"Token":"a","Expires_In":"300"}"#, Some(("a", 300))),
            (r#"{"token":"a","expires_in":-1}"#, Some(("a", 60))),
            (r#"{"token":"a","expires_in":0}"#, Some(("a", 60))),
            (r#"{"token":"a","expires_in":90.5}"#, Some(("a", 90))),
            (r#"{"token":"a","expires_in":"soon"}"#, Some(("a", 60))),
            (r#"{"token":"a","expires_in":"NaN"}"#, Some(("a", 60))),
            (r#"{"token":"a","expires_in":[]}"#, Some(("a", 60))),
            (r#"{"token":"a","expires_in":18446744073709551615}"#, Some(("a", 86400))),
            ("{\"token\":\"a\"}\n{}", Some(("a", 60))),
            (r#"{"token":"a\nHost: elsewhere"}"#, None),
            (r#"{"token":7}"#, None),
            (r#"{"token":""}"#, None),
            ("{}", None),
            (r#"["token"]"#, None),
            ("<html>", None),
            ("", None),
        ] {
            let want = want.map(|(token, seconds)| (token.to_owned(), seconds));
            assert_eq!(read(body), want, "{body}");
        }
    }

    #[test]
    fn redirects_that_are_followed() {
        let is_followed = |from: &str, to: &str| {
            let from = Url::parse(from).unwrap();
            is_same_host(&from, &from.join(to).unwrap())
        };
        assert!(is_followed("https://h/token?x=y", "/other?x=y"));
        assert!(is_followed("https://h/token", "https://h:443/token/"));
        assert!(is_followed("http://h/token", "https://h/token"));
        assert!(is_followed("http://h:5000/token", "https://h:5443/token"));
        assert!(!is_followed("https://h/token", "http://h/token"));
        assert!(!is_followed("https://h/token", "https://elsewhere/token"));
        assert!(!is_followed("https://h/token", "https://h:8443/token"));
        assert!(!is_followed("https://h/token", "ftp://h/token"));
    }

    #[test]
    fn an_address_without_secrets() {
        let realm = Url::parse("https://user:secret@h:8443/jwt/auth?key=secret#secret").unwrap();
        let endpoint = TokenEndpoint { realm, service: None };
        assert_eq!(endpoint.name(), "https://h:8443/jwt/auth");
    }
}
