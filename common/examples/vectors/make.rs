//! Makes the vectors from the text of the specification, without the code that they judge: only
//! digests come from the library.

use serde_json::{Value, json};
use tranship_common::{Digest, kinds};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";

/// Catalog and bytes of a bundle, to be changed before it is put together.
#[derive(Clone)]
struct Draft {
    catalog: Value,
    /// Manifests, then blobs, in the order of the catalog.
    entries: Vec<Vec<u8>>,
    /// Descriptors of `index.json`.
    index: Vec<Value>,
}

/// All vectors and `expected.json`: path below the folder, and bytes.
pub(crate) fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut good = serde_json::Map::new();
    for (name, draft) in [
        ("empty", empty()),
        ("image", image()),
        ("index", index()),
        ("nested", nested(32)),
        ("schema1", schema1()),
    ] {
        let bytes = draft.bytes();
        let images: Vec<Value> =
            draft.images().map(|(name, digest)| json!([name, digest])).collect();
        let expected = json!({
            "sha256": Digest::of(&bytes).hex(),
            "size": bytes.len(),
            "images": images,
        });
        good.insert(name.to_owned(), expected);
        files.push((format!("good/{name}.tar"), bytes));
    }
    let mut bad = serde_json::Map::new();
    for (name, why, message, bytes) in bad_bundles() {
        bad.insert(name.to_owned(), json!({"why": why, "message": message}));
        files.push((format!("bad/{name}.tar"), bytes));
    }
    let expected = json!({"good": good, "bad": bad});
    let text = serde_json::to_string_pretty(&expected).expect("values serialise") + "\n";
    files.push(("expected.json".into(), text.into_bytes()));
    files
}

fn text(digest: Digest) -> String {
    digest.to_string()
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": text(Digest::of(bytes)), "size": bytes.len()})
}

/// A descriptor of `index.json`.
fn named(media_type: &str, bytes: &[u8], name: &str) -> Value {
    let mut entry = descriptor(media_type, bytes);
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    entry
}

fn empty() -> Draft {
    let catalog = json!({
        "formatVersion": 1, "requiredFeatures": [],
        "repositories": [], "manifests": [], "blobs": [],
    });
    Draft { catalog, entries: Vec::new(), index: Vec::new() }
}

/// A Docker image, schema 2, under two tags of one time.
fn image() -> Draft {
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
fn index() -> Draft {
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
fn schema1() -> Draft {
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
fn nested(depth: usize) -> Draft {
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

/// Name, what is wrong, words of the message that says so, and bytes.
fn bad_bundles() -> Vec<(&'static str, &'static str, &'static str, Vec<u8>)> {
    let sound = image().bytes();
    let edited = |edit: fn(&mut Draft)| {
        let mut draft = image();
        edit(&mut draft);
        draft.bytes()
    };
    let patched = |at: usize, byte: u8| {
        let mut bytes = sound.clone();
        bytes[at] = byte;
        bytes
    };
    // From the end: two blocks of zeros, the layer's two blocks of data, its header.
    let layer = sound.len() - 1024 - 1024;
    let appended = |more: &[u8]| [&sound[..], more].concat();
    vec![
        ("not-a-bundle", "no tar archive", "this is not a bundle", b"plain text\n".repeat(100)),
        (
            "cut-in-catalog",
            "the file ends inside bundle.json",
            "before its catalog is complete",
            sound[..1500].to_vec(),
        ),
        (
            "cut-in-blob",
            "the file ends inside the last blob",
            "cut off",
            sound[..layer + 100].to_vec(),
        ),
        (
            "cut-trailer",
            "the second block of zeros at the end is missing",
            "cut off",
            sound[..sound.len() - 512].to_vec(),
        ),
        ("flipped-blob", "a byte of the layer is changed", "hashes to", patched(layer + 500, 8)),
        (
            "changed-header",
            "the mtime in a blob's tar header is not zero, with a right checksum",
            "tar header",
            {
                let mut bytes = sound.clone();
                let mut header = tar::Header::new_old();
                header.as_mut_bytes().copy_from_slice(&bytes[layer - 512..layer]);
                header.set_mtime(1);
                header.set_cksum();
                bytes[layer - 512..layer].copy_from_slice(header.as_bytes());
                bytes
            },
        ),
        ("padding", "a byte of padding is not zero", "padding", patched(layer + 1010, 1)),
        (
            "trailing-bytes",
            "bytes stand behind the end of the archive",
            "behind the end",
            appended(&[0; 512]),
        ),
        ("extra-file", "a second archive with another file follows", "behind the end", {
            appended(&archive(&[("blobs/sha256/more".into(), b"more".to_vec())]))
        }),
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
            "feature-unneeded",
            "a feature is required that nothing in the bundle needs",
            "requires the feature `docker-schema-1`, but what it lists needs no feature",
            edited(|draft| {
                draft.catalog["requiredFeatures"] = json!(["docker-schema-1"]);
            }),
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
            "long-feature",
            "the name of a required feature is longer than any",
            "has 65 bytes, more than the 64 that the format allows",
            edited(|draft| {
                draft.catalog["requiredFeatures"] = json!(["x".repeat(65)]);
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
            "nesting",
            "indexes list indexes, 33 deep",
            "33 deep, more than the 32 that the format allows",
            nested(33).bytes(),
        ),
        (
            "field-order",
            "formatVersion does not come first in the catalog",
            "its first field is not `formatVersion`",
            image().with_order(&[&["repositories"], CATALOG_FIELDS].concat()),
        ),
        (
            "added-manifest",
            "a manifest is listed that no tag leads to",
            "no tag leads to this manifest",
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
            "no tag leads to this blob",
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
            "index-name",
            "index.json gives an image another name",
            "`index.json`",
            edited(|draft| {
                draft.index[0]["annotations"]["org.opencontainers.image.ref.name"] =
                    json!("team/app:2.0");
            }),
        ),
    ]
}

impl Draft {
    fn images(&self) -> impl Iterator<Item = (String, String)> {
        let repositories = self.catalog["repositories"].as_array().into_iter().flatten();
        repositories.flat_map(|repository| {
            let tags = repository["tags"].as_array().into_iter().flatten();
            tags.map(|tag| {
                let part = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                (
                    format!("{}:{}", part(&repository["name"]), part(&tag["name"])),
                    part(&tag["digest"]),
                )
            })
        })
    }

    fn bytes(&self) -> Vec<u8> {
        self.with_order(CATALOG_FIELDS)
    }

    fn with_order(&self, catalog_fields: &[&str]) -> Vec<u8> {
        let index = json!({
            "schemaVersion": 2, "mediaType": kinds::OCI_INDEX, "manifests": self.index,
        });
        let pretty = |value: &Value, order: &[&str]| (ordered(value, order, 0) + "\n").into_bytes();
        let mut files = vec![
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("bundle.json".to_owned(), pretty(&self.catalog, catalog_fields)),
            ("index.json".to_owned(), pretty(&index, INDEX_FIELDS)),
        ];
        let listed = |list: &str| self.catalog[list].as_array().cloned().unwrap_or_default();
        let listed: Vec<Value> = listed("manifests").into_iter().chain(listed("blobs")).collect();
        let mut blobs = Vec::new();
        for (entry, bytes) in listed.iter().zip(&self.entries) {
            let hex = entry["digest"].as_str().unwrap_or_default().trim_start_matches("sha256:");
            blobs.push((format!("blobs/sha256/{hex}"), bytes.clone()));
        }
        let mut sums = String::new();
        for (name, bytes) in files.iter().chain(&blobs) {
            sums += &format!("{}  {name}\n", Digest::of(bytes).hex());
        }
        files.push(("SHA256SUMS".into(), sums.into_bytes()));
        files.append(&mut blobs);
        archive(&files)
    }
}

/// The order of fields in the tables of the specification.
const CATALOG_FIELDS: &[&str] = &[
    "formatVersion",
    "requiredFeatures",
    "repositories",
    "name",
    "tags",
    "digest",
    "pushed",
    "size",
    "mediaType",
    "artifactType",
    "subject",
    "manifests",
    "blobs",
    "foreign",
];
const INDEX_FIELDS: &[&str] =
    &["schemaVersion", "mediaType", "digest", "size", "annotations", "manifests"];

/// JSON with two blanks of indentation and fields in the given order; unknown ones first.
fn ordered(value: &Value, order: &[&str], depth: usize) -> String {
    let list = |open: char, items: Vec<String>, close: char| {
        let blanks = "  ".repeat(depth + 1);
        match items.is_empty() {
            true => format!("{open}{close}"),
            false => format!(
                "{open}\n{blanks}{}\n{}{close}",
                items.join(&format!(",\n{blanks}")),
                "  ".repeat(depth)
            ),
        }
    };
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| order.iter().position(|known| known == name));
            let item = |(name, value): (&String, &Value)| {
                format!("{}: {}", json!(name), ordered(value, order, depth + 1))
            };
            list('{', fields.into_iter().map(item).collect(), '}')
        }
        Value::Array(items) => {
            list('[', items.iter().map(|item| ordered(item, order, depth + 1)).collect(), ']')
        }
        other => other.to_string(),
    }
}

/// A tar archive as the specification has it, for small files.
fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in files {
        let mut block = [0; 512];
        let mut field =
            |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
        field(0, name);
        field(100, "0000644");
        field(108, "0000000");
        field(116, "0000000");
        field(124, &format!("{:011o}", content.len()));
        field(136, "00000000000");
        field(148, "        ");
        field(156, "0");
        field(257, "ustar\x0000");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:07o}\0").as_bytes());
        bytes.extend(block);
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}
