//! Finds repositories, tags and revisions of a folder, at any depth.

use std::ffi::OsStr;
use std::fs::{self, DirEntry, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::AtFlags;
use rustix::io::Errno;
use tranship_common::{Digest, PushTime, Repository};

use super::root::{Purpose, Root};
use crate::inventory::{BrokenTag, InventoryBuilder, MAX_LINK, Revision, read_link};
use crate::paths::is_of_others;
use crate::problem::Problem;
use tranship_common::limits::MAX_REPOSITORY;

/// Walks the repositories below a root.
pub(super) fn walk(repositories: &Root) -> InventoryBuilder {
    let top = Place { path: repositories.path(), above: None };
    Walk { root: repositories }.folder(&top)
}

/// Notes what others have made in the folder of all blobs.
pub(super) fn note_folders_of_others(blobs: &Path, found: &mut InventoryBuilder) {
    for entry in entries(blobs).into_iter().flatten() {
        if is_of_others(&entry.file_name()) {
            note(&entry, found);
        }
    }
}

/// Notes what others have made, unless it is a mere file.
fn note(entry: &DirEntry, found: &mut InventoryBuilder) {
    if entry.file_type().is_ok_and(|kind| !kind.is_file()) {
        found.folder_of_others(&entry.path());
    }
}

/// Reads the link of a tag, given by its path below the root: what it holds, and when it was
/// written.
pub(super) fn tag_link(root: &Root, relative: &Path) -> Result<(Digest, PushTime), Problem> {
    let file = root.file(relative, Purpose::Read)?;
    let written = rustix::fs::fstat(&file).map_err(io::Error::from)?.st_mtime;
    let mut text = Vec::with_capacity(80);
    file.take(MAX_LINK).read_to_end(&mut text)?;
    Ok((read_link(&text)?, PushTime::from_unix(written)))
}

struct Walk<'a> {
    root: &'a Root,
}

/// A folder on the way down. Its path begins with the root's and is not canonical where links were
/// followed.
struct Place<'a> {
    path: &'a Path,
    above: Option<&'a Self>,
}

impl Place<'_> {
    /// Whether a folder, given by its canonical path, is one of those passed on the way.
    fn has_passed(&self, real: &Path) -> bool {
        let mut place = Some(self);
        while let Some(Place { path, above }) = place {
            if fs::canonicalize(path).is_ok_and(|passed| passed.starts_with(real)) {
                return true;
            }
            place = *above;
        }
        false
    }
}

impl Walk<'_> {
    /// The path below the root.
    fn below<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(self.root.path()).unwrap_or(path)
    }

    /// A folder that may be a repository, a parent of repositories, or both.
    fn folder(&self, place: &Place<'_>) -> InventoryBuilder {
        let below = self.below(place.path);
        if below.as_os_str().len() > MAX_REPOSITORY {
            return self.broken(place.path, Problem::TooDeep);
        }
        let entries = match entries(place.path) {
            Ok(entries) => entries,
            // Deleted while the walk came near.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Default::default(),
            Err(error) => return self.broken(place.path, error.into()),
        };
        let one = |entry: DirEntry| {
            let (path, name) = (entry.path(), entry.file_name());
            if is_of_others(&name) {
                let mut found = InventoryBuilder::default();
                note(&entry, &mut found);
                return found;
            }
            match self.is_folder(&entry, place) {
                Ok(false) => InventoryBuilder::default(),
                Ok(true) if name == "_manifests" => self.repository(below, &path),
                // Distribution's own folders; no name component begins so.
                Ok(true) if name.as_encoded_bytes().starts_with(b"_") => Default::default(),
                Ok(true) => self.folder(&Place { path: &path, above: Some(place) }),
                Err(problem) => self.broken(&path, problem),
            }
        };
        entries.into_par_iter().map(one).reduce(Default::default, InventoryBuilder::join)
    }

    fn broken(&self, path: &Path, problem: Problem) -> InventoryBuilder {
        let mut builder = InventoryBuilder::default();
        let below = self.below(path);
        let name = if below.as_os_str().is_empty() { path } else { below };
        builder.broken(BrokenTag {
            name: name.display().to_string(),
            tag: None,
            digest: None,
            location: path.display().to_string(),
            problem,
        });
        builder
    }

    /// Whether to go into an entry. A symbolic link is followed as far as it may lead, but not
    /// back to where the walk came from.
    fn is_folder(&self, entry: &DirEntry, place: &Place<'_>) -> Result<bool, Problem> {
        let kind = entry.file_type()?;
        if !kind.is_symlink() {
            return Ok(kind.is_dir());
        }
        let real = match self.root.links().follow(&entry.path()) {
            Ok(real) => real,
            Err(Problem::Missing) => {
                return match leads_nowhere(&entry.path()) {
                    Some(problem) => Err(problem),
                    None => Ok(false),
                };
            }
            Err(problem) => return Err(problem),
        };
        if place.has_passed(&real) {
            return Err(Problem::LinkLoop);
        }
        Ok(fs::metadata(real)?.is_dir())
    }

    /// Whether a folder may be looked into, wherever links on the way to it lead.
    fn follow(&self, folder: &Path) -> Result<(), Problem> {
        match self.root.links().follow(folder) {
            Ok(_) => Ok(()),
            Err(Problem::Missing) => Err(leads_nowhere(folder).unwrap_or(Problem::Missing)),
            Err(problem) => Err(problem),
        }
    }

    /// The tags and revisions of one repository, given its folder `_manifests`.
    fn repository(&self, below: &Path, manifests: &Path) -> InventoryBuilder {
        let mut builder = InventoryBuilder::default();
        let name = below.display().to_string();
        let repository = below.to_str().map(str::parse::<Repository>);
        if let Some(Ok(repository)) = &repository {
            let folder = manifests.join("revisions/sha256");
            match self.follow(&folder).and_then(|()| Ok(revisions(&folder)?)) {
                Ok(found) => {
                    found.into_iter().for_each(|found| builder.revision(repository, found));
                }
                // Nobody has pushed to it yet.
                Err(Problem::Missing) => {}
                Err(problem) => builder = builder.join(self.broken(&folder, problem)),
            }
        }
        let folder = manifests.join("tags");
        let tags = match self.follow(&folder).and_then(|()| Ok(entries(&folder)?)) {
            Ok(tags) => tags,
            // A repository that never had a tag has no such folder.
            Err(Problem::Missing) => Vec::new(),
            Err(problem) => return builder.join(self.broken(&folder, problem)),
        };
        let place = Place { path: &folder, above: None };
        for entry in tags {
            let path = entry.path();
            if is_of_others(&entry.file_name()) {
                note(&entry, &mut builder);
                continue;
            }
            match self.is_folder(&entry, &place) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(problem) => {
                    builder = builder.join(self.broken(&path, problem));
                    continue;
                }
            }
            let link = path.join(crate::paths::TAG_LINK);
            let location = || link.display().to_string();
            let read = match tag_link(self.root, self.below(&link)) {
                Err(Problem::Missing) => Err(Problem::NoCurrent),
                read => read,
            };
            match entry.file_name().to_str() {
                Some(tag) if repository.is_some() => builder.tag(&name, tag, read, location),
                _ => builder.broken(BrokenTag {
                    name: format!("{name}:{}", entry.file_name().display()),
                    tag: None,
                    digest: None,
                    location: path.display().to_string(),
                    problem: Problem::NotUtf8,
                }),
            }
        }
        builder
    }
}

/// What is to be said of a symbolic link whose end is not there; `None` for what is no link.
fn leads_nowhere(path: &Path) -> Option<Problem> {
    let target = fs::read_link(path).ok()?.display().to_string();
    Some(Problem::LeadsNowhere { target })
}

/// The manifests that a repository serves. A deleted one leaves its folder behind, without the
/// link in it.
fn revisions(path: &Path) -> io::Result<Vec<Revision>> {
    let names = entries(path)?;
    let folder = File::open(path)?;
    let mut found = Vec::with_capacity(names.len());
    for entry in names {
        let name = entry.file_name();
        let Some(digest) = name.to_str().and_then(|hex| Digest::from_hex(hex).ok()) else {
            continue;
        };
        let link: PathBuf = [name.as_os_str(), OsStr::new("link")].into_iter().collect();
        match rustix::fs::statat(&folder, link, AtFlags::empty()) {
            Ok(link) => {
                found.push(Revision { digest, pushed: PushTime::from_unix(link.st_mtime) });
            }
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

fn entries(folder: &Path) -> io::Result<Vec<DirEntry>> {
    fs::read_dir(folder)?.collect()
}
