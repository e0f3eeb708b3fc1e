//! What is about a wanted image and has no tag: signatures, SBOMs, attestations (OCI image
//! specification, manifest.md, `subject`).

use std::collections::{HashMap, HashSet};

use tranship_common::{Digest, Manifest, Progress};

use crate::chosen::Chosen;
use crate::inventory::Inventory;
use crate::manifests::Manifests;
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
        let manifest = |digest| manifests.get(digest);
        let tagged = || repository.tags.iter().map(|tag| tag.digest);
        let revisions = holding.revisions.iter().map(|revision| revision.digest);
        let reached = reached(tagged(), revisions.clone(), manifest);
        // An index may list what is about its own children: that comes with the index.
        let in_images = self::reached(tagged(), [], manifest);
        let is_referrer =
            |digest: &Digest| is_about(*digest, &reached, manifest) && !in_images.contains(digest);
        repository.referrers = revisions.filter(is_referrer).collect();
        repository.referrers.sort_unstable();
        let alone = holding.revisions.iter().filter(|revision| !reached.contains(&revision.digest));
        unreadable.extend(alone.filter_map(|revision| {
            let problem = manifests.unreadable.get(&revision.digest)?;
            Some(format!("{}@{}: {problem}", repository.name, revision.digest))
        }));
    }
    unreadable.sort_unstable();
    chosen.notices.extend(in_words(&unreadable));
}

/// All that roots lead to: what they list, which of these manifests are about that, what those
/// list, and so on.
pub(crate) fn reached<'a>(
    roots: impl IntoIterator<Item = Digest>,
    referrers: impl IntoIterator<Item = Digest>,
    manifest: impl Fn(Digest) -> Option<&'a Manifest>,
) -> HashSet<Digest> {
    let mut about: HashMap<Digest, Vec<Digest>> = HashMap::new();
    for referrer in referrers {
        if let Some(subject) = manifest(referrer).and_then(Manifest::subject) {
            about.entry(subject).or_default().push(referrer);
        }
    }
    let (mut open, mut all) = (Vec::from_iter(roots), HashSet::new());
    while let Some(digest) = open.pop() {
        if all.insert(digest) {
            let children = manifest(digest).map(Manifest::children).unwrap_or_default();
            open.extend(children.iter().map(|child| child.digest));
            open.extend(about.get(&digest).into_iter().flatten());
        }
    }
    all
}

/// Whether a manifest is about one of these.
pub(crate) fn is_about<'a>(
    referrer: Digest,
    these: &HashSet<Digest>,
    manifest: impl Fn(Digest) -> Option<&'a Manifest>,
) -> bool {
    let subject = manifest(referrer).and_then(Manifest::subject);
    subject.is_some_and(|subject| these.contains(&subject))
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
