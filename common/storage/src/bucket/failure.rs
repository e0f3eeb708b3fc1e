//! Why a request came to nothing, and what to do about it.

use std::error::Error;
use std::io;
use std::time::Duration;

use object_store::client::{HttpError, HttpErrorKind};

use crate::problem::Problem;

/// Of a server's own words so many characters are repeated.
const MAX_WORDS: usize = 300;

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The server does not want it.
    #[error("the server answers {status}{}{}", separate(" ", code), separate(": ", message))]
    Refused {
        /// As 403.
        status: u16,
        /// Its name for the error, as `AccessDenied`; empty when it gives none.
        code: String,
        /// Its words.
        message: String,
        /// The region that it says the bucket is in.
        region: Option<String>,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// There is no connection to it.
    #[error("{host} cannot be reached: {why}")]
    Unreachable {
        /// The server, with its port.
        host: String,
        /// What hinders.
        why: String,
    },
    /// Whoever answers cannot prove that it is the server.
    #[error("{host} is not trusted: {why}")]
    Untrusted {
        /// The server, with its port.
        host: String,
        /// What is wrong with its certificate.
        why: String,
    },
    /// The service of a machine in a cloud that hands out credentials is not there.
    #[error(
        "no credentials were given, and this machine has none of its own; give them by environment \
         variables: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (the files in ~/.aws are not read, \
         `aws configure export-credentials --format env` prints what is in them); or \
         GOOGLE_APPLICATION_CREDENTIALS; or AZURE_STORAGE_ACCOUNT_NAME and \
         AZURE_STORAGE_ACCOUNT_KEY"
    )]
    NoCredentials,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Cut(String),
    /// The answer is larger than any that makes sense.
    #[error("the server answers with more than {0} bytes")]
    TooLarge(usize),
    /// The request cannot be made.
    #[error("the request cannot be made: {0}")]
    Impossible(String),
}

impl Failure {
    /// A refusal, from the body of the answer.
    pub(super) fn refused(
        status: u16,
        body: &str,
        region: Option<String>,
        retry_after: Option<Duration>,
    ) -> Self {
        let element = |name: &str| {
            let (_, rest) = body.split_once(&format!("<{name}>"))?;
            let (text, _) = rest.split_once(&format!("</{name}>"))?;
            Some(text.chars().take(MAX_WORDS).collect::<String>())
        };
        Self::Refused {
            status,
            code: element("Code").unwrap_or_default(),
            message: element("Message").unwrap_or_default(),
            region: region.or_else(|| element("Region")),
            retry_after,
        }
    }

    /// Whether the server only wants fewer requests.
    pub(super) fn is_throttling(&self) -> bool {
        matches!(self, Self::Refused { status: 429, .. })
            || matches!(self, Self::Refused { status: 503, code, retry_after, .. }
                if retry_after.is_some()
                    || matches!(code.as_str(), "SlowDown" | "ServerBusy" | "Throttling"))
    }

    /// Whether the same request may succeed later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status >= 500 || matches!(status, 408 | 429),
            Self::Unreachable { .. } | Self::Cut(_) => true,
            Self::Untrusted { .. }
            | Self::NoCredentials
            | Self::TooLarge(_)
            | Self::Impossible(_) => false,
        }
    }

    /// What happened, and what to do about it.
    pub(super) fn advised(&self) -> String {
        match self.advice() {
            Some(advice) => format!("{self}; {advice}"),
            None => self.to_string(),
        }
    }

    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Refused { region: Some(region), .. } if self.is_elsewhere() => {
                return Some(format!("the bucket is in another region: set AWS_REGION={region}"));
            }
            Self::Refused { .. } if self.is_elsewhere() => {
                "the bucket is in another region, or at another endpoint: look at AWS_REGION and \
                 AWS_ENDPOINT_URL"
            }
            Self::Refused { code, .. } if code == "RequestTimeTooSkewed" => {
                "the clock of this machine is wrong: set it"
            }
            Self::Refused { code, .. } if code.contains("ExpiredToken") => {
                "the credentials are no longer valid: get new ones"
            }
            Self::Refused { code, .. }
                if matches!(code.as_str(), "InvalidAccessKeyId" | "SignatureDoesNotMatch") =>
            {
                "the credentials are wrong: look at AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            }
            Self::Refused { status: 401 | 403, .. } => {
                "access is denied: whom the credentials belong to needs the right to list the \
                 bucket (s3:ListBucket) and to read what is in it (s3:GetObject)"
            }
            Self::Refused { status: 404, .. } => {
                "there is no such bucket: look at its name and at the endpoint"
            }
            _ if self.is_throttling() => {
                "it still asked for fewer requests after many waits: try again later"
            }
            Self::Refused { status: 500.., .. } | Self::Cut(_) => {
                "it was tried several times: try again later"
            }
            Self::Untrusted { .. } => {
                "give the authority that has signed its certificate, a file of PEM, in AWS_CA_BUNDLE"
            }
            Self::Unreachable { .. } => "look at the endpoint (AWS_ENDPOINT_URL) and the network",
            _ => return None,
        };
        Some(advice.to_owned())
    }

    fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Refused { status, code, region, .. }
            if matches!(status, 300..=399)
                || code == "AuthorizationHeaderMalformed"
                || (*status == 400 && region.is_some()))
    }
}

impl From<Failure> for HttpError {
    fn from(failure: Failure) -> Self {
        // What object_store would try again has been tried already.
        Self::new(HttpErrorKind::Unknown, failure)
    }
}

fn separate(separator: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{separator}{text}") }
}

/// An error with what has led to it.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text += &format!(": {words}");
        }
        cause = error.source();
    }
    text
}

/// What an error of the store means, and what to do.
pub(super) fn explained(error: &object_store::Error) -> String {
    match behind(error) {
        Some(failure) => failure.advised(),
        None => error.to_string(),
    }
}

/// The same of an object.
pub(super) fn problem(error: &object_store::Error) -> Problem {
    match error {
        object_store::Error::NotFound { .. } => Problem::Missing,
        other => io::Error::other(explained(other)).into(),
    }
}

/// Whether the others may still be read.
pub(super) fn is_of_one_object(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
        || behind(error).is_some_and(|failure| {
            matches!(failure, Failure::Refused { status: 400..500, .. }) && !failure.may_pass()
        })
}

/// The failure that has led to an error.
fn behind(error: &object_store::Error) -> Option<&Failure> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(failure) = error.downcast_ref() {
            return Some(failure);
        }
        cause = error.source();
    }
    None
}
