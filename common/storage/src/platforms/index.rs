//! The part of an index that is wanted (OCI image specification, image-index.md).

use serde_json::{Map, Value, json};
use tranship_common::Digest;

use super::platform::Platform;

/// What BuildKit gives the attestations of an image as the platform, and how it says which image
/// they are about.
const ATTESTATION_OF: &str = "vnd.docker.reference.digest";

/// An index with its descriptors as they stand.
#[derive(Debug)]
pub(super) struct Index {
    fields: Map<String, Value>,
    descriptors: Vec<Value>,
}

/// What a tag leads to when platforms are chosen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selected {
    /// What it leads to in the source.
    Whole,
    /// A child of its index.
    Child(Digest),
    /// A new index, given by its bytes.
    Part(Vec<u8>),
    /// Nothing of it is wanted.
    Nothing,
}

impl Index {
    /// Reads an index; `None` where it is none.
    pub(super) fn parse(raw: &[u8]) -> Option<Self> {
        let Value::Object(mut fields) = serde_json::from_slice(raw).ok()? else { return None };
        let Some(Value::Array(descriptors)) = fields.remove("manifests") else { return None };
        Some(Self { fields, descriptors })
    }

    /// The children of which the index does not say what they run on.
    pub(super) fn children_without_platform(&self) -> impl Iterator<Item = Digest> {
        let unnamed = self.descriptors.iter().filter(|descriptor| platform(descriptor).is_none());
        unnamed.filter_map(digest)
    }

    /// Takes the children for these platforms, and the attestations that are about them.
    /// `of_image` tells the platform of a child that the index does not tell it of.
    pub(super) fn select<'p>(
        &self,
        wanted: &[Platform],
        of_image: impl Fn(Digest) -> Option<&'p Platform>,
    ) -> Selected {
        let is_wanted = |descriptor: &Value| match platform(descriptor) {
            Some(platform) => wanted.contains(&platform),
            None => digest(descriptor).and_then(&of_image).is_none_or(|of| wanted.contains(of)),
        };
        let images = self.descriptors.iter().filter(|descriptor| is_wanted(descriptor));
        let images: Vec<Digest> = images.filter_map(digest).collect();
        let [first, ..] = images.as_slice() else { return Selected::Nothing };
        // An index of which nothing is told is taken as it is: a cache.
        if wanted.len() == 1 && images.len() == 1 && self.names_platforms() {
            return Selected::Child(*first);
        }
        let is_taken = |descriptor: &&Value| {
            let about = attested(descriptor).and_then(|about| about.parse::<Digest>().ok());
            about.map_or_else(|| is_wanted(descriptor), |about| images.contains(&about))
        };
        let taken: Vec<&Value> = self.descriptors.iter().filter(is_taken).collect();
        if taken.len() == self.descriptors.len() {
            return Selected::Whole;
        }
        let mut fields = self.fields.clone();
        fields.insert("manifests".to_owned(), json!(taken));
        Selected::Part(Value::Object(fields).to_string().into_bytes())
    }

    /// Whether it says of any child what it runs on; a cache does not.
    fn names_platforms(&self) -> bool {
        self.descriptors.iter().any(|descriptor| platform(descriptor).is_some())
    }
}

fn digest(descriptor: &Value) -> Option<Digest> {
    descriptor.get("digest")?.as_str()?.parse().ok()
}

fn platform(descriptor: &Value) -> Option<Platform> {
    let platform = descriptor.get("platform")?;
    let field = |name: &str| platform.get(name).and_then(Value::as_str);
    let variant = field("variant").unwrap_or_default();
    Some(Platform::new(field("os")?, field("architecture")?, variant))
}

fn attested(descriptor: &Value) -> Option<&str> {
    descriptor.get("annotations")?.get(ATTESTATION_OF)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn index() -> Index {
        let child = |name: &str, os: &str, architecture: &str| json!({"digest": of(name), "platform": {"os": os, "architecture": architecture}});
        let mut attestation = child("about arm64", "unknown", "unknown");
        attestation["annotations"] = json!({ATTESTATION_OF: of("arm64").to_string()});
        let raw = json!({"schemaVersion": 2, "annotations": {"a": "b"}, "manifests": [
            child("amd64", "linux", "amd64"), child("arm64", "linux", "arm64"), attestation,
            child("windows", "windows", "amd64"),
        ]});
        Index::parse(raw.to_string().as_bytes()).unwrap()
    }

    fn select(index: &Index, wanted: &[&str]) -> Selected {
        let wanted: Vec<Platform> = wanted.iter().map(|text| text.parse().unwrap()).collect();
        index.select(&wanted, |_| None)
    }

    #[test]
    fn one_platform_is_a_child_and_several_are_an_index() {
        assert_eq!(select(&index(), &["linux/arm64/v8"]), Selected::Child(of("arm64")));
        assert_eq!(select(&index(), &["linux/s390x"]), Selected::Nothing);
        let Selected::Part(bytes) = select(&index(), &["linux/arm64", "windows/amd64"]) else {
            panic!("no new index")
        };
        let part = Index::parse(&bytes).unwrap();
        let digests: Vec<_> = part.descriptors.iter().filter_map(digest).collect();
        assert_eq!(digests, ["arm64", "about arm64", "windows"].map(of));
        assert_eq!(part.fields, index().fields);
    }

    #[test]
    fn what_one_platform_has_two_children_for_stays_an_index() {
        let child = |name: &str, version: &str| {
            json!({"digest": of(name), "platform":
                {"os": "windows", "architecture": "amd64", "os.version": version}})
        };
        let linux = json!({"digest": of("linux"), "platform":
            {"os": "linux", "architecture": "amd64"}});
        let raw = json!({"manifests": [child("old", "10"), linux, child("new", "11")]});
        let index = Index::parse(raw.to_string().as_bytes()).unwrap();
        let Selected::Part(bytes) = select(&index, &["windows/amd64"]) else {
            panic!("no new index")
        };
        let part = Index::parse(&bytes).unwrap();
        let digests: Vec<_> = part.descriptors.iter().filter_map(digest).collect();
        assert_eq!(digests, ["old", "new"].map(of));
    }

    #[test]
    fn an_index_of_which_all_is_wanted_stays_as_it_is() {
        let all = ["linux/amd64", "linux/arm64", "windows/amd64"];
        assert_eq!(select(&index(), &all), Selected::Whole);
        let cache = json!({"manifests": [{"digest": of("layer")}, {"digest": of("config")}]});
        let cache = Index::parse(cache.to_string().as_bytes()).unwrap();
        assert_eq!(select(&cache, &["linux/amd64"]), Selected::Whole);
    }
}
