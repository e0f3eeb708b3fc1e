//! The endpoints (OCI distribution specification, "Endpoints").

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LINK, LOCATION, RANGE};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use tranship_common::limits::MAX_MANIFEST;
use tranship_common::{Digest, MediaType, Progress, Repository, kinds};
use url::Url;

use super::auth::{Auth, Scope, Shown};
use super::body::{Content, Sent, body};
use super::error::shortened;
use super::transport::{error_answer, gather, transport_error};
use super::{Accounts, RequestError, Target};

/// After a body, a registry may take this long to put it in its place, for every MiB of it.
const COMMIT_TIME_PER_MIB: Duration = Duration::from_millis(100);

/// No list is larger in all (bytes).
const MAX_LIST: u64 = 32 << 20;

/// A body takes no longer than so many times the time after which a silent registry is given up,
const BODY_TIME: u32 = 2;

/// and a list, with all its pages, no longer than so many times.
const LIST_TIME: u32 = 10;

/// No address that a registry gives is longer: others would not be taken back by any server.
const MAX_ADDRESS: usize = 32 << 10;

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

    /// The digest of the manifest that a tag or digest names, or `None` where there is none. Where
    /// the answer to the short question does not tell it, the manifest itself is asked for: there
    /// are registries and proxies that know no HEAD, or forget what it is to tell.
    pub(crate) async fn manifest_digest(
        &self,
        repository: &Repository,
        reference: &str,
        media_type: &MediaType,
    ) -> Result<Option<Digest>, RequestError> {
        let url = self.url(repository, &format!("manifests/{reference}"));
        let accept = accepted(media_type);
        let head = || self.http.head(url.clone()).header(ACCEPT, accept.as_str());
        let response = self.send(&push_to(repository), head).await?;
        match (response.status(), content_digest(response.headers())) {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (StatusCode::OK, Some(digest)) => Ok(Some(digest)),
            (StatusCode::OK, None) => self.manifest_hash(repository, reference, media_type).await,
            (StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS, _) => {
                Err(self.refused(Method::HEAD, &url, response).await)
            }
            _ => {
                let refusal = self.refused(Method::HEAD, &url, response).await;
                let read = self.manifest_hash(repository, reference, media_type).await;
                // The first refusal is that of what was asked.
                read.map_err(|_| refusal)
            }
        }
    }

    /// The same, found out by reading the manifest.
    pub(crate) async fn manifest_hash(
        &self,
        repository: &Repository,
        reference: &str,
        media_type: &MediaType,
    ) -> Result<Option<Digest>, RequestError> {
        let url = self.url(repository, &format!("manifests/{reference}"));
        let accept = accepted(media_type);
        let get = || self.http.get(url.clone()).header(ACCEPT, accept.as_str());
        let response = self.send(&push_to(repository), get).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = self.expect(Method::GET, &url, response, &[StatusCode::OK]).await?;
        let bytes = self.body(&url, response, MAX_MANIFEST).await?;
        Ok(Some(Digest::of(&bytes)))
    }

    /// The tags of a repository, none where the repository does not exist; `None` where they are more
    /// than fit into so many answers.
    pub(crate) async fn tags(
        &self,
        repository: &Repository,
        answers: usize,
    ) -> Result<Option<Vec<String>>, RequestError> {
        let list = self.url(repository, "tags/list");
        match self.names(list, "tags", &push_to(repository), answers).await {
            Err(RequestError::TooMuch { .. }) => Ok(None),
            names => names.map(|names| Some(names.unwrap_or_default())),
        }
    }

    /// The repositories that have tags, where the registry tells, or `None` where they are more than
    /// fit into so many answers.
    pub(crate) async fn catalog(
        &self,
        answers: usize,
    ) -> Result<Option<Vec<String>>, RequestError> {
        let mut list = self.target.join("/v2/_catalog");
        list.query_pairs_mut().append_pair("n", "1000");
        match self.names(list, "repositories", &Scope::default(), answers).await {
            Err(RequestError::TooMuch { .. }) => Ok(None),
            names => names,
        }
    }

    /// A list of names, page by page; `None` where there is no such list. A registry that repeats
    /// itself is not followed, nor one that never comes to an end.
    async fn names(
        &self,
        list: Url,
        field: &str,
        scope: &Scope,
        most_pages: usize,
    ) -> Result<Option<Vec<String>>, RequestError> {
        let too_much = self.too_much(&list);
        let pages = self.pages(list, field, scope, most_pages);
        tokio::time::timeout(self.stall * LIST_TIME, pages).await.unwrap_or(Err(too_much))
    }

    async fn pages(
        &self,
        list: Url,
        field: &str,
        scope: &Scope,
        most_pages: usize,
    ) -> Result<Option<Vec<String>>, RequestError> {
        let mut left = MAX_LIST;
        let mut names = Vec::new();
        let mut seen = HashSet::new();
        let mut next = Some(list);
        for page in 0.. {
            let Some(url) = next else { break };
            if page >= most_pages {
                return Err(self.too_much(&url));
            }
            let response = self.send(scope, || self.http.get(url.clone())).await?;
            if page == 0 && response.status() == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            let response = self.expect(Method::GET, &url, response, &[StatusCode::OK]).await?;
            next = next_page(&self.target, &url, response.headers());
            let body = self.body(&url, response, left).await?;
            left -= body.len() as u64;
            let listed = serde_json::from_slice::<serde_json::Value>(&body).ok();
            // Go's encoder writes an empty list as `null`.
            let listed = listed
                .filter(serde_json::Value::is_object)
                .map(|mut object| object[field].take())
                .and_then(|list| serde_json::from_value::<Option<Vec<String>>>(list).ok());
            let listed = listed
                .ok_or_else(|| self.protocol(&format!("{} with no list of {field}", url.path())))?;
            let before = seen.len();
            for name in listed.unwrap_or_default() {
                if seen.insert(name.clone()) {
                    names.push(name);
                }
            }
            if seen.len() == before {
                break;
            }
        }
        Ok(Some(names))
    }

    /// Whether a repository has a blob.
    pub(crate) async fn has_blob(
        &self,
        repository: &Repository,
        digest: Digest,
    ) -> Result<bool, RequestError> {
        let url = self.url(repository, &format!("blobs/{digest}"));
        let response = self.send(&push_to(repository), || self.http.head(url.clone())).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            _ if self.is_handed_out_elsewhere(&url, &response) => Ok(true),
            _ => self.expect(Method::HEAD, &url, response, &[StatusCode::OK]).await.map(|_| true),
        }
    }

    /// Whether an answer leads to another host: registries that keep their blobs in a store of
    /// objects let that hand them out.
    fn is_handed_out_elsewhere(&self, url: &Url, response: &Response) -> bool {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let there = location.and_then(|location| url.join(location).ok());
        let host = |url: &Url| (url.host_str().map(str::to_owned), url.port_or_known_default());
        // One that merely wants to be asked otherwise has answered nothing.
        let is_elsewhere = |there: &Url| {
            there.host_str() != url.host_str()
                || there.scheme() == url.scheme() && host(there) != host(url)
        };
        response.status().is_redirection() && there.as_ref().is_some_and(is_elsewhere)
    }

    /// Whether a repository hands a blob out: not only the registry's memory is asked, which may
    /// outlast the blob.
    pub(crate) async fn serves_blob(
        &self,
        repository: &Repository,
        digest: Digest,
    ) -> Result<bool, RequestError> {
        let url = self.url(repository, &format!("blobs/{digest}"));
        // One byte is asked for; of a registry that sends all, no more is read than has come.
        let get = || self.http.get(url.clone()).header(RANGE, "bytes=0-0");
        let response = self.send(&push_to(repository), get).await?;
        // An empty blob has no first byte.
        let good = [StatusCode::OK, StatusCode::PARTIAL_CONTENT, StatusCode::RANGE_NOT_SATISFIABLE];
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            _ if self.is_handed_out_elsewhere(&url, &response) => Ok(true),
            _ => self.expect(Method::GET, &url, response, &good).await.map(|_| true),
        }
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
        let response = self.expect(Method::POST, &url, response, &[StatusCode::ACCEPTED]).await?;
        self.session(&url, &response).map(Upload::Session)
    }

    /// Where an upload goes on.
    fn session(&self, request: &Url, response: &Response) -> Result<Url, RequestError> {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        match location {
            Some(location) if location.len() > MAX_ADDRESS => {
                let what = format!("an upload with a Location of {} characters", location.len());
                Err(self.protocol(&what))
            }
            location => location
                .and_then(|location| self.target.resolve(request, location))
                .ok_or_else(|| self.protocol("an upload without a Location")),
        }
    }

    /// Gives an upload session back.
    pub(crate) async fn cancel_upload(
        &self,
        repository: &Repository,
        session: &Url,
    ) -> Result<(), RequestError> {
        let delete = || self.http.delete(session.clone());
        let response = self.send(&push_to(repository), delete).await?;
        let gone = [StatusCode::NO_CONTENT, StatusCode::NOT_FOUND, StatusCode::OK];
        self.expect(Method::DELETE, session, response, &gone).await.map(drop)
    }

    /// Sends a blob into an upload session and closes it. Returns whether the registry says that the
    /// blob is stored; one that only says that all is well has to be asked. It gets the time `pause`
    /// to refuse before the bytes begin: behind a proxy a later refusal is not to be understood.
    pub(crate) async fn finish_upload(
        &self,
        repository: &Repository,
        session: &Url,
        digest: Digest,
        content: &Arc<dyn Content>,
        pause: Duration,
        progress: &Arc<dyn Progress>,
    ) -> Result<bool, RequestError> {
        let url = closing(session, digest);
        let scope = push_to(repository);
        let send = Send { method: Method::PUT, url: &url, scope: &scope, content, pause, progress };
        self.send_content(send, &TAKEN).await.map(|answer| answer.status() == StatusCode::CREATED)
    }

    /// Sends a blob into an upload session that stays open, and tells where it goes on: for registries
    /// that want the bytes before the digest.
    pub(crate) async fn append_to_upload(
        &self,
        repository: &Repository,
        session: &Url,
        content: &Arc<dyn Content>,
        progress: &Arc<dyn Progress>,
    ) -> Result<Url, RequestError> {
        let (scope, pause) = (push_to(repository), Duration::ZERO);
        let send =
            Send { method: Method::PATCH, url: session, scope: &scope, content, pause, progress };
        let sent = self.send_content(send, &TAKEN).await?;
        match sent.headers().contains_key(LOCATION) {
            true => self.session(session, &sent),
            // One that names no new address goes on at the old one.
            false => Ok(session.clone()),
        }
    }

    /// Closes an upload session that has all bytes. Returns whether the registry says that the blob
    /// is stored.
    pub(crate) async fn close_upload(
        &self,
        repository: &Repository,
        session: &Url,
        digest: Digest,
    ) -> Result<bool, RequestError> {
        let url = closing(session, digest);
        let put = || self.http.put(url.clone()).header(CONTENT_LENGTH, 0);
        let closed = self.send(&push_to(repository), put).await?;
        let closed = self.expect(Method::PUT, &url, closed, &TAKEN).await?;
        Ok(closed.status() == StatusCode::CREATED)
    }

    /// Sends bytes; after a 401 that can be answered, once more.
    async fn send_content(
        &self,
        send: Send<'_>,
        good: &[StatusCode],
    ) -> Result<Response, RequestError> {
        let Send { method, url, scope, content, pause, progress } = send;
        let cannot_read = |error| RequestError::Content(Arc::new(error));
        let mut tries = 0;
        loop {
            tries += 1;
            let sent = Arc::new(Sent::default());
            let bytes = body(content, &sent, progress, pause).await.map_err(cannot_read)?;
            let request = self
                .http
                .request(method.clone(), url.clone())
                .header(CONTENT_TYPE, "application/octet-stream")
                .header(CONTENT_LENGTH, content.size())
                .body(bytes);
            let result = self.watch_content(request, scope, content.size(), &sent).await;
            let result = match sent.take_failure() {
                Some(error) => Err(cannot_read(error)),
                None => result,
            };
            let stored = matches!(&result, Ok((answer, _)) if good.contains(&answer.status()));
            if !stored {
                progress.take_back_bytes(sent.bytes());
            }
            let (response, shown) = result?;
            if tries == 1 && self.may_answer(&response, scope, &shown).await? {
                continue;
            }
            return self.expect(method, url, response, good).await;
        }
    }

    async fn watch_content(
        &self,
        request: RequestBuilder,
        scope: &Scope,
        size: u64,
        sent: &Sent,
    ) -> Result<(Response, Shown), RequestError> {
        let (request, shown) = self.auth.authorize(&self.http, request, scope).await?;
        let mib = u32::try_from(size >> 20).unwrap_or(u32::MAX);
        let commit = COMMIT_TIME_PER_MIB.saturating_mul(mib);
        let all_sent = || sent.bytes() >= size;
        let limit = || if all_sent() { self.stall + commit } else { self.stall };
        let response = self.watched(self.answer_to(request), || sent.bytes(), limit).await?;
        Ok((response, shown))
    }

    /// Stores a manifest under its digest or a tag. Returns whether the registry says that it is
    /// stored; one that only says that all is well has to be asked.
    pub(crate) async fn put_manifest(
        &self,
        repository: &Repository,
        reference: &str,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<bool, RequestError> {
        let url = self.url(repository, &format!("manifests/{reference}"));
        let put = || {
            self.http.put(url.clone()).header(CONTENT_TYPE, media_type.as_str()).body(bytes.clone())
        };
        let response = self.send(&push_to(repository), put).await?;
        let good = [StatusCode::CREATED, StatusCode::OK, StatusCode::ACCEPTED];
        let response = self.expect(Method::PUT, &url, response, &good).await?;
        match content_digest(response.headers()) {
            Some(stored) if stored != Digest::of(&bytes) => {
                Err(self.protocol("the storing of a manifest with the digest of another"))
            }
            _ => Ok(response.status() == StatusCode::CREATED),
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
    async fn may_answer(
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
    async fn refused(&self, method: Method, url: &Url, response: Response) -> RequestError {
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

    fn too_much(&self, url: &Url) -> RequestError {
        RequestError::TooMuch { target: self.target.to_string(), path: shortened(url.path()) }
    }

    fn url(&self, repository: &Repository, tail: &str) -> Url {
        self.target.join(&format!("/v2/{repository}/{tail}"))
    }

    pub(crate) fn protocol(&self, what: &str) -> RequestError {
        RequestError::Protocol { target: self.target.to_string(), what: shortened(what) }
    }
}

/// What registries answer when they have taken the bytes of a blob, or a part of them.
const TAKEN: [StatusCode; 4] =
    [StatusCode::CREATED, StatusCode::ACCEPTED, StatusCode::OK, StatusCode::NO_CONTENT];

/// A content on its way.
struct Send<'a> {
    method: Method,
    url: &'a Url,
    scope: &'a Scope,
    content: &'a Arc<dyn Content>,
    pause: Duration,
    progress: &'a Arc<dyn Progress>,
}

/// The address that closes an upload session.
fn closing(session: &Url, digest: Digest) -> Url {
    let mut url = session.clone();
    url.query_pairs_mut().append_pair("digest", &digest.to_string());
    url
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
    let is_next = relation.contains("next") && address.len() <= MAX_ADDRESS;
    is_next.then(|| target.resolve(url, address)).flatten()
}
