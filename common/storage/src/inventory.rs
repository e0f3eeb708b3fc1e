//! What a storage holds by name: repositories, tags, revisions.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use tranship_common::{Digest, PushTime, Repository, Tag};

use crate::problem::Problem;

/// A tag whose link is sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTag {
    /// The tag.
    pub name: Tag,
    /// Digest of the manifest that it points to.
    pub digest: Digest,
    /// When it was last pushed: the modification time of its link.
    pub pushed: PushTime,
}

/// A manifest that a repository serves, tagged or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision {
    /// The manifest.
    pub digest: Digest,
    /// When it was pushed to the repository: the modification time of its link.
    pub pushed: PushTime,
}

/// What a repository has.
#[derive(Debug, Clone, Default)]
pub struct Holding {
    /// Its tags, by name.
    pub tags: Vec<FoundTag>,
    /// The manifests that it serves, by digest.
    pub revisions: Vec<Revision>,
}

impl Holding {
    /// The manifest with this digest, if the repository serves it.
    #[must_use]
    pub fn revision(&self, digest: Digest) -> Option<Revision> {
        let at = self.revisions.binary_search_by_key(&digest, |revision| revision.digest);
        at.ok().map(|at| self.revisions[at])
    }
}

/// Something in the place of a tag, or of a repository with tags, that cannot be used.
#[derive(Debug, Clone)]
pub struct BrokenTag {
    /// `REPOSITORY:TAG`, or the path below `repositories` where it has no such name.
    pub name: String,
    /// The tag, where both names are legal: it can be read again.
    pub tag: Option<(Repository, Tag)>,
    /// What the tag points to, where that is known.
    pub digest: Option<Digest>,
    /// The file, folder or object to look at, for messages only.
    pub location: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What a storage holds by name.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Repositories by name, those without tags too.
    pub repositories: BTreeMap<Repository, Holding>,
    /// What cannot be used.
    pub broken: Vec<BrokenTag>,
    /// What was passed over and is no loss, in sentences (folders that network disks make).
    pub passed_over: Vec<String>,
    /// Whether the registry says that it keeps its tags in a database.
    pub database_mark: bool,
}

/// What a tag's link holds.
///
/// # Errors
/// [`Problem::Link`] when that is no digest.
pub(crate) fn read_link(text: &[u8]) -> Result<Digest, Problem> {
    String::from_utf8_lossy(text).parse().map_err(Problem::Link)
}

/// No link is longer; a larger file in its place is garbage (bytes).
pub(crate) const MAX_LINK: u64 = 1024;

/// Collects an inventory from what is come upon, in any order.
#[derive(Debug, Default)]
pub(crate) struct InventoryBuilder {
    inventory: Inventory,
    /// Folders of others by name: the first by its path, and how many there are.
    of_others: BTreeMap<OsString, (String, usize)>,
}

impl InventoryBuilder {
    /// A manifest that a repository serves.
    pub(crate) fn revision(&mut self, repository: &Repository, revision: Revision) {
        self.holding(repository).revisions.push(revision);
    }

    /// A tag with what its link holds, or the problem that this has. Names are as they stand in
    /// the storage.
    pub(crate) fn tag(
        &mut self,
        repository: &str,
        tag: &str,
        link: Result<(Digest, PushTime), Problem>,
        location: impl FnOnce() -> String,
    ) {
        let names = || Ok::<_, Problem>((repository.parse()?, tag.parse()?));
        let name = || format!("{repository}:{tag}");
        match (names(), link) {
            (Ok((repository, name)), Ok((digest, pushed))) => {
                self.holding(&repository).tags.push(FoundTag { name, digest, pushed });
            }
            (Ok(tag), Err(problem)) => self.broken(BrokenTag {
                name: name(),
                tag: Some(tag),
                digest: None,
                location: location(),
                problem,
            }),
            (Err(problem), link) => self.broken(BrokenTag {
                name: name(),
                tag: None,
                digest: link.ok().map(|(digest, _)| digest),
                location: location(),
                problem,
            }),
        }
    }

    /// Something that cannot be used.
    pub(crate) fn broken(&mut self, broken: BrokenTag) {
        self.inventory.broken.push(broken);
    }

    /// Something that is no loss.
    pub(crate) fn passed_over(&mut self, sentence: String) {
        self.inventory.passed_over.push(sentence);
    }

    /// A folder that a network disk or the like has made. Some make one in every folder, so those of
    /// one name are told together.
    pub(crate) fn folder_of_others(&mut self, path: &Path) {
        let name = path.file_name().unwrap_or_default().to_owned();
        self.add_of_others(name, path.display().to_string(), 1);
    }

    fn add_of_others(&mut self, name: OsString, path: String, count: usize) {
        let (first, known) = self.of_others.entry(name).or_insert_with(|| (path.clone(), 0));
        *known += count;
        if path < *first {
            *first = path;
        }
    }

    /// The registry says that it keeps its tags in a database.
    pub(crate) fn database_mark(&mut self) {
        self.inventory.database_mark = true;
    }

    fn holding(&mut self, repository: &Repository) -> &mut Holding {
        self.inventory.repositories.entry(repository.clone()).or_default()
    }

    /// Takes in what another has collected.
    pub(crate) fn join(mut self, other: Self) -> Self {
        for (name, (path, count)) in other.of_others {
            self.add_of_others(name, path, count);
        }
        let Inventory { repositories, broken, passed_over, database_mark } = other.inventory;
        for (name, Holding { tags, revisions }) in repositories {
            let holding = self.holding(&name);
            holding.tags.extend(tags);
            holding.revisions.extend(revisions);
        }
        self.inventory.broken.extend(broken);
        self.inventory.passed_over.extend(passed_over);
        self.inventory.database_mark |= database_mark;
        self
    }

    /// All of it, in order. `revision_location` tells where the link would be that says that a
    /// repository has a manifest: tags that lead to a manifest that theirs no longer has are
    /// broken.
    pub(crate) fn finish(
        mut self,
        revision_location: impl Fn(&Repository, Digest) -> String,
    ) -> Inventory {
        for (path, count) in std::mem::take(&mut self.of_others).into_values() {
            let more = match count {
                1 => String::new(),
                _ => format!(" and {} more of its name", count - 1),
            };
            self.passed_over(format!("no registry has made {path}{more}: passed over"));
        }
        let mut inventory = self.inventory;
        for (repository, Holding { tags, revisions }) in &mut inventory.repositories {
            revisions.sort_unstable();
            revisions.dedup_by_key(|revision| revision.digest);
            tags.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            tags.retain(|tag| {
                let at = revisions.binary_search_by_key(&tag.digest, |revision| revision.digest);
                let is_there = at.is_ok();
                if !is_there {
                    inventory.broken.push(BrokenTag {
                        name: format!("{repository}:{}", tag.name),
                        tag: Some((repository.clone(), tag.name.clone())),
                        digest: Some(tag.digest),
                        location: revision_location(repository, tag.digest),
                        problem: Problem::Deleted,
                    });
                }
                is_there
            });
        }
        inventory.broken.sort_by(|a, b| a.name.cmp(&b.name));
        inventory.passed_over.sort();
        inventory
    }
}
