//! Calls about what projects hold, and may hold.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Harbor;
use crate::registry::RequestError;

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

impl From<Storages> for Quota {
    fn from(storages: Storages) -> Self {
        let limit = storages.hard.storage;
        Self { used: storages.used.storage, limit: (limit >= 0).then_some(limit) }
    }
}

impl Harbor {
    /// The quota of a project, or `None` where Harbor tells of none: quotas are off, or the account
    /// is not shown that of a public project.
    pub(crate) async fn quota(&self, project: &str) -> Result<Option<Quota>, RequestError> {
        #[derive(Deserialize)]
        struct Summary {
            quota: Option<Storages>,
        }
        let url = self.url(&format!("projects/{project}/summary"));
        let response = self.get(&url).await?;
        let summary: Summary = self.json(&url, response).await?;
        Ok(summary.quota.map(Quota::from))
    }

    /// The quotas of all projects, or `None` where they take more answers than this. It is for
    /// administrators, and shows quotas that are switched off too.
    pub(crate) async fn quotas(
        &self,
        answers: usize,
    ) -> Result<Option<BTreeMap<String, Quota>>, RequestError> {
        #[derive(Deserialize)]
        struct Listed {
            #[serde(rename = "ref")]
            project: Project,
            #[serde(flatten)]
            storages: Storages,
        }
        #[derive(Deserialize)]
        struct Project {
            name: String,
        }
        let mut url = self.url("quotas");
        url.query_pairs_mut().append_pair("reference", "project");
        let listed: Option<Vec<Listed>> = self.pages(&url, answers).await?;
        let pair = |quota: Listed| (quota.project.name, quota.storages.into());
        Ok(listed.map(|listed| listed.into_iter().map(pair).collect()))
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
}
