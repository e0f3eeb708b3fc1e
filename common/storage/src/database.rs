//! Whether a registry keeps its tags in a database, so that its storage has none, or old ones.
//!
//! A registry of GitLab says so itself. Harbor's core from 2.15 on pushes manifests by digest alone
//! to the registry behind it: new ones have no tag in the storage, and the tags of old stay as they
//! were.

use std::collections::HashSet;

use tranship_common::{Digest, Manifest, Progress};

use crate::inventory::{Holding, Inventory, Revision};
use crate::manifests::Manifests;
use crate::source::Source;

/// Fewer untagged images than this say nothing: somebody has deleted a tag.
const FEW: usize = 10;

/// One manifest in so many says something.
const MOST: usize = 20;

/// Why tags are thought to be in a database; `None` where they are not.
pub(crate) fn tags_in_database(
    source: &dyn Source,
    inventory: &Inventory,
    manifests: &mut Manifests,
    progress: &dyn Progress,
) -> Option<String> {
    if inventory.database_mark {
        return Some("the storage says so (lockfiles/database-in-use)".to_owned());
    }
    let holdings = || inventory.repositories.values();
    let revisions: usize = holdings().map(|holding| holding.revisions.len()).sum();
    let has_tags =
        !inventory.broken.is_empty() || holdings().any(|holding| !holding.tags.is_empty());
    if !has_tags && revisions > 0 {
        return Some(format!("its repositories have manifests ({revisions}) and not one tag"));
    }
    if !keeps_times(inventory) {
        return None;
    }
    let newer = holdings().flat_map(newer_than_tags).map(|revision| revision.digest);
    manifests.read(source, newer.collect::<Vec<_>>(), progress);
    let images: usize = holdings().map(|holding| untold(holding, manifests)).sum();
    (images >= FEW && images * MOST >= revisions).then(|| {
        format!(
            "{images} images are newer than every tag of their repository, and neither a tag nor \
             an index leads to them"
        )
    })
}

/// Whether the storage still has the times at which its registry wrote it: a tag is written after the
/// manifest that it leads to. A copy that was made without times says nothing of what came after what.
fn keeps_times(inventory: &Inventory) -> bool {
    let (mut tags, mut before) = (0, 0);
    for holding in inventory.repositories.values() {
        let revisions = holding.tags.iter().filter_map(|tag| {
            let revision = holding.revision(tag.digest)?;
            Some(tag.pushed < revision.pushed)
        });
        for is_before in revisions {
            tags += 1;
            before += usize::from(is_before);
        }
    }
    before * 2 <= tags
}

/// What came to a repository after its last tag.
fn newer_than_tags(holding: &Holding) -> impl Iterator<Item = &Revision> {
    let newest = holding.tags.iter().map(|tag| tag.pushed).max();
    let revisions = holding.revisions.iter();
    revisions.filter(move |revision| newest.is_none_or(|newest| revision.pushed > newest))
}

/// How many of these nothing leads to. What is about something else is no image, and a part of an
/// untagged index is none of its own.
fn untold(holding: &Holding, manifests: &Manifests) -> usize {
    let newer: Vec<Digest> = newer_than_tags(holding).map(|revision| revision.digest).collect();
    if newer.is_empty() {
        return 0;
    }
    let listed = |digest: Digest| {
        let children = manifests.get(digest).map(Manifest::children).unwrap_or_default();
        children.iter().map(|child| child.digest)
    };
    let mut told: HashSet<Digest> = newer.iter().flat_map(|digest| listed(*digest)).collect();
    let mut open: Vec<Digest> = holding.tags.iter().map(|tag| tag.digest).collect();
    while let Some(digest) = open.pop() {
        told.insert(digest);
        open.extend(listed(digest).filter(|child| !told.contains(child)));
    }
    let is_image = |digest: &Digest| {
        manifests.get(*digest).is_some_and(|manifest| manifest.subject().is_none())
    };
    newer.iter().filter(|digest| !told.contains(digest) && is_image(digest)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::FoundTag;
    use tranship_common::PushTime;

    /// A tag of this second, and its manifest of that.
    fn inventory(times: &[(i64, i64)]) -> Inventory {
        let mut inventory = Inventory::default();
        for (number, (tag, revision)) in times.iter().enumerate() {
            let digest = Digest::of(&number.to_be_bytes());
            let (name, pushed) = (number.to_string().parse().unwrap(), PushTime::from_unix(*tag));
            let holding = Holding {
                tags: vec![FoundTag { name, digest, pushed }],
                revisions: vec![Revision { digest, pushed: PushTime::from_unix(*revision) }],
            };
            inventory.repositories.insert(format!("r{number}").parse().unwrap(), holding);
        }
        inventory
    }

    #[test]
    fn a_copy_without_times_says_nothing() {
        assert!(keeps_times(&inventory(&[])));
        // The second was pushed once more under another tag.
        assert!(keeps_times(&inventory(&[(5, 5), (5, 9)])));
        assert!(!keeps_times(&inventory(&[(5, 9), (5, 9), (5, 5)])));
    }
}
