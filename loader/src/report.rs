//! The record of a load: each image and referrer with its digest and what became of it, totals, and
//! what the bundle does not hold.

mod html;

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use tranship_common::bundle::LeftOut;
use tranship_common::{Digest, Repository};

use crate::harbor::quotas::Overcount;
use crate::plan::survey::Survey;
use crate::plan::work::{Image, Status, Work};
use crate::transfer::{Counts, Tallies};

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    target: String,
    /// Why nothing could be done, where that was so.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What of its source the bundle does not hold.
    #[serde(rename = "leftOut", skip_serializing_if = "LeftOut::is_empty")]
    left_out: LeftOut,
    images: Vec<ImageReport>,
    /// What has no tag.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    referrers: Vec<ImageReport>,
    totals: Totals,
    /// Projects in which Harbor counts more than was brought.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overcounts: Vec<Overcount>,
}

#[derive(Debug, Serialize)]
struct ImageReport {
    name: String,
    /// The repositories of the bundle that it comes from, where they have another name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<Repository>,
    digest: Digest,
    /// What a referrer is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Digest>,
    status: &'static str,
    /// The digest that the tag had before, if it was another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Arc<str>>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Totals {
    #[serde(flatten)]
    tallies: Tallies,
    #[serde(flatten)]
    transfer: Counts,
    requests: u64,
    seconds: f64,
}

impl Report {
    pub(crate) fn new(
        target: String,
        survey: &Survey,
        work: &Work,
        transfer: Counts,
        overcounts: &[Overcount],
    ) -> Self {
        let describe = |image: &Image| {
            let (status, reason) = match &image.status {
                Status::Loaded => ("loaded", None),
                Status::Present => ("present", None),
                Status::Failed(reason) => ("failed", Some(Arc::clone(reason))),
                Status::Pending => {
                    ("left", work.given_up().map(|failure| Arc::clone(&failure.text)))
                }
            };
            let repository = &survey.repositories[image.surveyed.image.repository];
            ImageReport {
                name: survey.name(&image.surveyed),
                subject: survey.subject(&image.surveyed),
                sources: repository.renamed.clone(),
                digest: survey.digest(&image.surveyed),
                status,
                replaced: image.replaces().filter(|_| image.status == Status::Loaded),
                reason,
            }
        };
        let is_tagged = |image: &&Image| image.surveyed.image.tag.is_some();
        let (images, referrers): (Vec<&Image>, Vec<&Image>) =
            work.images().iter().partition(is_tagged);
        Self {
            target,
            error: None,
            left_out: survey.contents.catalog().left_out.clone(),
            images: images.into_iter().map(describe).collect(),
            referrers: referrers.into_iter().map(describe).collect(),
            totals: Totals { tallies: Tallies::of(work), transfer, requests: 0, seconds: 0.0 },
            overcounts: overcounts.to_vec(),
        }
    }

    /// The report of a run that has come to no image.
    pub(crate) fn of_error(target: String, error: String) -> Self {
        Self {
            target,
            error: Some(error),
            left_out: LeftOut::default(),
            images: Vec::new(),
            referrers: Vec::new(),
            totals: Totals::default(),
            overcounts: Vec::new(),
        }
    }

    /// With what it took.
    pub(crate) fn with_costs(mut self, requests: u64, seconds: f64) -> Self {
        self.totals.requests = requests;
        self.totals.seconds = seconds;
        self
    }

    /// The text for a file: a page if its name ends so, else JSON.
    pub(crate) fn text_for(&self, path: &Path) -> serde_json::Result<String> {
        match path.extension().is_some_and(|ending| ending == "html") {
            true => Ok(self.to_html()),
            false => self.to_json(),
        }
    }

    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        tranship_terminal::json(self)
    }
}
