//! The record of a load: each image with its digest and what became of it, and totals.

mod html;

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use tranship_common::{Digest, Repository};

use crate::harbor::quotas::Overcount;
use crate::plan::survey::Survey;
use crate::plan::work::{Status, Work};
use crate::transfer::{Counts, Tally};

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    target: String,
    /// Why nothing could be done, where that was so.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    images: Vec<ImageReport>,
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
    images: Tally,
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
        let images = work.images().iter().map(|image| {
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
                sources: repository.renamed.clone(),
                digest: survey.digest(&image.surveyed),
                status,
                replaced: image.replaces().filter(|_| image.status == Status::Loaded),
                reason,
            }
        });
        let images = images.collect();
        let totals = Totals { images: Tally::of(work), transfer, requests: 0, seconds: 0.0 };
        Self { target, error: None, images, totals, overcounts: overcounts.to_vec() }
    }

    /// The report of a run that has come to no image.
    pub(crate) fn of_error(target: String, error: String) -> Self {
        let (images, totals, overcounts) = (Vec::new(), Totals::default(), Vec::new());
        Self { target, error: Some(error), images, totals, overcounts }
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
