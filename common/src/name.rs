//! Names of repositories and tags, in the grammar of the OCI distribution specification
//! ("Pulling manifests") and of Distribution, whose length limits apply too.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::{MAX_REPOSITORY, MAX_TAG};
use crate::quote::quoted;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a repository name.
    #[error(
        "`{0}` is not a repository name: components of lower-case letters and digits, parted by \
         one `.`, one or two `_` or any number of `-`, joined by `/`, 255 characters at most"
    )]
    Repository(String),
    /// Not a tag.
    #[error(
        "`{0}` is not a tag: up to 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`"
    )]
    Tag(String),
}

/// A repository name without a registry's host, as `team/app`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository(String);

/// A tag, as `1.25-alpine`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

impl Repository {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Tag {
    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `component ("/" component)*` with
/// `component := [a-z0-9]+ ((\. | _ | __ | -+) [a-z0-9]+)*`.
fn is_repository(text: &str) -> bool {
    text.len() <= MAX_REPOSITORY && text.split('/').all(is_component)
}

fn is_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends_well = |b: Option<&u8>| b.is_some_and(|&b| alphanumeric(b));
    ends_well(bytes.first())
        && ends_well(bytes.last())
        && bytes.split(|&b| alphanumeric(b)).all(|separator| match separator {
            b"" | b"." | b"_" | b"__" => true,
            other => other.iter().all(|&b| b == b'-'),
        })
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let mut bytes = text.bytes();
    text.len() <= MAX_TAG
        && bytes.next().is_some_and(word)
        && bytes.all(|b| word(b) || b == b'.' || b == b'-')
}

impl FromStr for Repository {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Repository {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        if is_repository(&text) {
            Ok(Self(text))
        } else {
            Err(NameError::Repository(quoted(&text)))
        }
    }
}

impl FromStr for Tag {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Tag {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        if is_tag(&text) { Ok(Self(text)) } else { Err(NameError::Tag(quoted(&text))) }
    }
}

impl From<Repository> for String {
    fn from(name: Repository) -> Self {
        name.0
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn repository_grammar() {
        let long = "a".repeat(255);
        for good in ["a", "a/b", "a/b/c/d/e/f", "a__b/c", "a-----b", "a.b_c-d", "1", &long] {
            assert!(good.parse::<Repository>().is_ok(), "{good}");
        }
        let too_long = "a".repeat(256);
        for bad in [
            "", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "a._b", "a-.b", "-a", "a_", ".",
            "..", "a b", "a:b", "é", &too_long,
        ] {
            assert!(bad.parse::<Repository>().is_err(), "{bad}");
        }
    }

    #[test]
    fn tag_grammar() {
        let long = "t".repeat(128);
        for good in ["latest", "_x", "1.0--", "A.b", &long] {
            assert!(good.parse::<Tag>().is_ok(), "{good}");
        }
        let too_long = "t".repeat(129);
        for bad in ["", ".x", "-x", "a+b", "a/b", "a:b", "a b", "..", &too_long] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn names_print_what_they_parse(
            repository in "[a-z0-9]{1,5}((\\.|_|__|-{1,4})[a-z0-9]{1,5}){0,3}(/[a-z0-9]{1,5}){0,4}",
            tag in "[A-Za-z0-9_][A-Za-z0-9._-]{0,127}",
        ) {
            prop_assert_eq!(repository.parse::<Repository>().unwrap().to_string(), repository);
            prop_assert_eq!(tag.parse::<Tag>().unwrap().to_string(), tag);
        }

        #[test]
        fn what_is_accepted_is_harmless_in_paths_and_urls(text in "[a-z._/%?#:@ -]{0,12}") {
            if let Ok(name) = text.parse::<Repository>() {
                prop_assert!(!name.as_str().contains("..") && !name.as_str().contains("//"));
                prop_assert!(name.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b)));
            }
        }
    }
}
