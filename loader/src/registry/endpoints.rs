//! The endpoints (OCI distribution specification, "Endpoints").

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LINK, LOCATION, RETRY_AFTER,
};
use reqwest::{Body, Client, Method, RequestBuilder, Response, StatusCode};
use rustls::CertificateError;
use serde::Deserialize;
use tranship_common::{Digest, MediaType, Progress, Repository, Tag, kinds};
use url::Url;

use super::auth::{Auth, Scope, Shown};
use super::error::MAX_ERROR_BODY;
use super::payload::Sent;
use super::{Answer, Credentials, Payload, RequestError, Target};

/// After a body, a registry may take this long to put it in its place, for every MiB of it.
const COMMIT_TIME_PER_MIB: Duration = Duration::from_millis(100);

/// A registry, and who we are to it.
pub(crate) struct Registry {
    pub(super) http: Client,
    pub(super) target: Target,
    pub(super) auth: Auth,
    stall: Duration,
    requests: AtomicU64,
}

/// What a request to upload or mount a blob has led to.
#[derive(Debug)]
pub(crate) enum Upload {
    /// The repository has the blob.
    Mounted,
    /// An upload session, at this address.
    Session(Url),
}

impl Registry {
    /// A registry that is given up on a request when nothing moves for the time `stall`.
    pub(crate) fn new(
        http: Client,
        target: Target,
        credentials: Option<Credentials>,
        stall: Duration,
    ) -> Self {
        let requests = AtomicU64::new(0);
        Self { http, target, auth: Auth::new(credentials), stall, requests }
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
        let is_refused = response.status() == StatusCode::UNAUTHORIZED;
        if is_refused && self.auth.has_credentials() && self.auth.clock_difference() == 0 {
            let (target, account) = (self.target.to_string(), self.auth.account());
            return Err(RequestError::Credentials { target, account });
        }
        self.expect(Method::GET, &url, response, StatusCode::OK).await.map(drop)
    }

    /// The digest that a tag has, or `None` where there is no such tag.
    pub(crate) async fn tag_digest(
        &self,
        repository: &Repository,
        tag: &Tag,
        media_type: &MediaType,
    ) -> Result<Option<Digest>, RequestError> {
        let url = self.url(repository, &format!("manifests/{tag}"));
        let accept = accepted(media_type);
        let head = || self.http.head(url.clone()).header(ACCEPT, accept.as_str());
        let response = self.send(&push_to(repository), head).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = self.expect(Method::HEAD, &url, response, StatusCode::OK).await?;
        let digest = content_digest(response.headers());
        digest.map(Some).ok_or_else(|| self.protocol("HEAD of a manifest without its digest"))
    }

    /// The tags of a repository; none where the repository does not exist.
    pub(crate) async fn tags(&self, repository: &Repository) -> Result<Vec<String>, RequestError> {
        #[derive(Deserialize)]
        struct Tags {
            tags: Option<Vec<String>>,
        }
        let mut tags = Vec::new();
        let mut next = Some(self.url(repository, "tags/list"));
        while let Some(url) = next {
            let response = self.send(&push_to(repository), || self.http.get(url.clone())).await?;
            if response.status() == StatusCode::NOT_FOUND {
                break;
            }
            let response = self.expect(Method::GET, &url, response, StatusCode::OK).await?;
            next = next_page(&self.target, &url, response.headers());
            let page: Tags = serde_json::from_slice(&self.body(response).await?)
                .map_err(|_| self.protocol("tags/list with no list of tags"))?;
            tags.extend(page.tags.unwrap_or_default());
        }
        Ok(tags)
    }

    /// Whether a repository has a blob.
    pub(crate) async fn has_blob(
        &self,
        repository: &Repository,
        digest: Digest,
    ) -> Result<bool, RequestError> {
        let url = self.url(repository, &format!("blobs/{digest}"));
        let response = self.send(&push_to(repository), || self.http.head(url.clone())).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        self.expect(Method::HEAD, &url, response, StatusCode::OK).await.map(|_| true)
    }

    /// Opens an upload session, or mounts the blob from another repository.
    pub(crate) async fn begin_upload(
        &self,
        repository: &Repository,
        mount: Option<(Digest, &Repository)>,
    ) -> Result<Upload, RequestError> {
        let mut url = self.url(repository, "blobs/uploads/");
        let mut scope = push_to(repository);
        if let Some((digest, from)) = mount {
            url.query_pairs_mut()
                .append_pair("mount", &digest.to_string())
                .append_pair("from", from.as_str());
            scope.pull = (from != repository).then(|| from.clone());
        }
        let post = || self.http.post(url.clone()).header(CONTENT_LENGTH, 0);
        let response = self.send(&scope, post).await?;
        if response.status() == StatusCode::CREATED {
            return Ok(Upload::Mounted);
        }
        let response = self.expect(Method::POST, &url, response, StatusCode::ACCEPTED).await?;
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        location
            .and_then(|location| self.target.resolve(&url, location))
            .map(Upload::Session)
            .ok_or_else(|| self.protocol("the opening of an upload without a Location"))
    }

    /// Gives an upload session back that was only opened to see whether it can be.
    pub(crate) async fn cancel_upload(
        &self,
        repository: &Repository,
        session: &Url,
    ) -> Result<(), RequestError> {
        let delete = || self.http.delete(session.clone());
        let response = self.send(&push_to(repository), delete).await?;
        self.expect(Method::DELETE, session, response, StatusCode::NO_CONTENT).await.map(drop)
    }

    /// Sends a blob into an upload session and closes it. The registry gets the time `pause` to
    /// refuse it before the bytes begin: behind a proxy a later refusal is not to be understood.
    pub(crate) async fn finish_upload(
        &self,
        repository: &Repository,
        session: &Url,
        digest: Digest,
        payload: &Payload,
        pause: Duration,
        progress: &Arc<dyn Progress>,
    ) -> Result<(), RequestError> {
        let mut url = session.clone();
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let scope = push_to(repository);
        let mut tries = 0;
        loop {
            tries += 1;
            let sent = Arc::new(Sent::default());
            let body = payload
                .body(&sent, progress, pause)
                .await
                .map_err(|error| RequestError::Bundle(Arc::new(error)))?;
            let result = self.put_blob(&url, &scope, body, payload.size(), &sent).await;
            let result = match sent.take_failure() {
                Some(error) => Err(RequestError::Bundle(Arc::new(error))),
                None => result,
            };
            let stored =
                matches!(&result, Ok((answer, _)) if answer.status() == StatusCode::CREATED);
            if !stored {
                progress.take_back_bytes(sent.bytes());
            }
            let (response, shown) = result?;
            if tries == 1 && self.may_answer(&response, &scope, &shown).await {
                continue;
            }
            return self
                .expect(Method::PUT, session, response, StatusCode::CREATED)
                .await
                .map(drop);
        }
    }

    async fn put_blob(
        &self,
        url: &Url,
        scope: &Scope,
        body: Body,
        size: u64,
        sent: &Sent,
    ) -> Result<(Response, Shown), RequestError> {
        let request = self
            .http
            .put(url.clone())
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, size)
            .body(body);
        let (request, shown) = self.auth.authorize(&self.http, request, scope).await?;
        let mib = u32::try_from(size >> 20).unwrap_or(u32::MAX);
        let commit = COMMIT_TIME_PER_MIB.saturating_mul(mib);
        let all_sent = || sent.bytes() >= size;
        let limit = || if all_sent() { self.stall + commit } else { self.stall };
        let response = self.watched(self.answer_to(request), || sent.bytes(), limit).await?;
        Ok((response, shown))
    }

    /// Stores a manifest under its digest or a tag.
    pub(crate) async fn put_manifest(
        &self,
        repository: &Repository,
        reference: &str,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<(), RequestError> {
        let url = self.url(repository, &format!("manifests/{reference}"));
        let put = || {
            self.http.put(url.clone()).header(CONTENT_TYPE, media_type.as_str()).body(bytes.clone())
        };
        let response = self.send(&push_to(repository), put).await?;
        let response = self.expect(Method::PUT, &url, response, StatusCode::CREATED).await?;
        match content_digest(response.headers()) {
            Some(stored) if stored != Digest::of(&bytes) => {
                Err(self.protocol("the storing of a manifest with the digest of another"))
            }
            _ => Ok(()),
        }
    }

    /// Sends a request; after a 401 that can be answered, once more.
    pub(super) async fn send(
        &self,
        scope: &Scope,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Response, RequestError> {
        let (authorized, shown) = self.auth.authorize(&self.http, request(), scope).await?;
        let response = self.watched(self.answer_to(authorized), || 0, || self.stall).await?;
        if !self.may_answer(&response, scope, &shown).await {
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
    async fn may_answer(&self, response: &Response, scope: &Scope, shown: &Shown) -> bool {
        response.status() == StatusCode::UNAUTHORIZED
            && self.auth.refused(&self.target, response.headers(), scope, shown).await
    }

    async fn answer_to(&self, request: RequestBuilder) -> Result<Response, RequestError> {
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
    async fn watched<T>(
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

    pub(super) async fn expect(
        &self,
        method: Method,
        url: &Url,
        response: Response,
        status: StatusCode,
    ) -> Result<Response, RequestError> {
        if response.status() == status {
            return Ok(response);
        }
        let request = format!("{method} {}", url.path());
        let mut answer = answer(&request, response, self.stall).await;
        answer.clock_difference = self.auth.clock_difference();
        answer.anonymous = !self.auth.has_credentials();
        Err(RequestError::Answer(Box::new(answer)))
    }

    /// The whole body of an answer.
    pub(super) async fn body(&self, response: Response) -> Result<Bytes, RequestError> {
        let body = async {
            response.bytes().await.map_err(|error| transport_error(&self.target.to_string(), error))
        };
        self.watched(body, || 0, || self.stall).await
    }

    fn url(&self, repository: &Repository, tail: &str) -> Url {
        self.target.join(&format!("/v2/{repository}/{tail}"))
    }

    pub(super) fn protocol(&self, what: &str) -> RequestError {
        RequestError::Protocol { target: self.target.to_string(), what: what.to_owned() }
    }
}

fn push_to(repository: &Repository) -> Scope {
    Scope { push: Some(repository.clone()), pull: None }
}

/// The digest of the manifest that an answer is about.
fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    headers.get("docker-content-digest")?.to_str().ok()?.parse().ok()
}

/// All types of manifests, since Harbor calls one that is not asked for by its type missing.
fn accepted(media_type: &MediaType) -> String {
    let known = [kinds::OCI_MANIFEST, kinds::OCI_INDEX, kinds::DOCKER_MANIFEST, kinds::DOCKER_LIST];
    let own = (!known.contains(&media_type.as_str())).then_some(media_type.as_str());
    known.into_iter().chain(own).collect::<Vec<_>>().join(", ")
}

/// The address of the next page, from a header as `</v2/a/tags/list?last=b&n=2>; rel="next"`.
fn next_page(target: &Target, url: &Url, headers: &HeaderMap) -> Option<Url> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let (address, relation) = link.strip_prefix('<')?.split_once('>')?;
    relation.contains("next").then(|| target.resolve(url, address)).flatten()
}

/// Reads an error answer, as far as it comes without a pause longer than `stall`.
pub(super) async fn answer(request: &str, mut response: Response, stall: Duration) -> Answer {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let retry_after = header(RETRY_AFTER).and_then(|value| value.parse().ok());
    let location = header(LOCATION).filter(|_| response.status().is_redirection());
    let location = location.map(str::to_owned);
    let mut body = Vec::new();
    // A body that breaks off says what it says.
    while let Ok(Ok(Some(piece))) = tokio::time::timeout(stall, response.chunk()).await {
        body.extend_from_slice(&piece);
        if body.len() > MAX_ERROR_BODY {
            break;
        }
    }
    Answer {
        request: request.to_owned(),
        status: response.status(),
        errors: Answer::read_errors(&body),
        retry_after: retry_after.map(Duration::from_secs),
        location,
        clock_difference: 0,
        anonymous: false,
    }
}

/// Sorts what went wrong below HTTP.
pub(super) fn transport_error(target: &str, source: reqwest::Error) -> RequestError {
    let target = target.to_owned();
    // An address may carry an upload's state; it is of no use to a person.
    let source = source.without_url();
    match tls_error(&source) {
        Some(rustls::Error::InvalidCertificate(why)) => {
            let advice = advice(why);
            RequestError::Certificate { target, advice, source: source.into() }
        }
        Some(rustls::Error::InvalidMessage(_)) => RequestError::NotTls { target },
        _ if source.is_connect() => RequestError::Connect { target, source: source.into() },
        _ => RequestError::Interrupted { target, source: source.into() },
    }
}

/// What to do about a certificate that was not accepted.
fn advice(why: &CertificateError) -> &'static str {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "renew it, or set this machine's clock if that is wrong"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "set this machine's clock, which is probably behind"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "use a name with --to that the certificate is for"
        }
        _ => "give the authority that signed it with --ca-file",
    }
}

/// The TLS error among the causes, if there is one.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        // An I/O error that wraps another error skips it when asked for its source.
        cause = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}
