//! What is about a wanted image and has no tag: signatures, SBOMs, attestations (OCI image
//! specification, manifest.md, `subject`).

use std::collections::{BTreeSet, HashMap, HashSet};

use tranship_common::{Digest, Manifest, Progress, Repository};

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
    let of = |name: &Repository| inventory.repositories.get(name);
    let holdings = chosen.repositories.iter().filter_map(|repository| of(&repository.name));
    let candidates: HashSet<Digest> = holdings
        .flat_map(|holding| holding.revisions.iter().map(|revision| revision.digest))
        .filter(|digest| manifests.get(*digest).is_none())
        .collect();
    manifests.read(source, candidates, progress);
    for repository in &mut chosen.repositories {
        let Some(holding) = of(&repository.name) else { continue };
        let mut about: HashMap<Digest, Vec<Digest>> = HashMap::new();
        for revision in &holding.revisions {
            let subject = manifests.get(revision.digest).and_then(Manifest::subject);
            if let Some(subject) = subject {
                about.entry(subject).or_default().push(revision.digest);
            }
        }
        let mut reached = HashSet::new();
        let tagged = repository.tags.iter().map(|tag| tag.digest).collect();
        let mut open = reach(manifests, &mut reached, tagged);
        let mut referrers = BTreeSet::new();
        while let Some(digest) = open.pop() {
            for referrer in about.get(&digest).into_iter().flatten() {
                // What a tag or an index leads to comes along anyhow.
                if !reached.contains(referrer) {
                    referrers.insert(*referrer);
                    open.extend(reach(manifests, &mut reached, vec![*referrer]));
                }
            }
        }
        repository.referrers = referrers.into_iter().collect();
    }
}

/// Adds these manifests and whatever they list to what is reached, and returns what is new in it.
fn reach(
    manifests: &Manifests,
    reached: &mut HashSet<Digest>,
    mut open: Vec<Digest>,
) -> Vec<Digest> {
    let mut new = Vec::new();
    while let Some(digest) = open.pop() {
        if reached.insert(digest) {
            new.push(digest);
            let children = manifests.get(digest).map(Manifest::children).unwrap_or_default();
            open.extend(children.iter().map(|child| child.digest));
        }
    }
    new
}
