//! What projects of Harbor hold, as Harbor counts it, and what a load should have added.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use tranship_common::bundle::{BlobId, Contents};

use super::Harbor;
use crate::deliver::Delivered;
use crate::failure::About;
use crate::plan::survey::Survey;
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
             an administrator sets it right with GET /api/internal/syncquota"
        )
    }
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
    images: Vec<(u32, BlobId)>,
    added: Vec<u64>,
}

impl Books {
    /// Opens the books, where `before` is what projects held.
    pub(crate) fn open(survey: &Survey, before: BTreeMap<String, i64>) -> Self {
        let mut projects: Vec<String> = Vec::new();
        let mut by_repository = BTreeMap::new();
        for repository in &survey.repositories {
            let project = repository.name.project();
            // Repositories are sorted by name, but `a-b/x` comes before `a/x`.
            let at = projects.iter().position(|known| known == project).unwrap_or_else(|| {
                projects.push(project.to_owned());
                projects.len() - 1
            });
            by_repository.insert(repository.name.to_string(), at as u32);
        }
        let project_of =
            |repository: usize| by_repository[survey.repositories[repository].name.name().as_str()];
        let images: Vec<_> = survey
            .images
            .iter()
            .map(|image| (project_of(image.image.repository), image.image.root))
            .collect();
        let mut held = HashSet::new();
        for (image, (project, _)) in survey.images.iter().zip(&images) {
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
    pub(crate) async fn close(self, harbor: &Harbor, patience: &Patience) -> Vec<Overcount> {
        let mut overcounts = Vec::new();
        for (project, added) in self.projects.into_iter().zip(self.added) {
            let Some(before) = self.before.get(&project).filter(|_| added > 0) else { continue };
            let ask = || harbor.quota(&project);
            let Ok(Some(now)) = patience.ask(About::Project(&project), ask).await else { continue };
            let counted = u64::try_from(now.used.saturating_sub(*before)).unwrap_or(0);
            if counted > added {
                overcounts.push(Overcount { project, added, counted });
            }
        }
        overcounts
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
        }
    }

    fn pushed(&mut self, image: usize) {
        let (project, root) = self.images[image];
        for part in self.contents.closure_ids(root) {
            self.add(project, part);
        }
    }
}
