//! What projects of Harbor hold, as Harbor counts it, and what a load should have added.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tranship_common::bundle::{BlobId, Contents};

use super::api::DefaultQuota;
use super::{Harbor, Quota, WORTH_A_LIST};
use crate::deliver::Delivered;
use crate::failure::{About, Failure, hopeful};
use crate::plan::survey::{Projects, Standing, Survey};
use crate::plan::work::Job;
use crate::transfer::Ledger;
use crate::transfer::retry::Patience;

/// A project in which Harbor counts more than was brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Overcount {
    pub(crate) project: String,
    /// Bytes that were added, each blob and manifest once.
    pub(crate) added: u64,
    /// Bytes by which Harbor's count has grown.
    pub(crate) counted: u64,
}

impl Overcount {
    /// What it is, and what helps.
    pub(crate) fn in_words(&self) -> String {
        let Self { project, added, counted } = self;
        format!(
            "project {project}: {added} bytes were added, and Harbor's quota has grown by {counted}; \
             unless somebody else has pushed there meanwhile, an administrator sets it right with \
             GET /api/internal/syncquota"
        )
    }
}

/// What Harbor tells of the quotas of projects: nothing where there are none, or where the account
/// is not shown that of a public project.
pub(crate) type Quotas = BTreeMap<String, Result<Option<Quota>, Failure>>;

/// Asks for the quotas of projects: all at once where they are many and the account is shown the
/// list, else one by one.
///
/// # Errors
/// When Harbor itself no longer answers.
pub(crate) async fn quotas_of(
    harbor: &Harbor,
    patience: &Patience,
    projects: &[&str],
    jobs: usize,
) -> Result<Quotas, Failure> {
    let list = match projects.len() / WORTH_A_LIST {
        0 => None,
        answers => list(harbor, patience, answers).await?,
    };
    let asked = stream::iter(projects).map(|project| async {
        let listed = list.as_ref().and_then(|list| list.get(*project));
        let quota = match listed {
            Some(quota) => Ok(*quota),
            None => {
                let ask = || harbor.quota(project);
                hopeful(patience.ask(About::Project(project), ask).await)?
            }
        };
        Ok(((*project).to_owned(), quota))
    });
    asked.buffer_unordered(jobs).try_collect().await
}

/// Bytes that projects hold, where Harbor tells.
///
/// # Errors
/// When Harbor itself no longer answers.
pub(crate) async fn used_by(
    harbor: &Harbor,
    patience: &Patience,
    projects: &Projects,
    jobs: usize,
) -> Result<BTreeMap<String, i64>, Failure> {
    let (new, there): (Vec<_>, Vec<_>) =
        projects.iter().partition(|(_, standing)| **standing == Standing::New);
    let there: Vec<&str> = there.into_iter().map(|(name, _)| name.as_str()).collect();
    let quotas = quotas_of(harbor, patience, &there, jobs).await?;
    let used = quotas.into_iter().filter_map(|(name, quota)| match quota {
        Ok(Some(quota)) => Some((name, quota.used)),
        _ => None,
    });
    Ok(used.chain(new.into_iter().map(|(name, _)| (name.clone(), 0))).collect())
}

/// The list of all quotas, if the account is shown it and it takes no more answers than this. It
/// shows those too that are switched off.
async fn list(
    harbor: &Harbor,
    patience: &Patience,
    answers: usize,
) -> Result<Option<BTreeMap<String, Option<Quota>>>, Failure> {
    let default = patience.ask(About::Target, || harbor.default_quota()).await;
    let Some(default) = hopeful(default)?.ok() else { return Ok(None) };
    let list = patience.ask(About::Target, || harbor.quotas(answers)).await;
    let shown = |quota| Some(quota).filter(|_| default != DefaultQuota::Off);
    Ok(hopeful(list)?
        .ok()
        .flatten()
        .map(|list| list.into_iter().map(|(project, quota)| (project, shown(quota))).collect()))
}

/// What a load adds to projects.
pub(crate) struct Books {
    contents: Arc<Contents>,
    /// Bytes that Harbor counted before, where it tells.
    before: BTreeMap<String, i64>,
    /// What projects are known to hold.
    held: HashSet<(u32, BlobId)>,
    /// Projects of the repositories and images of the survey.
    projects: Vec<String>,
    by_repository: BTreeMap<String, u32>,
    images: Vec<u32>,
    added: Vec<u64>,
}

impl Books {
    /// Opens the books, where `before` is what projects held.
    pub(crate) fn open(survey: &Survey, before: BTreeMap<String, i64>) -> Self {
        let mut projects: Vec<String> = Vec::new();
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut by_repository = BTreeMap::new();
        for repository in &survey.repositories {
            let project = repository.name.project();
            // Repositories are sorted by name, but `a-b/x` comes before `a/x`.
            let number = *numbers.entry(project).or_insert_with(|| {
                projects.push(project.to_owned());
                projects.len() as u32 - 1
            });
            by_repository.insert(repository.name.to_string(), number);
        }
        let project_of =
            |repository: usize| by_repository[survey.repositories[repository].name.name().as_str()];
        let images: Vec<_> =
            survey.images.iter().map(|image| project_of(image.image.repository)).collect();
        let mut held = HashSet::new();
        for (image, project) in survey.images.iter().zip(&images) {
            if image.is_there() {
                held.extend(survey.parts(image).into_iter().map(|part| (*project, part)));
            }
        }
        let contents = Arc::clone(&survey.contents);
        let added = vec![0; projects.len()];
        Self { contents, before, held, projects, by_repository, images, added }
    }

    fn add(&mut self, project: u32, part: BlobId) {
        if self.held.insert((project, part)) {
            self.added[project as usize] += self.contents.entry(part).size;
        }
    }

    /// Compares with what Harbor counts now. What it does not tell is passed over.
    pub(crate) async fn close(
        self,
        harbor: &Harbor,
        patience: &Patience,
        jobs: usize,
    ) -> Vec<Overcount> {
        let grown = self.projects.iter().zip(self.added).filter(|(_, added)| *added > 0);
        let known = grown.filter_map(|(project, added)| {
            let before = self.before.get(project)?;
            Some((project.as_str(), added, *before))
        });
        let known: Vec<_> = known.collect();
        let names: Vec<&str> = known.iter().map(|(project, ..)| *project).collect();
        let now = quotas_of(harbor, patience, &names, jobs).await.unwrap_or_default();
        let overcounts = known.into_iter().filter_map(|(project, added, before)| {
            let Some(Ok(Some(now))) = now.get(project) else { return None };
            let counted = u64::try_from(now.used.saturating_sub(before)).unwrap_or(0);
            let project = project.to_owned();
            (counted > added).then_some(Overcount { project, added, counted })
        });
        overcounts.collect()
    }
}

impl Ledger for Books {
    fn delivered(&mut self, job: &Job, how: Delivered) {
        let project = self.by_repository[job.to.name().as_str()];
        match how {
            Delivered::Present => {
                self.held.insert((project, job.blob));
            }
            Delivered::Sent(_) | Delivered::Mounted => self.add(project, job.blob),
            Delivered::NotMounted => {}
        }
    }

    fn stored(&mut self, image: usize, manifests: &[BlobId]) {
        let project = self.images[image];
        for manifest in manifests {
            self.add(project, *manifest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::made_up::{MadeUp, MadeUpManifest, MadeUpTag, survey};
    use crate::plan::survey::Found;

    /// None is looked for among all that are known already.
    #[test]
    fn many_projects() {
        let count = 40_000;
        let tag = || MadeUpTag { pushed: 0, name: "t".to_owned(), manifest: 0 };
        let made_up = MadeUp {
            manifests: vec![MadeUpManifest { blobs: vec![1], ..MadeUpManifest::default() }],
            blobs: vec![70],
            tags: (0..count).map(|at| (format!("p{at}/r"), vec![tag()])).collect(),
            ..MadeUp::default()
        };
        let survey = survey(&made_up.contents(), |_| Found::Missing);
        let mut books = Books::open(&survey, BTreeMap::new());
        assert_eq!(books.projects.len(), count);
        let root = survey.images[count - 1].image.root;
        books.stored(count - 1, &[root]);
        let added: u64 = books.added.iter().sum();
        assert_eq!((books.added.iter().filter(|added| **added > 0).count(), added), (1, 500));
    }
}
