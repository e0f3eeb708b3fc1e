//! A target that has answered, and what it is.

use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::Semaphore;

use crate::failure::{About, Failure};
use crate::harbor::{Harbor, api, projects};
use crate::plan::mapping::Mapped;
use crate::plan::survey::{Projects, Survey, Surveyor};
use crate::registry::{Registry, RequestError};
use crate::transfer::retry::Patience;

/// What the user says that the target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Nothing: it is found out.
    Anything,
    Harbor,
    Registry,
}

/// A target that has answered.
pub(crate) struct Destination {
    pub(crate) registry: Rc<Registry>,
    pub(crate) harbor: Option<Rc<Harbor>>,
    pub(crate) patience: Rc<Patience>,
    /// Requests side by side.
    pub(crate) jobs: usize,
}

impl Destination {
    /// Logs in and finds out what the target is. `lock` is how long Harbor locks a user name after
    /// a wrong password.
    pub(crate) async fn reach(
        registry: Rc<Registry>,
        expected: Expected,
        patience: Patience,
        jobs: usize,
        lock: Duration,
    ) -> Result<Self> {
        let harbor = identify(&registry, expected, &patience, lock).await?;
        if harbor.is_some() || registry.is_harbor() {
            patience.use_as_harbor();
        }
        let patience = Rc::new(patience);
        Ok(Self { registry, harbor: harbor.map(Rc::new), patience, jobs })
    }

    /// Which projects exist; none are looked at where the target is not Harbor.
    pub(crate) async fn projects(&self, mapped: &Mapped) -> Result<Projects, Failure> {
        let Some(harbor) = &self.harbor else { return Ok(Projects::new()) };
        projects::existing(harbor, mapped, &self.patience, self.jobs).await
    }

    /// What the target has of each image. Projects that do not exist are not asked for images:
    /// Harbor would answer as if the account had no rights.
    pub(crate) async fn survey(
        &self,
        mapped: Mapped,
        projects: &Projects,
        deep: bool,
    ) -> Result<Survey, Failure> {
        let names = mapped.repositories.iter().map(|repository| repository.name.name());
        self.registry.expect_repositories(names);
        let surveyor = Surveyor {
            registry: &self.registry,
            harbor: self.harbor.as_deref(),
            patience: &self.patience,
            turns: Semaphore::new(self.jobs),
            jobs: self.jobs,
            deep,
            sample: OnceCell::new(),
        };
        surveyor.survey(mapped, projects).await
    }
}

/// Pings a registry, and where it is Harbor asks what it says of itself.
pub(crate) async fn identify(
    registry: &Rc<Registry>,
    expected: Expected,
    patience: &Patience,
    lock: Duration,
) -> Result<Option<Harbor>> {
    let asking = || format!("asking {}", registry.target());
    // Nobody at all is rather a wrong address than an outage, and is said at once.
    let ping = async || match ping(registry, lock).await {
        Err(error @ RequestError::Connect { .. }) => Ok(Err(error)),
        other => other.map(Ok),
    };
    patience.ask(About::Target, ping).await.with_context(asking)?.with_context(asking)?;
    match expected {
        Expected::Registry => return Ok(None),
        Expected::Anything if !registry.is_harbor() => return Ok(None),
        Expected::Anything | Expected::Harbor => {}
    }
    registry.prefer_password();
    let info = || api::system_info(registry);
    let info = patience.ask(About::Target, info).await.with_context(asking)?;
    if info.harbor_version.is_empty() {
        bail!("{} does not say that it is Harbor; is --target-kind right?", registry.target());
    }
    Ok(Some(Harbor { registry: Rc::clone(registry), info }))
}

async fn ping(registry: &Registry, lock: Duration) -> Result<(), RequestError> {
    match registry.ping().await {
        // Somebody else's wrong password locks the user name for a moment.
        Err(RequestError::Credentials { .. }) if registry.is_harbor() => {
            tokio::time::sleep(lock).await;
            registry.ping().await
        }
        other => other,
    }
}
