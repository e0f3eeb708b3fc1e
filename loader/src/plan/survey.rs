//! What the target has already: asked, never assumed.

mod surveyor;

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use tranship_common::bundle::{BlobId, Contents};
use tranship_common::{Digest, Repository};

pub(crate) use surveyor::Surveyor;

use super::mapping::{MappedImage, TargetRepository};
use crate::failure::Failure;

/// What the target says of one image of the bundle.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// The tag has the packed digest, or the referrer is there.
    Same,
    /// The tag has the packed digest, but these of its manifests and blobs, sorted, are not there.
    Broken(Vec<Digest>),
    /// The tag has this other digest.
    Different(Digest),
    /// There is no such tag or referrer.
    Missing,
    /// The target does not tell, for this reason.
    Unknown(Failure),
}

impl Found {
    /// Whether the target says that this manifest or blob of the image is not there.
    pub(super) fn is_without(&self, part: Digest) -> bool {
        matches!(self, Self::Broken(missing) if missing.binary_search(&part).is_ok())
    }
}

/// What is known of a repository of the target, or of its project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its project does not exist, so that nothing can be there.
    New,
    /// It has no tags. An earlier run may have left blobs.
    Empty,
    /// It has tags, or does not tell.
    Filled,
}

/// An image or referrer of the bundle and what the target has of it.
#[derive(Debug, Clone)]
pub(crate) struct SurveyedImage {
    pub(crate) image: MappedImage,
    pub(crate) found: Found,
}

impl SurveyedImage {
    /// Whether it is there, with all that it needs as far as that was asked.
    pub(crate) fn is_there(&self) -> bool {
        matches!(self.found, Found::Same)
    }
}

/// A repository of the target.
#[derive(Debug, Clone)]
pub(crate) struct SurveyedRepository {
    pub(crate) name: Arc<TargetRepository>,
    pub(crate) standing: Standing,
    /// Its images, among all of them: oldest first, then referrers.
    pub(crate) images: Range<usize>,
    /// The repositories of the bundle that have another name in the target, which is this one.
    pub(crate) renamed: Vec<Repository>,
}

/// The images of a bundle under their names in the target, and what is there of them.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) contents: Arc<Contents>,
    /// By name.
    pub(crate) repositories: Vec<SurveyedRepository>,
    /// By repository.
    pub(crate) images: Vec<SurveyedImage>,
}

impl Survey {
    /// The repository of an image.
    pub(crate) fn repository(&self, image: &SurveyedImage) -> &Arc<TargetRepository> {
        &self.repositories[image.image.repository].name
    }

    /// The name of an image in the target.
    pub(crate) fn name(&self, image: &SurveyedImage) -> String {
        image.image.name(self.repository(image), &self.contents)
    }

    /// The digest that an image was packed with.
    pub(crate) fn digest(&self, image: &SurveyedImage) -> Digest {
        self.contents.entry(image.image.root).digest
    }

    /// What a referrer is about; nothing for an image with a tag.
    pub(crate) fn subject(&self, image: &SurveyedImage) -> Option<Digest> {
        match image.image.tag {
            Some(_) => None,
            None => self.contents.manifest_by_id(image.image.root)?.subject,
        }
    }

    /// The manifests and blobs of an image, each once.
    pub(crate) fn parts(&self, image: &SurveyedImage) -> Vec<BlobId> {
        parts(&self.contents, image.image.root)
    }
}

/// The manifests and blobs of an image, each once: manifests first, children before their index.
fn parts(contents: &Contents, root: BlobId) -> Vec<BlobId> {
    let mut parts = contents.closure_ids(root);
    let mut seen = HashSet::new();
    for at in 0..parts.len() {
        let blobs = contents.manifest_by_id(parts[at]).map_or(&[][..], |part| &part.blobs);
        let blobs: Vec<BlobId> = blobs.iter().filter_map(|blob| contents.id(*blob)).collect();
        parts.extend(blobs.into_iter().filter(|blob| seen.insert(*blob)));
    }
    parts
}

/// The projects that images go to: new ones do not exist yet, empty ones have no images.
pub(crate) type Projects = BTreeMap<String, Standing>;
