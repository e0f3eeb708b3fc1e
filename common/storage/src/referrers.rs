//! What is about a wanted image and has no tag: signatures, SBOMs, attestations (OCI image
//! specification, manifest.md, `subject`).

use std::collections::{BTreeSet, HashMap, HashSet};

use tranship_common::{Digest, Manifest, Progress};

use crate::chosen::Chosen;
use crate::inventory::Inventory;
use crate::manifests::{Manifests, with_children};
use crate::source::Source;

/// Of many manifests so many are named.
const NAMED: usize = 5;

/// Adds to each repository the untagged manifests whose subject is wanted, and those that are about
/// these, and so on.
pub(crate) fn add_referrers(
    source: &dyn Source,
    inventory: &Inventory,
    chosen: &mut Chosen,
    manifests: &mut Manifests,
    progress: &dyn Progress,
) {
    let holdings = chosen.repositories.iter();
    let candidates: HashSet<Digest> = holdings
        .filter_map(|repository| inventory.repositories.get(&repository.name))
        .flat_map(|holding| holding.revisions.iter().map(|revision| revision.digest))
        .filter(|digest| manifests.get(*digest).is_none())
        .collect();
    manifests.read(source, candidates, progress);
    let mut unreadable = Vec::new();
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
        let in_images = with_children(open.clone(), |digest| manifests.get(digest));
        while let Some(digest) = open.pop() {
            if !reached.insert(digest) {
                continue;
            }
            if let Some(manifest) = manifests.get(digest) {
                open.extend(manifest.children().iter().map(|child| child.digest));
            }
            for referrer in about.get(&digest).into_iter().flatten() {
                // An index may list what is about its own children: it comes with the index.
                if !in_images.contains(referrer) {
                    referrers.insert(*referrer);
                }
                open.push(*referrer);
            }
        }
        repository.referrers = referrers.into_iter().collect();
        let alone = holding.revisions.iter().filter(|revision| !reached.contains(&revision.digest));
        unreadable.extend(alone.filter_map(|revision| {
            let problem = manifests.unreadable.get(&revision.digest)?;
            Some(format!("{}@{}: {problem}", repository.name, revision.digest))
        }));
    }
    unreadable.sort_unstable();
    chosen.notices.extend(in_words(&unreadable));
}

/// What is to be said of manifests without a tag that cannot be read.
fn in_words(unreadable: &[String]) -> Option<String> {
    let named = unreadable.get(..NAMED).unwrap_or(unreadable).join("; ");
    let more = if unreadable.len() > NAMED { "; …" } else { "" };
    (!unreadable.is_empty()).then(|| {
        format!(
            "manifests without a tag that cannot be read, so that nobody knows whether they are \
             about an image: {}: {named}{more}",
            unreadable.len()
        )
    })
}
