//! A storage that changes between one look and the next.

use std::collections::HashMap;
use std::path::Path;

use tranship_common::bundle::BlobEntry;
use tranship_common::{PushTime, Silent};

use super::*;
use crate::inventory::{FoundTag, Holding, Revision};
use crate::source::BlobReader;

/// A storage in memory, in which one tag has changed by the time it is read again.
#[derive(Debug)]
struct Changing {
    blobs: HashMap<Digest, Vec<u8>>,
    first: Digest,
    /// What the tag leads to afterwards.
    later: Result<Option<Digest>, Problem>,
    may_change: bool,
}

fn image(layer: &[u8]) -> Vec<u8> {
    let (digest, size) = (Digest::of(layer), layer.len());
    format!(r#"{{"schemaVersion":2,"layers":[{{"digest":"{digest}","size":{size}}}]}}"#)
        .into_bytes()
}

fn found(digest: Digest) -> FoundTag {
    FoundTag { name: "1".parse().unwrap(), digest, pushed: PushTime::from_unix(1) }
}

impl Changing {
    /// The tag leads to an image whose layer is missing, and then to what is given the digest of
    /// a whole one.
    fn new(later: impl FnOnce(Digest) -> Result<Option<Digest>, Problem>) -> Self {
        let [broken, whole] = [image(b"lost"), image(b"layer")];
        let (first, later) = (Digest::of(&broken), later(Digest::of(&whole)));
        let blobs = [broken, whole, b"layer".to_vec()];
        let blobs = blobs.map(|bytes| (Digest::of(&bytes), bytes)).into();
        Self { blobs, first, later, may_change: true }
    }
}

impl Source for Changing {
    fn inventory(&self, _: &dyn Progress) -> Result<Inventory, SourceError> {
        let revisions = vec![Revision { digest: self.first, pushed: PushTime::from_unix(1) }];
        let holding = Holding { tags: vec![found(self.first)], revisions };
        let repositories = [("a/b".parse().unwrap(), holding)].into();
        Ok(Inventory { repositories, ..Default::default() })
    }

    fn tag(&self, _: &Repository, _: &Tag) -> Result<Option<FoundTag>, Problem> {
        self.later.clone().map(|digest| digest.map(found))
    }

    fn size(&self, blob: Digest) -> Result<u64, Problem> {
        self.blobs.get(&blob).map(|bytes| bytes.len() as u64).ok_or(Problem::Missing)
    }

    fn open(&self, blob: Digest) -> Result<BlobReader<'_>, Problem> {
        let bytes = self.blobs.get(&blob).ok_or(Problem::Missing)?;
        Ok(Box::new(bytes.as_slice()))
    }

    fn location(&self, blob: Digest) -> String {
        blob.to_string()
    }

    fn tag_location(&self, repository: &Repository, tag: &Tag) -> String {
        format!("{repository}:{tag}")
    }

    fn blobs(&self) -> Result<Vec<BlobEntry>, SourceError> {
        Ok(Vec::new())
    }

    fn may_change(&self) -> bool {
        self.may_change
    }

    fn contains(&self, _: &Path) -> bool {
        false
    }
}

/// The digests of the tags that are packed, and the findings.
fn look(source: &Changing) -> (Vec<Digest>, Vec<String>) {
    let selection = Selection::default();
    let mut survey = Survey::new(source, &selection, &Silent).unwrap();
    let surveyed = survey.look(&Silent).unwrap();
    let packed = surveyed.plan.contents.images().map(|(_, tag)| tag.digest).collect();
    let problems = surveyed.findings.into_iter().map(|finding| finding.problem);
    (packed, problems.collect())
}

#[test]
fn a_tag_that_was_pushed_again_is_packed_as_it_is_now() {
    let source = Changing::new(|whole| Ok(Some(whole)));
    assert_eq!(look(&source), (vec![Digest::of(&image(b"layer"))], Vec::new()));
}

#[test]
fn a_tag_that_is_gone_is_gone() {
    assert_eq!(look(&Changing::new(|_| Ok(None))), (Vec::new(), Vec::new()));
}

#[test]
fn a_tag_that_stays_as_it_was_is_broken() {
    let source = Changing::new(|_| Ok(Some(Digest::of(&image(b"lost")))));
    let lost = format!("the blob is missing; it is a layer of {}", source.first);
    assert_eq!(look(&source), (Vec::new(), vec![lost.clone()]));
    // An archive does not change: nothing is read again.
    let source = Changing { may_change: false, ..Changing::new(|_| Ok(None)) };
    assert_eq!(look(&source), (Vec::new(), vec![lost]));
}

#[test]
fn a_tag_that_cannot_be_read_any_more_is_named_once() {
    let (packed, problems) = look(&Changing::new(|_| Err(Problem::Deleted)));
    assert!(packed.is_empty());
    assert_eq!(problems, [Problem::Deleted.to_string()]);
}
