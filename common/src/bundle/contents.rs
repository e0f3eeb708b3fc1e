//! A catalog that was found sound, with the questions that both programs ask of it.

use std::collections::{HashMap, HashSet};

use super::blob_id::BlobId;
use super::catalog::{BlobEntry, Catalog, FORMAT_VERSION, ManifestEntry, TagEntry};
use crate::{Digest, Repository, Tag};

/// No bundle is larger (bytes); the offsets of all that a sound catalog lists can be counted.
const MAX_SIZE: u128 = 1 << 60;

/// Why a catalog is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// Not a catalog at all.
    #[error("bundle.json cannot be read: {0}")]
    Malformed(String),
    /// Written in another version of the format.
    #[error(
        "the bundle has format version {0}; this program reads version {FORMAT_VERSION}: use a newer one"
    )]
    Version(u64),
    /// Needs a feature that this program does not know.
    #[error(
        "the bundle requires the feature `{0}`, which this program does not know: use a newer one"
    )]
    Feature(String),
    /// Repositories or tags that are repeated or out of order.
    #[error("the catalog lists {0} twice or out of order")]
    Order(String),
    /// A digest stands twice among manifests and blobs.
    #[error("the catalog lists {0} twice")]
    Twice(Digest),
    /// More entries than a [`BlobId`] counts.
    #[error("the catalog lists more than {} manifests and blobs", u32::MAX)]
    TooMany,
    /// Sizes that no file can have.
    #[error("the catalog announces {0} bytes, more than a bundle can hold")]
    TooLarge(u128),
    /// A reference to something that the catalog does not list where it must.
    #[error("the catalog refers to {to} from {from}, but does not list it {place}")]
    Dangling {
        /// The image or manifest that refers.
        from: String,
        /// What it refers to.
        to: Digest,
        /// Where it should stand.
        place: &'static str,
    },
}

/// A sound catalog: every reference in it leads to something that it lists.
#[derive(Debug, Clone)]
pub struct Contents {
    catalog: Catalog,
    ids: HashMap<Digest, BlobId>,
}

impl Contents {
    /// Reads and checks the bytes of `bundle.json`.
    ///
    /// # Errors
    /// [`CatalogError`]; version and features are judged first, so that a newer bundle is called
    /// newer and not broken.
    pub fn parse(json: &[u8]) -> Result<Self, CatalogError> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            format_version: u64,
            #[serde(default)]
            required_features: Vec<String>,
        }
        let malformed = |error: serde_json::Error| CatalogError::Malformed(error.to_string());
        let head: Head = serde_json::from_slice(json).map_err(malformed)?;
        if head.format_version != u64::from(FORMAT_VERSION) {
            return Err(CatalogError::Version(head.format_version));
        }
        if let Some(feature) = head.required_features.into_iter().next() {
            return Err(CatalogError::Feature(feature));
        }
        Self::new(serde_json::from_slice(json).map_err(malformed)?)
    }

    /// Checks a catalog.
    ///
    /// # Errors
    /// [`CatalogError`] with the first thing that is wrong.
    pub fn new(catalog: Catalog) -> Result<Self, CatalogError> {
        let digests = catalog
            .manifests
            .iter()
            .map(|manifest| manifest.digest)
            .chain(catalog.blobs.iter().map(|blob| blob.digest));
        let mut ids = HashMap::new();
        for (position, digest) in digests.enumerate() {
            // The count must fit too, not only the last position.
            let id = BlobId::at(position).filter(|id| id.index() < u32::MAX as usize);
            if ids.insert(digest, id.ok_or(CatalogError::TooMany)?).is_some() {
                return Err(CatalogError::Twice(digest));
            }
        }
        let contents = Self { catalog, ids };
        let size = contents.entries().map(|entry| u128::from(entry.size)).sum();
        if size > MAX_SIZE {
            return Err(CatalogError::TooLarge(size));
        }
        contents.check_manifests()?;
        contents.check_repositories()?;
        Ok(contents)
    }

    fn check_manifests(&self) -> Result<(), CatalogError> {
        for (position, manifest) in self.catalog.manifests.iter().enumerate() {
            let dangling = |to: &Digest, place| {
                Err(CatalogError::Dangling { from: manifest.digest.to_string(), to: *to, place })
            };
            let precedes = |child: &Digest| self.id(*child).is_some_and(|id| id.index() < position);
            if let Some(child) = manifest.manifests.iter().find(|child| !precedes(child)) {
                return dangling(child, "before it");
            }
            let listed = |blob: &Digest| self.ids.contains_key(blob);
            if let Some(blob) = manifest.blobs.iter().find(|blob| !listed(blob)) {
                return dangling(blob, "at all");
            }
        }
        Ok(())
    }

    fn check_repositories(&self) -> Result<(), CatalogError> {
        let repositories = &self.catalog.repositories;
        if let Some(pair) = repositories.windows(2).find(|pair| pair[0].name >= pair[1].name) {
            return Err(CatalogError::Order(format!("repository {}", pair[1].name)));
        }
        for repository in repositories {
            let key = |tag: &TagEntry| (tag.pushed, tag.name.clone());
            let name = |tag: &TagEntry| format!("{}:{}", repository.name, tag.name);
            if let Some(pair) = repository.tags.windows(2).find(|p| key(&p[0]) >= key(&p[1])) {
                return Err(CatalogError::Order(name(&pair[1])));
            }
            let mut names = HashSet::new();
            if let Some(tag) = repository.tags.iter().find(|tag| !names.insert(&tag.name)) {
                return Err(CatalogError::Order(name(tag)));
            }
            if let Some(tag) =
                repository.tags.iter().find(|tag| self.manifest(tag.digest).is_none())
            {
                let place = "among the manifests";
                return Err(CatalogError::Dangling { from: name(tag), to: tag.digest, place });
            }
        }
        Ok(())
    }

    /// The catalog.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Every image: repository and tag, in the order in which they are to be loaded.
    pub fn images(&self) -> impl Iterator<Item = (&Repository, &TagEntry)> {
        self.catalog
            .repositories
            .iter()
            .flat_map(|repository| repository.tags.iter().map(|tag| (&repository.name, tag)))
    }

    /// Every image as (repository, tag, its manifest), sorted by the bytes of `REPOSITORY:TAG`, as
    /// `LC_ALL=C sort` has it: the list of images that people keep as the proof that nothing was
    /// lost.
    #[must_use]
    pub fn list(&self) -> Vec<(&Repository, &Tag, &ManifestEntry)> {
        let mut list: Vec<_> = self
            .images()
            .filter_map(|(repository, tag)| {
                self.manifest(tag.digest).map(|manifest| (repository, &tag.name, manifest))
            })
            .collect();
        list.sort_by_cached_key(|(repository, tag, _)| format!("{repository}:{tag}"));
        list
    }

    /// How many images there are.
    #[must_use]
    pub fn image_count(&self) -> usize {
        self.catalog.repositories.iter().map(|repository| repository.tags.len()).sum()
    }

    /// The ids of all entries, in the order of the archive: manifests first, then blobs.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = BlobId> + DoubleEndedIterator + use<> {
        BlobId::all(self.ids.len() as u32)
    }

    /// The id of the manifest or blob with this digest.
    #[must_use]
    pub fn id(&self, digest: Digest) -> Option<BlobId> {
        self.ids.get(&digest).copied()
    }

    /// Digest and size of a manifest or blob.
    ///
    /// # Panics
    /// When the id is of a bundle with more entries than this.
    #[must_use]
    pub fn entry(&self, id: BlobId) -> BlobEntry {
        match self.manifest_by_id(id) {
            Some(manifest) => BlobEntry { digest: manifest.digest, size: manifest.size },
            None => self.catalog.blobs[id.index() - self.catalog.manifests.len()],
        }
    }

    /// The manifest with this digest.
    #[must_use]
    pub fn manifest(&self, digest: Digest) -> Option<&ManifestEntry> {
        self.manifest_by_id(self.id(digest)?)
    }

    /// The manifest with this id, or `None` when it is a blob's.
    #[must_use]
    pub fn manifest_by_id(&self, id: BlobId) -> Option<&ManifestEntry> {
        self.catalog.manifests.get(id.index())
    }

    /// The size in bytes of the manifest or blob with this digest.
    #[must_use]
    pub fn size(&self, digest: Digest) -> Option<u64> {
        Some(self.entry(self.id(digest)?).size)
    }

    /// Digest and size of all entries in the order of the archive.
    pub fn entries(&self) -> impl Iterator<Item = BlobEntry> {
        let manifests = self.catalog.manifests.iter();
        manifests
            .map(|manifest| BlobEntry { digest: manifest.digest, size: manifest.size })
            .chain(self.catalog.blobs.iter().copied())
    }

    /// The manifests that an image consists of, each once, children before their index and the
    /// tagged one last.
    #[must_use]
    pub fn closure(&self, root: Digest) -> Vec<&ManifestEntry> {
        let ids = self.id(root).map(|root| self.closure_ids(root)).unwrap_or_default();
        ids.into_iter().filter_map(|id| self.manifest_by_id(id)).collect()
    }

    /// The ids of the manifests that an image consists of, each once, children before their index
    /// and the tagged one, `root`, last. Empty for the id of a blob.
    #[must_use]
    pub fn closure_ids(&self, root: BlobId) -> Vec<BlobId> {
        let mut wanted = vec![root];
        let mut seen = HashSet::new();
        while let Some(id) = wanted.pop() {
            if let Some(manifest) = self.manifest_by_id(id)
                && seen.insert(id)
            {
                wanted.extend(manifest.manifests.iter().filter_map(|child| self.id(*child)));
            }
        }
        let mut ids: Vec<BlobId> = seen.into_iter().collect();
        // Children stand before their parents in the catalog, so its order is the order wanted.
        ids.sort_unstable();
        ids
    }

    /// The images, as `REPOSITORY:TAG`, that need this manifest or blob.
    #[must_use]
    pub fn images_with(&self, digest: Digest) -> Vec<String> {
        let mut affected = HashSet::from([digest]);
        for manifest in &self.catalog.manifests {
            if manifest.manifests.iter().chain(&manifest.blobs).any(|d| affected.contains(d)) {
                affected.insert(manifest.digest);
            }
        }
        self.images()
            .filter(|(_, tag)| affected.contains(&tag.digest))
            .map(|(repository, tag)| format!("{repository}:{}", tag.name))
            .collect()
    }
}
