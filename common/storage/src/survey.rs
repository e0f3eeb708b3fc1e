//! From a source to what of it can be packed.

use std::collections::{HashMap, HashSet};

use tranship_common::bundle::CatalogError;
use tranship_common::{Digest, Progress, Repository, Tag};

use crate::chosen::Chosen;
use crate::database::tags_in_database;
use crate::finding::{Finding, findings};
use crate::inventory::Inventory;
use crate::manifests::Manifests;
use crate::plan::Plan;
use crate::platforms::choose_platforms;
use crate::problem::{Problem, SourceError};
use crate::referrers::add_referrers;
use crate::scan::Scan;
use crate::selection::{ImageList, Selection};
use crate::source::Source;

/// A registry that runs may change once more while the change is looked at. After so many looks
/// what is broken is called so.
const MAX_LOOKS: usize = 4;

/// Looks at a storage, with what is known of it so far.
#[derive(Debug)]
pub struct Survey<'a> {
    source: &'a dyn Source,
    selection: &'a Selection,
    inventory: Inventory,
    /// Blobs whose bytes turned out to be others.
    damaged: HashMap<Digest, Problem>,
}

/// What of a storage can be packed, and what cannot.
#[derive(Debug)]
pub struct Surveyed {
    /// What can be.
    pub plan: Plan,
    /// What is broken among what was chosen, sorted.
    pub findings: Vec<Finding>,
    /// What a person should know, in sentences.
    pub notices: Vec<String>,
    /// Images that run on none of the wanted platforms, `REPOSITORY:TAG`.
    pub other_platforms: Vec<String>,
    /// Whether the registry keeps its tags in a database, so that tags are missing here: why that
    /// is thought.
    pub database: Option<String>,
}

impl Surveyed {
    /// Whether tagged images of the storage cannot be packed.
    #[must_use]
    pub fn has_losses(&self) -> bool {
        self.findings.iter().any(|finding| finding.is_loss)
    }

    /// Layers of an image that are fetched from elsewhere and are not in the storage.
    #[must_use]
    pub fn foreign_layers(&self, image: Digest) -> Vec<Digest> {
        let manifests = self.plan.contents.closure(image).into_iter();
        manifests.flat_map(|manifest| manifest.foreign.iter().copied()).collect()
    }

    /// The images that have such layers, as `REPOSITORY:TAG`.
    #[must_use]
    pub fn foreign_images(&self) -> Vec<String> {
        let manifests = &self.plan.contents.catalog().manifests;
        if manifests.iter().all(|manifest| manifest.foreign.is_empty()) {
            return Vec::new();
        }
        let images = self.plan.contents.images();
        let foreign = images.filter(|(_, tag)| !self.foreign_layers(tag.digest).is_empty());
        foreign.map(|(repository, tag)| format!("{repository}:{}", tag.name)).collect()
    }
}

impl<'a> Survey<'a> {
    /// Takes the inventory of a storage.
    ///
    /// # Errors
    /// [`SourceError`] when it cannot be read at all.
    pub fn new(
        source: &'a dyn Source,
        selection: &'a Selection,
        progress: &dyn Progress,
    ) -> Result<Self, SourceError> {
        progress.begin("scanning", 0, 0);
        let mut inventory = source.inventory(progress)?;
        inventory.settle(source);
        Ok(Self { source, selection, inventory, damaged: HashMap::new() })
    }

    /// Says of a blob that its bytes are not what they should be. The next look takes that into
    /// account.
    pub fn add_damaged(&mut self, blobs: impl IntoIterator<Item = (Digest, Problem)>) {
        self.damaged.extend(blobs);
    }

    /// Chooses, reads manifests, looks at the sizes of blobs and plans.
    ///
    /// # Errors
    /// [`CatalogError`] when it is more than one bundle can hold.
    pub fn look(&mut self, progress: &dyn Progress) -> Result<Surveyed, CatalogError> {
        self.look_and(progress, |_, _| ())
    }

    /// [`look`](Self::look), with a look for somebody else at what was chosen and how it hangs
    /// together.
    ///
    /// # Errors
    /// As for `look`.
    pub fn look_and(
        &mut self,
        progress: &dyn Progress,
        and: impl FnOnce(&Chosen, &Scan),
    ) -> Result<Surveyed, CatalogError> {
        progress.begin("scanning", 0, 0);
        let (chosen, scan, database) = self.look_until_nothing_changes(progress);
        and(&chosen, &scan);
        let findings = findings(self.source, &chosen, &scan);
        let notices = chosen.notices.clone();
        let other_platforms = chosen.other_platforms.clone();
        let plan = Plan::new(chosen, &scan, &findings, self.selection.in_words())?;
        Ok(Surveyed { plan, findings, notices, other_platforms, database })
    }

    fn look_until_nothing_changes(
        &mut self,
        progress: &dyn Progress,
    ) -> (Chosen, Scan, Option<String>) {
        for look in 1.. {
            let (chosen, scan, database) = self.look_once(progress);
            let tags = broken_tags(&chosen, &scan);
            if tags.is_empty() || look == MAX_LOOKS || !self.source.may_change() {
                return (chosen, scan, database);
            }
            if !self.inventory.refresh(self.source, tags) {
                return (chosen, scan, database);
            }
        }
        unreachable!("the last look returns")
    }

    fn look_once(&self, progress: &dyn Progress) -> (Chosen, Scan, Option<String>) {
        let (source, selection) = (self.source, self.selection);
        let mut chosen = selection.choose(&self.inventory);
        let mut manifests = Manifests::default();
        manifests.read(source, chosen.roots().collect::<Vec<_>>(), progress);
        if !selection.platforms.is_empty() {
            choose_platforms(source, &selection.platforms, &mut chosen, &mut manifests, progress);
        }
        if selection.referrers {
            add_referrers(source, &self.inventory, &mut chosen, &mut manifests, progress);
        }
        // Who names every image by its digest needs no tag.
        let names_digests = selection.images.as_ref().is_some_and(ImageList::names_digests);
        let database = match names_digests {
            true => None,
            false => tags_in_database(source, &self.inventory, &mut manifests, progress),
        };
        let roots: Vec<Digest> = chosen.roots().collect();
        let scan = Scan::new(source, manifests, roots, &self.damaged);
        (chosen, scan, database)
    }
}

/// The tags whose images need something broken.
fn broken_tags(chosen: &Chosen, scan: &Scan) -> Vec<(Repository, Tag)> {
    if scan.faults().is_empty() {
        return Vec::new();
    }
    let affected = scan.graph().affected(scan.faults().iter().map(|fault| fault.node));
    let is_affected = |digest: Digest| scan.find(digest).is_some_and(|node| affected.has(node));
    let of = |repository: &tranship_common::bundle::RepositoryEntry| {
        let name = repository.name.clone();
        let tags = repository
            .tags
            .iter()
            .filter(|tag| is_affected(tag.digest) || tag.selected_from.is_some_and(is_affected));
        tags.map(move |tag| (name.clone(), tag.name.clone())).collect::<Vec<_>>()
    };
    let tags: HashSet<_> = chosen.repositories.iter().flat_map(of).collect();
    tags.into_iter().collect()
}

#[cfg(test)]
mod large;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod tests;
