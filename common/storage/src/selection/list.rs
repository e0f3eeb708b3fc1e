//! A list of images: what `packer list` prints, kept, cut and given back.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};

use tranship_common::bundle::TagEntry;
use tranship_common::{Digest, NameError, ParseDigestError, PushTime, Repository, Tag};

use crate::inventory::{BrokenTag, Holding, Inventory};
use crate::problem::Problem;

/// Images that a person lists, one `REPOSITORY:TAG` or `REPOSITORY:TAG@DIGEST` a line. Empty lines
/// and what stands behind `#` say nothing.
#[derive(Debug, Default)]
pub struct ImageList {
    images: BTreeMap<Repository, BTreeMap<Tag, Option<Digest>>>,
}

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageListError {
    /// A line that names no image.
    #[error("line {line}: {what}")]
    Line {
        /// The number of the line, from one.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// It cannot be read.
    #[error("cannot be read")]
    Read(#[from] io::Error),
}

/// No line is longer (bytes): a repository, a tag, a digest and a remark.
const MAX_LINE: usize = 4096;

impl ImageList {
    /// Reads a list.
    ///
    /// # Errors
    /// [`ImageListError`] with the first line that is wrong.
    pub fn read(input: impl BufRead) -> Result<Self, ImageListError> {
        let mut list = Self::default();
        for (line, text) in (1..).zip(input.lines()) {
            let text = text?;
            let wrong = |what: String| ImageListError::Line { line, what };
            if text.len() > MAX_LINE {
                return Err(wrong(format!("it has {} bytes", text.len())));
            }
            let image = text.split('#').next().unwrap_or_default().trim();
            if image.is_empty() {
                continue;
            }
            let (repository, tag, digest) = parse(image).map_err(wrong)?;
            let tags = list.images.entry(repository).or_default();
            if let Some(Some(other)) = tags.insert(tag, digest)
                && digest != Some(other)
            {
                return Err(wrong(format!("{image} stands in the list with another digest")));
            }
        }
        Ok(list)
    }

    /// How many images it lists.
    #[must_use]
    pub fn len(&self) -> usize {
        self.images.values().map(BTreeMap::len).sum()
    }

    /// Whether it lists none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Whether each image is listed with its digest.
    pub(crate) fn names_digests(&self) -> bool {
        self.images.values().flat_map(BTreeMap::values).all(Option::is_some)
    }

    /// Whether it lists an image by its tag alone, so that it is lost where the tag is broken.
    pub(super) fn wants_tag(&self, repository: &str, tag: &str) -> bool {
        let tags = repository.parse().ok().and_then(|name: Repository| self.images.get(&name));
        let listed = |tag: Tag| tags.is_some_and(|tags| tags.get(&tag) == Some(&None));
        tag.parse().is_ok_and(listed)
    }

    pub(super) fn has_below(&self, place: &str) -> bool {
        self.images.keys().any(|name| {
            let rest = name.as_str().strip_prefix(place);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// The listed images that a storage has. With a digest the storage needs no tag, but the
    /// repository has to serve that manifest. What is not there and is not known to be broken is
    /// added to `not_there`.
    pub(super) fn find(
        &self,
        inventory: &Inventory,
        not_there: &mut Vec<BrokenTag>,
    ) -> BTreeMap<Repository, Vec<TagEntry>> {
        let known_broken: BTreeSet<&str> =
            inventory.broken.iter().map(|broken| broken.name.as_str()).collect();
        let mut found = BTreeMap::new();
        for (repository, tags) in &self.images {
            let holding = inventory.repositories.get(repository);
            let mut of_repository = Vec::with_capacity(tags.len());
            for (tag, digest) in tags {
                match holding.and_then(|holding| find_tag(holding, tag, *digest)) {
                    Some(entry) => of_repository.push(entry),
                    None => {
                        let name = format!("{repository}:{tag}");
                        if digest.is_none() && known_broken.contains(name.as_str()) {
                            continue;
                        }
                        not_there.push(BrokenTag {
                            name,
                            tag: None,
                            digest: *digest,
                            location: "the list of images".to_owned(),
                            problem: Problem::NoSuchImage,
                        });
                    }
                }
            }
            found.insert(repository.clone(), of_repository);
        }
        found
    }
}

fn find_tag(holding: &Holding, tag: &Tag, digest: Option<Digest>) -> Option<TagEntry> {
    let at = holding.tags.binary_search_by(|known| known.name.cmp(tag));
    let known = at.ok().map(|at| &holding.tags[at]);
    let entry = |digest: Digest, pushed: PushTime| TagEntry {
        name: tag.clone(),
        digest,
        pushed,
        selected_from: None,
    };
    match (known, digest) {
        (Some(known), None) => Some(TagEntry::from(known)),
        (Some(known), Some(digest)) if known.digest == digest => Some(TagEntry::from(known)),
        (_, Some(digest)) => {
            holding.revision(digest).map(|revision| entry(digest, revision.pushed))
        }
        (None, None) => None,
    }
}

fn parse(image: &str) -> Result<(Repository, Tag, Option<Digest>), String> {
    let (image, digest) = match image.split_once('@') {
        Some((image, digest)) => (image, Some(digest)),
        None => (image, None),
    };
    let form = || "an image is listed as REPOSITORY:TAG or REPOSITORY:TAG@DIGEST".to_owned();
    let (repository, tag) = image.rsplit_once(':').ok_or_else(form)?;
    let name = |error: NameError| error.to_string();
    let digest = digest.map(str::parse).transpose();
    Ok((
        repository.parse().map_err(name)?,
        tag.parse().map_err(name)?,
        digest.map_err(|error: ParseDigestError| error.to_string())?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_remarks() {
        let digest = Digest::of(b"");
        let text = format!("# all\n\n a/b:1  # the first\na/b:2@{digest}\r\nc:latest\na/b:1\n");
        let list = ImageList::read(text.as_bytes()).unwrap();
        assert_eq!(list.len(), 3);
        let wants = |repository, tag| list.wants_tag(repository, tag);
        assert!(wants("a/b", "1") && !wants("a/b", "2") && !wants("a/b", "3") && !wants("a", "1"));
        assert!(list.has_below("a") && list.has_below("c") && !list.has_below("a/c"));
    }

    #[test]
    fn wrong_lines_are_named() {
        let other = format!("a:1@{}\na:1@{}", Digest::of(b"1"), Digest::of(b"2"));
        for (text, want) in [
            ("a:1\nb\n", "line 2: an image is listed as"),
            ("A:1", "line 1: "),
            ("a:1@sha256:0", "line 1: `sha256:0` is not a digest"),
            (other.as_str(), "line 2: "),
        ] {
            let error = ImageList::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(want), "{text}: {error}");
        }
    }
}
