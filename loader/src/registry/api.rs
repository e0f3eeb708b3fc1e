//! Harbor's own API, beside the registry's on the same host ("Harbor API", version 2.0): only what a
//! load needs of it.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode};
use serde::{Deserialize, Serialize};
use tranship_common::{Digest, Repository, Tag};
use url::Url;

use super::auth::Scope;
use super::{Registry, RequestError};

/// The service that Harbor's token endpoint gives tokens for: that is how it is known.
const SERVICE: &str = "harbor-registry";

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

/// The storage of a project in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) used: i64,
    /// `None` without a limit.
    pub(crate) limit: Option<i64>,
}

/// A project to be made.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NewProject {
    pub(crate) public: bool,
    /// Bytes; Harbor's default without one.
    pub(crate) storage_limit: Option<u64>,
}

/// A rule of a project for tags that never change once they are set.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ImmutableRule {
    #[serde(default)]
    pub(crate) disabled: bool,
    /// By kind; only `repository` is known.
    #[serde(default)]
    pub(crate) scope_selectors: BTreeMap<String, Vec<Selector>>,
    #[serde(default)]
    pub(crate) tag_selectors: Vec<Selector>,
}

/// Which names a rule is for.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Selector {
    /// `matches` or `repoMatches`, `excludes` or `repoExcludes`.
    pub(crate) decoration: String,
    /// A pattern as `v*`, `**` or `{1.0,1.1}`.
    pub(crate) pattern: String,
}

/// An artifact in a project, as far as it is looked at.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Artifact {
    pub(crate) digest: Digest,
    #[serde(default)]
    tags: Option<Vec<ArtifactTag>>,
}

#[derive(Debug, Clone, Deserialize)]
struct ArtifactTag {
    name: String,
}

impl Artifact {
    /// Whether it has this tag.
    pub(crate) fn has_tag(&self, tag: &Tag) -> bool {
        self.tags.iter().flatten().any(|have| have.name == tag.as_str())
    }
}

impl Registry {
    /// Whether the registry, which was pinged, is Harbor's.
    pub(crate) async fn is_harbor(&self) -> bool {
        self.auth.service().await.as_deref() == Some(SERVICE)
    }

    /// From now on speaks to it as Harbor likes best. `lock` is how long Harbor locks a user name
    /// after a wrong password.
    pub(crate) async fn use_as_harbor(&self, lock: Duration) {
        self.auth.prefer_password(lock).await;
    }

    pub(crate) async fn system_info(&self) -> Result<SystemInfo, RequestError> {
        let url = self.api_url("systeminfo");
        let response = self.get(&url).await?;
        self.json(&url, response).await
    }

    /// Whether the account is a system administrator; `None` for robots, which are not told.
    pub(crate) async fn is_administrator(&self) -> Result<Option<bool>, RequestError> {
        #[derive(Deserialize)]
        struct User {
            #[serde(default)]
            sysadmin_flag: bool,
        }
        let url = self.api_url("users/current");
        let response = self.get(&url).await?;
        if response.status() == StatusCode::PRECONDITION_FAILED {
            return Ok(None);
        }
        let user: User = self.json(&url, response).await?;
        Ok(Some(user.sysadmin_flag))
    }

    pub(crate) async fn has_project(&self, name: &str) -> Result<bool, RequestError> {
        let mut url = self.api_url("projects");
        url.query_pairs_mut().append_pair("project_name", name);
        let response = self.send(&Scope::default(), || self.http.head(url.clone())).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        self.expect(Method::HEAD, &url, response, StatusCode::OK).await.map(|_| true)
    }

    /// Makes a project. One that exists, made by somebody else meanwhile perhaps, is as good.
    pub(crate) async fn create_project(
        &self,
        name: &str,
        options: NewProject,
    ) -> Result<(), RequestError> {
        #[derive(Serialize)]
        struct Body<'a> {
            project_name: &'a str,
            metadata: Metadata,
            #[serde(skip_serializing_if = "Option::is_none")]
            storage_limit: Option<u64>,
        }
        #[derive(Serialize)]
        struct Metadata {
            public: &'static str,
        }
        let public = if options.public { "true" } else { "false" };
        let storage_limit = options.storage_limit;
        let body = Body { project_name: name, metadata: Metadata { public }, storage_limit };
        let url = self.api_url("projects");
        let post = || self.http.post(url.clone()).json(&body);
        let response = self.send(&Scope::default(), post).await?;
        if response.status() == StatusCode::CONFLICT {
            return Ok(());
        }
        self.expect(Method::POST, &url, response, StatusCode::CREATED).await.map(drop)
    }

    /// The quota of a project, or `None` where quotas are off.
    pub(crate) async fn quota(&self, project: &str) -> Result<Option<Quota>, RequestError> {
        #[derive(Deserialize)]
        struct Summary {
            quota: Option<Storages>,
        }
        #[derive(Deserialize)]
        struct Storages {
            hard: Storage,
            used: Storage,
        }
        #[derive(Deserialize)]
        struct Storage {
            #[serde(default)]
            storage: i64,
        }
        let url = self.api_url(&format!("projects/{project}/summary"));
        let response = self.get(&url).await?;
        let summary: Summary = self.json(&url, response).await?;
        Ok(summary.quota.map(|quota| Quota {
            used: quota.used.storage,
            limit: (quota.hard.storage >= 0).then_some(quota.hard.storage),
        }))
    }

    /// The limit in bytes that new projects get unless they are given another; `None` where there is
    /// none, or quotas are off.
    pub(crate) async fn default_quota(&self) -> Result<Option<i64>, RequestError> {
        #[derive(Deserialize)]
        struct Configuration {
            quota_per_project_enable: Setting<bool>,
            storage_per_project: Setting<i64>,
        }
        #[derive(Deserialize)]
        struct Setting<T> {
            value: T,
        }
        let url = self.api_url("configurations");
        let response = self.get(&url).await?;
        let configuration: Configuration = self.json(&url, response).await?;
        let limit = configuration.storage_per_project.value;
        Ok((configuration.quota_per_project_enable.value && limit >= 0).then_some(limit))
    }

    /// All artifacts that Harbor lists in a repository. Accessories, as signatures, are not listed.
    pub(crate) async fn artifacts(
        &self,
        repository: &Repository,
    ) -> Result<Vec<Artifact>, RequestError> {
        let mut url = self.artifacts_url(repository, "");
        url.query_pairs_mut().append_pair("with_tag", "true");
        self.pages(&url).await
    }

    /// The rules of a project for tags that never change.
    pub(crate) async fn immutable_rules(
        &self,
        project: &str,
    ) -> Result<Vec<ImmutableRule>, RequestError> {
        self.pages(&self.api_url(&format!("projects/{project}/immutabletagrules"))).await
    }

    /// The digest of the artifact that has this tag, accessories included.
    pub(crate) async fn artifact(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<Option<Digest>, RequestError> {
        let url = self.artifacts_url(repository, &format!("/{tag}"));
        let response = self.get(&url).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let artifact: Artifact = self.json(&url, response).await?;
        Ok(Some(artifact.digest))
    }

    fn artifacts_url(&self, repository: &Repository, tail: &str) -> Url {
        let (project, name) = repository.as_str().split_once('/').unwrap_or_default();
        // A name of several components is encoded twice; the address does it once.
        let name = name.replace('/', "%252F");
        self.api_url(&format!("projects/{project}/repositories/{name}/artifacts{tail}"))
    }

    fn api_url(&self, path: &str) -> Url {
        self.target.join(&format!("/api/v2.0/{path}"))
    }

    /// A project named `7` is otherwise taken for the one with this number.
    async fn get(&self, url: &Url) -> Result<Response, RequestError> {
        let get = || self.http.get(url.clone()).header("X-Is-Resource-Name", "true");
        self.send(&Scope::default(), get).await
    }

    /// A whole list, page by page.
    async fn pages<T: for<'de> Deserialize<'de>>(
        &self,
        list: &Url,
    ) -> Result<Vec<T>, RequestError> {
        let mut all = Vec::new();
        for page in 1.. {
            let mut url = list.clone();
            url.query_pairs_mut()
                .append_pair("page_size", &PAGE.to_string())
                .append_pair("page", &page.to_string());
            let response = self.get(&url).await?;
            let mut listed: Vec<T> = self.json(&url, response).await?;
            let is_last = listed.len() < PAGE;
            all.append(&mut listed);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    async fn json<T: for<'de> Deserialize<'de>>(
        &self,
        url: &Url,
        response: Response,
    ) -> Result<T, RequestError> {
        let response = self.expect(Method::GET, url, response, StatusCode::OK).await?;
        let is_json = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/json"));
        let body = self.body(response).await?;
        match serde_json::from_slice(&body) {
            Ok(value) if is_json => Ok(value),
            _ => Err(self.protocol(&format!("{} with something other than JSON", url.path()))),
        }
    }
}
