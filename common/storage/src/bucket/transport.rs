//! Sends the requests of `object_store`, and tries again what may pass.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use reqwest::{Body, Client, Response, StatusCode};

use super::failure::{Failure, with_causes};
use super::odd_keys::OddKeys;
use super::patience::Patience;
use super::request::{Kind, Request};

/// No page of a listing is larger (bytes); one has up to 5,000 keys.
const MAX_PAGE: usize = 64 << 20;

/// What a server says of its reasons is read up to about so many bytes.
const MAX_REASON: usize = 64 << 10;

/// The service that hands out credentials is in the same machine.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);

/// After so many requests in a row that came to nothing, however often they were tried, the server
/// is taken for dead, and the rest are tried once.
const DEAD: u32 = 8;

/// Sends requests.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    client: Client,
    patience: Patience,
    odd_keys: OddKeys,
    in_vain: Arc<AtomicU32>,
}

impl Transport {
    /// Sends them with a client. Keys that `object_store` must not see are taken out of listings.
    pub(super) fn new(client: Client, patience: Patience, odd_keys: OddKeys) -> Self {
        Self { client, patience, odd_keys, in_vain: Arc::default() }
    }

    async fn persist(&self, request: &Request) -> Result<HttpResponse, Failure> {
        let mut tries = self.patience.begin();
        loop {
            let failure = match self.attempt(request).await {
                Ok(response) => {
                    self.in_vain.store(0, Ordering::Relaxed);
                    return Ok(response);
                }
                Err(failure) => failure,
            };
            let is_dead = self.in_vain.load(Ordering::Relaxed) >= DEAD;
            match tries.pause(&failure) {
                Some(pause) if !is_dead => tokio::time::sleep(pause).await,
                _ => {
                    if failure.may_pass() {
                        self.in_vain.fetch_add(1, Ordering::Relaxed);
                    }
                    return Err(failure);
                }
            }
        }
    }

    async fn attempt(&self, request: &Request) -> Result<HttpResponse, Failure> {
        let sent = self.client.execute(request.to_send()).await;
        let mut response = sent.map_err(|error| request.failure(error))?;
        let status = response.status();
        let is_answer =
            status.is_success() || (request.kind() == Kind::Object && tells_of_object(status));
        if !is_answer {
            return Err(refusal(response).await);
        }
        let headers = mem::take(response.headers_mut());
        let body = match request.kind() {
            Kind::Object => {
                let body = Body::from(response);
                HttpResponseBody::new(body.map_err(|error| HttpError::from(cut(error))))
            }
            // Taken in whole, so that a cut is tried again.
            kind => {
                let mut whole = Vec::new();
                while let Some(piece) = response.chunk().await.map_err(cut)? {
                    whole.extend_from_slice(&piece);
                    if whole.len() > MAX_PAGE {
                        return Err(Failure::TooLarge(MAX_PAGE));
                    }
                }
                if kind == Kind::Listing {
                    whole = self.odd_keys.taken_out(whole);
                }
                Bytes::from(whole).into()
            }
        };
        let mut answer = HttpResponse::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }
}

impl HttpConnector for Transport {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request = Request::of(request)?;
        if request.kind() != Kind::Credentials {
            return Ok(self.persist(&request).await?);
        }
        // Nobody answers there in a machine that is in no cloud.
        match tokio::time::timeout(METADATA_TIMEOUT, self.attempt(&request)).await {
            Ok(Ok(answer)) => Ok(answer),
            _ => Err(Failure::NoCredentials.into()),
        }
    }
}

/// Whether a status tells something of an object that `object_store` has words for.
fn tells_of_object(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NOT_FOUND | StatusCode::PRECONDITION_FAILED | StatusCode::NOT_MODIFIED
    )
}

fn cut(error: reqwest::Error) -> Failure {
    Failure::Cut(with_causes(&error.without_url()))
}

async fn refusal(mut response: Response) -> Failure {
    let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    let region = header("x-amz-bucket-region");
    let retry_after = header("retry-after").and_then(|text| text.parse().ok());
    let status = response.status().as_u16();
    let mut reason = Vec::new();
    while let (true, Ok(Some(piece))) = (reason.len() < MAX_REASON, response.chunk().await) {
        reason.extend_from_slice(&piece);
    }
    let reason = String::from_utf8_lossy(&reason);
    Failure::refused(status, &reason, region, retry_after.map(Duration::from_secs))
}
