//! What can go wrong with a request, as far as a caller can act on it.

use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use serde::Deserialize;
use tranship_common::Digest;

/// No more of an error answer is read (bytes).
pub(super) const MAX_ERROR_BODY: usize = 64 << 10;

/// No more errors of one answer are kept,
const MAX_ERRORS: usize = 8;

/// nor more characters of a code or a message.
const MAX_WORDS: usize = 300;

/// Why a request did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// No connection: nothing was sent. Retried.
    #[error("cannot connect to {target}")]
    Connect {
        target: String,
        #[source]
        source: Cause,
    },
    /// The connection is not trusted. Not retried.
    #[error("the certificate of {target} is not accepted; {advice}")]
    Certificate {
        target: String,
        advice: &'static str,
        #[source]
        source: Cause,
    },
    /// Whoever answers does not speak TLS. Not retried.
    #[error(
        "{target} does not answer with TLS; if it is to be plain HTTP, say http:// and --plain-http"
    )]
    NotTls { target: String },
    /// The two sides have no way in common to secure a connection. Not retried.
    #[error("no secure connection to {target} can be agreed on: {why}")]
    Handshake {
        target: String,
        why: &'static str,
        #[source]
        source: Cause,
    },
    /// The account or its password is wrong. Not retried.
    #[error("{target} refuses the user name or password of {account}{hint}")]
    Credentials { target: String, account: String, hint: &'static str },
    /// What the registry asks for cannot, or must not, be shown to it. Not retried.
    #[error("cannot log in to {target}: {what}")]
    Login { target: String, what: String },
    /// The connection broke while the request was under way. Retried.
    #[error("the connection to {target} broke off")]
    Interrupted {
        target: String,
        #[source]
        source: Cause,
    },
    /// Nothing moved for too long. Retried.
    #[error("{target} has not answered for {seconds} s")]
    Stalled { target: String, seconds: u64 },
    /// An answer other than the one asked for. Retried if it can pass.
    #[error("{0}")]
    Answer(Box<Answer>),
    /// An answer that the specification does not allow. Not retried.
    #[error(
        "{target} answers {what}: this is not a registry as the OCI distribution specification has it"
    )]
    Protocol { target: String, what: String },
    /// An answer longer than anything of its kind. Not retried.
    #[error("{target} answers GET {path} with more than any registry has to say")]
    TooMuch { target: String, path: String },
    /// Our own bytes are damaged or cannot be read. Not retried.
    #[error("{0}")]
    Content(#[source] std::sync::Arc<std::io::Error>),
}

/// What is at the bottom of a failed connection: libraries wrap it in words of their own.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Cause(String);

impl From<reqwest::Error> for Cause {
    fn from(error: reqwest::Error) -> Self {
        let mut last: &dyn std::error::Error = &error;
        while let Some(cause) = last.source() {
            last = cause;
        }
        Self(last.to_string())
    }
}

/// An error answer of the registry.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Method and path of the request.
    pub(crate) request: String,
    pub(crate) status: StatusCode,
    /// Codes and messages of the registry's error envelope, or the beginning of another body.
    pub(crate) errors: Vec<(String, String)>,
    /// The registry has no room for anything.
    pub(crate) is_disk_full: bool,
    /// When to try again, if the registry says so.
    pub(crate) retry_after: Option<Duration>,
    /// Where a redirect leads.
    pub(crate) location: Option<String>,
    /// By so many seconds the registry's clock and that of its token service differ, if that is
    /// enough to make it refuse tokens; else 0.
    pub(crate) clock_difference: u64,
    /// Nobody was logged in.
    pub(crate) anonymous: bool,
}

/// The error envelope (OCI distribution specification, "Error Codes").
#[derive(Deserialize)]
struct Envelope {
    errors: Vec<EnvelopeError>,
}

#[derive(Deserialize)]
struct EnvelopeError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    detail: serde_json::Value,
}

impl RequestError {
    /// The registry's answer, if there was one.
    pub(crate) fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Answer(answer) => Some(answer),
            _ => None,
        }
    }

    /// What went wrong and why, in one line.
    pub(crate) fn in_words(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let words = error.to_string();
            if !text.contains(&words) {
                text += &format!(": {words}");
            }
            cause = error.source();
        }
        text
    }
}

impl Answer {
    /// Reads codes and messages out of an error body of any form.
    pub(super) fn read_errors(body: &[u8]) -> Vec<(String, String)> {
        if let Ok(envelope) = serde_json::from_slice::<Envelope>(body) {
            let words = |error: EnvelopeError| {
                let detail = match &error.detail {
                    serde_json::Value::String(text) => format!(" ({text})"),
                    serde_json::Value::Object(fields) if !fields.is_empty() => {
                        format!(" ({})", error.detail)
                    }
                    _ => String::new(),
                };
                (shortened(&error.code), shortened(&(error.message + &detail)))
            };
            let mut errors: Vec<_> =
                envelope.errors.into_iter().take(MAX_ERRORS).map(words).collect();
            // Distribution fills up with errors that it has no words for.
            if errors.iter().any(|(code, _)| code != "UNKNOWN") {
                errors.retain(|(code, _)| code != "UNKNOWN");
            }
            return errors;
        }
        let text = String::from_utf8_lossy(body);
        // Proxies answer with pages; their title says what there is to say.
        let title = text.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
        let words = title.map_or(text.trim(), |(title, _)| title.trim());
        let short = shortened(words);
        if short.is_empty() { Vec::new() } else { vec![(String::new(), short)] }
    }

    /// Whether an answer says that the disk is full, in whole or in the words of Distribution, which
    /// gives the number of the system's error (28 is ENOSPC, 122 EDQUOT).
    pub(super) fn tells_of_full_disk(status: StatusCode, body: &[u8]) -> bool {
        let text = String::from_utf8_lossy(body);
        let words = [
            "no space left on device",
            "disk quota exceeded",
            r#""Err":28}"#,
            r#""Err":28,"#,
            r#""Err":122}"#,
            r#""Err":122,"#,
        ];
        let is_told = || words.iter().any(|words| text.contains(words));
        status == StatusCode::INSUFFICIENT_STORAGE || status.is_server_error() && is_told()
    }

    /// `Retry-After`: seconds, or a date.
    pub(super) fn read_retry_after(text: &str) -> Option<Duration> {
        let until = || httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).ok();
        text.parse().ok().map(Duration::from_secs).or_else(until)
    }

    /// Whether one of the errors has this code.
    pub(crate) fn has_code(&self, code: &str) -> bool {
        self.errors.iter().any(|(have, _)| have == code)
    }

    /// Whether one of the errors says this.
    pub(crate) fn says(&self, words: &str) -> bool {
        self.errors.iter().any(|(_, message)| message.contains(words))
    }

    /// The digests that the errors of this code name.
    pub(crate) fn digests(&self, code: &str) -> Vec<Digest> {
        let messages = self.errors.iter().filter(|(have, _)| have == code);
        let digest = |at: (usize, &str), message: &str| message.get(at.0..at.0 + 71)?.parse().ok();
        messages
            .flat_map(|(_, message)| {
                message.match_indices("sha256:").filter_map(|at| digest(at, message))
            })
            .collect()
    }

    /// Whether the content of a manifest is what the registry objects to.
    pub(crate) fn is_about_manifest(&self) -> bool {
        self.has_code("MANIFEST_BLOB_UNKNOWN") || self.has_code("MANIFEST_INVALID")
    }

    /// Whether the registry has failed for a reason that it has no words for. To Distribution a kind
    /// of manifest that it is told not to take is one; what passes is another as a rule.
    pub(crate) fn has_no_words(&self) -> bool {
        let [(code, message)] = &self.errors[..] else { return false };
        self.status.is_server_error() && code == "UNKNOWN" && message == "unknown error"
    }

    /// What a person can do about it, where that is known.
    fn hint(&self) -> &'static str {
        match self.status {
            _ if self.is_disk_full => {
                "; the registry's disk is full: make room there, then run the same command again"
            }
            status if status.is_server_error() && self.is_about_manifest() => {
                "; if the image has foreign layers, allow their addresses in the registry's \
                 configuration (validation.manifests.urls.allow)"
            }
            StatusCode::PAYLOAD_TOO_LARGE => {
                "; a proxy in front of the registry limits the size of a request (nginx: set \
                 client_max_body_size to 0)"
            }
            StatusCode::UNAUTHORIZED if self.anonymous => {
                "; give credentials with --username and --password-stdin"
            }
            StatusCode::UNAUTHORIZED if self.errors.is_empty() => {
                "; the account lacks the right, or what is asked for does not exist"
            }
            _ => "",
        }
    }
}

/// The beginning of a text that somebody else has written.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_WORDS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.request, self.status)?;
        for (code, message) in &self.errors {
            match code.as_str() {
                "" => write!(f, ": {message}")?,
                code => write!(f, ": {code}: {message}")?,
            }
        }
        if let Some(location) = &self.location {
            write!(f, ": redirects to {location}; give that address with --to")?;
        }
        if self.status == StatusCode::UNAUTHORIZED && self.clock_difference > 0 {
            let seconds = self.clock_difference;
            return write!(
                f,
                "; the clocks of the registry and of its token service are {seconds} s apart, so \
                 that tokens are refused: set them right"
            );
        }
        f.write_str(self.hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_bodies_in_words() {
        let read = |body: &str| Answer::read_errors(body.as_bytes());
        let pair = |code: &str, message: &str| vec![(code.to_owned(), message.to_owned())];
        assert_eq!(
            read(r#"{"errors":[{"code":"DENIED","message":"no","detail":{"a":1}}]}"#),
            pair("DENIED", r#"no ({"a":1})"#)
        );
        assert_eq!(read(r#"{"errors":[{"code":"X"}]}"#), pair("X", ""));
        assert_eq!(
            read(r#"{"errors":[{"code":"UNKNOWN","message":"u"},{"code":"X","message":"x"}]}"#),
            pair("X", "x")
        );
        assert_eq!(
            read("<html><head><title>502 Bad Gateway</title></head></html>"),
            pair("", "502 Bad Gateway")
        );
        assert_eq!(read("404 page not found\n"), pair("", "404 page not found"));
        assert_eq!(read(""), Vec::new());
    }
}
