//! Harbor's rules for tags that never change once they are set.

use globset::{GlobBuilder, GlobMatcher};
use tranship_common::Tag;

use super::api::{ImmutableRule, Selector};
use crate::plan::mapping::TargetRepository;

/// The rules of a project.
#[derive(Debug)]
pub(crate) struct ImmutableTags(Vec<(Names, Names)>);

/// The names that a selector is for.
#[derive(Debug)]
struct Names {
    pattern: GlobMatcher,
    /// It is for all but those that fit the pattern.
    excluded: bool,
}

impl ImmutableTags {
    /// Reads the rules; one that is not understood is returned as the error.
    pub(crate) fn new(rules: &[ImmutableRule]) -> Result<Self, globset::Error> {
        let mut read = Vec::new();
        for rule in rules.iter().filter(|rule| !rule.disabled) {
            let repositories = rule.scope_selectors.get("repository").into_iter().flatten();
            for repository in repositories {
                for tag in &rule.tag_selectors {
                    read.push((Names::of(repository)?, Names::of(tag)?));
                }
            }
        }
        Ok(Self(read))
    }

    /// Whether a tag of a repository, if it is set, cannot be set again.
    pub(crate) fn holds(&self, repository: &TargetRepository, tag: &Tag) -> bool {
        // Rules name repositories without their project.
        let name = repository.path();
        self.0.iter().any(|(names, tags)| names.hold(name) && tags.hold(tag.as_str()))
    }
}

impl Names {
    fn of(selector: &Selector) -> Result<Self, globset::Error> {
        let glob = GlobBuilder::new(&selector.pattern).literal_separator(true).build()?;
        let excluded = selector.decoration.to_lowercase().ends_with("excludes");
        Ok(Self { pattern: glob.compile_matcher(), excluded })
    }

    fn hold(&self, name: &str) -> bool {
        self.pattern.is_match(name) != self.excluded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(json: serde_json::Value) -> ImmutableTags {
        let rules: Vec<ImmutableRule> = serde_json::from_value(json).unwrap();
        ImmutableTags::new(&rules).unwrap()
    }

    fn rule(repositories: (&str, &str), tags: (&str, &str)) -> serde_json::Value {
        let selector = |(decoration, pattern): (&str, &str)| serde_json::json!([{"kind": "doublestar", "decoration": decoration, "pattern": pattern}]);
        serde_json::json!({
            "scope_selectors": {"repository": selector(repositories)},
            "tag_selectors": selector(tags),
        })
    }

    #[track_caller]
    fn assert_held(rules: &ImmutableTags, image: &str, want: bool) {
        let (repository, tag) = image.split_once(':').unwrap();
        let repository = repository.parse::<tranship_common::Repository>().unwrap().into();
        let held = rules.holds(&repository, &tag.parse().unwrap());
        assert_eq!(held, want, "{image}");
    }

    #[test]
    fn patterns() {
        let all = rules(serde_json::json!([rule(("repoMatches", "**"), ("matches", "v*"))]));
        assert_held(&all, "p/a:v1", true);
        assert_held(&all, "p/a/b:v1.2", true);
        assert_held(&all, "p/a:latest", false);
        let one = rules(serde_json::json!([
            rule(("repoMatches", "app-*"), ("matches", "{1.0,1.1}")),
            rule(("repoExcludes", "**/scratch"), ("excludes", "latest")),
        ]));
        assert_held(&one, "p/app-x:1.0", true);
        assert_held(&one, "p/deep/scratch:1.0", false);
        assert_held(&one, "p/deep/other:1.0", true);
        assert_held(&one, "p/deep/other:latest", false);
    }

    #[test]
    fn rules_that_are_off_or_not_understood() {
        let mut off = rule(("repoMatches", "**"), ("matches", "**"));
        off["disabled"] = true.into();
        assert_held(&rules(serde_json::json!([off])), "p/a:1", false);
        let broken = serde_json::json!([rule(("repoMatches", "{"), ("matches", "**"))]);
        let broken: Vec<ImmutableRule> = serde_json::from_value(broken).unwrap();
        assert!(ImmutableTags::new(&broken).is_err());
    }
}
