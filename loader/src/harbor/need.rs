//! What a load adds to each project, before anything is sent.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use tranship_common::bundle::BlobId;

use super::Harbor;
use crate::failure::{About, Failure, hopeful};
use crate::plan::survey::{Found, Standing, Survey};
use crate::transfer::retry::Patience;

/// What a project gains.
#[derive(Default)]
pub(super) struct Need {
    pub(super) bytes: u64,
    /// The manifests and blobs that it has not, and the repositories that need them.
    parts: HashMap<BlobId, Vec<usize>>,
    /// Repositories that gain something.
    pub(super) repositories: Vec<usize>,
    /// Images whose tags have another digest now.
    pub(super) changed: Vec<usize>,
}

/// What each project gains, where a manifest or blob counts once for a project. Projects that gain
/// nothing are left out.
pub(super) fn needed_by_project(survey: &Survey) -> BTreeMap<&str, Need> {
    let mut there: HashSet<(&str, BlobId)> = HashSet::new();
    for image in survey.images.iter().filter(|image| image.is_there()) {
        let project = survey.repository(image).project();
        there.extend(survey.parts(image).into_iter().map(|part| (project, part)));
    }
    let mut needed: BTreeMap<&str, Need> = BTreeMap::new();
    // What the target does not tell of may be there, but a push will show whether it is.
    for (at, image) in survey.images.iter().enumerate().filter(|(_, i)| !i.is_there()) {
        let (repository, project) = (image.image.repository, survey.repository(image).project());
        let need = needed.entry(project).or_default();
        if need.repositories.last() != Some(&repository) {
            need.repositories.push(repository);
        }
        if matches!(image.found, Found::Different(_)) {
            need.changed.push(at);
        }
        for part in survey.parts(image) {
            if there.contains(&(project, part)) {
                continue;
            }
            let by = need.parts.entry(part).or_default();
            if by.is_empty() {
                need.bytes += survey.contents.entry(part).size;
            }
            if by.last() != Some(&repository) {
                by.push(repository);
            }
        }
    }
    needed
}

/// Finds out what of a need a project holds already: left by an earlier run without its images, or
/// as part of images that are not in the bundle.
pub(super) struct Search<'a> {
    pub(super) harbor: &'a Harbor,
    pub(super) patience: &'a Patience,
    pub(super) survey: &'a Survey,
    /// Questions at once.
    pub(super) jobs: usize,
}

impl Search<'_> {
    /// The bytes of what a project holds.
    ///
    /// # Errors
    /// When Harbor itself no longer answers.
    pub(super) async fn held(&self, project: &str, need: &Need) -> Result<u64, Failure> {
        let sizes = stream::iter(&need.parts).map(|(part, repositories)| async move {
            let is_held = self.is_in_any(*part, repositories).await?
                || self.is_in_others(*part, project).await?;
            let size = self.survey.contents.entry(*part).size;
            Ok::<u64, Failure>(if is_held { size } else { 0 })
        });
        sizes.buffer_unordered(self.jobs).try_fold(0, async |sum, size| Ok(sum + size)).await
    }

    /// Whether one of the repositories that need a part has it.
    async fn is_in_any(&self, part: BlobId, repositories: &[usize]) -> Result<bool, Failure> {
        let contents = &self.survey.contents;
        let entry = contents.entry(part);
        let registry = &self.harbor.registry;
        for at in repositories {
            let repository = &self.survey.repositories[*at];
            if repository.standing == Standing::New {
                continue;
            }
            let name = repository.name.name();
            let ask = async || match contents.manifest_by_id(part) {
                Some(manifest) => {
                    let reference = entry.digest.to_string();
                    let media_type = &manifest.media_type;
                    let found = registry.manifest_digest(name, &reference, media_type);
                    found.await.map(|digest| digest.is_some())
                }
                None => registry.has_blob(name, entry.digest).await,
            };
            let there = self.patience.ask(About::Question(&repository.name), ask).await;
            if hopeful(there)?.unwrap_or(false) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether an image of the project has a part, in whichever repository.
    async fn is_in_others(&self, part: BlobId, project: &str) -> Result<bool, Failure> {
        let digest = self.survey.contents.entry(part).digest;
        let ask = || self.harbor.has_part(project, digest);
        let there = self.patience.ask(About::Project(project), ask).await;
        Ok(hopeful(there)?.unwrap_or(false))
    }
}
