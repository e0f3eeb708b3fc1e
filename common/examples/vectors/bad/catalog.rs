//! Bundles whose catalog breaks a rule of its own.

use serde_json::json;
use tranship_common::Digest;

use super::super::draft::{CATALOG_FIELDS, text};
use super::super::good::{image, left_out, nested};
use super::{Bad, changed, edited};

pub(super) fn bundles() -> Vec<Bad> {
    vec![
        (
            "newer-version",
            "formatVersion is 2",
            "format version 2",
            edited(|draft| {
                draft.catalog["formatVersion"] = json!(2);
            }),
        ),
        (
            "unknown-feature",
            "a feature is required that nobody knows",
            "the feature `teleport`",
            edited(|draft| {
                draft.catalog["requiredFeatures"] = json!(["teleport"]);
            }),
        ),
        (
            "feature-unneeded",
            "a feature is required that nothing in the bundle needs",
            "requires the feature `docker-schema-1`, but what it lists needs no feature",
            edited(|draft| {
                draft.catalog["requiredFeatures"] = json!(["docker-schema-1"]);
            }),
        ),
        (
            "many-features",
            "more features are required than can be",
            "17 features, more than the 16 that the format allows",
            edited(|draft| {
                let features: Vec<String> = (0..17).map(|n| format!("feature{n}")).collect();
                draft.catalog["requiredFeatures"] = json!(features);
            }),
        ),
        (
            "long-feature",
            "the name of a required feature is longer than any",
            "has 65 bytes, more than the 64 that the format allows",
            edited(|draft| {
                draft.catalog["requiredFeatures"] = json!(["x".repeat(65)]);
            }),
        ),
        (
            "field-order",
            "formatVersion does not come first in the catalog",
            "its first field is not `formatVersion`",
            {
                let fields = [&["repositories"], CATALOG_FIELDS].concat();
                image().with_catalog(&image().catalog_text(&fields))
            },
        ),
        (
            "catalog-type",
            "a size is a string",
            "bundle.json cannot be read",
            edited(|draft| {
                draft.catalog["blobs"][0]["size"] = json!("14");
            }),
        ),
        (
            "repository-name",
            "a repository has an illegal name",
            "is not a repository name",
            edited(|draft| {
                draft.catalog["repositories"][0]["name"] = json!("../escape");
            }),
        ),
        (
            "tag-order",
            "tags of one time are not in order of their names",
            "out of order",
            edited(|draft| {
                let tags = draft.catalog["repositories"][0]["tags"].as_array_mut();
                tags.expect("an array").reverse();
            }),
        ),
        (
            "tag-dangling",
            "a tag points to a digest that is no manifest",
            "among the manifests",
            edited(|draft| {
                draft.catalog["repositories"][0]["tags"][0]["digest"] =
                    json!(text(Digest::of(b"nothing")));
            }),
        ),
        (
            "sizes",
            "the sizes add up to more than a bundle can hold",
            "more than the 1152921504606846976 that the format allows",
            edited(|draft| {
                draft.catalog["blobs"][0]["size"] = json!(u64::MAX);
            }),
        ),
        (
            "manifest-size",
            "the catalog announces a manifest that no registry takes",
            "has 4194305 bytes, more than the 4194304 that the format allows",
            edited(|draft| {
                draft.catalog["manifests"][0]["size"] = json!((4 << 20) + 1);
                for entry in &mut draft.index {
                    entry["size"] = json!((4 << 20) + 1);
                }
            }),
        ),
        (
            "long-media-type",
            "the catalog gives a manifest an artifactType that no registry keeps",
            "has 256 bytes, more than the 255 that the format allows",
            edited(|draft| {
                draft.catalog["manifests"][0]["artifactType"] = json!("x".repeat(256));
            }),
        ),
        (
            "nesting",
            "indexes list indexes, 33 deep",
            "33 deep, more than the 32 that the format allows",
            nested(33).bytes(),
        ),
        (
            "field-twice",
            "a tag has two fields `digest`",
            "duplicate field `digest`",
            with_text("\"pushed\"", "\"digest\": \"\", \"pushed\""),
        ),
        (
            "list-twice",
            "the catalog has two fields `blobs`",
            "a field stands in it twice",
            with_text("\"manifests\"", "\"blobs\": [], \"manifests\""),
        ),
        (
            "null-field",
            "a field that may be left out is null instead",
            "bundle.json cannot be read",
            edited(|draft| {
                draft.catalog["manifests"][0]["subject"] = json!(null);
            }),
        ),
        (
            "tag-name",
            "a tag has an illegal name",
            "is not a tag",
            edited(|draft| {
                draft.catalog["repositories"][0]["tags"][0]["name"] = json!("-1.0");
            }),
        ),
        ("pushed-fraction", "a tag was pushed at a part of a second", "is not a time", {
            pushed("2023-11-14T22:13:20.5Z")
        }),
        ("pushed-offset", "a tag's time of push is not in UTC", "is not a time", {
            pushed("2023-11-14T22:13:20+00:00")
        }),
        ("pushed-date", "a tag was pushed on a day that never was", "is not a time", {
            pushed("2023-02-29T22:13:20Z")
        }),
        (
            "pushed-order",
            "a tag that was pushed later stands first",
            "out of order",
            pushed("2023-11-14T22:13:21Z"),
        ),
        (
            "left-out-length",
            "a reason has more bytes than it may",
            "has 4097 bytes, more than the 4096 that the format allows",
            changed(left_out(), |draft| {
                draft.catalog["leftOut"]["images"][0]["reason"] = json!("x".repeat(4097));
            }),
        ),
        (
            "left-out-order",
            "images that were left out are not in order of their names",
            "out of order",
            changed(left_out(), |draft| {
                let images = draft.catalog["leftOut"]["images"].as_array_mut();
                images.expect("an array").reverse();
            }),
        ),
    ]
}

/// The first of these words in `bundle.json` is replaced.
fn with_text(words: &str, by: &str) -> Vec<u8> {
    let draft = image();
    draft.with_catalog(&draft.catalog_text(CATALOG_FIELDS).replacen(words, by, 1))
}

/// The first tag was pushed then.
fn pushed(time: &str) -> Vec<u8> {
    edited(|draft| {
        draft.catalog["repositories"][0]["tags"][0]["pushed"] = json!(time);
    })
}
