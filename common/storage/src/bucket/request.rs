//! A request of `object_store`, in the form in which it can be sent several times.

use std::error::Error;
use std::io;

use bytes::Bytes;
use object_store::client::HttpRequest;
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};

use super::failure::{Failure, with_causes};

/// Who hands out credentials to machines in a cloud.
const METADATA: [&str; 3] = ["169.254.169.254", "169.254.170.2", "metadata.google.internal"];

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The bytes or the size of an object.
    Object,
    /// Keys.
    Listing,
    /// The credentials of this machine.
    Credentials,
    /// A token for other credentials.
    Token,
}

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    /// Takes a request over.
    ///
    /// # Errors
    /// [`Failure::Impossible`] when its address is none.
    pub(super) fn of(request: HttpRequest) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let url = parts.uri.to_string().parse::<Url>();
        Ok(Self {
            method: parts.method,
            url: url.map_err(|error| Failure::Impossible(error.to_string()))?,
            headers: parts.headers,
            // In many pieces are only the bodies that write an object.
            body: body.as_bytes().cloned().unwrap_or_default(),
        })
    }

    /// What it asks for.
    pub(super) fn kind(&self) -> Kind {
        let is_listing = |(name, value): (_, _)| {
            (name == "list-type" && value == "2") || (name == "comp" && value == "list")
        };
        if self.url.host_str().is_some_and(|host| METADATA.contains(&host)) {
            Kind::Credentials
        } else if self.method != Method::GET && self.method != Method::HEAD {
            Kind::Token
        } else if self.url.query_pairs().any(is_listing) {
            Kind::Listing
        } else {
            Kind::Object
        }
    }

    /// The request for the client.
    pub(super) fn to_send(&self) -> reqwest::Request {
        let mut request = reqwest::Request::new(self.method.clone(), self.url.clone());
        request.headers_mut().clone_from(&self.headers);
        if !self.body.is_empty() {
            *request.body_mut() = Some(self.body.clone().into());
        }
        request
    }

    /// Why it could not be sent, or was not answered.
    pub(super) fn failure(&self, error: reqwest::Error) -> Failure {
        let error = error.without_url();
        let why = with_causes(&error);
        let host = || self.url.authority().rsplit('@').next().unwrap_or_default().to_owned();
        if error.is_builder() {
            Failure::Impossible(why)
        } else if is_about_certificate(&error) {
            Failure::Untrusted { host: host(), why }
        } else if error.is_connect() {
            Failure::Unreachable { host: host(), why }
        } else {
            Failure::Cut(why)
        }
    }
}

/// Whether the server shows a certificate that is not trusted.
fn is_about_certificate(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        // An error of input and output that holds another passes it over when asked for its source.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = held.map_or_else(|| error.source(), |held| Some(held));
    }
    false
}
