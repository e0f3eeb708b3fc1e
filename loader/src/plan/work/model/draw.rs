//! Bundles and targets by chance: small ones, so that everything meets.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use fastrand::Rng;
use tranship_common::Digest;
use tranship_common::bundle::{BlobId, Contents};

use super::super::LARGE;
use super::target::Target;
use crate::failure::Failure;
use crate::plan::made_up::{MadeUp, MadeUpManifest, MadeUpTag, id, survey};
use crate::plan::survey::{Found, Survey, SurveyedImage};

/// A few repositories in a few projects, in which much is shared.
pub(super) fn draw_bundle(chance: &mut Rng) -> MadeUp {
    let mut made_up = MadeUp::default();
    let manifests = chance.usize(1..10);
    let large = chance.usize(0..8);
    for _ in 0..chance.usize(1..12) {
        made_up.blobs.push(if chance.usize(0..8) < large { LARGE } else { 1 });
    }
    for at in 0..manifests {
        let mut manifest = MadeUpManifest::default();
        if chance.usize(0..3) == 0 {
            manifest.manifests = some(chance, 0..at, 3);
        } else {
            manifest.blobs = some(chance, manifests..manifests + made_up.blobs.len(), 5);
        }
        if chance.usize(0..30) == 0 {
            manifest.blobs.extend(some(chance, 0..at, 1));
        }
        manifest.subject = (at > 0 && chance.usize(0..4) == 0).then(|| chance.usize(0..at));
        made_up.manifests.push(manifest);
    }
    for _ in 0..chance.usize(1..6) {
        let name = format!("p{}/r{}", chance.usize(0..3), chance.usize(0..3));
        let mut tags = BTreeMap::new();
        for _ in 0..chance.usize(1..6) {
            let about = MadeUp::digest(chance.usize(0..manifests)).hex();
            let name = match chance.usize(0..8) {
                0 => format!("sha256-{about}"),
                1 => format!("sha256-{about}.sig"),
                _ => format!("t{}", chance.usize(0..9)),
            };
            let (pushed, manifest) = (chance.u32(0..40), chance.usize(0..manifests));
            tags.insert(name.clone(), MadeUpTag { pushed, name, manifest });
        }
        let tags: Vec<MadeUpTag> = tags.into_values().collect();
        let is_tagged = |manifest: &usize| tags.iter().any(|tag| tag.manifest == *manifest);
        let is_about = |manifest: &usize| made_up.manifests[*manifest].subject.is_some();
        let could_refer =
            (0..manifests).filter(|manifest| is_about(manifest) && !is_tagged(manifest));
        let referrers = could_refer.filter(|_| chance.bool()).collect();
        made_up.referrers.insert(name.clone(), referrers);
        made_up.tags.insert(name, tags);
    }
    made_up
}

/// Up to `most` different numbers of a range.
fn some(chance: &mut Rng, of: Range<usize>, most: usize) -> Vec<usize> {
    let amount = chance.usize(0..=most);
    let mut numbers = chance.choose_multiple(of, amount);
    chance.shuffle(&mut numbers);
    numbers
}

/// What a target has, and what it says of that.
pub(super) fn draw_target(
    chance: &mut Rng,
    made_up: &MadeUp,
    contents: &Arc<Contents>,
) -> (Survey, Target) {
    let mut survey = survey(contents, |_| Found::Missing);
    let mut target = Target::default();
    let filled = chance.usize(0..4);
    for SurveyedImage { image, found } in &mut survey.images {
        *found = match chance.usize(0..8) {
            n if n < filled => Found::Same,
            6 => Found::Different(Digest::of(b"another")),
            7 => Found::Unknown(Failure::refused("not told".to_owned())),
            _ => Found::Missing,
        };
        if matches!(found, Found::Same | Found::Unknown(_)) {
            for part in all_parts(made_up, contents, image.root) {
                target.bring(image.repository, part);
            }
        }
    }
    for _ in 0..chance.usize(0..3) {
        let part = id(contents, chance.usize(0..contents.ids().len()));
        if let Some((repository, part)) = target.any((chance.usize(0..9), part)) {
            target.lose(repository, part);
        }
    }
    let is_deep = chance.bool();
    if is_deep {
        target.tell_of_all();
        for SurveyedImage { image, found } in &mut survey.images {
            let parts = all_parts(made_up, contents, image.root);
            let is_missing = |part: &BlobId| !target.has(image.repository, *part);
            let missing = parts.into_iter().filter(is_missing);
            let mut missing: Vec<_> = missing.map(|part| contents.entry(part).digest).collect();
            missing.sort_unstable();
            if matches!(found, Found::Same) && !missing.is_empty() {
                *found = Found::Broken(missing);
            }
        }
    }
    (survey, target)
}

/// The manifests and blobs of an image.
fn all_parts(made_up: &MadeUp, contents: &Contents, root: BlobId) -> Vec<BlobId> {
    let (manifests, blobs) = made_up.parts(root.index());
    manifests.into_iter().chain(blobs).map(|part| id(contents, part)).collect()
}
