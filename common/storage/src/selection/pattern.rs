//! Patterns that images fit or not.

use std::fmt;
use std::str::FromStr;

use globset::{Glob, GlobBuilder, GlobMatcher};

/// A pattern of images: `REPOSITORY:TAG` with wildcards, or `REPOSITORY` for all its tags. `*` and
/// `?` stay within one part of the name, `**` is any number of parts, `[ab]` and `{a,b}` are
/// choices.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    repository: GlobMatcher,
    tag: Option<GlobMatcher>,
}

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not of the grammar of patterns.
    #[error("{0}")]
    Glob(String),
    /// `**` beside something else.
    #[error("`**` stands for whole parts of a name: write it between slashes, as in `team/**`")]
    Part,
    /// Nothing in front of the colon, or behind it.
    #[error("a pattern is of the form REPOSITORY or REPOSITORY:TAG")]
    Empty,
}

impl Pattern {
    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether an image fits.
    #[must_use]
    pub fn fits(&self, repository: &str, tag: &str) -> bool {
        self.tag.as_ref().is_none_or(|pattern| pattern.is_match(tag))
            && self.repository.is_match(repository)
    }

    /// Whether a repository that is called so, or one below it, may fit.
    pub(super) fn may_fit_below(&self, place: &str) -> bool {
        let mut parts = self.repository.glob().glob().split('/');
        for part in place.split('/') {
            match parts.next() {
                Some("**") => return true,
                Some(pattern) if matches_part(pattern, part) => {}
                _ => return false,
            }
        }
        true
    }

    /// Whether an image of the repository that is called so may fit.
    pub(super) fn fits_repository(&self, repository: &str) -> bool {
        self.repository.is_match(repository)
    }

    /// Whether all images of the repository that is called so fit.
    pub(super) fn fits_all_tags_of(&self, repository: &str) -> bool {
        self.tag.is_none() && self.repository.is_match(repository)
    }

    /// Whether all images of the repositories below this place fit.
    pub(super) fn fits_all_below(&self, place: &str) -> bool {
        let parts = self.repository.glob().glob();
        let below = format!("{place}/x");
        self.tag.is_none()
            && (parts == "**" || parts.ends_with("/**"))
            && self.repository.is_match(below)
    }
}

/// A part of a name alone. A choice may have slashes in it and is then cut in two: better to look
/// at too much.
fn matches_part(pattern: &str, part: &str) -> bool {
    Glob::new(pattern).map_or(true, |glob| glob.compile_matcher().is_match(part))
}

fn compile(text: &str) -> Result<GlobMatcher, PatternError> {
    if text.split('/').any(|part| part.contains("**") && part != "**") {
        return Err(PatternError::Part);
    }
    let glob = GlobBuilder::new(text).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher())
        .map_err(|error| PatternError::Glob(error.kind().to_string()))
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (repository, tag) = match text.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (text, None),
        };
        if repository.is_empty() || tag.is_some_and(str::is_empty) {
            return Err(PatternError::Empty);
        }
        let tag = match tag {
            // Tags have no parts that `**` could cross.
            Some("**") => None,
            Some(tag) => Some(compile(tag)?),
            None => None,
        };
        Ok(Self { text: text.to_owned(), repository: compile(repository)?, tag })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_slashes() {
        for (pattern, fitting, other) in [
            ("a/*", &["a/b:1", "a/c:x"][..], &["a:1", "a/b/c:1"][..]),
            ("a/**", &["a/b:1", "a/b/c:1"], &["a:1", "ab/c:1"]),
            ("**/b", &["b:1", "a/b:1", "x/a/b:1"], &["a/bb:1"]),
            ("**:v*", &["a/b:v1", "c:v"], &["c:1"]),
            ("a:1.*", &["a:1.2"], &["a:1", "b:1.2"]),
            ("{a,b/c}:?", &["a:1", "b/c:2"], &["b:1", "a:10"]),
            ("**", &["a:1", "a/b/c:d"], &[]),
        ] {
            let pattern: Pattern = pattern.parse().unwrap();
            let fits = |image: &&str| {
                let (repository, tag) = image.split_once(':').unwrap();
                pattern.fits(repository, tag)
            };
            assert!(fitting.iter().all(fits), "{pattern} {fitting:?}");
            assert!(!other.iter().any(fits), "{pattern} {other:?}");
        }
    }

    #[test]
    fn refusals() {
        let refused = |text: &str| text.parse::<Pattern>().unwrap_err();
        assert_eq!(refused("a**"), PatternError::Part);
        assert_eq!(refused("a/**b"), PatternError::Part);
        for text in ["", ":1", "a:"] {
            assert_eq!(refused(text), PatternError::Empty);
        }
        assert!(matches!(refused("a["), PatternError::Glob(_)));
    }
}
