//! Harbor's own API, beside the registry's on the same host ("Harbor API", version 2.0): only what a
//! load needs of it.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode};
use serde::{Deserialize, Serialize};
use tranship_common::{Digest, Tag};
use url::Url;

use crate::plan::mapping::TargetRepository;
use crate::registry::{Registry, RequestError};

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

/// The storage of a project in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) used: i64,
    /// `None` without a limit.
    pub(crate) limit: Option<i64>,
}

impl Quota {
    /// Bytes that are left.
    pub(crate) fn free(&self) -> u64 {
        self.limit
            .map_or(u64::MAX, |limit| u64::try_from(limit.saturating_sub(self.used)).unwrap_or(0))
    }
}

/// What new projects may hold unless they are given another limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DefaultQuota {
    /// There are no quotas.
    Off,
    Unlimited,
    /// Bytes.
    Limited(i64),
}

impl DefaultQuota {
    /// Bytes, where there is a limit.
    pub(crate) fn limit(self) -> Option<i64> {
        match self {
            Self::Limited(limit) => Some(limit),
            Self::Off | Self::Unlimited => None,
        }
    }
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

    /// Whether a project exists.
    pub(crate) async fn has_project(&self, name: &str) -> Result<bool, RequestError> {
        let mut url = self.url("projects");
        url.query_pairs_mut().append_pair("project_name", name);
        let response = self.registry.request(&Method::HEAD, &url, |request| request).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            StatusCode::OK => Ok(true),
            // Harbor does not take the secrets of OIDC accounts for this question.
            StatusCode::UNAUTHORIZED => self.lists_project(name).await,
            _ => {
                let good = [StatusCode::OK];
                self.registry.expect(Method::HEAD, &url, response, &good).await.map(|_| true)
            }
        }
    }

    /// Whether a project is among those that the account is shown.
    async fn lists_project(&self, name: &str) -> Result<bool, RequestError> {
        #[derive(Deserialize)]
        struct Project {
            name: String,
        }
        let mut url = self.url("projects");
        url.query_pairs_mut().append_pair("name", name);
        let projects: Vec<Project> = self.pages(&url, usize::MAX).await?.unwrap_or_default();
        Ok(projects.iter().any(|project| project.name == name))
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
        let url = self.url("projects");
        let post = |request: reqwest::RequestBuilder| request.json(&body);
        let response = self.registry.request(&Method::POST, &url, post).await?;
        let good = [StatusCode::CREATED, StatusCode::CONFLICT];
        self.registry.expect(Method::POST, &url, response, &good).await.map(drop)
    }

    /// The quota of a project, or `None` where Harbor tells of none: quotas are off, or the account
    /// is not shown that of a public project.
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
        let url = self.url(&format!("projects/{project}/summary"));
        let response = self.get(&url).await?;
        let summary: Summary = self.json(&url, response).await?;
        Ok(summary.quota.map(|quota| Quota {
            used: quota.used.storage,
            limit: (quota.hard.storage >= 0).then_some(quota.hard.storage),
        }))
    }

    /// What new projects may hold unless they are given another limit.
    pub(crate) async fn default_quota(&self) -> Result<DefaultQuota, RequestError> {
        #[derive(Deserialize)]
        struct Configuration {
            quota_per_project_enable: Setting<bool>,
            storage_per_project: Setting<i64>,
        }
        #[derive(Deserialize)]
        struct Setting<T> {
            value: T,
        }
        let url = self.url("configurations");
        let response = self.get(&url).await?;
        let configuration: Configuration = self.json(&url, response).await?;
        let limit = configuration.storage_per_project.value;
        Ok(match configuration.quota_per_project_enable.value {
            false => DefaultQuota::Off,
            true if limit < 0 => DefaultQuota::Unlimited,
            true => DefaultQuota::Limited(limit),
        })
    }

    /// All artifacts that Harbor lists in a repository. Accessories, as signatures, are not listed.
    pub(crate) async fn artifacts(
        &self,
        repository: &TargetRepository,
    ) -> Result<Vec<Artifact>, RequestError> {
        let mut url = self.artifacts_url(repository, "");
        url.query_pairs_mut().append_pair("with_tag", "true");
        Ok(self.pages(&url, usize::MAX).await?.unwrap_or_default())
    }

    /// The whole names of a project's repositories, or `None` where they take more answers than this.
    pub(crate) async fn repositories(
        &self,
        project: &str,
        answers: usize,
    ) -> Result<Option<Vec<String>>, RequestError> {
        #[derive(Deserialize)]
        struct Listed {
            name: String,
        }
        let url = self.url(&format!("projects/{project}/repositories"));
        let listed: Option<Vec<Listed>> = self.pages(&url, answers).await?;
        Ok(listed.map(|listed| listed.into_iter().map(|repository| repository.name).collect()))
    }

    /// The rules of a project for tags that never change.
    pub(crate) async fn immutable_rules(
        &self,
        project: &str,
    ) -> Result<Vec<ImmutableRule>, RequestError> {
        let url = self.url(&format!("projects/{project}/immutabletagrules"));
        Ok(self.pages(&url, usize::MAX).await?.unwrap_or_default())
    }

    /// The digest of the artifact that has this tag, accessories included.
    pub(crate) async fn artifact(
        &self,
        repository: &TargetRepository,
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

    fn artifacts_url(&self, repository: &TargetRepository, tail: &str) -> Url {
        // A name of several components is encoded twice; the address does it once.
        let (project, path) = (repository.project(), repository.path().replace('/', "%252F"));
        self.url(&format!("projects/{project}/repositories/{path}/artifacts{tail}"))
    }

    fn url(&self, path: &str) -> Url {
        self.registry.target().join(&format!("/api/v2.0/{path}"))
    }

    /// A project named `7` is otherwise taken for the one with this number.
    async fn get(&self, url: &Url) -> Result<Response, RequestError> {
        let named = |request: reqwest::RequestBuilder| request.header("X-Is-Resource-Name", "true");
        self.registry.request(&Method::GET, url, named).await
    }

    /// A whole list, page by page, or `None` where it takes more answers than this. A page that
    /// repeats the one before ends it.
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
