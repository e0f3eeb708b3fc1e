//! The record of a load: each image with its digest and what became of it, and totals.

mod html;

use std::path::Path;

use serde::Serialize;
use tranship_common::{Digest, Repository};

use crate::plan::mapping::Mapped;
use crate::plan::work::{Status, Work};
use crate::transfer::{Counts, Tally};

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    target: String,
    images: Vec<ImageReport>,
    totals: Totals,
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
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
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
        work: &Work,
        mapped: &Mapped,
        counts: Counts,
        requests: u64,
        seconds: f64,
    ) -> Self {
        let images = work
            .images()
            .iter()
            .map(|image| {
                let (status, reason) = match &image.status {
                    Status::Loaded => ("loaded", None),
                    Status::Present => ("present", None),
                    Status::Failed(reason) => ("failed", Some(reason.clone())),
                    Status::Pending => ("left", work.given_up().map(str::to_owned)),
                };
                let repository = work.repository(image.repository);
                let name = format!("{repository}:{}", image.tag);
                let sources = mapped.renamed(repository).cloned().collect();
                let replaced = image.replaces.filter(|_| image.status == Status::Loaded);
                ImageReport { name, sources, digest: image.digest, status, replaced, reason }
            })
            .collect();
        let totals = Totals { images: Tally::of(work), transfer: counts, requests, seconds };
        Self { target, images, totals }
    }

    /// The text for a file: a page if its name ends so, else JSON.
    pub(crate) fn text_for(&self, path: &Path) -> serde_json::Result<String> {
        match path.extension().is_some_and(|ending| ending == "html") {
            true => Ok(self.to_html()),
            false => self.to_json(),
        }
    }

    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }
}
