//! What is where in an archive's storage.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::path::Path;

use tranship_common::bundle::BlobEntry;
use tranship_common::limits::MAX_REPOSITORY;
use tranship_common::{Digest, PushTime, Repository, Tag};

use super::collect::{Collected, Content, RepositoryFolder, Span, TagFile};
use super::links::Links;
use super::members::Tail;
use super::name::{joined, relative};
use super::root::Root;
use crate::inventory::{BrokenTag, FoundTag, Inventory, InventoryBuilder};
use crate::paths::{self, BLOBS, REPOSITORIES, is_of_others};
use crate::problem::Problem;

/// `tar` fills up what it writes with fewer zeros than this (bytes), whatever its blocking factor.
const MANY_ZEROS: u64 = 1 << 20;

/// What is where in an archive's storage.
#[derive(Debug)]
pub(super) struct Index {
    archive: String,
    blobs_folder: String,
    blobs: HashMap<Digest, Content<Span>>,
    repositories_folder: String,
    /// By the folder.
    folders: BTreeMap<String, RepositoryFolder>,
    /// The folder of each repository, by its name.
    names: BTreeMap<String, String>,
    broken: Vec<(String, Problem)>,
    links: Links,
    has_database_mark: bool,
    tail: Tail,
}

impl Index {
    /// What is where in the storage of which this was collected.
    ///
    /// # Errors
    /// A sentence, where there is not one storage.
    pub(super) fn new(archive: &str, mut collected: Collected) -> Result<Self, String> {
        let root = Root::find(&collected)?;
        let or_place = |folder: Option<String>, place| folder.unwrap_or(joined(&root.tree, place));
        let blobs_folder = or_place(root.blobs, BLOBS);
        let repositories_folder = or_place(root.repositories, REPOSITORIES);
        for folder in collected.repositories.values_mut() {
            folder.sort();
        }
        Ok(Self {
            archive: archive.to_owned(),
            blobs: collected.blobs.remove(&blobs_folder).unwrap_or_default(),
            blobs_folder,
            repositories_folder,
            folders: collected.repositories,
            names: root.names,
            broken: root.broken,
            links: collected.links,
            has_database_mark: above(&root.tree)
                .is_some_and(|folder| collected.database_marks.contains(folder)),
            tail: collected.tail,
        })
    }

    /// Repositories, tags and revisions.
    pub(super) fn inventory(&self) -> Inventory {
        let mut builder = InventoryBuilder::default();
        let mut of_others = BTreeSet::new();
        for (name, folder) in &self.names {
            match part_of_none(name) {
                Some(Part::OfOthers(part)) => drop(of_others.insert(part)),
                // What is in Distribution's own folders is no repository.
                Some(Part::Own) => {}
                None => self.repository(name, folder, &mut builder),
            }
        }
        for folder in of_others {
            builder.folder_of_others(Path::new(&self.in_repositories(folder)));
        }
        for (link, problem) in &self.broken {
            let name = relative(link, &self.repositories_folder).unwrap_or(link);
            builder.broken(self.broken_folder(name, problem.clone()));
        }
        if let Some(note) = self.note_about_the_tail() {
            builder.passed_over(note);
        }
        if self.has_database_mark {
            builder.database_mark();
        }
        builder.finish(|repository, digest| {
            self.in_repositories(&paths::revision_link(repository, digest))
        })
    }

    fn repository(&self, name: &str, folder: &str, builder: &mut InventoryBuilder) {
        let Some(folder) = self.folders.get(folder) else { return };
        if name.len() > MAX_REPOSITORY {
            builder.broken(self.broken_folder(name, Problem::TooDeep));
            return;
        }
        if let Ok(repository) = name.parse::<Repository>() {
            folder.revisions.iter().for_each(|found| builder.revision(&repository, *found));
        }
        for (tag, file) in &folder.tags {
            if is_of_others(OsStr::new(tag)) {
                let folder = self.in_repositories(&format!("{name}/_manifests/tags/{tag}"));
                builder.folder_of_others(Path::new(&folder));
                continue;
            }
            builder.tag(name, tag, file.read(), || {
                self.in_repositories(&format!("{name}/_manifests/tags/{tag}/{}", paths::TAG_LINK))
            });
        }
    }

    /// One tag, or `None` where there is none of this name.
    pub(super) fn tag(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<Option<FoundTag>, Problem> {
        let folder = self.names.get(repository.as_str()).and_then(|path| self.folders.get(path));
        let Some((folder, file)) =
            folder.and_then(|folder| folder.tags.get(tag.as_str()).map(|file| (folder, file)))
        else {
            return Ok(None);
        };
        let (digest, pushed) = file.read()?;
        match folder.revisions.binary_search_by_key(&digest, |revision| revision.digest) {
            Ok(_) => Ok(Some(FoundTag { name: tag.clone(), digest, pushed })),
            Err(_) => Err(Problem::Deleted),
        }
    }

    /// Where the bytes of a blob are.
    pub(super) fn span(&self, blob: Digest) -> Result<Span, Problem> {
        match self.blobs.get(&blob) {
            Some(Content::Here(span)) => Ok(*span),
            Some(Content::Unusable(problem)) => Err((**problem).clone()),
            Some(Content::Linked(_)) | None => {
                let path = joined(&self.blobs_folder, &paths::blob(blob));
                Err(match self.links.first(&path) {
                    Some((_, target)) => Problem::LinkInArchive { target: target.to_owned() },
                    None => Problem::Missing,
                })
            }
        }
    }

    /// Where the bytes of all blobs are, in any order.
    pub(super) fn spans(&self) -> impl Iterator<Item = (Digest, Span)> {
        self.blobs.iter().filter_map(|(digest, content)| match content {
            Content::Here(span) => Some((*digest, *span)),
            Content::Linked(_) | Content::Unusable(_) => None,
        })
    }

    /// All manifests that a repository serves.
    pub(super) fn revisions(&self) -> HashSet<Digest> {
        let revisions = self.folders.values().flat_map(|folder| &folder.revisions);
        revisions.map(|revision| revision.digest).collect()
    }

    /// All blobs with their sizes.
    pub(super) fn blobs(&self) -> Vec<BlobEntry> {
        self.spans().map(|(digest, span)| BlobEntry { digest, size: span.size }).collect()
    }

    /// A member of the archive, for messages.
    pub(super) fn location(&self, blob: Digest) -> String {
        self.member(&joined(&self.blobs_folder, &paths::blob(blob)))
    }

    /// The link of a tag, for messages.
    pub(super) fn tag_location(&self, repository: &Repository, tag: &Tag) -> String {
        self.in_repositories(&joined(&paths::tag_folder(repository, tag), paths::TAG_LINK))
    }

    fn in_repositories(&self, path: &str) -> String {
        self.member(&joined(&self.repositories_folder, path))
    }

    fn member(&self, path: &str) -> String {
        format!("{}: {path}", self.archive)
    }

    fn broken_folder(&self, name: &str, problem: Problem) -> BrokenTag {
        BrokenTag {
            name: name.to_owned(),
            tag: None,
            digest: None,
            location: self.in_repositories(name),
            problem,
        }
    }

    fn note_about_the_tail(&self) -> Option<String> {
        let archive = &self.archive;
        match self.tail {
            Tail { foreign: Some(at), .. } => Some(format!(
                "what follows the end of {archive}, from byte {at} on, is no archive and is passed \
                 over"
            )),
            Tail { zeros, .. } if zeros > MANY_ZEROS => Some(format!(
                "{archive} ends with {zeros} zero bytes: where a copy of it broke off, a part of it \
                 may be missing there; compare it with what it is a copy of"
            )),
            Tail { .. } => None,
        }
    }
}

impl TagFile {
    fn read(&self) -> Result<(Digest, PushTime), Problem> {
        match &self.link {
            Content::Here(digest) => Ok((*digest, self.pushed)),
            Content::Unusable(problem) => Err((**problem).clone()),
            Content::Linked(_) => Err(Problem::NoCurrent),
        }
    }
}

/// A folder in the place of a repository that is none.
enum Part<'a> {
    /// One of Distribution's own.
    Own,
    /// One that no registry has made, by its path below the folder of repositories.
    OfOthers(&'a str),
}

/// The first folder on a path below the folder of repositories that is no part of a name.
fn part_of_none(path: &str) -> Option<Part<'_>> {
    let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
    ends.map(|end| &path[..end]).find_map(|part| match part.rsplit('/').next() {
        Some(name) if name.starts_with('_') => Some(Part::Own),
        Some(name) if is_of_others(OsStr::new(name)) => Some(Part::OfOthers(part)),
        _ => None,
    })
}

/// The folder that a folder of an archive is in, unless that is above the archive's root.
fn above(folder: &str) -> Option<&str> {
    match folder {
        "" => None,
        folder => Some(folder.rsplit_once('/').map_or("", |(above, _)| above)),
    }
}
