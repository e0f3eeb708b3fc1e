//! Rules that give repositories other names, as options and files have them.

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
    pub(super) fn apply(&self, name: &str) -> Option<String> {
        match self.star {
            true => name.strip_prefix(&self.from).map(|rest| format!("{}{rest}", self.to)),
            false => (name == self.from).then(|| self.to.clone()),
        }
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
    fn files_of_rules() {
        let read = rules_of("# names\n\na=b/a   # one\n team/*=x/* \n").unwrap();
        assert_eq!(read, [rule("a=b/a"), rule("team/*=x/*")]);
        let error = rules_of("a=b\n\nnonsense\n").unwrap_err();
        assert_eq!(error.to_string(), "line 3");
    }
}
