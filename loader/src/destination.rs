//! Where a bundle goes: a registry that answers, what it is, and the bundle's images under the
//! names that they have there.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use tranship_common::bundle::{Contents, TagEntry};
use tranship_common::{Progress, Repository};
use tranship_terminal::{Terminal, quantity};

use crate::cli::{Connection, Names, TargetKind};
use crate::connect::{connect, retry_policy};
use crate::plan::mapping::{Mapped, Mapping, Rule, project_of};
use crate::plan::survey::{Found, Surveyor};
use crate::registry::{Artifact, Registry, RequestError, SystemInfo};
use crate::transfer::retry::RetryPolicy;

/// So long Harbor locks a user name after a wrong password, and some more.
const LOCK: Duration = Duration::from_secs(2);

/// A target that has answered.
pub(crate) struct Destination {
    pub(crate) registry: Rc<Registry>,
    /// What Harbor says of itself, if it is Harbor.
    pub(crate) harbor: Option<SystemInfo>,
    pub(crate) retry: RetryPolicy,
    pub(crate) jobs: usize,
}

/// Which of the projects that images go to exist.
pub(crate) type Projects = BTreeMap<String, bool>;

impl Destination {
    /// Logs in and finds out what the target is.
    pub(crate) async fn reach(
        connection: &Connection,
        terminal: Terminal,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let registry = Rc::new(connect(connection, terminal)?);
        let (retry, jobs) = (retry_policy(connection), connection.jobs.get());
        let harbor = greet(&registry, connection, &retry, progress).await?;
        Ok(Self { registry, harbor, retry, jobs })
    }

    /// The images under their names in the target; all that has none is said at once.
    pub(crate) fn map(
        &self,
        contents: &Contents,
        names: &Names,
        terminal: Terminal,
    ) -> Result<Mapped> {
        let mut rules = names.rules.clone();
        if let Some(path) = &names.map_file {
            let text = fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            rules.extend(rules_of(&text).with_context(|| path.display().to_string())?);
        }
        let library = self.harbor.as_ref().map(|_| "library".to_owned());
        let mapping = Mapping {
            rules,
            prefix: names.prefix.clone(),
            default_project: names.default_project.clone().or(library),
            for_harbor: self.harbor.is_some(),
        };
        for rule in mapping.idle_rules(contents) {
            terminal.message(&format!("warning: the rule `{rule}` fits no repository"));
        }
        mapping.apply(contents).map_err(|errors| {
            errors.iter().for_each(|error| terminal.problem(&error.to_string()));
            let count = quantity(errors.len() as u64, "name");
            anyhow::anyhow!("{count} cannot be used in {}", self.registry.target())
        })
    }

    /// Which projects exist; none are looked at where the target is not Harbor.
    pub(crate) async fn projects(
        &self,
        contents: &Contents,
        progress: &dyn Progress,
    ) -> Result<Projects, RequestError> {
        if self.harbor.is_none() {
            return Ok(Projects::new());
        }
        let names: BTreeSet<&str> = contents
            .catalog()
            .repositories
            .iter()
            .map(|repository| project_of(&repository.name))
            .collect();
        stream::iter(names)
            .map(|name| async move {
                let exists =
                    self.retry.insist(progress, || self.registry.has_project(name)).await?;
                Ok((name.to_owned(), exists))
            })
            .buffer_unordered(self.jobs)
            .try_collect()
            .await
    }

    /// Which projects exist, and what the target has of each image.
    pub(crate) async fn inventory(
        &self,
        contents: &Contents,
        progress: &dyn Progress,
    ) -> Result<(Projects, Vec<Found>), RequestError> {
        let projects = self.projects(contents, progress).await?;
        let found = self.survey(contents, &projects, progress).await?;
        Ok((projects, found))
    }

    /// What the target has of each image. Projects that do not exist are not asked for images:
    /// Harbor would answer as if the account had no rights.
    async fn survey(
        &self,
        contents: &Contents,
        projects: &Projects,
        progress: &dyn Progress,
    ) -> Result<Vec<Found>, RequestError> {
        let is_absent =
            |repository: &Repository| projects.get(project_of(repository)) == Some(&false);
        let surveyor = Surveyor {
            registry: &self.registry,
            contents,
            retry: &self.retry,
            jobs: self.jobs,
            progress,
            is_absent: &is_absent,
        };
        surveyor.images().await
    }
}

/// What Harbor's own list says of the images that its registry has.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Images, by their place in the catalog, that Harbor does not show.
    pub(crate) unlisted: HashSet<usize>,
    /// Repositories that it does not tell of, each with the reason.
    pub(crate) unknown: Vec<String>,
}

impl Destination {
    /// Looks the images that are there up in Harbor's list of artifacts: 1 request for each hundred
    /// of a repository, and 1 for each accessory, which is in no list.
    pub(crate) async fn listing(
        &self,
        contents: &Contents,
        found: &[Found],
        progress: &dyn Progress,
    ) -> Listing {
        let mut listing = Listing::default();
        let mut first = 0;
        for repository in &contents.catalog().repositories {
            let images = first..first + repository.tags.len();
            first = images.end;
            let there: Vec<_> = images
                .zip(&repository.tags)
                .filter(|(image, _)| found[*image] == Found::Same)
                .collect();
            if there.is_empty() {
                continue;
            }
            match self.unlisted(&repository.name, &there, progress).await {
                Ok(unlisted) => listing.unlisted.extend(unlisted),
                Err(error) => {
                    listing.unknown.push(format!("{}: {}", repository.name, error.in_words()));
                }
            }
        }
        listing
    }

    async fn unlisted(
        &self,
        repository: &Repository,
        images: &[(usize, &TagEntry)],
        progress: &dyn Progress,
    ) -> Result<Vec<usize>, RequestError> {
        let list = || self.registry.artifacts(repository);
        let artifacts = self.retry.insist(progress, list).await?;
        let mut unlisted = Vec::new();
        for (image, tag) in images {
            let is_listed =
                |artifact: &Artifact| artifact.digest == tag.digest && artifact.has_tag(&tag.name);
            if artifacts.iter().any(is_listed) {
                continue;
            }
            let ask = || self.registry.artifact(repository, &tag.name);
            if self.retry.insist(progress, ask).await? != Some(tag.digest) {
                unlisted.push(*image);
            }
        }
        Ok(unlisted)
    }
}

/// Pings a registry, and where it is Harbor asks what it says of itself.
pub(crate) async fn greet(
    registry: &Registry,
    connection: &Connection,
    retry: &RetryPolicy,
    progress: &dyn Progress,
) -> Result<Option<SystemInfo>> {
    let asking = || format!("asking {}", registry.target());
    let lock = connection.retry_delay.map_or(LOCK, Duration::from_millis);
    // Nobody at all is rather a wrong address than an outage, and is said at once.
    let ping = async || match ping(registry, lock).await {
        Err(error @ RequestError::Connect { .. }) => Ok(Err(error)),
        other => other.map(Ok),
    };
    retry.insist(progress, ping).await.flatten().with_context(asking)?;
    let found = registry.is_harbor().await;
    match connection.target_kind {
        TargetKind::Registry => return Ok(None),
        TargetKind::Auto if !found => return Ok(None),
        TargetKind::Auto | TargetKind::Harbor => {}
    }
    registry.use_as_harbor(lock).await;
    let info = retry.insist(progress, || registry.system_info()).await.with_context(asking)?;
    if info.harbor_version.is_empty() {
        bail!("{} does not say that it is Harbor; is --target-kind right?", registry.target());
    }
    Ok(Some(info))
}

async fn ping(registry: &Registry, lock: Duration) -> Result<(), RequestError> {
    match registry.ping().await {
        // Somebody else's wrong password locks the user name for a moment.
        Err(RequestError::Credentials { .. }) if registry.is_harbor().await => {
            tokio::time::sleep(lock).await;
            registry.ping().await
        }
        other => other,
    }
}

/// The rules of a file: one a line, blank lines and comments left out.
fn rules_of(text: &str) -> Result<Vec<Rule>> {
    // No name has a `#` in it.
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(number, line)| line.parse().with_context(|| format!("line {}", number + 1)))
        .collect()
}
