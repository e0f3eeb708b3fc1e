//! The images that are to be packed, before it is known whether they can be.

use std::collections::HashMap;

use tranship_common::Digest;
use tranship_common::bundle::RepositoryEntry;

use crate::inventory::BrokenTag;

/// The images that are to be packed.
#[derive(Debug, Default)]
pub struct Chosen {
    /// Repositories by name, each with its tags by time of push, then by name.
    pub repositories: Vec<RepositoryEntry>,
    /// What was chosen and cannot be used, by name.
    pub broken: Vec<BrokenTag>,
    /// What a person should know of the choice, in sentences.
    pub notices: Vec<String>,
    /// Images that run on none of the wanted platforms and are left out, `REPOSITORY:TAG`.
    pub other_platforms: Vec<String>,
    /// Indexes that were made for a selection of platforms, by digest: no storage has their bytes.
    pub made: HashMap<Digest, Vec<u8>>,
}

impl Chosen {
    /// What everything else is reached from.
    pub(crate) fn roots(&self) -> impl Iterator<Item = Digest> + '_ {
        self.repositories.iter().flat_map(|repository| {
            let tagged = repository.tags.iter().map(|tag| tag.digest);
            tagged.chain(repository.referrers.iter().copied())
        })
    }
}
