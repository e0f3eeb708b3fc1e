//! Lists of tags and repositories (OCI distribution specification, "Listing Tags"; Distribution's
//! catalog).

use std::collections::HashSet;

use reqwest::header::{HeaderMap, LINK};
use reqwest::{Method, StatusCode};
use tranship_common::Repository;
use url::Url;

use super::auth::Scope;
use super::client::{MAX_ADDRESS, push_to};
use super::{Registry, RequestError, Target};

/// No list is larger in all (bytes).
const MAX_LIST: u64 = 32 << 20;

/// A list, with all its pages, takes no longer than so many times the time after which a silent
/// registry is given up.
const LIST_TIME: u32 = 10;

impl Registry {
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
}

/// The address of the next page, from a header as `</v2/a/tags/list?last=b&n=2>; rel="next"`.
fn next_page(target: &Target, url: &Url, headers: &HeaderMap) -> Option<Url> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let (address, relation) = link.strip_prefix('<')?.split_once('>')?;
    let is_next = relation.contains("next") && address.len() <= MAX_ADDRESS;
    is_next.then(|| target.resolve(url, address)).flatten()
}
