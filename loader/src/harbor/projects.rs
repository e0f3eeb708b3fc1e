//! Makes the projects of Harbor that images go to.

use std::rc::Rc;

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use tranship_terminal::Terminal;

use super::preflight::Creator;
use super::{Harbor, NewProject};
use crate::failure::{About, Failure};
use crate::plan::mapping::Mapped;
use crate::plan::survey::Projects;
use crate::transfer::retry::Patience;

/// Which of the projects that images go to exist.
///
/// # Errors
/// When one cannot be asked for: what is made, and what is asked, depends on it.
pub(crate) async fn existing(
    harbor: &Harbor,
    mapped: &Mapped,
    patience: &Patience,
    jobs: usize,
) -> Result<Projects, Failure> {
    let mut names: Vec<&str> =
        mapped.repositories.iter().map(|repository| repository.name.project()).collect();
    names.sort_unstable();
    names.dedup();
    stream::iter(names)
        .map(|name| async move {
            let exists = patience.ask(About::Project(name), || harbor.has_project(name)).await?;
            Ok((name.to_owned(), exists))
        })
        .buffer_unordered(jobs)
        .try_collect()
        .await
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

    /// Makes what does not exist. Returns how many that are.
    pub(crate) async fn make_missing<'a>(
        &self,
        missing: impl IntoIterator<Item = &'a str>,
        patience: &Patience,
        terminal: Terminal,
    ) -> Result<u64> {
        let mut made = 0;
        for name in missing {
            if made == 0 && self.options.storage_limit.is_some() {
                self.doubt_limit(terminal).await;
            }
            let create = || self.harbor.create_project(name, self.options);
            patience.ask(About::Project(name), create).await.with_context(|| {
                format!("{} cannot make project {name}", self.harbor.registry.account())
            })?;
            terminal.message(&format!("made project {name}"));
            made += 1;
        }
        Ok(made)
    }

    /// Says that Harbor may take no limit from this account: it would give its own without a word.
    async fn doubt_limit(&self, terminal: Terminal) {
        if matches!(self.harbor.is_administrator().await, Ok(Some(true))) {
            return;
        }
        let account = self.harbor.registry.account();
        terminal.message(&format!(
            "warning: Harbor takes --storage-limit from administrators, and {account} may be none: \
             its projects may get Harbor's own limit"
        ));
    }
}
