//! `index.json`, the OCI image index of the layout (OCI image specification, image-layout.md).
//! It follows from the catalog, byte for byte.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::catalog::{ManifestEntry, write_pretty};
use super::contents::Contents;
use crate::{Digest, MediaType, Repository, Tag, kinds};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageIndex<'a> {
    schema_version: u32,
    media_type: &'static str,
    manifests: Descriptors<'a>,
}

/// The descriptors, made one by one as they are written.
struct Descriptors<'a>(&'a Contents);

impl Serialize for Descriptors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let contents = self.0;
        serializer.collect_seq(contents.images().flat_map(|(repository, tag)| {
            let manifest = contents.manifest(tag.digest);
            manifest.into_iter().flat_map(|manifest| descriptors(repository, &tag.name, manifest))
        }))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    media_type: &'a str,
    digest: Digest,
    size: u64,
    annotations: Annotations,
}

#[derive(Serialize)]
struct Annotations {
    #[serde(rename = "org.opencontainers.image.ref.name")]
    ref_name: String,
}

/// Writes `index.json`: a descriptor per image in the order of loading, each followed by an alias
/// where tools built on containers/image could not find it.
///
/// # Errors
/// As for writing.
pub(super) fn write_image_index(contents: &Contents, out: impl Write) -> io::Result<()> {
    let manifests = Descriptors(contents);
    write_pretty(&ImageIndex { schema_version: 2, media_type: kinds::OCI_INDEX, manifests }, out)
}

/// The descriptor of an image, and its alias if it needs one.
///
/// Tools built on containers/image (skopeo 1.9 among them) pass over descriptors of Docker's media
/// types and refuse a reference name outside the grammar of the OCI specification. The alias has
/// the OCI counterpart of the media type, and the manifest's digest as its name where
/// REPOSITORY:TAG is no legal one.
fn descriptors<'a>(
    repository: &Repository,
    tag: &Tag,
    manifest: &'a ManifestEntry,
) -> impl Iterator<Item = Entry<'a>> + use<'a> {
    let name = format!("{repository}:{tag}");
    let legal = is_ref_name(&name);
    let counterpart = oci_counterpart(&manifest.media_type);
    let entry = |media_type, ref_name| Entry {
        media_type,
        digest: manifest.digest,
        size: manifest.size,
        annotations: Annotations { ref_name },
    };
    let alias = (!legal || counterpart.is_some()).then(|| {
        let alias_name = if legal { name.clone() } else { manifest.digest.to_string() };
        entry(counterpart.unwrap_or(manifest.media_type.as_str()), alias_name)
    });
    [entry(manifest.media_type.as_str(), name)].into_iter().chain(alias)
}

fn oci_counterpart(media_type: &MediaType) -> Option<&'static str> {
    match media_type.as_str() {
        kinds::DOCKER_MANIFEST => Some(kinds::OCI_MANIFEST),
        kinds::DOCKER_LIST => Some(kinds::OCI_INDEX),
        _ => None,
    }
}

/// Whether a text has the grammar that the OCI specification gives for `org.opencontainers.image.ref.name`:
/// components joined by `/`, of letters and digits parted by one of `-._:@+` or by `--`.
fn is_ref_name(text: &str) -> bool {
    text.split('/').all(|component| {
        let mut parts = component.split(|c: char| c.is_ascii_alphanumeric());
        let separators = parts.by_ref().collect::<Vec<_>>();
        let [first, middle @ .., last] = separators.as_slice() else { return false };
        first.is_empty()
            && last.is_empty()
            && middle
                .iter()
                .all(|s| s.is_empty() || *s == "--" || (s.len() == 1 && "-._:@+".contains(*s)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ref_name_grammar() {
        for good in ["a:1", "team/a-b/c_d:1.2.3-rc1", "a--b/c:x", "sha256:ab", "a@b+c:1"] {
            assert!(is_ref_name(good), "{good}");
        }
        for bad in ["", "a__b:1", "a---b:1", "a:_x", "a:x-", "/a:1", "a//b:1", "a:1..2"] {
            assert!(!is_ref_name(bad), "{bad}");
        }
    }
}
