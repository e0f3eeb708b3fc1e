//! Harbor's own API, beside the registry's on the same host ("Harbor API", version 2.0): only what a
//! load needs of it.

mod artifacts;
mod projects;
mod quotas;

use std::collections::HashSet;
use std::rc::Rc;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::registry::{Registry, RequestError};

pub(crate) use artifacts::Artifact;
pub(crate) use projects::{ImmutableRule, ListedProject, NewProject, Selector};
pub(crate) use quotas::{DefaultQuota, Quota};

/// No answer is longer (bytes).
const MAX_ANSWER: u64 = 32 << 20;

/// Entries of a list in one answer; Harbor takes no larger number.
const PAGE: usize = 100;

/// What Harbor says of itself; without a valid login only the version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct SystemInfo {
    #[serde(default)]
    pub(crate) harbor_version: String,
    pub(crate) read_only: Option<bool>,
    /// `everyone` or `adminonly`.
    pub(crate) project_creation_restriction: Option<String>,
}

/// Harbor, asked by the account of a registry's client.
pub(crate) struct Harbor {
    pub(crate) registry: Rc<Registry>,
    /// What it says of itself.
    pub(crate) info: SystemInfo,
}

/// What the Harbor behind a registry says of itself.
pub(crate) async fn system_info(registry: &Rc<Registry>) -> Result<SystemInfo, RequestError> {
    let harbor = Harbor { registry: Rc::clone(registry), info: SystemInfo::default() };
    let url = harbor.url("systeminfo");
    let response = harbor.get(&url).await?;
    harbor.json(&url, response).await
}

impl Harbor {
    /// Whether the account is a system administrator; `None` for robots, which are not told.
    pub(crate) async fn is_administrator(&self) -> Result<Option<bool>, RequestError> {
        #[derive(Deserialize)]
        struct User {
            #[serde(default)]
            sysadmin_flag: bool,
        }
        let url = self.url("users/current");
        let response = self.get(&url).await?;
        if response.status() == StatusCode::PRECONDITION_FAILED {
            return Ok(None);
        }
        let user: User = self.json(&url, response).await?;
        Ok(Some(user.sysadmin_flag))
    }

    fn url(&self, path: &str) -> Url {
        self.registry.target().join(&format!("/api/v2.0/{path}"))
    }

    /// A project named `7` is otherwise taken for the one with this number.
    async fn get(&self, url: &Url) -> Result<Response, RequestError> {
        let named = |request: reqwest::RequestBuilder| request.header("X-Is-Resource-Name", "true");
        self.registry.request(&Method::GET, url, named).await
    }

    /// A whole list, page by page, or `None` where it takes more answers than this, which the first
    /// one tells already. A page that repeats the one before ends it.
    async fn pages<T: for<'de> Deserialize<'de>>(
        &self,
        list: &Url,
        answers: usize,
    ) -> Result<Option<Vec<T>>, RequestError> {
        let mut all = Vec::new();
        let mut seen = HashSet::new();
        for page in 1.. {
            if page > answers {
                return Ok(None);
            }
            let mut url = list.clone();
            url.query_pairs_mut()
                .append_pair("page_size", &PAGE.to_string())
                .append_pair("page", &page.to_string());
            let response = self.get(&url).await?;
            if total(&response).is_some_and(|total| total.div_ceil(PAGE) > answers) {
                return Ok(None);
            }
            let listed: Vec<serde_json::Value> = self.json(&url, response).await?;
            let count = listed.len();
            let news: Vec<_> =
                listed.into_iter().filter(|entry| seen.insert(entry.to_string())).collect();
            let is_last = count < PAGE || news.is_empty();
            for entry in news {
                all.push(serde_json::from_value(entry).map_err(|_| self.strange(&url))?);
            }
            if is_last {
                break;
            }
        }
        Ok(Some(all))
    }

    async fn json<T: for<'de> Deserialize<'de>>(
        &self,
        url: &Url,
        response: Response,
    ) -> Result<T, RequestError> {
        let response = self.registry.expect(Method::GET, url, response, &[StatusCode::OK]).await?;
        let is_json = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/json"));
        let body = self.registry.body(url, response, MAX_ANSWER).await?;
        match serde_json::from_slice(&body) {
            Ok(value) if is_json => Ok(value),
            _ => Err(self.strange(url)),
        }
    }

    fn strange(&self, url: &Url) -> RequestError {
        self.registry.protocol(&format!("{} with something other than Harbor's JSON", url.path()))
    }
}

/// How many entries a list has, where the answer tells.
fn total(response: &Response) -> Option<usize> {
    response.headers().get("x-total-count")?.to_str().ok()?.parse().ok()
}
