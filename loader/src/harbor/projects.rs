//! Makes the projects of Harbor that images go to.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::api::ListedProject;
use super::preflight::Creator;
use super::{Harbor, LOCK, NewProject, WORTH_A_LIST};
use crate::failure::{About, Failure, hopeful};
use crate::plan::mapping::{Mapped, TargetRepository};
use crate::plan::survey::{Projects, Standing};
use crate::transfer::retry::Patience;

/// What is known of the projects that images go to.
///
/// # Errors
/// When one cannot be asked for: what is made, and what is asked, depends on it.
pub(crate) async fn existing(
    harbor: &Harbor,
    mapped: &Mapped,
    patience: &Patience,
    jobs: usize,
) -> Result<Projects, Failure> {
    // Each with a repository that may be in it.
    let mut names: BTreeMap<&str, &TargetRepository> = BTreeMap::new();
    for repository in &mapped.repositories {
        names.entry(repository.name.project()).or_insert(&repository.name);
    }
    let mut projects = Projects::new();
    let lists = Lists { harbor, patience, answers: names.len() / WORTH_A_LIST };
    if lists.answers > 0 {
        lists.enter(&mut projects, lists.shown().await?.unwrap_or_default(), &names);
        if names.len() - projects.len() >= WORTH_A_LIST
            && let Some(all) = lists.all().await?
        {
            lists.enter(&mut projects, all, &names);
            for name in names.keys() {
                projects.entry((*name).to_owned()).or_insert(Standing::New);
            }
        }
    }
    let unlisted = names.into_iter().filter(|(name, _)| !projects.contains_key(*name));
    let asked: Vec<_> = stream::iter(unlisted.collect::<Vec<_>>())
        .map(|(name, repository)| async move {
            let ask = || harbor.has_project(name, repository);
            let exists = patience.ask(About::Project(name), ask).await?;
            let standing = if exists { Standing::Filled } else { Standing::New };
            Ok::<_, Failure>((name.to_owned(), standing))
        })
        .buffer_unordered(jobs)
        .try_collect()
        .await?;
    projects.extend(asked);
    Ok(projects)
}

/// The names of those that do not exist.
pub(crate) fn missing(projects: &Projects) -> Vec<&str> {
    let new = projects.iter().filter(|(_, standing)| **standing == Standing::New);
    new.map(|(name, _)| name.as_str()).collect()
}

/// Harbor's lists of projects.
struct Lists<'a> {
    harbor: &'a Harbor,
    patience: &'a Patience,
    /// So many answers they may take.
    answers: usize,
}

impl Lists<'_> {
    /// The projects that the account is shown, if there is an answer.
    async fn shown(&self) -> Result<Option<Vec<ListedProject>>, Failure> {
        let ask = || self.harbor.projects(self.answers);
        let shown = hopeful(self.patience.ask(About::Target, ask).await)?;
        Ok(shown.ok().flatten())
    }

    /// All projects, if the account is shown them. While it is locked it would be shown those only
    /// that are for everybody: so it has to be let in before and after, in less time than a lock
    /// takes.
    async fn all(&self) -> Result<Option<Vec<ListedProject>>, Failure> {
        let is_administrator = async || {
            let ask = || self.harbor.is_administrator();
            let answer = hopeful(self.patience.ask(About::Target, ask).await)?;
            Ok::<_, Failure>(answer.is_ok_and(|answer| answer == Some(true)))
        };
        let begun = Instant::now();
        if !is_administrator().await? {
            return Ok(None);
        }
        let all = self.shown().await?;
        let is_sure = is_administrator().await? && begun.elapsed() < LOCK;
        Ok(all.filter(|_| is_sure))
    }

    /// Takes down what a list tells of these projects.
    fn enter(
        &self,
        projects: &mut Projects,
        listed: Vec<ListedProject>,
        names: &BTreeMap<&str, &TargetRepository>,
    ) {
        for ListedProject { name, repo_count } in listed {
            if names.contains_key(name.as_str()) {
                let is_empty = repo_count == Some(0);
                let standing = if is_empty { Standing::Empty } else { Standing::Filled };
                projects.insert(name, standing);
            }
        }
    }
}

/// Who makes projects, and how.
pub(crate) struct ProjectMaker {
    pub(crate) harbor: Rc<Harbor>,
    pub(crate) options: NewProject,
}

impl ProjectMaker {
    /// What preflight has to know of it.
    pub(crate) fn creator(&self) -> Creator {
        Creator { harbor: Rc::clone(&self.harbor), storage_limit: self.options.storage_limit }
    }

    /// Makes what does not exist, and tells of each. Returns why some could not be made, by their
    /// names.
    ///
    /// # Errors
    /// When Harbor itself no longer answers, or the user wants to stop.
    pub(crate) async fn make(
        &self,
        missing: &[&str],
        patience: &Patience,
        tell: impl Fn(&str),
    ) -> Result<BTreeMap<String, String>, Failure> {
        let mut failed = BTreeMap::new();
        if !missing.is_empty() && self.options.storage_limit.is_some() {
            self.doubt_limit(&tell).await;
        }
        for name in missing {
            let create = || self.harbor.create_project(name, self.options);
            match hopeful(patience.ask(About::Project(name), create).await)? {
                Ok(()) => tell(&format!("made project {name}")),
                Err(failure) => {
                    let account = self.harbor.registry.account();
                    let text = format!("{account} cannot make project {name}: {failure}");
                    failed.insert((*name).to_owned(), text);
                }
            }
        }
        Ok(failed)
    }

    /// Says that Harbor may take no limit from this account: it would give its own without a word.
    async fn doubt_limit(&self, tell: impl Fn(&str)) {
        if matches!(self.harbor.is_administrator().await, Ok(Some(true))) {
            return;
        }
        let account = self.harbor.registry.account();
        tell(&format!(
            "warning: Harbor takes --storage-limit from administrators, and {account} may be none: \
             its projects may get Harbor's own limit"
        ));
    }
}
