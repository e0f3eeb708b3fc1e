//! A sound bundle with manifests that no tag leads to.

use serde_json::{Value, json};
use tranship_common::{Digest, kinds};

use super::draft::{Draft, descriptor, named, text};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// What a manifest without a tag is made of.
struct Referrer {
    bytes: Vec<u8>,
    kind: &'static str,
    subject: Digest,
    layer: Vec<u8>,
}

impl Referrer {
    /// What is said of the manifest that a descriptor leads to.
    fn about(subject: &[u8], media_type: &str, kind: &'static str, words: &str) -> Self {
        let layer = words.as_bytes().to_vec();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": kinds::OCI_MANIFEST,
            "artifactType": kind,
            "config": descriptor(EMPTY, b"{}"),
            "layers": [descriptor("text/plain", &layer)],
            "subject": descriptor(media_type, subject),
        });
        let bytes = manifest.to_string().into_bytes();
        Self { bytes, kind, subject: Digest::of(subject), layer }
    }

    fn listed(&self) -> Value {
        json!({
            "digest": text(Digest::of(&self.bytes)),
            "size": self.bytes.len(),
            "mediaType": kinds::OCI_MANIFEST,
            "artifactType": self.kind,
            "subject": text(self.subject),
            "blobs": [text(Digest::of(b"{}")), text(Digest::of(&self.layer))],
        })
    }
}

/// An index under a tag of two repositories. In one of them there are a list of what it contains, a
/// signature of its child and one of that list; in the other there is the signature of the child.
pub(super) fn referrers() -> Draft {
    let (config, layer) = (b"{\"os\":\"linux\"}".to_vec(), vec![5; 700]);
    let child = json!({
        "schemaVersion": 2,
        "mediaType": kinds::OCI_MANIFEST,
        "config": descriptor(CONFIG, &config),
        "layers": [descriptor(LAYER, &layer)],
    })
    .to_string()
    .into_bytes();
    let parent = json!({
        "schemaVersion": 2,
        "mediaType": kinds::OCI_INDEX,
        "manifests": [descriptor(kinds::OCI_MANIFEST, &child)],
    })
    .to_string()
    .into_bytes();
    let (of_list, of_signature) = ("application/vnd.example.list", "application/vnd.example.seal");
    let list = Referrer::about(&parent, kinds::OCI_INDEX, of_list, "contents");
    let of_child = Referrer::about(&child, kinds::OCI_MANIFEST, of_signature, "seal of the child");
    let seal = Referrer::about(&list.bytes, kinds::OCI_MANIFEST, of_signature, "seal of the list");
    let of_child_digest = text(Digest::of(&of_child.bytes));
    let mut referrers = [list, of_child, seal];
    referrers.sort_by_key(|referrer| Digest::of(&referrer.bytes));
    let digests: Vec<String> =
        referrers.iter().map(|referrer| text(Digest::of(&referrer.bytes))).collect();

    let [child_digest, parent_digest, config_digest, layer_digest] =
        [&child, &parent, &config, &layer].map(|bytes| text(Digest::of(bytes)));
    let tags = json!([{"name": "v1", "digest": parent_digest, "pushed": "2024-01-01T00:00:00Z"}]);
    let mut manifests = vec![
        json!({
            "digest": child_digest,
            "size": child.len(),
            "mediaType": kinds::OCI_MANIFEST,
            "blobs": [config_digest, layer_digest],
        }),
        json!({
            "digest": parent_digest,
            "size": parent.len(),
            "mediaType": kinds::OCI_INDEX,
            "manifests": [child_digest],
        }),
    ];
    manifests.extend(referrers.iter().map(Referrer::listed));
    let mut blobs = vec![config, b"{}".to_vec(), layer];
    blobs.extend(referrers.iter().map(|referrer| referrer.layer.clone()));
    let listed_blobs: Vec<Value> = blobs
        .iter()
        .map(|blob| json!({"digest": text(Digest::of(blob)), "size": blob.len()}))
        .collect();
    let catalog = json!({
        "formatVersion": 1,
        "requiredFeatures": [],
        "repositories": [
            {"name": "app", "tags": tags, "referrers": digests},
            {"name": "mirror", "tags": tags, "referrers": [of_child_digest]},
        ],
        "manifests": manifests,
        "blobs": listed_blobs,
    });
    let index = vec![
        named(kinds::OCI_INDEX, &parent, "app:v1"),
        named(kinds::OCI_INDEX, &parent, "mirror:v1"),
    ];
    let mut entries = vec![child, parent];
    entries.extend(referrers.into_iter().map(|referrer| referrer.bytes));
    entries.append(&mut blobs);
    Draft { catalog, entries, index }
}
