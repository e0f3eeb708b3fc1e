//! Manifests (OCI distribution specification, "Pulling manifests", "Pushing Manifests").

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Response, StatusCode};
use tranship_common::limits::MAX_MANIFEST;
use tranship_common::{Digest, MediaType, Repository, kinds};
use url::Url;

use super::client::push_to;
use super::{Registry, RequestError, schema1};

impl Registry {
    /// The digest of the manifest that a tag or digest names, or `None` where there is none. Where
    /// the answer to the short question does not tell it, the manifest itself is asked for: there
    /// are registries and proxies that know no HEAD, or forget what it is to tell.
    pub(crate) async fn manifest_digest(
        &self,
        repository: &Repository,
        reference: &str,
        media_type: &MediaType,
    ) -> Result<Option<Digest>, RequestError> {
        let asked = self.ask_for_manifest(&Method::HEAD, repository, reference, media_type);
        let (url, response) = asked.await?;
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
        let asked = self.ask_for_manifest(&Method::GET, repository, reference, media_type);
        let (url, response) = asked.await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = self.expect(Method::GET, &url, response, &[StatusCode::OK]).await?;
        let bytes = self.body(&url, response, MAX_MANIFEST).await?;
        // Of schema 1 it is the payload that has the digest.
        Ok(Some(Digest::of(schema1::payload(&bytes).as_deref().unwrap_or(&bytes))))
    }

    async fn ask_for_manifest(
        &self,
        method: &Method,
        repository: &Repository,
        reference: &str,
        media_type: &MediaType,
    ) -> Result<(Url, Response), RequestError> {
        let url = self.url(repository, &format!("manifests/{reference}"));
        let accept = accepted(media_type);
        let ask = || self.http.request(method.clone(), url.clone()).header(ACCEPT, &accept);
        let response = self.send(&push_to(repository), ask).await?;
        Ok((url, response))
    }

    /// Stores a manifest under its digest or a tag; one of schema 1 is signed first. Returns whether the registry says that it is
    /// stored; one that only says that all is well has to be asked.
    pub(crate) async fn put_manifest(
        &self,
        repository: &Repository,
        reference: &str,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<bool, RequestError> {
        let url = self.url(repository, &format!("manifests/{reference}"));
        let (content_type, body) = match media_type.as_str() {
            kinds::DOCKER_SCHEMA1 => {
                let signed = schema1::signed(&bytes);
                let signed = signed.map_err(|error| RequestError::Content(Arc::new(error)))?;
                (kinds::DOCKER_SCHEMA1_SIGNED, Bytes::from(signed))
            }
            own => (own, bytes.clone()),
        };
        let put =
            || self.http.put(url.clone()).header(CONTENT_TYPE, content_type).body(body.clone());
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
}

/// The digest of the manifest that an answer is about.
fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    headers.get("docker-content-digest")?.to_str().ok()?.parse().ok()
}

/// All types of manifests, since Harbor calls one that is not asked for by its type missing.
fn accepted(media_type: &MediaType) -> String {
    let known = [
        kinds::OCI_MANIFEST,
        kinds::OCI_INDEX,
        kinds::DOCKER_MANIFEST,
        kinds::DOCKER_LIST,
        kinds::DOCKER_SCHEMA1_SIGNED,
        kinds::DOCKER_SCHEMA1,
    ];
    let own = (!known.contains(&media_type.as_str())).then_some(media_type.as_str());
    known.into_iter().chain(own).collect::<Vec<_>>().join(", ")
}
