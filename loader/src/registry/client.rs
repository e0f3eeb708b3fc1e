//! The client: who sends, who waits, and what an answer is. The endpoints stand in files of their own.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use tranship_common::Repository;
use url::Url;

use super::auth::{Auth, Scope, Shown};
use super::error::shortened;
use super::transport::{error_answer, gather, transport_error};
use super::{Accounts, RequestError, Target};

/// A body takes no longer than so many times the time after which a silent registry is given up.
const BODY_TIME: u32 = 2;

/// No address that a registry gives is longer: others would not be taken back by any server.
pub(super) const MAX_ADDRESS: usize = 32 << 10;

/// A registry, and who we are to it.
pub(crate) struct Registry {
    pub(super) http: Client,
    pub(super) target: Target,
    pub(super) auth: Auth,
    pub(super) stall: Duration,
    requests: AtomicU64,
}

impl Registry {
    /// A registry that is given up on a request when nothing moves for the time `stall`.
    pub(crate) fn new(http: Client, target: Target, accounts: Accounts, stall: Duration) -> Self {
        let (auth, requests) = (Auth::new(target.clone(), accounts, stall), AtomicU64::new(0));
        Self { http, target, auth, stall, requests }
    }

    /// Whether the registry, which was pinged, has asked to log in as only Harbor does.
    pub(crate) fn is_harbor(&self) -> bool {
        self.auth.is_harbor()
    }

    /// Whether there is any account.
    pub(crate) fn has_credentials(&self) -> bool {
        self.auth.has_credentials()
    }

    /// Takes note of the repositories that requests will concern: fewer tokens do then.
    pub(crate) fn expect_repositories<'a>(&self, names: impl Iterator<Item = &'a Repository>) {
        self.auth.expect(names);
    }

    /// From now on the password goes with each request, where there is one.
    pub(crate) fn prefer_password(&self) {
        self.auth.prefer_password();
    }

    /// A request beside the registry's own endpoints, on the same host.
    pub(crate) async fn request(
        &self,
        method: &Method,
        url: &Url,
        with: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, RequestError> {
        let request = || with(self.http.request(method.clone(), url.clone()));
        self.send(&Scope::default(), request).await
    }

    /// The address.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The account that is used, for messages.
    pub(crate) fn account(&self) -> String {
        self.auth.account()
    }

    /// Requests sent so far, those for tokens not counted.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Asks whether this is a registry that takes the credentials.
    pub(crate) async fn ping(&self) -> Result<(), RequestError> {
        let url = self.target.join("/v2/");
        let response = self.send(&Scope::default(), || self.http.get(url.clone())).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            if self.auth.has_credentials() && self.auth.clock_difference() == 0 {
                return Err(self.auth.refusal(&Scope::default()));
            }
            // What may be done without an account is told only for a repository.
            if !self.auth.has_credentials() && self.auth.is_by_token() {
                return Ok(());
            }
        }
        self.expect(Method::GET, &url, response, &[StatusCode::OK]).await.map(drop)
    }

    /// Sends a request; after a 401 that can be answered, once more.
    pub(super) async fn send(
        &self,
        scope: &Scope,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Response, RequestError> {
        let (authorized, shown) = self.auth.authorize(&self.http, request(), scope).await?;
        let response = self.watched(self.answer_to(authorized), || 0, || self.stall).await?;
        if !self.may_answer(&response, scope, &shown).await? {
            return Ok(response);
        }
        let (authorized, shown) = self.auth.authorize(&self.http, request(), scope).await?;
        let response = self.watched(self.answer_to(authorized), || 0, || self.stall).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.auth.compare_clocks(response.headers(), scope, &shown).await;
        }
        Ok(response)
    }

    /// Whether the answer is a 401 after which the same request may fare better.
    pub(super) async fn may_answer(
        &self,
        response: &Response,
        scope: &Scope,
        shown: &Shown,
    ) -> Result<bool, RequestError> {
        match response.status() {
            StatusCode::UNAUTHORIZED => self.auth.refused(response.headers(), scope, shown).await,
            _ => Ok(false),
        }
    }

    pub(super) async fn answer_to(
        &self,
        request: RequestBuilder,
    ) -> Result<Response, RequestError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let (client, request) = request.build_split();
        let request = request.map_err(|error| transport_error(&self.target.to_string(), error))?;
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = client.execute(request).await;
        match &response {
            Ok(response) => tracing::debug!("{method} {path}: {}", response.status()),
            Err(_) => tracing::debug!("{method} {path}: no answer"),
        }
        response.map_err(|error| transport_error(&self.target.to_string(), error))
    }

    /// Gives a request up when `moved` has not grown for the time `limit`.
    pub(super) async fn watched<T>(
        &self,
        request: impl Future<Output = Result<T, RequestError>>,
        moved: impl Fn() -> u64,
        limit: impl Fn() -> Duration,
    ) -> Result<T, RequestError> {
        let mut request = std::pin::pin!(request);
        let mut seen = moved();
        loop {
            let seconds = limit();
            match tokio::time::timeout(seconds, &mut request).await {
                Ok(result) => return result,
                Err(_) if moved() > seen => seen = moved(),
                Err(_) => {
                    let target = self.target.to_string();
                    return Err(RequestError::Stalled { target, seconds: seconds.as_secs() });
                }
            }
        }
    }

    /// The answer, if its status is one of those that are good.
    pub(crate) async fn expect(
        &self,
        method: Method,
        url: &Url,
        response: Response,
        good: &[StatusCode],
    ) -> Result<Response, RequestError> {
        match good.contains(&response.status()) {
            true => Ok(response),
            false => Err(self.refused(method, url, response).await),
        }
    }

    /// An answer that is an error.
    pub(super) async fn refused(
        &self,
        method: Method,
        url: &Url,
        response: Response,
    ) -> RequestError {
        let request = format!("{method} {}", url.path());
        let mut answer = error_answer(&request, response, self.stall).await;
        answer.clock_difference = self.auth.clock_difference();
        answer.anonymous = !self.auth.has_credentials();
        RequestError::Answer(Box::new(answer))
    }

    /// The whole body of an answer, which may have so many bytes. It has to go on all the time, and
    /// to come to an end.
    pub(crate) async fn body(
        &self,
        url: &Url,
        mut response: Response,
        most: u64,
    ) -> Result<Bytes, RequestError> {
        let mut body = Vec::new();
        let limit = self.stall * BODY_TIME;
        let read = tokio::time::timeout(limit, gather(&mut response, most, &mut body)).await;
        let target = self.target.to_string();
        match read {
            Err(_) => Err(RequestError::Stalled { target, seconds: limit.as_secs() }),
            Ok(Err(error)) => Err(transport_error(&target, error)),
            Ok(Ok(())) if body.len() as u64 > most => Err(self.too_much(url)),
            Ok(Ok(())) => Ok(body.into()),
        }
    }

    pub(super) fn too_much(&self, url: &Url) -> RequestError {
        RequestError::TooMuch { target: self.target.to_string(), path: shortened(url.path()) }
    }

    pub(super) fn url(&self, repository: &Repository, tail: &str) -> Url {
        self.target.join(&format!("/v2/{repository}/{tail}"))
    }

    pub(crate) fn protocol(&self, what: &str) -> RequestError {
        RequestError::Protocol { target: self.target.to_string(), what: shortened(what) }
    }
}

pub(super) fn push_to(repository: &Repository) -> Scope {
    Scope { push: Some(repository.clone()), pull: None }
}
