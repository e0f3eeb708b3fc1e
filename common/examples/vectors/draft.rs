//! A bundle to be changed before it is put together.

use serde_json::{Value, json};
use tranship_common::{Digest, kinds};

/// Catalog and bytes of a bundle.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) catalog: Value,
    /// Manifests, then blobs, in the order of the catalog.
    pub(super) entries: Vec<Vec<u8>>,
    /// Descriptors of `index.json`.
    pub(super) index: Vec<Value>,
}

pub(super) fn text(digest: Digest) -> String {
    digest.to_string()
}

pub(super) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": text(Digest::of(bytes)), "size": bytes.len()})
}

/// A descriptor of `index.json`.
pub(super) fn named(media_type: &str, bytes: &[u8], name: &str) -> Value {
    let mut entry = descriptor(media_type, bytes);
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    entry
}

impl Draft {
    /// `REPOSITORY:TAG` and digest of each image, in the order of the catalog.
    pub(super) fn images(&self) -> Vec<Value> {
        self.of_repositories("tags", |repository, tag| {
            json!([format!("{repository}:{}", word(&tag["name"])), tag["digest"]])
        })
    }

    /// `REPOSITORY@DIGEST` of each referrer, in the order of the catalog.
    pub(super) fn referrers(&self) -> Vec<Value> {
        self.of_repositories("referrers", |repository, digest| {
            json!(format!("{repository}@{}", word(digest)))
        })
    }

    fn of_repositories(&self, list: &str, item: impl Fn(&str, &Value) -> Value) -> Vec<Value> {
        let mut items = Vec::new();
        for repository in self.catalog["repositories"].as_array().into_iter().flatten() {
            let listed = repository[list].as_array().into_iter().flatten();
            items.extend(listed.map(|listed| item(word(&repository["name"]), listed)));
        }
        items
    }

    /// The bundle.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.with_catalog(&self.catalog_text(CATALOG_FIELDS))
    }

    /// `bundle.json`, its fields in this order.
    pub(super) fn catalog_text(&self, fields: &[&str]) -> String {
        pretty(&self.catalog, fields)
    }

    /// The bundle with this as its `bundle.json`.
    pub(super) fn with_catalog(&self, catalog: &str) -> Vec<u8> {
        let index = json!({
            "schemaVersion": 2, "mediaType": kinds::OCI_INDEX, "manifests": self.index,
        });
        let mut files = vec![
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("bundle.json".to_owned(), catalog.as_bytes().to_vec()),
            ("index.json".to_owned(), pretty(&index, INDEX_FIELDS).into_bytes()),
        ];
        let listed = |list: &str| self.catalog[list].as_array().cloned().unwrap_or_default();
        let listed: Vec<Value> = listed("manifests").into_iter().chain(listed("blobs")).collect();
        let mut blobs = Vec::new();
        for (entry, bytes) in listed.iter().zip(&self.entries) {
            let hex = word(&entry["digest"]).trim_start_matches("sha256:");
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

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The order of fields in the tables of the specification.
pub(super) const CATALOG_FIELDS: &[&str] = &[
    "formatVersion",
    "requiredFeatures",
    "repositories",
    "name",
    "tags",
    "referrers",
    "digest",
    "pushed",
    "selectedFrom",
    "size",
    "mediaType",
    "artifactType",
    "subject",
    "manifests",
    "blobs",
    "foreign",
    "leftOut",
    "selection",
    "images",
    "reason",
];
const INDEX_FIELDS: &[&str] =
    &["schemaVersion", "mediaType", "digest", "size", "annotations", "manifests"];

/// JSON as it stands in a bundle.
fn pretty(value: &Value, order: &[&str]) -> String {
    ordered(value, order, 0) + "\n"
}

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
pub(super) fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
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
