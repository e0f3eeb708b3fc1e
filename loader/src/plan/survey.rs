//! What the target has already: asked, never assumed.

use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::HashSet;

use tranship_common::bundle::{Contents, RepositoryEntry, TagEntry};
use tranship_common::{Digest, MediaType, Progress, Repository};

use crate::registry::{Registry, RequestError};
use crate::transfer::retry::RetryPolicy;

/// What the target says of one image of the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// The tag has the packed digest.
    Same,
    /// The tag has this other digest.
    Different(Digest),
    /// There is no such tag.
    Missing,
    /// The target does not tell, for this reason.
    Unknown(String),
}

/// Asks for images, with a bound on the requests at once.
pub(crate) struct Surveyor<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) contents: &'a Contents,
    pub(crate) retry: &'a RetryPolicy,
    pub(crate) jobs: usize,
    pub(crate) progress: &'a dyn Progress,
    /// Whether a repository is known not to exist, so that it need not be asked for.
    pub(crate) is_absent: &'a dyn Fn(&Repository) -> bool,
}

impl Surveyor<'_> {
    /// For every image, in the order of the catalog, what the target has under its tag. One
    /// request for each tag that is there; a repository that lacks its oldest tag is asked for its
    /// list, so that a new one costs two requests, however many tags are to come.
    pub(crate) async fn images(&self) -> Result<Vec<Found>, RequestError> {
        self.progress.begin("asking the target", 0, self.contents.image_count() as u64);
        stream::iter(&self.contents.catalog().repositories)
            .map(|repository| self.repository_or_reason(repository))
            .buffered(self.jobs)
            .try_concat()
            .await
    }

    /// A repository that cannot be asked, for want of a right perhaps, keeps none of the others
    /// from being asked. Only a target that does not answer at all is an error.
    async fn repository_or_reason(
        &self,
        repository: &RepositoryEntry,
    ) -> Result<Vec<Found>, RequestError> {
        let found = match self.repository(repository).await {
            Err(error) if !self.retry.is_lost(&error) => {
                vec![Found::Unknown(error.in_words()); repository.tags.len()]
            }
            other => other?,
        };
        self.progress.add_images(repository.tags.len() as u64);
        Ok(found)
    }

    async fn repository(&self, repository: &RepositoryEntry) -> Result<Vec<Found>, RequestError> {
        let name = &repository.name;
        if (self.is_absent)(name) {
            return Ok(vec![Found::Missing; repository.tags.len()]);
        }
        let Some((oldest, others)) = repository.tags.split_first() else { return Ok(Vec::new()) };
        let mut found = vec![self.tag(name, oldest).await?];
        let listed: Option<HashSet<String>> = match found[0] {
            Found::Missing if !others.is_empty() => Some(
                self.retry
                    .insist(self.progress, || self.registry.tags(name))
                    .await?
                    .into_iter()
                    .collect(),
            ),
            _ => None,
        };
        for tag in others {
            let absent = listed.as_ref().is_some_and(|listed| !listed.contains(tag.name.as_str()));
            found.push(if absent { Found::Missing } else { self.tag(name, tag).await? });
        }
        Ok(found)
    }

    async fn tag(&self, repository: &Repository, tag: &TagEntry) -> Result<Found, RequestError> {
        let manifest = self.contents.manifest(tag.digest);
        let unknown = MediaType::from("");
        let media_type = manifest.map_or(&unknown, |manifest| &manifest.media_type);
        let ask = || self.registry.tag_digest(repository, &tag.name, media_type);
        Ok(match self.retry.insist(self.progress, ask).await? {
            Some(digest) if digest == tag.digest => Found::Same,
            Some(digest) => Found::Different(digest),
            None => Found::Missing,
        })
    }
}
