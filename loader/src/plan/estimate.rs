//! What a load will cost, found out by going through its work without sending anything.

use std::collections::BTreeMap;

use serde::Serialize;

use super::survey::{Found, Survey};
use super::work::{Order, Task, Work};
use crate::deliver::Deliver;

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
    /// Of these, how many the target did not tell of.
    pub(crate) unknown: u64,
    pub(crate) uploaded_blobs: u64,
    pub(crate) uploaded_bytes: u64,
    pub(crate) mounted_blobs: u64,
    /// Manifests to be stored, under a digest or a tag.
    pub(crate) manifests: u64,
    /// Requests that this takes when nothing goes wrong.
    pub(crate) requests: u64,
}

impl Cost {
    fn add(&mut self, other: &Self) {
        self.present += other.present;
        self.images += other.images;
        self.replaced += other.replaced;
        self.unknown += other.unknown;
        self.uploaded_blobs += other.uploaded_blobs;
        self.uploaded_bytes += other.uploaded_bytes;
        self.mounted_blobs += other.mounted_blobs;
        self.manifests += other.manifests;
        self.requests += other.requests;
    }
}

/// The sum.
pub(crate) fn total<'a>(costs: impl IntoIterator<Item = &'a Cost>) -> Cost {
    let mut sum = Cost::default();
    costs.into_iter().for_each(|cost| sum.add(cost));
    sum
}

/// The cost of a load by project.
pub(crate) fn estimate(survey: &Survey, delivery: &dyn Deliver) -> BTreeMap<String, Cost> {
    let mut costs: BTreeMap<String, Cost> = BTreeMap::new();
    for image in &survey.images {
        let cost = costs.entry(survey.repository(image).project().to_owned()).or_default();
        match image.found {
            Found::Same => cost.present += 1,
            Found::Missing | Found::Broken(_) => cost.images += 1,
            Found::Different(_) => {
                cost.images += 1;
                cost.replaced += 1;
            }
            Found::Unknown(_) => {
                cost.images += 1;
                cost.unknown += 1;
            }
        }
    }
    let mut work = Work::new(survey, Order::Bundle, false);
    while let Some(task) = work.next() {
        match task {
            Task::Deliver(job) => {
                let cost = costs.entry(job.to.project().to_owned()).or_default();
                let price = delivery.price(&job);
                cost.requests += price.requests;
                match price.is_mount {
                    true => cost.mounted_blobs += 1,
                    false => {
                        cost.uploaded_blobs += 1;
                        cost.uploaded_bytes += price.bytes;
                    }
                }
                work.delivered(&job);
            }
            Task::Push { image } => {
                let project = work.repository(image).project().to_owned();
                let manifests = work.manifests_to_push(image).len() as u64;
                let cost = costs.entry(project).or_default();
                cost.manifests += manifests;
                cost.requests += manifests;
                work.pushed(image);
            }
        }
    }
    costs
}
