//! A catalog that was found sound, with the questions that both programs ask of it.

use std::collections::HashSet;
use std::io::{self, BufReader, Read};

use super::PIECE;
use super::blob_id::BlobId;
use super::catalog::{BlobEntry, Catalog, ManifestEntry, TagEntry};
use super::catalog_error::CatalogError;
use super::catalog_reader::{Unread, read_catalog};
use super::digest_index::DigestIndex;
use super::front::Measure;
use super::hashed::Hashed;
use super::input::{Input, InputError};
use super::soundness::{check, check_catalog_size};
use crate::{Digest, Graph, Repository, Tag};

fn digest_of(catalog: &Catalog, id: BlobId) -> Digest {
    match catalog.manifests.get(id.index()) {
        Some(manifest) => manifest.digest,
        None => catalog.blobs[id.index() - catalog.manifests.len()].digest,
    }
}

/// A sound catalog: it keeps all rules of spec/bundle.md that it can be held to without the
/// entries' bytes, so every reference in it leads to something that it lists.
#[derive(Debug, Clone)]
pub struct Contents {
    catalog: Catalog,
    index: DigestIndex,
    /// What each entry needs; a node is the position of an entry.
    graph: Graph,
    file: Measure,
}

/// Why `bundle.json` could not be read.
#[derive(Debug)]
pub(super) enum ReadContentsError {
    /// It is refused.
    Refused(CatalogError),
    /// Its bytes did not come.
    Input(InputError),
}

impl Contents {
    /// Checks a catalog that is to be written.
    ///
    /// # Errors
    /// [`CatalogError`] with the first thing that is wrong.
    pub fn new(catalog: Catalog) -> Result<Self, CatalogError> {
        let mut file = Hashed::new(io::sink());
        catalog.write_json(&mut file).expect("a catalog has text keys only, and a sink takes all");
        Self::checked(catalog, file.measure())
    }

    /// Reads and checks the bytes of `bundle.json`.
    ///
    /// # Errors
    /// [`CatalogError`]; version and features are judged first, so that a newer bundle is called
    /// newer and not broken.
    pub fn parse(json: &[u8]) -> Result<Self, CatalogError> {
        Self::read(&mut Input::new(json), json.len() as u64).map_err(|error| match error {
            ReadContentsError::Refused(refusal) => refusal,
            ReadContentsError::Input(_) => unreachable!("the bytes are there, all of them"),
        })
    }

    /// Reads and checks the bytes of `bundle.json`, as many as its header announces.
    pub(super) fn read(input: &mut Input<impl Read>, size: u64) -> Result<Self, ReadContentsError> {
        check_catalog_size(size).map_err(ReadContentsError::Refused)?;
        let mut file = Hashed::new(input.by_ref().take(size));
        let read = read_catalog(BufReader::with_capacity(PIECE, &mut file));
        let (file, at) = (file.measure(), input.at());
        let ended = || ReadContentsError::Input(InputError::Ended(at));
        match read {
            Ok(_) if file.size < size => Err(ended()),
            Ok(catalog) => Self::checked(catalog, file).map_err(ReadContentsError::Refused),
            Err(Unread::Refused(refusal)) => Err(ReadContentsError::Refused(refusal)),
            Err(Unread::Json(error)) if error.is_io() => {
                Err(ReadContentsError::Input(InputError::Io(at, error.into())))
            }
            Err(Unread::Json(error)) if error.is_eof() && file.size < size => Err(ended()),
            Err(Unread::Json(error)) => {
                Err(ReadContentsError::Refused(CatalogError::malformed(&error)))
            }
        }
    }

    fn checked(catalog: Catalog, file: Measure) -> Result<Self, CatalogError> {
        check_catalog_size(file.size)?;
        let count = catalog.manifests.len() + catalog.blobs.len();
        // One number fewer than there are: the index needs it.
        let count = u32::try_from(count).ok().filter(|count| *count < u32::MAX);
        let ids = BlobId::all(count.ok_or(CatalogError::TooMany)?);
        let index =
            DigestIndex::new(ids, |id| digest_of(&catalog, id)).map_err(CatalogError::Twice)?;
        let find = |digest: &Digest| index.find(*digest, |id| digest_of(&catalog, id));
        let node = |digest: &Digest| find(digest).map(|id| id.index() as u32);
        let manifests = catalog.manifests.iter();
        let needs = manifests.map(|manifest| manifest.manifests.iter().chain(&manifest.blobs));
        let graph = Graph::new(
            needs
                .map(|digests| digests.filter_map(node).collect())
                .chain(catalog.blobs.iter().map(|_| Vec::new())),
        );
        let contents = Self { catalog, index, graph, file };
        check(&contents)?;
        Ok(contents)
    }

    /// Size and digest of `bundle.json`.
    pub(super) fn file(&self) -> Measure {
        self.file
    }

    /// What each entry needs; a node is the position of an entry.
    pub(super) fn graph(&self) -> &Graph {
        &self.graph
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

    /// What everything else is reached from, in the order of first use: each repository's tags, then
    /// its referrers.
    pub fn roots(&self) -> impl Iterator<Item = BlobId> {
        let digests = self.catalog.repositories.iter().flat_map(|repository| {
            let tagged = repository.tags.iter().map(|tag| tag.digest);
            tagged.chain(repository.referrers.iter().copied())
        });
        digests.filter_map(|digest| self.id(digest))
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

    /// How many referrers there are, counted in each repository.
    #[must_use]
    pub fn referrer_count(&self) -> usize {
        self.catalog.repositories.iter().map(|repository| repository.referrers.len()).sum()
    }

    /// The ids of all entries, in the order of the archive: manifests first, then blobs.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = BlobId> + DoubleEndedIterator + use<> {
        // As many as `checked` has counted.
        BlobId::all((self.catalog.manifests.len() + self.catalog.blobs.len()) as u32)
    }

    /// The id of the manifest or blob with this digest.
    #[must_use]
    pub fn id(&self, digest: Digest) -> Option<BlobId> {
        self.index.find(digest, |id| digest_of(&self.catalog, id))
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

    /// What a manifest refers to in the bundle: the manifests that it lists, then its config and
    /// layers, in its order. Nothing for the id of a blob.
    pub fn references(&self, id: BlobId) -> impl Iterator<Item = BlobId> + Clone {
        self.graph.needs(id.index() as u32).iter().map(|node| BlobId::at(*node))
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
        // Most images are one manifest.
        if self.manifest_by_id(root).is_some_and(|manifest| manifest.manifests.is_empty()) {
            return vec![root];
        }
        let mut wanted = vec![root];
        let mut seen = HashSet::new();
        while let Some(id) = wanted.pop() {
            // Of what it refers to, what it lists comes first; a layer may be a manifest, but is no part
            // of the image as such.
            if let Some(manifest) = self.manifest_by_id(id)
                && seen.insert(id)
            {
                wanted.extend(self.references(id).take(manifest.manifests.len()));
            }
        }
        let mut ids: Vec<BlobId> = seen.into_iter().collect();
        // Children stand before their parents in the catalog, so its order is the order wanted.
        ids.sort_unstable();
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalog::FORMAT_VERSION;
    use super::super::left_out::LeftOut;
    use super::*;
    use crate::limits::MAX_CATALOG;

    fn empty() -> Catalog {
        Catalog {
            format_version: FORMAT_VERSION,
            required_features: Vec::new(),
            repositories: Vec::new(),
            manifests: Vec::new(),
            blobs: Vec::new(),
            left_out: LeftOut::default(),
        }
    }

    /// A real one takes millions of images; here it is only said to be so long.
    #[test]
    fn a_catalog_that_no_reader_opens_is_refused_beforehand() {
        let digest = Digest::of(b"");
        let checked = |size| Contents::checked(empty(), Measure { size, digest }).map(|_| ());
        assert_eq!(checked(MAX_CATALOG), Ok(()));
        let refused = checked(MAX_CATALOG + 1).unwrap_err();
        let text =
            "bundle.json has 1073741825 bytes, more than the 1073741824 that the format allows";
        assert_eq!(refused.to_string(), text);
        let mut input = Input::new(io::empty());
        let unread = Contents::read(&mut input, MAX_CATALOG + 1).unwrap_err();
        assert!(matches!(unread, ReadContentsError::Refused(error) if error == refused));
    }

    #[test]
    fn what_a_writer_announces_is_measured() {
        let catalog = empty();
        let mut json = Vec::new();
        catalog.write_json(&mut json).unwrap();
        let measure = Measure { size: json.len() as u64, digest: Digest::of(&json) };
        assert_eq!(Contents::new(catalog).unwrap().file(), measure);
    }

    #[test]
    fn a_writer_promises_no_version_or_feature_that_readers_refuse() {
        let newer = Catalog { format_version: 2, ..empty() };
        assert_eq!(Contents::new(newer).unwrap_err(), CatalogError::Version(2));
        let features = vec!["a".to_owned(), "b".to_owned()];
        let wanting = Catalog { required_features: features.clone(), ..empty() };
        let refused = Contents::new(wanting).unwrap_err();
        assert_eq!(refused, CatalogError::Features(features));
        let text = "the bundle requires the features `a`, `b`, which this program does not know: \
                    use a newer one";
        assert_eq!(refused.to_string(), text);
    }
}
