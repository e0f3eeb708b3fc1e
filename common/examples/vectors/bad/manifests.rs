//! Bundles whose catalog lists too much or too little, or says what manifests do not say.

use serde_json::json;
use tranship_common::{Digest, kinds};

use super::super::draft::{Draft, descriptor, named, text};
use super::super::good::{LAYER, index, odd, schema1};
use super::{Bad, changed, edited};

pub(super) fn bundles() -> Vec<Bad> {
    vec![
        (
            "schema1-unannounced",
            "an image of schema 1 is listed, but its feature is not required",
            "requires no feature, but what it lists needs the feature `docker-schema-1`",
            {
                let mut draft = schema1();
                draft.catalog["requiredFeatures"] = json!([]);
                draft.bytes()
            },
        ),
        (
            "schema1-hidden",
            "an image of schema 1 is listed with the media type of another kind",
            "does not describe the manifest",
            {
                let mut draft = schema1();
                draft.catalog["requiredFeatures"] = json!([]);
                draft.catalog["manifests"][0]["mediaType"] = json!(kinds::OCI_MANIFEST);
                draft.index[0]["mediaType"] = json!(kinds::OCI_MANIFEST);
                draft.bytes()
            },
        ),
        (
            "blob-dangling",
            "a manifest's blob is not listed",
            "does not list it",
            edited(|draft| {
                draft.catalog["blobs"].as_array_mut().expect("an array").pop();
                draft.entries.pop();
            }),
        ),
        (
            "blob-twice",
            "a blob is listed and stored twice",
            "twice",
            edited(|draft| {
                let again = draft.catalog["blobs"][1].clone();
                draft.catalog["blobs"].as_array_mut().expect("an array").push(again);
                draft.entries.push(draft.entries[2].clone());
            }),
        ),
        (
            "added-manifest",
            "a manifest is listed that no tag leads to",
            "nothing leads to this manifest",
            edited(|draft| {
                let more = json!({
                    "schemaVersion": 2,
                    "mediaType": kinds::OCI_MANIFEST,
                    "layers": [descriptor(LAYER, &draft.entries[2])],
                })
                .to_string()
                .into_bytes();
                let manifests = draft.catalog["manifests"].as_array_mut().expect("an array");
                manifests.push(json!({
                    "digest": text(Digest::of(&more)),
                    "size": more.len(),
                    "mediaType": kinds::OCI_MANIFEST,
                    "blobs": [text(Digest::of(&draft.entries[2]))],
                }));
                draft.entries.insert(1, more);
            }),
        ),
        (
            "added-blob",
            "a blob is listed that no manifest refers to",
            "nothing leads to this blob",
            edited(|draft| {
                let more = b"more".to_vec();
                let blobs = draft.catalog["blobs"].as_array_mut().expect("an array");
                blobs.push(json!({"digest": text(Digest::of(&more)), "size": more.len()}));
                draft.entries.push(more);
            }),
        ),
        (
            "manifest-order",
            "two manifests stand in the order in which they are not used",
            "out of the order of first use",
            {
                let mut draft = index();
                draft.catalog["manifests"].as_array_mut().expect("an array").rotate_left(1);
                draft.entries[..3].rotate_left(1);
                draft.bytes()
            },
        ),
        (
            "blob-order",
            "a layer stands before the config",
            "out of the order of first use",
            edited(|draft| {
                draft.catalog["blobs"].as_array_mut().expect("an array").reverse();
                draft.entries[1..].reverse();
            }),
        ),
        (
            "media-type",
            "the catalog gives a manifest another media type than its own",
            "does not describe the manifest",
            edited(|draft| {
                draft.catalog["manifests"][0]["mediaType"] = json!(kinds::OCI_MANIFEST);
                draft.index.retain(|entry| entry["mediaType"] == kinds::OCI_MANIFEST);
            }),
        ),
        (
            "hidden-reference",
            "the catalog leaves out a layer that the manifest names",
            "does not describe the manifest",
            edited(|draft| {
                draft.catalog["manifests"][0]["blobs"].as_array_mut().expect("an array").pop();
            }),
        ),
        (
            "child-as-blob",
            "the catalog calls a manifest that an index lists a blob",
            "does not describe the manifest",
            changed(index(), |draft| {
                let parent = draft.catalog["manifests"][2].as_object_mut().expect("an object");
                let child = parent.remove("manifests").expect("what the index lists");
                parent.insert("blobs".to_owned(), child);
            }),
        ),
        (
            "subject-hidden",
            "the catalog leaves out what a manifest is about",
            "does not describe the manifest",
            changed(index(), |draft| {
                let artifact = draft.catalog["manifests"][0].as_object_mut().expect("an object");
                artifact.remove("subject");
            }),
        ),
        (
            "foreign-ordinary",
            "an ordinary layer with `urls` is left out as if it were a foreign one",
            "does not describe the manifest",
            changed(odd(), |draft| {
                let manifest = &mut draft.catalog["manifests"][0];
                let layer = manifest["blobs"].as_array_mut().expect("an array").pop();
                manifest["foreign"] = json!([layer]);
                draft.catalog["blobs"].as_array_mut().expect("an array").pop();
                draft.entries.pop();
            }),
        ),
        (
            "foreign-listed",
            "a layer that the catalog calls foreign is in the bundle",
            "calls it foreign",
            changed(index(), |draft| {
                let layer = draft.catalog["blobs"][2]["digest"].clone();
                draft.catalog["manifests"][1]["foreign"] = json!([layer]);
            }),
        ),
        (
            "key-case",
            "a manifest has `Layers`, which some clients read as `layers`",
            "`Layers` differs from `layers` in case only",
            of_manifest(r#"{"schemaVersion":2,"layers":[],"Layers":[]}"#),
        ),
        (
            "unknown-manifest",
            "nothing tells where a manifest of this type has its references",
            "nothing is known of media type `application/vnd.example.unknown`",
            of_manifest(r#"{"schemaVersion":2,"mediaType":"application/vnd.example.unknown"}"#),
        ),
        (
            "key-twice",
            "a manifest has two fields `layers`",
            "`layers` stands in a manifest twice",
            of_manifest(r#"{"schemaVersion":2,"layers":[],"layers":[]}"#),
        ),
    ]
}

/// A bundle of one manifest that refers to nothing.
fn of_manifest(manifest: &str) -> Vec<u8> {
    let digest = text(Digest::of(manifest.as_bytes()));
    let catalog = json!({
        "formatVersion": 1,
        "requiredFeatures": [],
        "repositories": [{"name": "a", "tags": [
            {"name": "1", "digest": digest, "pushed": "2024-01-01T00:00:00Z"},
        ]}],
        "manifests": [
            {"digest": digest, "size": manifest.len(), "mediaType": kinds::OCI_MANIFEST},
        ],
        "blobs": [],
    });
    let manifest = manifest.as_bytes().to_vec();
    let index = vec![named(kinds::OCI_MANIFEST, &manifest, "a:1")];
    Draft { catalog, entries: vec![manifest], index }.bytes()
}
