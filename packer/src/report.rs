//! The record of a run: each image, packed or not, and the totals.

use std::collections::BTreeMap;

use serde::Serialize;
use tranship_common::Digest;
use tranship_common::bundle::Contents;

use crate::finding::Finding;
use crate::plan::Totals;

/// What became of every tag of the storage.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report<'a> {
    /// The bundle's SHA-256, once it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bundle_digest: Option<Digest>,
    pub(crate) totals: &'a Totals,
    pub(crate) images: BTreeMap<String, Image<'a>>,
    pub(crate) findings: &'a [Finding],
}

#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "camelCase")]
pub(crate) enum Image<'a> {
    Packed { digest: Digest },
    Broken { reason: &'a str },
}

impl<'a> Report<'a> {
    pub(crate) fn new(
        contents: &'a Contents,
        totals: &'a Totals,
        findings: &'a [Finding],
        bundle_digest: Option<Digest>,
    ) -> Self {
        let packed = contents.images().map(|(repository, tag)| {
            (format!("{repository}:{}", tag.name), Image::Packed { digest: tag.digest })
        });
        let broken = findings.iter().flat_map(|finding| {
            let image = |name: &String| (name.clone(), Image::Broken { reason: &finding.problem });
            finding.images.iter().map(image)
        });
        Self { bundle_digest, totals, images: packed.chain(broken).collect(), findings }
    }
}
