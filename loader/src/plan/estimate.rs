//! What a load will cost, found out by going through its work without sending anything.

use std::collections::BTreeMap;

use serde::Serialize;
use tranship_common::bundle::Contents;

use crate::plan::mapping::project_of;
use crate::plan::survey::Found;
use crate::plan::work::{Order, Task, Work};

/// What is to be done in a project, or below the first component of the names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cost {
    /// Images that are there with the packed digest.
    pub(crate) present: u64,
    /// Images to be loaded.
    pub(crate) images: u64,
    /// Of these, how many have another digest now.
    pub(crate) replaced: u64,
    /// Images that the target did not tell of.
    pub(crate) unknown: u64,
    pub(crate) uploaded_blobs: u64,
    pub(crate) uploaded_bytes: u64,
    pub(crate) mounted_blobs: u64,
    /// Manifests to be stored, under a digest or a tag.
    pub(crate) manifests: u64,
}

impl Cost {
    /// Requests that this takes when nothing goes wrong: two for an upload, one for all else.
    pub(crate) fn requests(&self) -> u64 {
        2 * self.uploaded_blobs + self.mounted_blobs + self.manifests
    }

    fn add(&mut self, other: &Self) {
        self.present += other.present;
        self.images += other.images;
        self.replaced += other.replaced;
        self.unknown += other.unknown;
        self.uploaded_blobs += other.uploaded_blobs;
        self.uploaded_bytes += other.uploaded_bytes;
        self.mounted_blobs += other.mounted_blobs;
        self.manifests += other.manifests;
    }
}

/// The sum.
pub(crate) fn total<'a>(costs: impl IntoIterator<Item = &'a Cost>) -> Cost {
    let mut sum = Cost::default();
    costs.into_iter().for_each(|cost| sum.add(cost));
    sum
}

/// The cost of a load by project, where `found` is what the target has.
pub(crate) fn estimate(contents: &Contents, found: &[Found]) -> BTreeMap<String, Cost> {
    let mut costs: BTreeMap<String, Cost> = BTreeMap::new();
    for ((repository, _), found) in contents.images().zip(found) {
        let cost = costs.entry(project_of(repository).to_owned()).or_default();
        match found {
            Found::Same => cost.present += 1,
            Found::Missing => cost.images += 1,
            Found::Different(_) => {
                cost.images += 1;
                cost.replaced += 1;
            }
            Found::Unknown(_) => cost.unknown += 1,
        }
    }
    let mut work = Work::new(contents, found, Order::Bundle);
    while let Some(task) = work.next() {
        work.over(&task);
        let place = work.place_of(&task);
        let cost = costs.entry(project_of(work.repository(place)).to_owned()).or_default();
        match task {
            Task::Deliver { blob, to, from } => {
                if from.is_some() {
                    cost.mounted_blobs += 1;
                } else {
                    cost.uploaded_blobs += 1;
                    cost.uploaded_bytes += contents.size(blob).unwrap_or(0);
                }
                work.delivered(blob, to);
            }
            Task::Push { image } => {
                cost.manifests += work.manifests_to_push(image).len() as u64;
                work.pushed(image, Ok(()));
            }
        }
    }
    costs
}
