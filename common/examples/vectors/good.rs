//! Sound bundles.

use serde_json::json;
use tranship_common::{Digest, kinds};

use super::draft::{Draft, descriptor, named, text};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";

pub(super) fn empty() -> Draft {
    let catalog = json!({
        "formatVersion": 1, "requiredFeatures": [],
        "repositories": [], "manifests": [], "blobs": [],
    });
    Draft { catalog, entries: Vec::new(), index: Vec::new() }
}

/// A Docker image, schema 2, under two tags of one time.
pub(super) fn image() -> Draft {
    let (config, layer) = (b"{\"os\":\"linux\"}".to_vec(), vec![7; 1000]);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": kinds::DOCKER_MANIFEST,
        "config": descriptor("application/vnd.docker.container.image.v1+json", &config),
        "layers": [descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", &layer)],
    })
    .to_string()
    .into_bytes();
    let digest = text(Digest::of(&manifest));
    let tag =
        |name: &str| json!({"name": name, "digest": digest, "pushed": "2023-11-14T22:13:20Z"});
    let catalog = json!({
        "formatVersion": 1,
        "requiredFeatures": [],
        "repositories": [{"name": "team/app", "tags": [tag("1.0"), tag("latest")]}],
        "manifests": [{
            "digest": digest,
            "size": manifest.len(),
            "mediaType": kinds::DOCKER_MANIFEST,
            "blobs": [text(Digest::of(&config)), text(Digest::of(&layer))],
        }],
        "blobs": [
            {"digest": text(Digest::of(&config)), "size": config.len()},
            {"digest": text(Digest::of(&layer)), "size": layer.len()},
        ],
    });
    let mut index = Vec::new();
    for name in ["team/app:1.0", "team/app:latest"] {
        index.push(named(kinds::DOCKER_MANIFEST, &manifest, name));
        index.push(named(kinds::OCI_MANIFEST, &manifest, name));
    }
    Draft { catalog, entries: vec![manifest, config, layer], index }
}

/// An index of one image with a foreign layer, and an artifact about it whose tag is no reference
/// name; the artifact was pushed last and its repository comes first.
pub(super) fn index() -> Draft {
    let (config, layer, empty) = (b"{\"os\":\"windows\"}".to_vec(), vec![9; 512], b"{}".to_vec());
    let mut foreign =
        descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar", b"elsewhere");
    foreign["urls"] = json!(["https://example.com/layer"]);
    let child = json!({
        "schemaVersion": 2,
        "mediaType": kinds::OCI_MANIFEST,
        "config": descriptor(CONFIG, &config),
        "layers": [foreign, descriptor(LAYER, &layer)],
    })
    .to_string()
    .into_bytes();
    // Without a mediaType of its own: it lists manifests, so it is an index.
    let parent =
        json!({"schemaVersion": 2, "manifests": [descriptor(kinds::OCI_MANIFEST, &child)]})
            .to_string()
            .into_bytes();
    let artifact = json!({
        "schemaVersion": 2,
        "mediaType": kinds::OCI_MANIFEST,
        "artifactType": "application/vnd.example.note",
        "config": descriptor("application/vnd.oci.empty.v1+json", &empty),
        "layers": [descriptor("application/vnd.oci.empty.v1+json", &empty)],
        "subject": descriptor(kinds::OCI_INDEX, &parent),
    })
    .to_string()
    .into_bytes();
    let [child_digest, parent_digest, artifact_digest] =
        [&child, &parent, &artifact].map(|bytes| text(Digest::of(bytes)));
    let catalog = json!({
        "formatVersion": 1,
        "requiredFeatures": [],
        "repositories": [
            {"name": "a__b", "tags": [
                {"name": "_note", "digest": artifact_digest, "pushed": "2024-02-29T12:00:00Z"},
            ]},
            {"name": "c", "tags": [
                {"name": "v1", "digest": parent_digest, "pushed": "2024-01-01T00:00:00Z"},
            ]},
        ],
        "manifests": [
            {
                "digest": artifact_digest,
                "size": artifact.len(),
                "mediaType": kinds::OCI_MANIFEST,
                "artifactType": "application/vnd.example.note",
                "subject": parent_digest,
                "blobs": [text(Digest::of(&empty))],
            },
            {
                "digest": child_digest,
                "size": child.len(),
                "mediaType": kinds::OCI_MANIFEST,
                "blobs": [text(Digest::of(&config)), text(Digest::of(&layer))],
                "foreign": [text(Digest::of(b"elsewhere"))],
            },
            {
                "digest": parent_digest,
                "size": parent.len(),
                "mediaType": kinds::OCI_INDEX,
                "manifests": [child_digest],
            },
        ],
        "blobs": [
            {"digest": text(Digest::of(&empty)), "size": empty.len()},
            {"digest": text(Digest::of(&config)), "size": config.len()},
            {"digest": text(Digest::of(&layer)), "size": layer.len()},
        ],
    });
    let index = vec![
        named(kinds::OCI_MANIFEST, &artifact, "a__b:_note"),
        named(kinds::OCI_MANIFEST, &artifact, &artifact_digest),
        named(kinds::OCI_INDEX, &parent, "c:v1"),
    ];
    Draft { catalog, entries: vec![artifact, child, parent, empty, config, layer], index }
}

/// A Docker image of schema 1, two of whose layers are one, and a manifest list of it.
pub(super) fn schema1() -> Draft {
    let (old, new) = (vec![1; 100], vec![2; 200]);
    let [old_digest, new_digest] = [&old, &new].map(|bytes| text(Digest::of(bytes)));
    // As a registry stores it: indented by three blanks, without signatures.
    let image = format!(
        r#"{{
   "schemaVersion": 1,
   "name": "old/app",
   "tag": "1.0",
   "architecture": "amd64",
   "fsLayers": [
      {{
         "blobSum": "{new_digest}"
      }},
      {{
         "blobSum": "{old_digest}"
      }},
      {{
         "blobSum": "{new_digest}"
      }}
   ],
   "history": [
      {{
         "v1Compatibility": "{{}}"
      }},
      {{
         "v1Compatibility": "{{}}"
      }},
      {{
         "v1Compatibility": "{{}}"
      }}
   ]
}}"#
    )
    .into_bytes();
    let list = json!({
        "schemaVersion": 2,
        "mediaType": kinds::DOCKER_LIST,
        "manifests": [descriptor(SCHEMA1, &image)],
    })
    .to_string()
    .into_bytes();
    let [image_digest, list_digest] = [&image, &list].map(|bytes| text(Digest::of(bytes)));
    let tag = |name: &str, digest: &str| json!({"name": name, "digest": digest, "pushed": "2015-04-16T10:00:00Z"});
    let catalog = json!({
        "formatVersion": 1,
        "requiredFeatures": ["docker-schema-1"],
        "repositories": [
            {"name": "old/app", "tags": [tag("1.0", &image_digest), tag("all", &list_digest)]},
        ],
        "manifests": [
            {
                "digest": image_digest,
                "size": image.len(),
                "mediaType": SCHEMA1,
                "blobs": [new_digest, old_digest],
            },
            {
                "digest": list_digest,
                "size": list.len(),
                "mediaType": kinds::DOCKER_LIST,
                "manifests": [image_digest],
            },
        ],
        "blobs": [
            {"digest": new_digest, "size": new.len()},
            {"digest": old_digest, "size": old.len()},
        ],
    });
    let index = vec![
        named(SCHEMA1, &image, "old/app:1.0"),
        named(kinds::DOCKER_LIST, &list, "old/app:all"),
        named(kinds::OCI_INDEX, &list, "old/app:all"),
    ];
    Draft { catalog, entries: vec![image, list, new, old], index }
}

/// An image in an index in an index, and so on.
pub(super) fn nested(depth: usize) -> Draft {
    let mut draft = image();
    let mut media_type = kinds::DOCKER_MANIFEST;
    for level in 0..depth {
        let child = &draft.entries[level];
        let listed = text(Digest::of(child));
        let index = json!({
            "schemaVersion": 2,
            "mediaType": kinds::OCI_INDEX,
            "manifests": [descriptor(media_type, child)],
        })
        .to_string()
        .into_bytes();
        media_type = kinds::OCI_INDEX;
        let manifests = draft.catalog["manifests"].as_array_mut().expect("an array");
        manifests.push(json!({
            "digest": text(Digest::of(&index)),
            "size": index.len(),
            "mediaType": media_type,
            "manifests": [listed],
        }));
        draft.entries.insert(level + 1, index);
    }
    let outermost = draft.entries[depth].clone();
    draft.catalog["repositories"][0]["tags"] = json!([{
        "name": "1.0", "digest": text(Digest::of(&outermost)), "pushed": "2023-11-14T22:13:20Z",
    }]);
    draft.index = vec![named(media_type, &outermost, "team/app:1.0")];
    draft
}
/// A cache of BuildKit: an index that lists layers and what is said of them, which are no manifests,
/// beside an image.
pub(super) fn cache() -> Draft {
    let Draft { mut catalog, entries, .. } = image();
    let (layer, said) = (vec![3; 600], b"{\"layers\":[]}".to_vec());
    let index = json!({
        "schemaVersion": 2,
        "mediaType": kinds::OCI_INDEX,
        "manifests": [
            descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &layer),
            descriptor(kinds::DOCKER_MANIFEST, &entries[0]),
            descriptor("application/vnd.buildkit.cacheconfig.v0", &said),
        ],
    })
    .to_string()
    .into_bytes();
    let [layer_digest, said_digest, index_digest] =
        [&layer, &said, &index].map(|bytes| text(Digest::of(bytes)));
    let [image, config, image_layer] = entries.try_into().expect("a manifest and two blobs");
    catalog["repositories"] = json!([{"name": "cache", "tags": [
        {"name": "main", "digest": index_digest, "pushed": "2024-01-01T00:00:00Z"},
    ]}]);
    catalog["manifests"].as_array_mut().expect("an array").push(json!({
        "digest": index_digest,
        "size": index.len(),
        "mediaType": kinds::OCI_INDEX,
        "manifests": [text(Digest::of(&image))],
        "blobs": [layer_digest, said_digest],
    }));
    catalog["blobs"] = json!([
        {"digest": text(Digest::of(&config)), "size": config.len()},
        {"digest": text(Digest::of(&image_layer)), "size": image_layer.len()},
        {"digest": layer_digest, "size": layer.len()},
        {"digest": said_digest, "size": said.len()},
    ]);
    let descriptors = vec![named(kinds::OCI_INDEX, &index, "cache:main")];
    let entries = vec![image, index, config, image_layer, layer, said];
    Draft { catalog, entries, index: descriptors }
}

/// Manifests with all that registries take and clients do not write: an empty media type, fields
/// of other shapes, a negative size, an ordinary layer with `urls`; and an index of nothing.
pub(super) fn odd() -> Draft {
    let (config, layer) = (b"{}".to_vec(), vec![4; 100]);
    let [config_digest, layer_digest] = [&config, &layer].map(|bytes| text(Digest::of(bytes)));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "",
        "artifactType": 7,
        "subject": ["odd"],
        "manifests": null,
        "blobs": null,
        "config": {"mediaType": null, "digest": config_digest, "size": -1, "urls": null},
        "layers": [
            {"mediaType": LAYER, "digest": layer_digest, "urls": ["https://example.com/layer"]},
        ],
        "other": {"Layers": []},
    })
    .to_string()
    .into_bytes();
    let digest = text(Digest::of(&manifest));
    let nothing = json!({"schemaVersion": 2, "mediaType": kinds::OCI_INDEX, "manifests": null});
    let nothing = nothing.to_string().into_bytes();
    let nothing_digest = text(Digest::of(&nothing));
    let catalog = json!({
        "formatVersion": 1,
        "requiredFeatures": [],
        "repositories": [{"name": "odd", "tags": [
            {"name": "1", "digest": digest, "pushed": "2024-01-01T00:00:00Z"},
            {"name": "nothing", "digest": nothing_digest, "pushed": "2024-01-01T00:00:00Z"},
        ]}],
        "manifests": [
            {
                "digest": digest,
                "size": manifest.len(),
                "mediaType": kinds::OCI_MANIFEST,
                "blobs": [config_digest, layer_digest],
            },
            {
                "digest": nothing_digest,
                "size": nothing.len(),
                "mediaType": kinds::OCI_INDEX,
            },
        ],
        "blobs": [
            {"digest": config_digest, "size": config.len()},
            {"digest": layer_digest, "size": layer.len()},
        ],
    });
    let index = vec![
        named(kinds::OCI_MANIFEST, &manifest, "odd:1"),
        named(kinds::OCI_INDEX, &nothing, "odd:nothing"),
    ];
    Draft { catalog, entries: vec![manifest, nothing, config, layer], index }
}

/// A part of what was in the source: one platform of an index that was pushed at the first moment
/// that can be told, one that was pushed at the last, and images with reasons of all letters.
pub(super) fn left_out() -> Draft {
    let mut draft = image();
    let tags = &mut draft.catalog["repositories"][0]["tags"];
    tags[0]["pushed"] = json!("0000-01-01T00:00:00Z");
    tags[0]["selectedFrom"] = json!(text(Digest::of(b"the whole index")));
    tags[1]["pushed"] = json!("9999-12-30T22:00:00Z");
    draft.catalog["leftOut"] = json!({
        "selection": "what fits `team/**`; for linux/amd64",
        "images": [
            {"name": "team/app:0.9", "reason": "\u{8}\t\n\u{b}\u{c}\r\u{1b} \" / \\ \u{7f}"},
            {"name": "team/app@sha256:", "reason": "\u{e9} \u{2028} \u{1f6a2}"},
        ],
    });
    draft
}
