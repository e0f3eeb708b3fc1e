//! Rules that give repositories other names, as options and files have them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

use anyhow::Context;

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
    /// The other name, if the rule is for this one.
    fn apply(&self, name: &str) -> Option<String> {
        match self.star {
            true => name.strip_prefix(&self.from).map(|rest| format!("{}{rest}", self.to)),
            false => (name == self.from).then(|| self.to.clone()),
        }
    }
}

/// Rules in their order, found by what they are for: there may be one for each repository.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    /// The first rule for each name, and for each beginning of names.
    by_name: HashMap<String, usize>,
    by_beginning: HashMap<String, usize>,
}

impl From<Vec<Rule>> for Rules {
    fn from(rules: Vec<Rule>) -> Self {
        let (mut by_name, mut by_beginning) = (HashMap::new(), HashMap::new());
        for (at, rule) in rules.iter().enumerate() {
            let first = if rule.star { &mut by_beginning } else { &mut by_name };
            first.entry(rule.from.clone()).or_insert(at);
        }
        Self { rules, by_name, by_beginning }
    }
}

impl Rules {
    /// The other name by the first rule that is for this one.
    pub(super) fn apply(&self, name: &str) -> Option<String> {
        self.rules[self.fitting(name).min()?].apply(name)
    }

    /// Rules that are for none of these names.
    pub(super) fn idle<'a>(&self, names: impl Iterator<Item = &'a str>) -> Vec<&Rule> {
        let used = names.flat_map(|name| self.fitting(name));
        let used: HashSet<usize> = used.collect();
        let first = |rule: &Rule| {
            let first = if rule.star { &self.by_beginning } else { &self.by_name };
            first[&rule.from]
        };
        self.rules.iter().filter(|rule| !used.contains(&first(rule))).collect()
    }

    /// Rules that are for a name, of those for the same the first.
    fn fitting(&self, name: &str) -> impl Iterator<Item = usize> {
        let ends = (0..=name.len()).filter_map(|end| name.get(..end));
        let by_beginning = ends.filter_map(|beginning| self.by_beginning.get(beginning));
        by_beginning.chain(self.by_name.get(name)).copied()
    }
}

/// The rules of a file: one a line, blank lines and comments left out.
///
/// # Errors
/// When a line is no rule; its number is named.
pub(crate) fn rules_of(text: &str) -> anyhow::Result<Vec<Rule>> {
    // No name has a `#` in it.
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(number, line)| line.parse().with_context(|| format!("line {}", number + 1)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        text.parse().unwrap()
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
    fn the_first_rule_counts() {
        let rules = ["a/*=first/*", "a/b=second", "a/b=third", "a/b*=fourth*", "x=y", "*=all/*"];
        let rules = Rules::from(rules.map(rule).to_vec());
        assert_eq!(rules.apply("a/b").as_deref(), Some("first/b"));
        assert_eq!(rules.apply("b").as_deref(), Some("all/b"));
        let later = Rules::from(rules.rules[1..].to_vec());
        assert_eq!(later.apply("a/b").as_deref(), Some("second"));
        assert_eq!(later.apply("a/bc").as_deref(), Some("fourthc"));
        // Those that another one stands before are not misspelt.
        assert_eq!(rules.idle(["a/b"].into_iter()), [&rule("x=y")]);
        assert_eq!(Rules::default().apply("a"), None);
    }

    /// No name is held against every rule.
    #[test]
    fn a_rule_for_each_of_many_repositories() {
        let names: Vec<String> = (0..50_000).map(|at| format!("team{at}/app")).collect();
        let each = |at: usize, name: &String| match at % 2 {
            0 => rule(&format!("{name}=new/{name}")),
            _ => rule(&format!("{name}*=new/{name}*")),
        };
        let rules = names.iter().enumerate().map(|(at, name)| each(at, name));
        let rules = Rules::from(rules.collect::<Vec<_>>());
        assert!(names.iter().all(|name| rules.apply(name) == Some(format!("new/{name}"))));
        assert!(rules.idle(names.iter().map(String::as_str)).is_empty());
    }

    #[test]
    fn files_of_rules() {
        let read = rules_of("# names\n\na=b/a   # one\n team/*=x/* \n").unwrap();
        assert_eq!(read, [rule("a=b/a"), rule("team/*=x/*")]);
        let error = rules_of("a=b\n\nnonsense\n").unwrap_err();
        assert_eq!(error.to_string(), "line 3");
    }
}
