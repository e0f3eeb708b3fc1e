//! Calls about projects.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::Harbor;
use crate::failure::Kind;
use crate::plan::mapping::TargetRepository;
use crate::registry::RequestError;

/// A project to be made.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NewProject {
    pub(crate) public: bool,
    /// Bytes; Harbor's default without one.
    pub(crate) storage_limit: Option<u64>,
}

/// A project in a list.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ListedProject {
    pub(crate) name: String,
    /// How many repositories with images it has.
    pub(crate) repo_count: Option<i64>,
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

impl Harbor {
    /// Whether a project exists. `repository` is one that may be in it.
    pub(crate) async fn has_project(
        &self,
        name: &str,
        repository: &TargetRepository,
    ) -> Result<bool, RequestError> {
        let mut url = self.url("projects");
        url.query_pairs_mut().append_pair("project_name", name);
        let response = self.registry.request(&Method::HEAD, &url, |request| request).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            StatusCode::OK => Ok(true),
            // For this question Harbor does not take the secrets of OIDC accounts, and later versions
            // want a right. But whoever pulls from a project that does not exist is told so.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                match self.registry.tags(repository.name(), 1).await {
                    Ok(_) => Ok(true),
                    Err(error) => match Kind::of(&error) {
                        Kind::NoProject => Ok(false),
                        Kind::Denied => Ok(true),
                        _ => Err(error),
                    },
                }
            }
            _ => {
                let good = [StatusCode::OK];
                self.registry.expect(Method::HEAD, &url, response, &good).await.map(|_| true)
            }
        }
    }

    /// The projects that the account is shown, or `None` where they take more answers than this.
    /// Only an administrator is shown all of them.
    pub(crate) async fn projects(
        &self,
        answers: usize,
    ) -> Result<Option<Vec<ListedProject>>, RequestError> {
        self.pages(&self.url("projects"), answers).await
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

    /// The rules of a project for tags that never change.
    pub(crate) async fn immutable_rules(
        &self,
        project: &str,
    ) -> Result<Vec<ImmutableRule>, RequestError> {
        let url = self.url(&format!("projects/{project}/immutabletagrules"));
        Ok(self.pages(&url, usize::MAX).await?.unwrap_or_default())
    }
}
