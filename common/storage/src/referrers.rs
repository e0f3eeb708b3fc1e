//! What is about a wanted image and has no tag: signatures, SBOMs, attestations (OCI image
//! specification, manifest.md, `subject`).

use std::collections::{BTreeSet, HashMap, HashSet};

use tranship_common::{Digest, Progress, PushTime};

use crate::chosen::Chosen;
use crate::inventory::Inventory;
use crate::manifests::Manifests;
use crate::source::Source;

/// Manifests that no tag, index or subject leads to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Unreached {
    /// How many manifests the repositories serve in all.
    pub(crate) revisions: usize,
    /// How many of them nothing leads to though they are newer than every tag of their repository.
    pub(crate) newer: usize,
}

/// Adds to each repository the untagged manifests whose subject is wanted, and those that are about
/// these, and so on.
pub(crate) fn add_referrers(
    source: &dyn Source,
    inventory: &Inventory,
    chosen: &mut Chosen,
    manifests: &mut Manifests,
    progress: &dyn Progress,
) -> Unreached {
    let candidates: HashSet<Digest> = inventory
        .repositories
        .values()
        .flat_map(|holding| holding.revisions.iter().map(|revision| revision.digest))
        .filter(|digest| manifests.get(*digest).is_none())
        .collect();
    manifests.read(source, candidates, progress);
    let mut unreached = Unreached::default();
    for repository in &mut chosen.repositories {
        let Some(holding) = inventory.repositories.get(&repository.name) else { continue };
        let mut about: HashMap<Digest, Vec<Digest>> = HashMap::new();
        for revision in &holding.revisions {
            let subject = manifests.get(revision.digest).and_then(|manifest| manifest.subject());
            if let Some(subject) = subject {
                about.entry(subject).or_default().push(revision.digest);
            }
        }
        let mut reached: HashSet<Digest> = HashSet::new();
        let mut referrers = BTreeSet::new();
        let mut open: Vec<Digest> = repository.tags.iter().map(|tag| tag.digest).collect();
        let tagged: HashSet<Digest> = open.iter().copied().collect();
        while let Some(digest) = open.pop() {
            if !reached.insert(digest) {
                continue;
            }
            if let Some(manifest) = manifests.get(digest) {
                open.extend(manifest.children().iter().map(|child| child.digest));
            }
            for referrer in about.get(&digest).into_iter().flatten() {
                if !tagged.contains(referrer) {
                    referrers.insert(*referrer);
                }
                open.push(*referrer);
            }
        }
        repository.referrers = referrers.into_iter().collect();
        let newest = repository.tags.iter().map(|tag| tag.pushed).max();
        unreached.revisions += holding.revisions.len();
        unreached.newer += newer_than_tags(holding, &reached, manifests, newest);
    }
    unreached
}

/// How many manifests nothing leads to, of those that came after the last tag.
fn newer_than_tags(
    holding: &crate::Holding,
    reached: &HashSet<Digest>,
    manifests: &Manifests,
    newest_tag: Option<PushTime>,
) -> usize {
    let untold = holding.revisions.iter().filter(|revision| {
        newest_tag.is_none_or(|newest| revision.pushed > newest)
            && !reached.contains(&revision.digest)
    });
    let untold: HashSet<Digest> = untold.map(|revision| revision.digest).collect();
    // What an untagged index lists is part of it, and what is about something is no image.
    let manifests = || untold.iter().filter_map(|digest| manifests.get(*digest));
    let listed: HashSet<Digest> =
        manifests().flat_map(|manifest| manifest.children()).map(|child| child.digest).collect();
    let images = manifests().filter(|manifest| manifest.subject().is_none());
    images.filter(|manifest| !listed.contains(&manifest.digest())).count()
}
