//! Takes of each image what runs on the wanted platforms.

mod index;
mod platform;

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use tranship_common::bundle::TagEntry;
use tranship_common::{Digest, Manifest, Progress};

pub use platform::{Platform, PlatformError};

use crate::chosen::Chosen;
use crate::manifests::Manifests;
use crate::small::read_small;
use crate::source::Source;
use index::{Index, Selected};

/// What a config says of the platform (OCI image specification, config.md).
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: String,
}

/// Has each tag lead to what runs on one of these platforms: a tag of an index to the child for the
/// one that is wanted or, where several are, to a new index of those children. Images with none of
/// them are left out. An image that says nothing of platforms is taken whole.
pub(crate) fn choose_platforms(
    source: &dyn Source,
    wanted: &[Platform],
    chosen: &mut Chosen,
    manifests: &mut Manifests,
    progress: &dyn Progress,
) {
    let choice = Choice::read(source, wanted, chosen, manifests);
    let mut changed = 0;
    let mut made = HashMap::new();
    let mut other = Vec::new();
    for repository in &mut chosen.repositories {
        repository.tags.retain_mut(|tag: &mut TagEntry| {
            let selected = choice.of_tag(tag.digest, manifests);
            let leads_to = match selected {
                Selected::Whole => return true,
                Selected::Nothing => {
                    other.push(format!("{}:{}", repository.name, tag.name));
                    return false;
                }
                Selected::Child(child) => child,
                Selected::Part(bytes) => {
                    let digest = Digest::of(&bytes);
                    made.insert(digest, bytes);
                    digest
                }
            };
            tag.selected_from = Some(tag.digest);
            tag.digest = leads_to;
            changed += 1;
            true
        });
    }
    for bytes in made.values() {
        if let Ok(manifest) = Manifest::parse(bytes) {
            manifests.add(manifest);
        }
    }
    // A child that is wanted now may be one that was passed over before.
    manifests.read(source, chosen.roots().collect::<Vec<_>>(), progress);
    chosen.repositories.retain(|repository| !repository.tags.is_empty());
    chosen.made = made;
    chosen.other_platforms = other;
    if changed > 0 {
        chosen.notices.push(format!(
            "tags that lead to a part of their index: {changed}; signatures over the whole index \
             do not fit these"
        ));
    }
}

/// What has to be known to choose.
struct Choice<'a> {
    wanted: &'a [Platform],
    indexes: HashMap<Digest, Index>,
    /// The platforms of single images, by the digest of their config.
    configs: HashMap<Digest, Platform>,
}

impl<'a> Choice<'a> {
    fn read(
        source: &dyn Source,
        wanted: &'a [Platform],
        chosen: &Chosen,
        manifests: &Manifests,
    ) -> Self {
        let tagged: HashSet<Digest> = chosen.roots().collect();
        let is_index = |digest: &Digest| {
            manifests.get(*digest).is_some_and(|manifest| !manifest.children().is_empty())
        };
        let indexes: HashSet<Digest> = tagged.iter().copied().filter(is_index).collect();
        let indexes: HashMap<Digest, Index> = read_small(source, indexes)
            .into_iter()
            .filter_map(|(digest, raw)| Some((digest, Index::parse(&raw)?)))
            .collect();
        let unnamed = indexes.values().flat_map(Index::children_without_platform);
        let singles = tagged.iter().copied().filter(|digest| !is_index(digest)).chain(unnamed);
        let config = |digest| manifests.get(digest)?.config().map(|config| config.digest);
        let configs = read_small(source, singles.filter_map(config).collect());
        let platform = |raw: &[u8]| {
            let config: Config = serde_json::from_slice(raw).ok()?;
            let is_named = !config.os.is_empty() && !config.architecture.is_empty();
            is_named.then(|| Platform::new(&config.os, &config.architecture, &config.variant))
        };
        let configs = configs.into_iter();
        let configs = configs.filter_map(|(digest, raw)| Some((digest, platform(&raw)?))).collect();
        Self { wanted, indexes, configs }
    }

    fn of_tag(&self, digest: Digest, manifests: &Manifests) -> Selected {
        if let Some(index) = self.indexes.get(&digest) {
            return index.select(self.wanted, |child| self.of_image(child, manifests));
        }
        match self.of_image(digest, manifests) {
            Some(platform) if !self.wanted.contains(platform) => Selected::Nothing,
            _ => Selected::Whole,
        }
    }

    /// The platform that an image's config names.
    fn of_image(&self, digest: Digest, manifests: &Manifests) -> Option<&Platform> {
        self.configs.get(&manifests.get(digest)?.config()?.digest)
    }
}
