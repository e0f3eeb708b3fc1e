//! Calls about repositories and the artifacts in them.

use reqwest::StatusCode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tranship_common::Digest;
use url::Url;

use super::Harbor;
use crate::plan::mapping::TargetRepository;
use crate::registry::RequestError;

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
    /// Its tags, each with its digest.
    pub(crate) fn tags(&self) -> impl Iterator<Item = (&str, Digest)> {
        self.tags.iter().flatten().map(|tag| (tag.name.as_str(), self.digest))
    }
}

impl Harbor {
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

    /// Whether an artifact of a project is or has this manifest or blob.
    pub(crate) async fn has_part(
        &self,
        project: &str,
        digest: Digest,
    ) -> Result<bool, RequestError> {
        let mut url = self.url(&format!("projects/{project}/repositories"));
        url.query_pairs_mut()
            .append_pair("q", &format!("blob_digest={digest}"))
            .append_pair("page_size", "1");
        let response = self.get(&url).await?;
        let listed: Vec<IgnoredAny> = self.json(&url, response).await?;
        Ok(!listed.is_empty())
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

    /// The digest of the artifact that has this tag or digest, accessories included.
    pub(crate) async fn artifact(
        &self,
        repository: &TargetRepository,
        reference: &str,
    ) -> Result<Option<Digest>, RequestError> {
        let url = self.artifacts_url(repository, &format!("/{reference}"));
        let response = self.get(&url).await?;
        // Harbor takes the secrets of OIDC accounts for its list only.
        if response.status() == StatusCode::UNAUTHORIZED
            && let Some(digest) = self.listed_artifact(repository, reference).await?
        {
            return Ok(Some(digest));
        }
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let artifact: Artifact = self.json(&url, response).await?;
        Ok(Some(artifact.digest))
    }

    /// The same of a tag, as far as the list tells, in which accessories are missing.
    async fn listed_artifact(
        &self,
        repository: &TargetRepository,
        tag: &str,
    ) -> Result<Option<Digest>, RequestError> {
        let mut url = self.artifacts_url(repository, "");
        url.query_pairs_mut()
            .append_pair("with_tag", "true")
            .append_pair("q", &format!("tags={tag}"));
        let listed: Vec<Artifact> = self.pages(&url, usize::MAX).await?.unwrap_or_default();
        let mut tags = listed.iter().flat_map(Artifact::tags);
        Ok(tags.find(|(name, _)| *name == tag).map(|(_, digest)| digest))
    }

    fn artifacts_url(&self, repository: &TargetRepository, tail: &str) -> Url {
        // A name of several components is encoded twice; the address does it once.
        let (project, path) = (repository.project(), repository.path().replace('/', "%252F"));
        self.url(&format!("projects/{project}/repositories/{path}/artifacts{tail}"))
    }
}
