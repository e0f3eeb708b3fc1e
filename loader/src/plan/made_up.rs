//! Bundles that nobody packed and surveys of targets that nobody asked, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tranship_common::Digest;
use tranship_common::bundle::{
    BlobEntry, BlobId, Catalog, Contents, FORMAT_VERSION, LeftOut, ManifestEntry, RepositoryEntry,
    TagEntry,
};

use super::mapping::{MappedImage, Mapping};
use super::survey::{Found, Standing, Survey, SurveyedImage, SurveyedRepository};

/// A bundle. Manifests and blobs are known by their positions among all of them, manifests first.
#[derive(Debug, Default)]
pub(crate) struct MadeUp {
    pub(crate) manifests: Vec<MadeUpManifest>,
    /// Sizes (bytes).
    pub(crate) blobs: Vec<u64>,
    pub(crate) tags: BTreeMap<String, Vec<MadeUpTag>>,
    /// Manifests without a tag, by the repository.
    pub(crate) referrers: BTreeMap<String, BTreeSet<usize>>,
}

/// What a manifest refers to. Those that it lists stand before it.
#[derive(Debug, Default, Clone)]
pub(crate) struct MadeUpManifest {
    pub(crate) manifests: Vec<usize>,
    /// A manifest may be a layer of another.
    pub(crate) blobs: Vec<usize>,
    pub(crate) subject: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MadeUpTag {
    /// When it was pushed (seconds).
    pub(crate) pushed: u32,
    pub(crate) name: String,
    pub(crate) manifest: usize,
}

impl MadeUp {
    pub(crate) fn digest(position: usize) -> Digest {
        Digest::of(&position.to_be_bytes())
    }

    /// The bundle as loader reads it.
    pub(crate) fn contents(&self) -> Arc<Contents> {
        let count = self.manifests.len() + self.blobs.len();
        let digests: Vec<Digest> = (0..count).map(Self::digest).collect();
        let manifests =
            self.manifests.iter().zip(&digests).map(|(made_up, digest)| ManifestEntry {
                digest: *digest,
                size: 500,
                media_type: "application/vnd.oci.image.manifest.v1+json".into(),
                artifact_type: None,
                subject: made_up.subject.map(|subject| digests[subject]),
                manifests: made_up.manifests.iter().map(|child| digests[*child]).collect(),
                blobs: made_up.blobs.iter().map(|blob| digests[*blob]).collect(),
                foreign: Vec::new(),
            });
        let tag = |tag: &MadeUpTag| {
            let (minutes, second) = (tag.pushed / 60, tag.pushed % 60);
            let (hour, minute) = (minutes / 60, minutes % 60);
            let pushed = format!("2024-01-01T{hour:02}:{minute:02}:{second:02}Z");
            TagEntry {
                name: tag.name.parse().unwrap(),
                digest: digests[tag.manifest],
                pushed: pushed.parse().unwrap(),
                selected_from: None,
            }
        };
        let repositories = self.tags.iter().map(|(name, tags)| {
            let mut tags = tags.clone();
            tags.sort_unstable();
            let untagged = self.referrers.get(name).into_iter().flatten();
            let mut referrers: Vec<Digest> = untagged.map(|manifest| digests[*manifest]).collect();
            referrers.sort_unstable();
            let (name, tags) = (name.parse().unwrap(), tags.iter().map(tag).collect());
            RepositoryEntry { name, tags, referrers }
        });
        let blobs = digests[self.manifests.len()..].iter().zip(&self.blobs);
        let contents = Contents::new(Catalog {
            format_version: FORMAT_VERSION,
            required_features: Vec::new(),
            repositories: repositories.collect(),
            manifests: manifests.collect(),
            blobs: blobs.map(|(digest, size)| BlobEntry { digest: *digest, size: *size }).collect(),
            left_out: LeftOut::default(),
        });
        Arc::new(contents.unwrap())
    }

    /// The manifests that one consists of, children first, and their blobs.
    pub(crate) fn parts(&self, manifest: usize) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let (mut manifests, mut blobs) = (BTreeSet::from([manifest]), BTreeSet::new());
        // Whatever a manifest lists stands before it.
        for at in (0..=manifest).rev() {
            if manifests.contains(&at) {
                manifests.extend(&self.manifests[at].manifests);
                blobs.extend(&self.manifests[at].blobs);
            }
        }
        (manifests, blobs)
    }
}

/// What was found of the images of a bundle, all of which keep their names.
pub(crate) fn survey(
    contents: &Arc<Contents>,
    mut found: impl FnMut(&MappedImage) -> Found,
) -> Survey {
    let mapped = Mapping::default().apply(contents).unwrap();
    let repositories = mapped.repositories.into_iter().map(|repository| SurveyedRepository {
        name: repository.name,
        standing: Standing::Filled,
        images: repository.images,
        renamed: Vec::new(),
    });
    let images = mapped.images.into_iter().map(|image| {
        let found = found(&image);
        SurveyedImage { image, found }
    });
    Survey {
        contents: Arc::clone(contents),
        repositories: repositories.collect(),
        images: images.collect(),
    }
}

/// The id of the manifest or blob at this position.
pub(crate) fn id(contents: &Contents, position: usize) -> BlobId {
    contents.ids().nth(position).unwrap()
}
