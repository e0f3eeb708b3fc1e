//! Under which name each repository of the bundle goes into the target.

mod harbor_names;

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

#[cfg(test)]
mod tests {
    use super::*;
    use tranship_common::Manifest;
    use tranship_common::bundle::{
        Catalog, FORMAT_VERSION, LeftOut, ManifestEntry, RepositoryEntry, TagEntry,
    };

    fn rule(text: &str) -> Rule {
        text.parse().unwrap()
    }

    fn contents(images: &[(&str, &str, u8)]) -> Arc<Contents> {
        let manifest = |number: u8| {
            let json = format!(r#"{{"schemaVersion":2,"layers":[],"number":{number}}}"#);
            Manifest::parse(json.as_bytes()).unwrap()
        };
        let mut repositories: BTreeMap<&str, Vec<TagEntry>> = BTreeMap::new();
        let mut manifests = BTreeMap::new();
        for (second, (repository, tag, number)) in images.iter().enumerate() {
            let manifest = manifest(*number);
            repositories.entry(repository).or_default().push(TagEntry {
                name: tag.parse().unwrap(),
                digest: manifest.digest(),
                pushed: format!("2024-01-01T00:00:{second:02}Z").parse().unwrap(),
                selected_from: None,
            });
            manifests.insert(manifest.digest(), ManifestEntry::describe(&manifest, |_| false));
        }
        let repositories = repositories
            .into_iter()
            .map(|(name, tags)| (name.parse().unwrap(), tags))
            .map(|(name, tags)| RepositoryEntry { name, tags, referrers: Vec::new() });
        let contents = Contents::new(Catalog {
            format_version: FORMAT_VERSION,
            required_features: Vec::new(),
            repositories: repositories.collect(),
            manifests: manifests.into_values().collect(),
            blobs: Vec::new(),
            left_out: LeftOut::default(),
        });
        Arc::new(contents.unwrap())
    }

    fn names(mapping: &Mapping, images: &[(&str, &str, u8)]) -> Vec<String> {
        let mapped = mapping.apply(&contents(images)).unwrap();
        let repository = |at: usize| &mapped.repositories[at].name;
        let name = |image: &MappedImage| image.name(repository(image.repository), &mapped.contents);
        mapped.images.iter().map(name).collect()
    }

    fn harbor() -> Mapping {
        Mapping { default_project: Some("library".into()), for_harbor: true, ..Mapping::default() }
    }

    #[test]
    fn harbor_wants_a_project() {
        let images = [("solo", "1", 1), ("team/app", "1", 1)];
        assert_eq!(names(&harbor(), &images), ["library/solo:1", "team/app:1"]);
        let prefixed = Mapping { prefix: Some("old".into()), ..harbor() };
        assert_eq!(names(&prefixed, &images), ["old/solo:1", "old/team/app:1"]);
        let mapped = Mapping {
            rules: vec![rule("solo=x/y"), rule("*=rest/*"), rule("team/*=never/*")].into(),
            ..harbor()
        };
        assert_eq!(names(&mapped, &images), ["rest/team/app:1", "x/y:1"]);
        assert_eq!(names(&Mapping::default(), &images), ["solo:1", "team/app:1"]);
    }

    #[test]
    fn everything_that_harbor_refuses_is_named_at_once() {
        let images = [("a__b/c", "1", 1), ("d--e/f", "1", 1), ("good/one", "1", 1)];
        let errors = harbor().apply(&contents(&images)).unwrap_err();
        let words: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(words.len(), 2);
        assert!(words[0].ends_with("--map 'a__b/*=a_b/*'"), "{}", words[0]);
        assert!(words[1].ends_with("--map 'd--e/*=d-e/*'"), "{}", words[1]);
        let rules = vec![rule("a__b/*=a_b/*"), rule("d--e/*=d-e/*")].into();
        let healed = Mapping { rules, ..harbor() };
        assert_eq!(names(&healed, &images), ["a_b/c:1", "d-e/f:1", "good/one:1"]);
        let no_project = Mapping { rules: vec![rule("good/*=*")].into(), ..harbor() };
        let errors = no_project.apply(&contents(&[("good/one", "1", 1)])).unwrap_err();
        assert!(matches!(errors[..], [MappingError::NoProject { .. }]));
        let long = format!("a/{}", "b".repeat(244));
        let errors = harbor().apply(&contents(&[(&long, "1", 1)])).unwrap_err();
        assert!(matches!(errors[..], [MappingError::TooLong { length: 246, .. }]));
    }

    #[test]
    fn names_that_harbor_takes_for_endpoints() {
        for (name, better) in [
            ("p/blobs", "p/blobs=p/blobs-images"),
            ("p/a/manifests/b", "p/a/manifests/b=p/a/manifests-images/b"),
            ("p/tags/x", "p/tags/x=p/tags-images/x"),
            ("p/referrers", "p/referrers=p/referrers-images"),
        ] {
            let images = [(name, "1", 1)];
            let errors = harbor().apply(&contents(&images)).unwrap_err();
            assert!(errors[0].to_string().ends_with(&format!("--map '{better}'")), "{}", errors[0]);
            let healed = Mapping { rules: vec![rule(better)].into(), ..harbor() };
            assert_eq!(names(&healed, &images).len(), 1);
            assert_eq!(names(&Mapping::default(), &images), [format!("{name}:1")]);
        }
        assert_eq!(names(&harbor(), &[("blobs/tags-of/x", "1", 1)]), ["blobs/tags-of/x:1"]);
    }

    #[test]
    fn referrers_go_where_their_repository_goes_and_come_last() {
        let mut catalog =
            contents(&[("a/x", "1", 1), ("b/x", "2", 2), ("b/x", "3", 3)]).catalog().clone();
        let about = |subject: Digest, number: u8| {
            let json = format!(
                r#"{{"schemaVersion":2,"layers":[],"n":{number},"subject":{{"digest":"{subject}"}}}}"#
            );
            ManifestEntry::describe(&Manifest::parse(json.as_bytes()).unwrap(), |_| false)
        };
        let subject = catalog.repositories[0].tags[0].digest;
        let (one, other) = (about(subject, 1), about(subject, 2));
        let mut referrers = vec![one.digest, other.digest];
        referrers.sort_unstable();
        // One of them is in both, and tagged in one.
        catalog.repositories[0].referrers = referrers.clone();
        catalog.repositories[1].referrers = vec![one.digest];
        catalog.repositories[1].tags[1].digest = other.digest;
        catalog.manifests.extend([one, other]);
        let contents = Arc::new(Contents::new(catalog).unwrap());
        let names = |mapping: &Mapping| -> Vec<String> {
            let mapped = mapping.apply(&contents).unwrap();
            let of = |at: usize| &mapped.repositories[at].name;
            let images = mapped.images.iter();
            images.map(|image| image.name(of(image.repository), &contents)).collect()
        };
        let [first, second] = [referrers[0], referrers[1]];
        let tagged = contents.catalog().repositories[1].tags[1].digest;
        let untagged = if tagged == first { second } else { first };
        assert_eq!(
            names(&harbor()),
            [
                "a/x:1".to_owned(),
                format!("a/x@{first}"),
                format!("a/x@{second}"),
                "b/x:2".to_owned(),
                "b/x:3".to_owned(),
                format!("b/x@{untagged}"),
            ]
        );
        let meet = Mapping { rules: vec![rule("b/*=a/*")].into(), ..harbor() };
        let untagged = format!("a/x@{untagged}");
        assert_eq!(names(&meet), ["a/x:1", "a/x:2", "a/x:3", untagged.as_str()]);
        let ages: Vec<u32> =
            harbor().apply(&contents).unwrap().images.iter().map(|i| i.age).collect();
        assert_eq!(ages, [0, 3, 4, 1, 2, 5]);
    }

    #[test]
    fn two_repositories_may_meet_but_not_two_images() {
        let meet = Mapping { rules: vec![rule("b/*=a/*")].into(), ..harbor() };
        // Oldest first, wherever a tag comes from; the same image twice is one.
        let images = [("a/x", "2", 1), ("b/x", "1", 2), ("a/x", "3", 3), ("b/x", "3", 3)];
        assert_eq!(names(&meet, &images), ["a/x:2", "a/x:1", "a/x:3"]);
        let errors = meet.apply(&contents(&[("a/x", "1", 1), ("b/x", "1", 2)])).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "a/x and b/x would both become a/x:1, with different digests; keep them apart with --map"
        );
    }
}
