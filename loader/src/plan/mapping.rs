//! Under which name each repository of the bundle goes into the target.

mod harbor_names;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use tranship_common::bundle::{BlobId, Contents};
use tranship_common::{Digest, PushTime, Repository, Tag};

use super::rules::{Rule, Rules};
use harbor_names::{MAX_NAME, check_for_harbor};

/// All that decides on a name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mapping {
    /// The first that fits counts.
    pub(crate) rules: Rules,
    /// In front of every name that no rule fits.
    pub(crate) prefix: Option<String>,
    /// In front of every name of one component that nothing else fits.
    pub(crate) default_project: Option<String>,
    /// Whether names have to be Harbor's: PROJECT/REPOSITORY.
    pub(crate) for_harbor: bool,
}

/// Why images cannot go where they are to go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MappingError {
    #[error("{from} would become {to}, which is not a repository name; change the rule with --map")]
    Name { from: Repository, to: String },
    #[error(
        "{from} would become {to}, and Harbor takes no project named `{project}`: it wants lower-case \
         letters and digits with single `.`, `_` or `-` between them; for instance --map '{suggestion}'"
    )]
    Project { from: Repository, to: Repository, project: String, suggestion: String },
    #[error(
        "{from} would become {to}, which has no project; for instance --map '{from}=library/{to}'"
    )]
    NoProject { from: Repository, to: Repository },
    #[error(
        "{from} would become {to}, which has {length} characters: Harbor's registry takes no more than \
         {MAX_NAME}; give it a shorter name with --map"
    )]
    TooLong { from: Repository, to: Repository, length: usize },
    #[error(
        "{from} would become {to}, and Harbor takes `{part}` for an endpoint of its own; for instance \
         --map '{from}={suggestion}'"
    )]
    Route { from: Repository, to: Repository, part: &'static str, suggestion: String },
    #[error(
        "{} and {} would both become {to}:{tag}, with different digests; keep them apart with --map",
        .from[0], .from[1]
    )]
    Collision { from: [Repository; 2], to: Repository, tag: Tag },
}

/// A repository of the target. The first component of its name is its project, where the target
/// has projects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TargetRepository {
    name: Repository,
    /// Where the project's name ends.
    project: usize,
}

impl TargetRepository {
    /// The whole name.
    pub(crate) fn name(&self) -> &Repository {
        &self.name
    }

    /// The project, or the whole name where it has one component only.
    pub(crate) fn project(&self) -> &str {
        &self.name.as_str()[..self.project]
    }

    /// The name below the project.
    pub(crate) fn path(&self) -> &str {
        self.name.as_str().get(self.project + 1..).unwrap_or_default()
    }
}

impl From<Repository> for TargetRepository {
    fn from(name: Repository) -> Self {
        let project = name.as_str().find('/').unwrap_or(name.as_str().len());
        Self { name, project }
    }
}

impl fmt::Display for TargetRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

/// An image as it is to be in the target, or a referrer, which has no tag.
#[derive(Debug, Clone)]
pub(crate) struct MappedImage {
    /// Its place among the repositories of the target.
    pub(crate) repository: usize,
    pub(crate) tag: Option<Tag>,
    /// The manifest that the tag leads to, or the referrer's own.
    pub(crate) root: BlobId,
    /// Its place among the images of the bundle when these are sorted by age, oldest first. Nobody
    /// knows how old referrers are: they come after all of them.
    pub(crate) age: u32,
}

/// A repository of the target, and what of the bundle goes there.
#[derive(Debug, Clone)]
pub(crate) struct MappedRepository {
    pub(crate) name: Arc<TargetRepository>,
    /// The repositories of the bundle.
    pub(crate) sources: Vec<Repository>,
    /// Its images, among all of them: oldest first, then referrers.
    pub(crate) images: Range<usize>,
}

/// The images of a bundle under the names that they have in the target.
#[derive(Debug, Clone)]
pub(crate) struct Mapped {
    /// The bundle's own view.
    pub(crate) contents: Arc<Contents>,
    /// By name.
    pub(crate) repositories: Vec<MappedRepository>,
    /// By repository.
    pub(crate) images: Vec<MappedImage>,
}

impl Mapping {
    /// The name in the target.
    fn name(&self, from: &Repository) -> Result<TargetRepository, MappingError> {
        let name = from.as_str();
        let by_rule = self.rules.apply(name);
        let to = match (by_rule, &self.prefix, &self.default_project) {
            (Some(to), _, _) => to,
            (None, Some(prefix), _) => format!("{prefix}/{name}"),
            (None, None, Some(project)) if !name.contains('/') => format!("{project}/{name}"),
            (None, None, _) => name.to_owned(),
        };
        let to: Repository =
            to.parse().map_err(|_| MappingError::Name { from: from.clone(), to })?;
        if self.for_harbor {
            check_for_harbor(from, &to)?;
        }
        Ok(to.into())
    }

    /// The rules that no repository of the bundle is named for: misspelt, perhaps.
    pub(crate) fn idle_rules(&self, contents: &Contents) -> Vec<&Rule> {
        self.rules.idle(contents.catalog().repositories.iter().map(|entry| entry.name.as_str()))
    }

    /// Gives every repository its name in the target. All that cannot be is returned at once.
    pub(crate) fn apply(&self, contents: &Arc<Contents>) -> Result<Mapped, Vec<MappingError>> {
        let catalog = contents.catalog();
        let mut errors = Vec::new();
        let mut targets: BTreeMap<TargetRepository, Vec<usize>> = BTreeMap::new();
        for (source, repository) in catalog.repositories.iter().enumerate() {
            match self.name(&repository.name) {
                Ok(to) => targets.entry(to).or_default().push(source),
                Err(error) => errors.push(error),
            }
        }
        let (mut repositories, mut images) = (Vec::new(), Vec::new());
        let mut pushed = Vec::new();
        for (name, sources) in targets {
            let first = images.len();
            let mut there: HashMap<&Tag, (Digest, usize)> = HashMap::new();
            let mut tags = Vec::new();
            for source in &sources {
                for tag in &catalog.repositories[*source].tags {
                    match there.insert(&tag.name, (tag.digest, *source)) {
                        None => tags.push(tag),
                        Some((digest, _)) if digest == tag.digest => {}
                        Some((_, before)) => errors.push(MappingError::Collision {
                            from: [before, *source]
                                .map(|source| catalog.repositories[source].name.clone()),
                            to: name.name.clone(),
                            tag: tag.name.clone(),
                        }),
                    }
                }
            }
            tags.sort_by(|a, b| (a.pushed, &a.name).cmp(&(b.pushed, &b.name)));
            let referrers = sources.iter().flat_map(|at| &catalog.repositories[*at].referrers);
            let tagged = tags.iter().map(|tag| tag.digest).collect::<BTreeSet<Digest>>();
            let untagged: BTreeSet<Digest> =
                referrers.copied().filter(|digest| !tagged.contains(digest)).collect();
            let tagged = tags.into_iter().map(|tag| (Some(&tag.name), tag.digest, tag.pushed));
            let untagged = untagged.into_iter().map(|digest| (None, digest, PushTime::default()));
            for (tag, digest, time) in tagged.chain(untagged) {
                let root = contents.id(digest).expect("a sound catalog lists what it leads to");
                let (repository, tag) = (repositories.len(), tag.cloned());
                images.push(MappedImage { repository, tag, root, age: 0 });
                pushed.push(time);
            }
            let sources =
                sources.into_iter().map(|source| catalog.repositories[source].name.clone());
            repositories.push(MappedRepository {
                name: Arc::new(name),
                sources: sources.collect(),
                images: first..images.len(),
            });
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut by_age: Vec<usize> = (0..images.len()).collect();
        by_age.sort_by_key(|image| (images[*image].tag.is_none(), pushed[*image], *image));
        for (age, image) in by_age.into_iter().enumerate() {
            images[image].age = u32::try_from(age).unwrap_or(u32::MAX);
        }
        Ok(Mapped { contents: Arc::clone(contents), repositories, images })
    }
}

impl MappedImage {
    /// Under what it is in its repository: the tag, or the digest of a referrer.
    pub(crate) fn reference(&self, contents: &Contents) -> String {
        match &self.tag {
            Some(tag) => tag.to_string(),
            None => contents.entry(self.root).digest.to_string(),
        }
    }

    /// Its whole name in a repository: `REPOSITORY:TAG`, or `REPOSITORY@DIGEST`.
    pub(crate) fn name(&self, repository: &TargetRepository, contents: &Contents) -> String {
        let separator = if self.tag.is_some() { ':' } else { '@' };
        format!("{repository}{separator}{}", self.reference(contents))
    }
}

impl MappedRepository {
    /// The repositories of the bundle that have another name in the target, which is this one.
    pub(crate) fn renamed(&self) -> impl Iterator<Item = &Repository> {
        self.sources.iter().filter(|source| *source != self.name.name())
    }
}

impl Mapped {
    /// The name in the target of each repository of the bundle that has another one there.
    pub(crate) fn all_renamed(&self) -> BTreeMap<Repository, Repository> {
        let pairs = self.repositories.iter().flat_map(|repository| {
            repository.renamed().map(|from| (from.clone(), repository.name.name().clone()))
        });
        pairs.collect()
    }
}
