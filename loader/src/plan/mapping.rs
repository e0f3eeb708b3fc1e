//! Under which name each repository of the bundle goes into the target.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use tranship_common::bundle::{Catalog, Contents, RepositoryEntry, TagEntry};
use tranship_common::{Repository, Tag};

/// A rule `FROM=TO`, as `team/app=platform/app` for one repository, or with a star at both ends,
/// as `team/*=platform/team/*`, for all whose name begins so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    from: String,
    to: String,
    star: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no rule: give FROM=TO, as team/app=platform/app or, with a star at the end of both \
     sides, team/*=platform/team/*"
)]
pub(crate) struct RuleError(String);

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let error = || RuleError(text.to_owned());
        let (from, to) = text.split_once('=').ok_or_else(error)?;
        let (from, to) = (from.trim(), to.trim());
        let (from_stem, to_stem) = (from.strip_suffix('*'), to.strip_suffix('*'));
        let star = from_stem.is_some();
        let (from, to) = (from_stem.unwrap_or(from), to_stem.unwrap_or(to));
        let whole = star || !(from.is_empty() || to.is_empty());
        let one_star = !from.contains('*') && !to.contains(['*', '=']);
        if to_stem.is_some() != star || !whole || !one_star {
            return Err(error());
        }
        Ok(Self { from: from.to_owned(), to: to.to_owned(), star })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.star { "*" } else { "" };
        write!(f, "{}{star}={}{star}", self.from, self.to)
    }
}

impl Rule {
    fn apply(&self, name: &str) -> Option<String> {
        match self.star {
            true => name.strip_prefix(&self.from).map(|rest| format!("{}{rest}", self.to)),
            false => (name == self.from).then(|| self.to.clone()),
        }
    }
}

/// All that decides on a name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mapping {
    /// The first that fits counts.
    pub(crate) rules: Vec<Rule>,
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
        "{} and {} would both become {to}:{tag}, with different digests; keep them apart with --map",
        .from[0], .from[1]
    )]
    Collision { from: [Repository; 2], to: Repository, tag: Tag },
}

/// Longer names fail in the backend of Harbor, which makes a path of them (characters).
const MAX_NAME: usize = 245;

/// The images as they are to be in the target.
#[derive(Debug)]
pub(crate) struct Mapped {
    /// The bundle's catalog, with the target's names.
    pub(crate) contents: Contents,
    /// For each repository of the target, those of the bundle that go there.
    sources: BTreeMap<Repository, Vec<Repository>>,
}

impl Mapping {
    /// The name in the target.
    fn name(&self, from: &Repository) -> Result<Repository, MappingError> {
        let name = from.as_str();
        let by_rule = self.rules.iter().find_map(|rule| rule.apply(name));
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
        Ok(to)
    }

    /// The rules that no repository of the bundle is named for: misspelt, perhaps.
    pub(crate) fn idle_rules(&self, contents: &Contents) -> impl Iterator<Item = &Rule> {
        let names = || contents.catalog().repositories.iter().map(|entry| entry.name.as_str());
        self.rules.iter().filter(move |rule| names().all(|name| rule.apply(name).is_none()))
    }

    /// Gives every repository its name in the target. All that cannot be is returned at once.
    pub(crate) fn apply(&self, contents: &Contents) -> Result<Mapped, Vec<MappingError>> {
        let mut errors = Vec::new();
        let mut sources: BTreeMap<Repository, Vec<Repository>> = BTreeMap::new();
        let mut tags: BTreeMap<Repository, BTreeMap<Tag, (TagEntry, &Repository)>> =
            BTreeMap::new();
        for repository in &contents.catalog().repositories {
            let from = &repository.name;
            let to = match self.name(from) {
                Ok(to) => to,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            sources.entry(to.clone()).or_default().push(from.clone());
            let there = tags.entry(to.clone()).or_default();
            for tag in &repository.tags {
                let (first, first_from) =
                    there.entry(tag.name.clone()).or_insert_with(|| (tag.clone(), from));
                if first.digest != tag.digest {
                    errors.push(MappingError::Collision {
                        from: [first_from.clone(), from.clone()],
                        to: to.clone(),
                        tag: tag.name.clone(),
                    });
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let repositories = tags
            .into_iter()
            .map(|(name, tags)| {
                let mut tags: Vec<_> = tags.into_values().map(|(tag, _)| tag).collect();
                tags.sort_by(|a, b| (a.pushed, &a.name).cmp(&(b.pushed, &b.name)));
                RepositoryEntry { name, tags }
            })
            .collect();
        let catalog = Catalog { repositories, ..contents.catalog().clone() };
        let contents = Contents::new(catalog).expect("other names leave a sound catalog sound");
        Ok(Mapped { contents, sources })
    }
}

impl Mapped {
    /// The repositories of the bundle that have another name in the target, which is this one.
    pub(crate) fn renamed(&self, target: &Repository) -> impl Iterator<Item = &Repository> {
        let sources = self.sources.get(target).into_iter().flatten();
        sources.filter(move |source| *source != target)
    }

    /// The name in the target of each repository of the bundle that has another one there.
    pub(crate) fn all_renamed(&self) -> BTreeMap<Repository, Repository> {
        let targets = self.sources.keys();
        targets
            .flat_map(|target| self.renamed(target).map(|from| (from.clone(), target.clone())))
            .collect()
    }
}

/// The project of a repository of Harbor: the first component of its name.
pub(crate) fn project_of(repository: &Repository) -> &str {
    repository.as_str().split('/').next().unwrap_or_default()
}

/// Harbor's project names: narrower than what registries allow.
fn is_project_name(name: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let separators = name.as_bytes().split(|b| alphanumeric(*b));
    name.len() <= 255
        && !name.is_empty()
        && separators.into_iter().all(|s| s.len() <= 1)
        && !name.starts_with(['.', '_', '-'])
        && !name.ends_with(['.', '_', '-'])
}

fn check_for_harbor(from: &Repository, to: &Repository) -> Result<(), MappingError> {
    let (from, to) = (from.clone(), to.clone());
    let Some((project, _)) = to.as_str().split_once('/') else {
        return Err(MappingError::NoProject { from, to });
    };
    if !is_project_name(project) {
        let (project, suggestion) = (project.to_owned(), suggestion(&from, &to, project));
        return Err(MappingError::Project { from, to, project, suggestion });
    }
    if to.as_str().len() > MAX_NAME {
        let length = to.as_str().len();
        return Err(MappingError::TooLong { from, to, length });
    }
    Ok(())
}

/// A rule that gives the project a legal name: runs of separators become one.
fn suggestion(from: &Repository, to: &Repository, project: &str) -> String {
    let mut legal = String::new();
    for character in project.chars() {
        let separator = ['.', '_', '-'].contains(&character);
        if !(separator && legal.ends_with(['.', '_', '-'])) {
            legal.push(character);
        }
    }
    if project_of(from) == project {
        format!("{project}/*={legal}/*")
    } else {
        let rest = to.as_str().split_once('/').map_or("", |(_, rest)| rest);
        format!("{from}={legal}/{rest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tranship_common::Manifest;
    use tranship_common::bundle::{FORMAT_VERSION, ManifestEntry};

    fn rule(text: &str) -> Rule {
        text.parse().unwrap()
    }

    fn contents(images: &[(&str, &str, u8)]) -> Contents {
        let manifest = |number: u8| {
            let json = format!(r#"{{"schemaVersion":2,"layers":[],"number":{number}}}"#);
            Manifest::parse(json.into_bytes()).unwrap()
        };
        let mut repositories: BTreeMap<&str, Vec<TagEntry>> = BTreeMap::new();
        let mut manifests = BTreeMap::new();
        for (second, (repository, tag, number)) in images.iter().enumerate() {
            let manifest = manifest(*number);
            repositories.entry(repository).or_default().push(TagEntry {
                name: tag.parse().unwrap(),
                digest: manifest.digest(),
                pushed: format!("2024-01-01T00:00:{second:02}Z").parse().unwrap(),
            });
            manifests.insert(manifest.digest(), ManifestEntry::describe(&manifest, |_| false));
        }
        let repositories = repositories
            .into_iter()
            .map(|(name, tags)| RepositoryEntry { name: name.parse().unwrap(), tags });
        Contents::new(Catalog {
            format_version: FORMAT_VERSION,
            required_features: Vec::new(),
            repositories: repositories.collect(),
            manifests: manifests.into_values().collect(),
            blobs: Vec::new(),
        })
        .unwrap()
    }

    fn names(mapping: &Mapping, images: &[(&str, &str, u8)]) -> Vec<String> {
        let mapped = mapping.apply(&contents(images)).unwrap();
        mapped.contents.images().map(|(name, tag)| format!("{name}:{}", tag.name)).collect()
    }

    fn harbor() -> Mapping {
        Mapping { default_project: Some("library".into()), for_harbor: true, ..Mapping::default() }
    }

    #[test]
    fn rules() {
        assert_eq!(
            rule("team/*=platform/team/*").apply("team/a/b"),
            Some("platform/team/a/b".into())
        );
        assert_eq!(rule("team/*=platform/team/*").apply("teams/a"), None);
        assert_eq!(rule("*=all/*").apply("a"), Some("all/a".into()));
        assert_eq!(rule("a=b/a").apply("a"), Some("b/a".into()));
        assert_eq!(rule("a=b/a").apply("a/c"), None);
        for bad in ["", "a", "a=", "=a", "a*=b", "a=b*", "a**=b*", "*a=*b", "a=b=c"] {
            assert!(bad.parse::<Rule>().is_err(), "{bad}");
        }
    }

    #[test]
    fn harbor_wants_a_project() {
        let images = [("solo", "1", 1), ("team/app", "1", 1)];
        assert_eq!(names(&harbor(), &images), ["library/solo:1", "team/app:1"]);
        let prefixed = Mapping { prefix: Some("old".into()), ..harbor() };
        assert_eq!(names(&prefixed, &images), ["old/solo:1", "old/team/app:1"]);
        let mapped = Mapping {
            rules: vec![rule("solo=x/y"), rule("*=rest/*"), rule("team/*=never/*")],
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
        let rules = vec![rule("a__b/*=a_b/*"), rule("d--e/*=d-e/*")];
        let healed = Mapping { rules, ..harbor() };
        assert_eq!(names(&healed, &images), ["a_b/c:1", "d-e/f:1", "good/one:1"]);
        let no_project = Mapping { rules: vec![rule("good/*=*")], ..harbor() };
        let errors = no_project.apply(&contents(&[("good/one", "1", 1)])).unwrap_err();
        assert!(matches!(errors[..], [MappingError::NoProject { .. }]));
        let long = format!("a/{}", "b".repeat(244));
        let errors = harbor().apply(&contents(&[(&long, "1", 1)])).unwrap_err();
        assert!(matches!(errors[..], [MappingError::TooLong { length: 246, .. }]));
    }

    #[test]
    fn two_repositories_may_meet_but_not_two_images() {
        let meet = Mapping { rules: vec![rule("b/*=a/*")], ..harbor() };
        // Oldest first, wherever a tag comes from; the same image twice is one.
        let images = [("a/x", "2", 1), ("b/x", "1", 2), ("a/x", "3", 3), ("b/x", "3", 3)];
        assert_eq!(names(&meet, &images), ["a/x:2", "a/x:1", "a/x:3"]);
        let errors = meet.apply(&contents(&[("a/x", "1", 1), ("b/x", "1", 2)])).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "a/x and b/x would both become a/x:1, with different digests; keep them apart with --map"
        );
    }

    #[test]
    fn project_names() {
        for good in ["a", "1", "a_b", "a.b", "a-b.c_d", &"a".repeat(255)] {
            assert!(is_project_name(good), "{good}");
        }
        for bad in ["", "a__b", "a--b", "a..b", "a.-b", "a_", "-a", &"a".repeat(256)] {
            assert!(!is_project_name(bad), "{bad}");
        }
    }
}
