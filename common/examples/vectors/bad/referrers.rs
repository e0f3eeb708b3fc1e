//! Bundles whose catalog lists manifests without a tag that cannot be such.

use serde_json::{Value, json};
use tranship_common::Digest;

use super::super::draft::{Draft, text};
use super::super::good::index;
use super::super::referrers::referrers;
use super::{Bad, changed};

pub(super) fn bundles() -> Vec<Bad> {
    vec![
        (
            "referrer-order",
            "referrers are not in order of their digests",
            "out of order",
            changed(referrers(), |draft| of_first(draft).reverse()),
        ),
        (
            "referrer-twice",
            "a referrer stands in its repository twice",
            "out of order",
            changed(referrers(), |draft| {
                let again = of_first(draft)[0].clone();
                of_first(draft).insert(0, again);
            }),
        ),
        (
            "referrer-tagged",
            "a referrer has a tag in its repository",
            "is tagged there",
            changed(index(), |draft| {
                let repository = &mut draft.catalog["repositories"][0];
                repository["referrers"] = json!([repository["tags"][0]["digest"]]);
            }),
        ),
        (
            "referrer-unlisted",
            "a referrer is no manifest of the bundle",
            "among the manifests",
            changed(referrers(), |draft| {
                of_first(draft)[0] = json!(text(Digest::from_hex(&"0".repeat(64)).expect("hex")));
            }),
        ),
        (
            "referrer-about-nothing",
            "a referrer has no subject",
            "has no subject",
            changed(referrers(), |draft| {
                let child = draft.catalog["manifests"][0]["digest"].clone();
                of_first(draft).push(child);
                of_first(draft).sort_by_key(Value::to_string);
            }),
        ),
        (
            "referrer-dangling",
            "the subject of a referrer is not in the bundle",
            "among the manifests",
            changed(index(), |draft| {
                // Neither the image nor its tag: what is left is about nothing that is there.
                draft.catalog["repositories"][1]["tags"] = json!([]);
                let artifact = draft.catalog["repositories"][0]["tags"][0]["digest"].clone();
                draft.catalog["repositories"][0]["tags"] = json!([]);
                draft.catalog["repositories"][0]["referrers"] = json!([artifact]);
                draft.catalog["manifests"].as_array_mut().expect("an array").truncate(1);
                draft.catalog["blobs"].as_array_mut().expect("an array").truncate(1);
                draft.entries = vec![draft.entries[0].clone(), draft.entries[3].clone()];
                draft.index.clear();
            }),
        ),
    ]
}

/// The referrers of the first repository.
fn of_first(draft: &mut Draft) -> &mut Vec<Value> {
    draft.catalog["repositories"][0]["referrers"].as_array_mut().expect("an array")
}
