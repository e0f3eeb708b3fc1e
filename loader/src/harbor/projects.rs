//! Makes the projects of Harbor that images go to.

use std::rc::Rc;

use anyhow::{Context, Result};
use tranship_common::Progress;
use tranship_terminal::Terminal;

use crate::cli::{Connection, NewProjects};
use crate::connect::connect_as_administrator;
use crate::destination::{Destination, Projects, greet};
use crate::harbor::preflight::Creator;
use crate::registry::{NewProject, Registry};
use crate::transfer::retry::RetryPolicy;

/// Who makes projects, and how.
pub(crate) struct ProjectMaker {
    registry: Rc<Registry>,
    options: NewProject,
    retry: RetryPolicy,
}

impl ProjectMaker {
    /// The administrator of the options, or else the account that loads.
    pub(crate) async fn new(
        connection: &Connection,
        options: &NewProjects,
        destination: &Destination,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let administrator = connect_as_administrator(connection, options)?;
        let registry = match administrator {
            Some(administrator) => {
                greet(&administrator, connection, &destination.retry, progress).await?;
                Rc::new(administrator)
            }
            None => Rc::clone(&destination.registry),
        };
        let NewProjects { public, storage_limit, .. } = *options;
        let options = NewProject { public, storage_limit };
        Ok(Self { registry, options, retry: destination.retry.clone() })
    }

    /// What preflight has to know of it.
    pub(crate) fn creator(&self) -> Creator<'_> {
        Creator { registry: &self.registry, storage_limit: self.options.storage_limit }
    }

    /// Makes what does not exist. Returns how many that are.
    pub(crate) async fn make_missing(
        &self,
        projects: &Projects,
        progress: &dyn Progress,
        terminal: Terminal,
    ) -> Result<u64> {
        let mut made = 0;
        let makes_any = projects.values().any(|exists| !exists);
        if self.options.storage_limit.is_some() && makes_any {
            self.doubt_limit(terminal).await;
        }
        for (name, _) in projects.iter().filter(|(_, exists)| !**exists) {
            let create = || self.registry.create_project(name, self.options);
            self.retry.insist(progress, create).await.with_context(|| {
                format!("{} cannot make project {name}", self.registry.account())
            })?;
            terminal.message(&format!("made project {name}"));
            made += 1;
        }
        Ok(made)
    }

    /// Says that Harbor may take no limit from this account: it would give its own without a word.
    async fn doubt_limit(&self, terminal: Terminal) {
        if matches!(self.registry.is_administrator().await, Ok(Some(true))) {
            return;
        }
        let account = self.registry.account();
        terminal.message(&format!(
            "warning: Harbor takes --storage-limit from administrators, and {account} may be none: \
             its projects may get Harbor's own limit"
        ));
    }
}
