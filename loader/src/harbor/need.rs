//! What a load adds to each project, before anything is sent.

use std::collections::{BTreeMap, HashSet};

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
    /// The manifests and blobs that it has not, and the repositories that need them, sorted.
    parts: Vec<(BlobId, u32)>,
    /// Repositories that gain something.
    pub(super) repositories: Vec<usize>,
    /// Images whose tags have another digest now.
    pub(super) changed: Vec<usize>,
}

/// What each project gains, where a manifest or blob counts once for a project. Projects that gain
/// nothing are left out.
pub(super) fn needed_by_project(survey: &Survey) -> BTreeMap<&str, Need> {
    let mut projects: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, repository) in survey.repositories.iter().enumerate() {
        projects.entry(repository.name.project()).or_default().push(at);
    }
    let needs = projects.into_iter().map(|(project, all)| (project, Need::of(survey, &all)));
    needs.filter(|(_, need)| !need.repositories.is_empty()).collect()
}

impl Need {
    /// What the project with these repositories gains.
    fn of(survey: &Survey, repositories: &[usize]) -> Self {
        let images = |at: usize| survey.repositories[at].images.clone();
        let (there, lacking): (Vec<usize>, Vec<usize>) = repositories
            .iter()
            .flat_map(|repository| images(*repository))
            .partition(|image| survey.images[*image].is_there());
        let parts = |image: &usize| survey.parts(&survey.images[*image]);
        let there: HashSet<BlobId> = there.iter().flat_map(parts).collect();
        let mut need = Self::default();
        // What the target does not tell of may be there, but a push will show whether it is.
        let repository_of = |image: &usize| survey.images[*image].image.repository;
        for same in lacking.chunk_by(|a, b| repository_of(a) == repository_of(b)) {
            let repository = repository_of(&same[0]);
            need.repositories.push(repository);
            let parts: HashSet<BlobId> = same.iter().flat_map(parts).collect();
            let parts = parts.into_iter().filter(|part| !there.contains(part));
            need.parts.extend(parts.map(|part| (part, repository as u32)));
        }
        let is_changed = |image: &usize| matches!(survey.images[*image].found, Found::Different(_));
        need.changed = lacking.into_iter().filter(is_changed).collect();
        need.parts.sort_unstable();
        need.parts.shrink_to_fit();
        let sizes = need.by_part().map(|same| survey.contents.entry(same[0].0).size);
        need.bytes = sizes.sum();
        need
    }

    /// The repositories that need a part, for each part.
    fn by_part(&self) -> impl Iterator<Item = &[(BlobId, u32)]> {
        self.parts.chunk_by(|a, b| a.0 == b.0)
    }
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
        let sizes = stream::iter(need.by_part()).map(|needed| async move {
            let part = needed[0].0;
            let is_held = self.is_in_any(needed).await? || self.is_in_others(part, project).await?;
            let size = self.survey.contents.entry(part).size;
            Ok::<u64, Failure>(if is_held { size } else { 0 })
        });
        sizes.buffer_unordered(self.jobs).try_fold(0, async |sum, size| Ok(sum + size)).await
    }

    /// Whether one of the repositories that need a part has it.
    async fn is_in_any(&self, needed: &[(BlobId, u32)]) -> Result<bool, Failure> {
        let contents = &self.survey.contents;
        let registry = &self.harbor.registry;
        for (part, repository) in needed.iter().copied() {
            let entry = contents.entry(part);
            let repository = &self.survey.repositories[repository as usize];
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::made_up::{MadeUp, MadeUpManifest, MadeUpTag, survey};
    use crate::plan::mapping::MappedImage;
    use tranship_common::Digest;

    #[test]
    fn what_a_project_gains_counts_once() {
        let manifest = |blobs: &[usize]| MadeUpManifest {
            blobs: blobs.to_owned(),
            ..MadeUpManifest::default()
        };
        let tag = |name: &str, manifest| MadeUpTag { pushed: 0, name: name.to_owned(), manifest };
        let made_up = MadeUp {
            manifests: vec![manifest(&[3, 4]), manifest(&[4, 5]), manifest(&[6])],
            blobs: vec![1, 10, 100, 1000],
            tags: BTreeMap::from([
                ("a/x".to_owned(), vec![tag("there", 0), tag("new", 1)]),
                ("a-b/x".to_owned(), vec![tag("new", 1)]),
                ("a/y".to_owned(), vec![tag("changed", 1), tag("new", 2)]),
                ("c/x".to_owned(), vec![tag("there", 2)]),
            ]),
            ..MadeUp::default()
        };
        let survey = survey(&made_up.contents(), |MappedImage { tag, .. }| {
            match tag.as_ref().unwrap().as_str() {
                "there" => Found::Same,
                "changed" => Found::Different(Digest::of(b"another")),
                _ => Found::Missing,
            }
        });
        let needed = needed_by_project(&survey);
        let names = |need: &Need| -> Vec<String> {
            let names = need.repositories.iter();
            names.map(|at| survey.repositories[*at].name.to_string()).collect()
        };
        let gains: Vec<_> = needed
            .iter()
            .map(|(project, need)| (*project, need.bytes, names(need), need.changed.len()))
            .collect();
        let [x, y, other] = ["a/x", "a/y", "a-b/x"].map(str::to_owned);
        // A manifest has 500 bytes. What is there, 1 and 10, is there for the whole project.
        let expected =
            [("a", 500 + 500 + 100 + 1000, vec![x, y], 1), ("a-b", 500 + 110, vec![other], 0)];
        assert_eq!(gains, expected);
        let by: Vec<usize> = needed["a"].by_part().map(<[_]>::len).collect();
        assert_eq!(by, [2, 1, 2, 1]);
    }
}
