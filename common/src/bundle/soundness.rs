//! What a sound catalog is: the rules of spec/bundle.md that can be judged before the entries are
//! read, its limits included. Writer and reader are held to the same.

use std::collections::HashSet;

use super::catalog::{Catalog, FORMAT_VERSION, ManifestEntry, RepositoryEntry, TagEntry};
use super::catalog_error::CatalogError;
use super::contents::Contents;
use super::features::{self, KNOWN};
use super::left_out::LeftOut;
use crate::limits::{
    MAX_BUNDLE, MAX_CATALOG, MAX_FEATURE, MAX_FEATURES, MAX_LEFT_OUT, MAX_MANIFEST, MAX_MEDIA_TYPE,
    MAX_NESTING,
};
use crate::quote::quoted;
use crate::{PushTime, Tag};

type Judgement = Result<(), CatalogError>;

/// The version, if it is one that this code reads.
pub(super) fn check_version(version: u64) -> Result<u32, CatalogError> {
    match version == u64::from(FORMAT_VERSION) {
        true => Ok(FORMAT_VERSION),
        false => Err(CatalogError::Version(version)),
    }
}

/// Features that are required, before it is known what for.
pub(super) fn check_features(features: &[String]) -> Judgement {
    let count = features.len();
    within(count, MAX_FEATURES, || format!("the bundle requires {count} features"))?;
    for feature in features {
        let length = feature.len();
        let what = || format!("the name of a required feature has {length} bytes");
        within(length, MAX_FEATURE, what)?;
    }
    let is_unknown = |feature: &&String| !KNOWN.contains(&feature.as_str());
    let unknown: Vec<String> = features.iter().filter(is_unknown).cloned().collect();
    if unknown.is_empty() { Ok(()) } else { Err(CatalogError::Features(unknown)) }
}

/// The size of `bundle.json` in bytes.
pub(super) fn check_catalog_size(size: u64) -> Judgement {
    within(size, MAX_CATALOG, || format!("bundle.json has {size} bytes"))
}

fn within<N: Ord + ToString>(got: N, limit: N, what: impl FnOnce() -> String) -> Judgement {
    match got > limit {
        true => Err(CatalogError::Limit { what: what(), limit: limit.to_string() }),
        false => Ok(()),
    }
}

/// All that can be judged of a catalog whose digests are found already.
pub(super) fn check(contents: &Contents) -> Judgement {
    let Catalog { format_version, required_features, repositories, manifests, blobs: _, left_out } =
        contents.catalog();
    check_version(u64::from(*format_version))?;
    check_features(required_features)?;
    let needed = features::required_features(manifests);
    if *required_features != needed {
        return Err(CatalogError::OtherFeatures { required: required_features.clone(), needed });
    }
    let size: u128 = contents.entries().map(|entry| u128::from(entry.size)).sum();
    within(size, MAX_BUNDLE, || format!("the catalog announces {size} bytes"))?;
    manifests.iter().try_for_each(check_texts)?;
    check_references(contents, manifests)?;
    check_repositories(contents, repositories)?;
    check_left_out(left_out)
}

fn check_texts(manifest: &ManifestEntry) -> Judgement {
    let ManifestEntry { digest, size, media_type, artifact_type, .. } = manifest;
    within(*size, MAX_MANIFEST, || format!("manifest {digest} has {size} bytes"))?;
    for text in [Some(media_type), artifact_type.as_ref()].into_iter().flatten() {
        let length = text.as_str().len();
        let what = || format!("a media type of manifest {digest} has {length} bytes");
        within(length, MAX_MEDIA_TYPE, what)?;
    }
    Ok(())
}

/// Whatever a manifest lists stands before it, and no index nests too deep.
fn check_references(contents: &Contents, manifests: &[ManifestEntry]) -> Judgement {
    let mut depths: Vec<usize> = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        let dangling = |to, place| {
            let from = manifest.digest.to_string();
            CatalogError::Dangling { from, to, place }
        };
        let mut depth = 0;
        for child in &manifest.manifests {
            let before = contents.id(*child).and_then(|id| depths.get(id.index()));
            depth = depth.max(1 + before.ok_or_else(|| dangling(*child, "before it"))?);
        }
        let what = || format!("index {} lists indexes {depth} deep", manifest.digest);
        within(depth, MAX_NESTING, what)?;
        depths.push(depth);
        if let Some(blob) = manifest.blobs.iter().find(|blob| contents.id(**blob).is_none()) {
            return Err(dangling(*blob, "at all"));
        }
        if let Some(layer) = manifest.foreign.iter().find(|layer| contents.id(**layer).is_some()) {
            return Err(CatalogError::Foreign { digest: *layer, of: manifest.digest });
        }
    }
    Ok(())
}

/// What the tags of a repository are ordered by.
fn key(tag: &TagEntry) -> (PushTime, &Tag) {
    (tag.pushed, &tag.name)
}

fn check_repositories(contents: &Contents, repositories: &[RepositoryEntry]) -> Judgement {
    if let Some(pair) = repositories.windows(2).find(|pair| pair[0].name >= pair[1].name) {
        return Err(CatalogError::Order(format!("repository {}", pair[1].name)));
    }
    for repository in repositories {
        let name = |tag: &TagEntry| format!("{}:{}", repository.name, tag.name);
        if let Some(pair) = repository.tags.windows(2).find(|pair| key(&pair[0]) >= key(&pair[1])) {
            return Err(CatalogError::Order(name(&pair[1])));
        }
        let mut names = HashSet::new();
        if let Some(tag) = repository.tags.iter().find(|tag| !names.insert(&tag.name)) {
            return Err(CatalogError::Order(name(tag)));
        }
        let tagged = |tag: &TagEntry| contents.manifest(tag.digest).is_some();
        if let Some(tag) = repository.tags.iter().find(|tag| !tagged(tag)) {
            let place = "among the manifests";
            return Err(CatalogError::Dangling { from: name(tag), to: tag.digest, place });
        }
        check_referrers(contents, repository)?;
    }
    Ok(())
}

/// Referrers stand by digest, each once, have no tag there, and each is about a manifest of the
/// bundle.
fn check_referrers(contents: &Contents, repository: &RepositoryEntry) -> Judgement {
    let RepositoryEntry { name, tags, referrers } = repository;
    if let Some(pair) = referrers.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(CatalogError::Order(format!("{name}@{}", pair[1])));
    }
    if let Some(tag) = tags.iter().find(|tag| referrers.binary_search(&tag.digest).is_ok()) {
        return Err(CatalogError::Tagged(format!("{name}@{}", tag.digest)));
    }
    for referrer in referrers {
        let dangling = |from: String, to| {
            let place = "among the manifests";
            CatalogError::Dangling { from, to, place }
        };
        let manifest = contents.manifest(*referrer);
        let manifest = manifest.ok_or_else(|| dangling(name.to_string(), *referrer))?;
        match manifest.subject {
            None => return Err(CatalogError::NoSubject(*referrer)),
            Some(subject) if contents.manifest(subject).is_none() => {
                return Err(dangling(referrer.to_string(), subject));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn check_left_out(left_out: &LeftOut) -> Judgement {
    let LeftOut { selection, images } = left_out;
    let texts = images.iter().flat_map(|image| [&image.name, &image.reason]);
    for text in texts.chain([selection]) {
        let length = text.len();
        within(length, MAX_LEFT_OUT, || format!("a text of `leftOut` has {length} bytes"))?;
    }
    match images.windows(2).find(|pair| pair[0].name >= pair[1].name) {
        Some(pair) => Err(CatalogError::Order(format!("{} in `leftOut`", quoted(&pair[1].name)))),
        None => Ok(()),
    }
}
