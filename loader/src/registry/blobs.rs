//! Blobs (OCI distribution specification, "Pushing blobs").

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use tranship_common::{Digest, Progress, Repository};
use url::Url;

use super::auth::{Scope, Shown};
use super::body::{Content, Sent, body};
use super::client::{MAX_ADDRESS, push_to};
use super::{Registry, RequestError};

/// After a body, a registry may take this long to put it in its place, for every MiB of it.
const COMMIT_TIME_PER_MIB: Duration = Duration::from_millis(100);

/// What a request to upload or mount a blob has led to.
#[derive(Debug)]
pub(crate) enum Upload {
    /// The repository has the blob.
    Mounted,
    /// An upload session, at this address.
    Session(Url),
}

impl Registry {
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
