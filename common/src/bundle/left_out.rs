//! What a bundle does not hold of its source.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What was left out of a bundle, and why. It is printed as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// Which images were chosen, in words; empty when all were.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selection: String,
    /// What was chosen and could not be packed, by name (bytes).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<LeftOutImage>,
}

/// An image or referrer that was chosen and could not be packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOutImage {
    /// `REPOSITORY:TAG`, `REPOSITORY@DIGEST` of a referrer, or what stood in the place of one.
    pub name: String,
    /// Why it could not be packed.
    pub reason: String,
}

impl LeftOut {
    /// Whether nothing was left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { selection, images } = self;
        match (selection.as_str(), images.len()) {
            ("", 0) => f.write_str("the bundle holds all of its source"),
            ("", count) => write!(f, "left out of the bundle when it was packed: {count}"),
            (selection, 0) => write!(f, "the bundle holds a selection: {selection}"),
            (selection, count) => {
                write!(f, "the bundle holds a selection: {selection}; left out of it: {count}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sentence() {
        let image = || LeftOutImage { name: "a:1".to_owned(), reason: "is missing".to_owned() };
        let said = |selection: &str, images| {
            LeftOut { selection: selection.to_owned(), images }.to_string()
        };
        assert_eq!(said("", vec![]), "the bundle holds all of its source");
        assert_eq!(said("", vec![image()]), "left out of the bundle when it was packed: 1");
        assert_eq!(
            said("for linux/arm64", vec![]),
            "the bundle holds a selection: for linux/arm64"
        );
        assert_eq!(
            said("for linux/arm64", vec![image(), image()]),
            "the bundle holds a selection: for linux/arm64; left out of it: 2"
        );
    }
}
