//! What is about a wanted image and has no tag: signatures, SBOMs, attestations (OCI image
//! specification, manifest.md, `subject`).

use std::collections::{BTreeSet, HashMap, HashSet};

use tranship_common::{Digest, Manifest, Progress};

use crate::chosen::Chosen;
use crate::inventory::Inventory;
use crate::manifests::Manifests;
use crate::source::Source;

/// Adds to each repository the untagged manifests whose subject is wanted, and those that are about
/// these, and so on.
pub(crate) fn add_referrers(
    source: &dyn Source,
    inventory: &Inventory,
    chosen: &mut Chosen,
    manifests: &mut Manifests,
    progress: &dyn Progress,
) {
    let candidates: HashSet<Digest> = inventory
        .repositories
        .values()
        .flat_map(|holding| holding.revisions.iter().map(|revision| revision.digest))
        .filter(|digest| manifests.get(*digest).is_none())
        .collect();
    manifests.read(source, candidates, progress);
    for repository in &mut chosen.repositories {
        let Some(holding) = inventory.repositories.get(&repository.name) else { continue };
        let mut about: HashMap<Digest, Vec<Digest>> = HashMap::new();
        for revision in &holding.revisions {
            let subject = manifests.get(revision.digest).and_then(Manifest::subject);
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
    }
}
