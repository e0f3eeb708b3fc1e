//! The record of a run: each image, packed or not, and the totals.

use std::collections::BTreeMap;

use serde::Serialize;
use tranship_common::Digest;
use tranship_storage::{Finding, Surveyed, Totals};

/// What became of every tag that was chosen.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report<'a> {
    /// The bundle's SHA-256, once it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle_digest: Option<Digest>,
    /// What was chosen, in words; left out where that is everything.
    #[serde(skip_serializing_if = "str::is_empty")]
    selection: &'a str,
    totals: &'a Totals,
    images: BTreeMap<String, Image<'a>>,
    findings: &'a [Finding],
    /// What else a person should know.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    notices: &'a [String],
    /// Why tags are thought to be kept in a database, and so to be missing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "camelCase")]
enum Image<'a> {
    #[serde(rename_all = "camelCase")]
    Packed {
        digest: Digest,
        /// What the tag leads to in the storage, where a part of that was packed.
        #[serde(skip_serializing_if = "Option::is_none")]
        selected_from: Option<Digest>,
        /// Layers that are fetched from elsewhere and are not in the storage.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        foreign: Vec<Digest>,
    },
    /// Could be packed, but nothing was written.
    #[serde(rename_all = "camelCase")]
    Whole {
        digest: Digest,
        #[serde(skip_serializing_if = "Option::is_none")]
        selected_from: Option<Digest>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        foreign: Vec<Digest>,
    },
    /// Chosen, but for other platforms than those that were wanted.
    OtherPlatform,
    Broken {
        reason: &'a str,
    },
}

impl<'a> Report<'a> {
    pub(crate) fn new(surveyed: &'a Surveyed, bundle_digest: Option<Digest>) -> Self {
        let contents = &surveyed.plan.contents;
        let packed = contents.images().map(|(repository, tag)| {
            let (digest, selected_from) = (tag.digest, tag.selected_from);
            let foreign = surveyed.foreign_layers(digest);
            let image = match bundle_digest {
                Some(_) => Image::Packed { digest, selected_from, foreign },
                None => Image::Whole { digest, selected_from, foreign },
            };
            (format!("{repository}:{}", tag.name), image)
        });
        let other = surveyed.other_platforms.iter();
        let other = other.map(|name| (name.clone(), Image::OtherPlatform));
        let broken = surveyed.findings.iter().flat_map(|finding| {
            let image = |name: &String| (name.clone(), Image::Broken { reason: &finding.problem });
            finding.images.iter().map(image)
        });
        Self {
            bundle_digest,
            selection: &contents.catalog().left_out.selection,
            totals: &surveyed.plan.totals,
            images: packed.chain(other).chain(broken).collect(),
            findings: &surveyed.findings,
            notices: &surveyed.notices,
            database: surveyed.database.as_deref(),
        }
    }
}
