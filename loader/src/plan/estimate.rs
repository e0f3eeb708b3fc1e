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
    /// Referrers to be loaded.
    pub(crate) referrers: u64,
    /// Of the images, how many have another digest now.
    pub(crate) replaced: u64,
    /// Of images and referrers, how many the target did not tell of.
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
        self.referrers += other.referrers;
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
        let is_tagged = image.image.tag.is_some();
        match image.found {
            Found::Same => cost.present += u64::from(is_tagged),
            _ if is_tagged => cost.images += 1,
            _ => cost.referrers += 1,
        }
        match image.found {
            Found::Different(_) => cost.replaced += 1,
            Found::Unknown(_) => cost.unknown += 1,
            Found::Same | Found::Missing | Found::Broken(_) => {}
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
