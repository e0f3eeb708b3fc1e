//! Odd manifests.

use serde_json::{Value, json};
use tranship_common::{Digest, kinds};

use super::{ABSENT, OddManifest, Packs, Serves, image, index, parts, stored};
use crate::content::{DOCKER_CONFIG, DOCKER_LAYER, EMPTY, descriptor};
use crate::tree::Tree;
use Packs::{No, NoThough, Though, Yes};
use Serves::{Nothing, Partly, Whole};

/// Why a type that this registry does not know is carried.
const OTHERS_KNOW: &str = "what it refers to can be read, and other registries may know the type";
/// Why what Go cannot read is carried.
const NOT_OURS: &str = "the field leads nowhere, so nothing is lost by what stands in it";
/// Why keys that are written otherwise are refused.
const AMBIGUOUS: &str =
    "clients differ about which fields they read, so what it needs is not known";

type Change = fn(&mut Value);

/// A sound image with something changed.
fn changed(tree: &mut Tree, repository: &str, change: Change) -> Vec<u8> {
    let mut manifest = image(tree, repository);
    change(&mut manifest);
    manifest.to_string().into_bytes()
}

/// A sound image with a part of its text replaced.
fn replaced(tree: &mut Tree, repository: &str, from: &str, to: &str) -> Vec<u8> {
    let text = image(tree, repository).to_string();
    let other = text.replacen(from, to, 1);
    assert_ne!(text, other, "there is `{from}` in it");
    other.into_bytes()
}

fn remove(manifest: &mut Value, key: &str) {
    manifest.as_object_mut().and_then(|fields| fields.remove(key)).expect("the key is there");
}

/// Of a foreign kind, with or without a place to get it from.
fn foreign(digest: Digest, urls: &[&str]) -> Value {
    let kind = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let mut layer = descriptor(kind, digest, ABSENT.len());
    layer["urls"] = json!(urls);
    layer
}

/// A Docker image with one layer.
fn docker(tree: &mut Tree, repository: &str, layer: &Value) -> Vec<u8> {
    let (mut config, _) = parts(tree, repository);
    config["mediaType"] = json!(DOCKER_CONFIG);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": kinds::DOCKER_MANIFEST, "config": config,
        "layers": [layer],
    });
    manifest.to_string().into_bytes()
}

/// A cache of BuildKit.
fn cache(tree: &mut Tree, repository: &str, media_type: &str) -> Vec<u8> {
    let (mut config, mut layer) = parts(tree, repository);
    config["mediaType"] = json!("application/vnd.buildkit.cacheconfig.v0");
    if media_type == kinds::DOCKER_LIST {
        layer["mediaType"] = json!(DOCKER_LAYER);
    }
    index(media_type, &[layer, config]).to_string().into_bytes()
}

macro_rules! odd {
    ($name:literal, $serves:expr, $takes:expr, $packs:expr, $make:expr) => {
        OddManifest { name: $name, make: $make, serves: $serves, takes: $takes, packs: $packs }
    };
}

/// Odd manifests, and what becomes of them.
pub const MANIFESTS: &[OddManifest] = &[
    // Media types.
    odd!("type-empty", Whole, true, Yes, |t, r| changed(t, r, |m| m["mediaType"] = json!(""))),
    odd!("type-null", Whole, true, Yes, |t, r| changed(t, r, |m| m["mediaType"] = Value::Null)),
    odd!("type-absent", Whole, true, Yes, |t, r| changed(t, r, |m| remove(m, "mediaType"))),
    odd!("type-absent-docker", Whole, true, Yes, |t, r| changed(t, r, |m| {
        remove(m, "mediaType");
        m["config"]["mediaType"] = json!(DOCKER_CONFIG);
        m["layers"][0]["mediaType"] = json!(DOCKER_LAYER);
    })),
    odd!("type-empty-index", Whole, true, Yes, |t, r| {
        let child = stored(t, r);
        index("", &[child]).to_string().into_bytes()
    }),
    odd!("type-with-parameters", Nothing, false, Though(OTHERS_KNOW), |t, r| {
        changed(t, r, |m| m["mediaType"] = json!(format!("{}; charset=utf-8", kinds::OCI_MANIFEST)))
    }),
    odd!("type-in-another-case", Nothing, false, Though(OTHERS_KNOW), |t, r| {
        replaced(t, r, "vnd.oci.image.manifest", "vnd.OCI.image.manifest")
    }),
    odd!("type-number", Nothing, false, No("the manifest cannot be read"), |t, r| {
        changed(t, r, |m| m["mediaType"] = json!(2))
    }),
    odd!("artifact-of-a-candidate", Nothing, false, Though(OTHERS_KNOW), |t, r| {
        let blob = t.layer_blob(r, b"its blob");
        let kind = "application/vnd.oci.artifact.manifest.v1+json";
        let blob = descriptor("text/plain", blob, 8);
        json!({"mediaType": kind, "artifactType": "x/y", "blobs": [blob]}).to_string().into_bytes()
    }),
    // Schema versions.
    odd!("version-absent", Nothing, false, Though(OTHERS_KNOW), |t, r| {
        changed(t, r, |m| remove(m, "schemaVersion"))
    }),
    odd!("version-3", Nothing, false, Though(OTHERS_KNOW), |t, r| {
        changed(t, r, |m| m["schemaVersion"] = json!(3))
    }),
    odd!("version-text", Nothing, false, No("the manifest cannot be read"), |t, r| {
        changed(t, r, |m| m["schemaVersion"] = json!("2"))
    }),
    // Lists.
    odd!("layers-null", Whole, true, Yes, |t, r| changed(t, r, |m| m["layers"] = Value::Null)),
    odd!("layers-absent", Whole, true, Yes, |t, r| changed(t, r, |m| remove(m, "layers"))),
    odd!("layers-object", Nothing, false, No("the manifest cannot be read"), |t, r| {
        changed(t, r, |m| m["layers"] = json!({}))
    }),
    odd!("index-empty", Whole, true, Yes, |_, _| index(kinds::OCI_INDEX, &[]).to_string().into()),
    odd!("index-null", Whole, true, Yes, |_, _| {
        json!({"schemaVersion": 2, "mediaType": kinds::OCI_INDEX, "manifests": null})
            .to_string()
            .into_bytes()
    }),
    odd!("index-absent", Whole, true, Yes, |_, _| {
        json!({"schemaVersion": 2, "mediaType": kinds::OCI_INDEX}).to_string().into_bytes()
    }),
    odd!("list-null", Whole, true, Yes, |_, _| {
        json!({"schemaVersion": 2, "mediaType": kinds::DOCKER_LIST, "manifests": null})
            .to_string()
            .into_bytes()
    }),
    odd!("config-null", Whole, false, Yes, |t, r| changed(t, r, |m| m["config"] = Value::Null)),
    odd!("config-absent", Whole, false, Yes, |t, r| changed(t, r, |m| remove(m, "config"))),
    odd!("config-empty-object", Partly, false, No("is not a digest"), |t, r| {
        changed(t, r, |m| m["config"] = json!({}))
    }),
    // Sizes.
    odd!("size-null", Whole, true, Yes, |t, r| {
        changed(t, r, |m| m["layers"][0]["size"] = Value::Null)
    }),
    odd!("size-absent", Whole, true, Yes, |t, r| changed(t, r, |m| remove(
        &mut m["config"],
        "size"
    ))),
    odd!("size-negative", Whole, true, Yes, |t, r| {
        changed(t, r, |m| m["layers"][0]["size"] = json!(-1))
    }),
    odd!("size-zero", Whole, true, Yes, |t, r| {
        changed(t, r, |m| m["layers"][0]["size"] = json!(0))
    }),
    odd!("size-wrong", Whole, true, Yes, |t, r| {
        changed(t, r, |m| m["layers"][0]["size"] = json!(i64::MAX))
    }),
    odd!("size-too-large", Nothing, false, No("the manifest cannot be read"), |t, r| {
        changed(t, r, |m| m["layers"][0]["size"] = json!(1_u64 << 63))
    }),
    odd!("size-fraction", Nothing, false, No("the manifest cannot be read"), |t, r| {
        changed(t, r, |m| m["layers"][0]["size"] = json!(1.5))
    }),
    odd!("size-text", Nothing, false, No("the manifest cannot be read"), |t, r| {
        changed(t, r, |m| m["layers"][0]["size"] = json!("1"))
    }),
    // Digests.
    odd!("digest-empty", Partly, false, No("is not a digest"), |t, r| {
        changed(t, r, |m| m["layers"][0]["digest"] = json!(""))
    }),
    odd!("digest-of-another-kind", Partly, false, No("`sha512`"), |t, r| {
        changed(t, r, |m| {
            m["layers"][0]["digest"] = json!(format!("sha512:{}", "0".repeat(128)));
        })
    }),
    // Keys.
    odd!(
        "keys-in-another-case",
        Whole,
        true,
        NoThough("differs from `layers` in case", AMBIGUOUS),
        { |t, r| replaced(t, r, "\"layers\"", "\"Layers\"") }
    ),
    odd!("keys-of-a-layer-in-another-case", Whole, true, NoThough("in case only", AMBIGUOUS), {
        |t, r| replaced(t, r, "\"digest\"", "\"Digest\"")
    }),
    odd!("keys-twice", Whole, true, NoThough("`layers` stands in a manifest twice", AMBIGUOUS), {
        |t, r| replaced(t, r, "\"layers\"", "\"layers\":null,\"layers\"")
    }),
    odd!("keys-twice-that-lead-nowhere", Whole, true, Yes, |t, r| {
        let twice = r#""annotations":{"a":"1","a":"2"},"annotations":{},"layers""#;
        replaced(t, r, "\"layers\"", twice)
    }),
    odd!("keys-that-nobody-knows", Whole, true, Yes, |t, r| {
        let deep = format!("\"x\":{}{},\"layers\"", "[".repeat(500), "]".repeat(500));
        replaced(t, r, "\"layers\"", &deep)
    }),
    // Texts.
    odd!("text-of-latin-1", Whole, true, Yes, |t, r| {
        let mut bytes =
            replaced(t, r, "\"layers\"", "\"annotations\":{\"a\":\"J?rgen\"},\"layers\"");
        let at = bytes.iter().position(|byte| *byte == b'?').expect("it is there");
        bytes[at] = 0xfc;
        bytes
    }),
    odd!("text-of-half-a-character", Whole, true, Yes, |t, r| {
        replaced(t, r, "\"layers\"", "\"annotations\":{\"a\":\"\\ud83d\"},\"layers\"")
    }),
    odd!("text-behind-the-end", Nothing, false, No("the manifest cannot be read"), |t, r| {
        format!("{} x", image(t, r)).into_bytes()
    }),
    odd!("text-with-a-mark-of-order", Nothing, false, No("the manifest cannot be read"), |t, r| {
        format!("\u{feff}{}", image(t, r)).into_bytes()
    }),
    odd!("text-in-white-space", Whole, true, Yes, |t, r| {
        format!("\r\n\t {:#} \n", image(t, r)).into_bytes()
    }),
    // What stands beside.
    odd!("nulls-everywhere", Whole, true, Yes, |t, r| changed(t, r, |m| {
        for key in ["annotations", "urls", "platform"] {
            m["layers"][0][key] = Value::Null;
        }
        for key in ["artifactType", "subject", "annotations", "manifests", "blobs"] {
            m[key] = Value::Null;
        }
    })),
    odd!("annotations-of-numbers", Nothing, false, Though(NOT_OURS), |t, r| {
        changed(t, r, |m| m["annotations"] = json!({"a": 1}))
    }),
    odd!("artifact-type-number", Whole, true, Yes, |t, r| {
        changed(t, r, |m| m["artifactType"] = json!(7))
    }),
    odd!("subject-empty", Whole, true, Yes, |t, r| changed(t, r, |m| m["subject"] = json!({}))),
    odd!("subject-text", Whole, true, Yes, |t, r| changed(t, r, |m| m["subject"] = json!("x"))),
    odd!("subject-deep", Whole, true, Yes, |t, r| {
        let deep = format!("\"subject\":{}{},\"layers\"", "[".repeat(500), "]".repeat(500));
        replaced(t, r, "\"layers\"", &deep)
    }),
    odd!("subject-absent", Whole, true, Yes, |t, r| changed(t, r, |m| {
        m["subject"] = descriptor(kinds::OCI_MANIFEST, Digest::of(b"nobody has it"), 13);
    })),
    // Foreign layers.
    odd!("foreign-absent", Whole, true, Yes, |t, r| {
        docker(t, r, &foreign(Digest::of(ABSENT), &["https://example.com/layer"]))
    }),
    odd!("foreign-present", Whole, true, Yes, |t, r| {
        let present = t.layer_blob(r, b"foreign, and here all the same");
        docker(t, r, &foreign(present, &["https://example.com/layer"]))
    }),
    odd!(
        "foreign-from-nowhere",
        Partly,
        false,
        No("the blob is missing; it is a layer of"),
        |t, r| { docker(t, r, &foreign(Digest::of(ABSENT), &[])) }
    ),
    odd!(
        "ordinary-with-urls",
        Partly,
        true,
        No("the blob is missing; it is a layer of"),
        |t, r| {
            let mut layer = foreign(Digest::of(ABSENT), &["https://example.com/layer"]);
            layer["mediaType"] = json!(DOCKER_LAYER);
            docker(t, r, &layer)
        }
    ),
    odd!("urls-empty-text", Whole, false, Yes, |t, r| {
        changed(t, r, |m| m["layers"][0]["urls"] = json!([""]))
    }),
    // What lists and layers are.
    odd!("cache-oci", Whole, true, Yes, |t, r| cache(t, r, kinds::OCI_INDEX)),
    odd!("cache-docker", Whole, true, Yes, |t, r| cache(t, r, kinds::DOCKER_LIST)),
    odd!("image-that-lists", Whole, false, Yes, |t, r| {
        let child = stored(t, r);
        let mut image = image(t, r);
        image["manifests"] = json!([child]);
        image.to_string().into_bytes()
    }),
    odd!("children-of-any-type", Whole, true, Yes, |t, r| {
        let mut child = stored(t, r);
        child["mediaType"] = json!("application/octet-stream");
        child["size"] = json!(1);
        index(kinds::OCI_INDEX, &[child.clone(), child]).to_string().into_bytes()
    }),
    odd!("layer-repeated", Whole, true, Yes, |t, r| {
        let empty = t.layer_blob(r, b"{}");
        let empty = descriptor(EMPTY, empty, 2);
        json!({
            "schemaVersion": 2, "mediaType": kinds::OCI_MANIFEST, "artifactType": "x/y",
            "config": empty, "layers": [empty, empty],
        })
        .to_string()
        .into_bytes()
    }),
    odd!("layer-that-is-a-manifest", Whole, true, Yes, |t, r| {
        let mut manifest = stored(t, r);
        let digest = crate::tree::digest_of(&manifest);
        let bytes = std::fs::read(t.blob_path(digest)).expect("it is stored");
        t.layer_blob(r, &bytes);
        manifest["mediaType"] = json!("application/json");
        let mut image = image(t, r);
        let layers = image["layers"].as_array_mut().expect("an image has layers");
        layers.push(manifest);
        image.to_string().into_bytes()
    }),
    odd!("layer-of-nothing", Whole, true, Yes, |t, r| {
        let nothing = t.layer_blob(r, b"");
        let mut image = image(t, r);
        image["layers"] = json!([descriptor(DOCKER_LAYER, nothing, 0)]);
        image.to_string().into_bytes()
    }),
    odd!("config-that-is-no-json", Whole, true, Yes, |t, r| {
        let config = t.layer_blob(r, b"\x1f\x8b\x00 no JSON");
        let mut image = image(t, r);
        image["config"] = descriptor("application/x-config", config, 11);
        image.to_string().into_bytes()
    }),
    odd!("data-without-a-blob", Partly, false, No("the blob is missing; it is the config of"), {
        |t, r| {
            let mut image = image(t, r);
            image["config"] = descriptor(EMPTY, Digest::of(b"[ ]"), 3);
            image["config"]["data"] = json!("WyBd");
            image.to_string().into_bytes()
        }
    }),
    odd!("nothing", Nothing, false, No("the manifest cannot be read"), |_, _| b"null".to_vec()),
];
