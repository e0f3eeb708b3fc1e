//! A storage in memory, for tests.

use std::collections::HashMap;
use std::path::Path;

use tranship_common::bundle::BlobEntry;

use super::*;
use crate::inventory::{FoundTag, Holding, Revision};
use crate::source::BlobReader;

/// A storage in memory with the one repository `a/b`.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) blobs: HashMap<Digest, Vec<u8>>,
    /// By name.
    pub(super) tags: Vec<FoundTag>,
    pub(super) revisions: Vec<Revision>,
    /// What every tag leads to when it is read again; what it led to before, if nothing is said.
    pub(super) later: Option<Result<Option<Digest>, Problem>>,
    /// Whether no registry can be changing it.
    pub(super) is_frozen: bool,
}

impl Memory {
    pub(super) fn blob(&mut self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.blobs.insert(digest, bytes.to_vec());
        digest
    }
}

impl Source for Memory {
    fn inventory(&self, _: &dyn Progress) -> Result<Inventory, SourceError> {
        let holding = Holding { tags: self.tags.clone(), revisions: self.revisions.clone() };
        let repositories = [("a/b".parse().unwrap(), holding)].into();
        Ok(Inventory { repositories, ..Default::default() })
    }

    fn tag(&self, _: &Repository, tag: &Tag) -> Result<Option<FoundTag>, Problem> {
        let at = self.tags.binary_search_by(|known| known.name.cmp(tag));
        let Ok(at) = at else { return Ok(None) };
        let known = self.tags[at].clone();
        match self.later.clone() {
            None => Ok(Some(known)),
            Some(later) => later.map(|digest| digest.map(|digest| FoundTag { digest, ..known })),
        }
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
        !self.is_frozen
    }

    fn contains(&self, _: &Path) -> bool {
        false
    }
}
