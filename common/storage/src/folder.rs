//! A storage in a folder: that of the file system driver of Distribution.

mod root;
mod walk;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::FileType;
use tranship_common::bundle::BlobEntry;
use tranship_common::{Digest, Progress, Repository, Tag};

use crate::inventory::{FoundTag, Inventory};
use crate::paths;
use crate::problem::{Problem, SourceError};
use crate::source::{BlobReader, Source};
use root::{Links, Purpose, Root};

/// A storage in a folder. Links in it are followed where they stay in it, or lead into what its
/// `blobs` and `repositories` are links to.
#[derive(Debug)]
pub struct Folder {
    tree: PathBuf,
    blobs: Root,
    repositories: Root,
    /// The tree and what its folders are links to, without links.
    folders: Vec<PathBuf>,
}

impl Folder {
    /// Finds the storage from the registry's root folder, its `docker` or `docker/registry/v2`.
    /// With `follow_links` links may lead anywhere.
    ///
    /// # Errors
    /// [`SourceError`] when it is none, or may not be read.
    pub fn locate(given: &Path, follow_links: bool) -> Result<Self, SourceError> {
        let read = |path: &Path| {
            fs::canonicalize(path).map_err(|error| SourceError::of_io(path.display(), error))
        };
        let given = read(given)?;
        let candidates = paths::TREES.map(|tree| given.join(tree));
        for tree in &candidates {
            let folders = [tree.join(paths::REPOSITORIES), tree.join("blobs")];
            match folders.iter().try_for_each(|folder| is_folder(folder)) {
                Err(error) if is_absence(&error) => {}
                Err(error) => return Err(SourceError::of_io(tree.display(), error)),
                Ok(()) => return Self::open(&read(tree)?, follow_links),
            }
        }
        Err(SourceError::NotStorage {
            given: given.display().to_string(),
            looked_for: candidates.map(|path| path.display().to_string()).join(", "),
        })
    }

    fn open(tree: &Path, follow_links: bool) -> Result<Self, SourceError> {
        let mut within = vec![tree.to_owned()];
        for folder in [paths::REPOSITORIES, "blobs", paths::BLOBS] {
            within.extend(fs::canonicalize(tree.join(folder)));
        }
        let links = match follow_links {
            true => Links::Anywhere,
            false => Links::Within(within.clone()),
        };
        let root = |name: &str| {
            let path = tree.join(name);
            let opened = fs::canonicalize(&path).and_then(|real| Root::open(real, links.clone()));
            opened.map_err(|error| SourceError::of_io(path.display(), error))
        };
        // A registry that nobody has pushed to has no such folder yet.
        let has_blobs = fs::symlink_metadata(tree.join(paths::BLOBS)).is_ok();
        Ok(Self {
            tree: tree.to_owned(),
            blobs: root(if has_blobs { paths::BLOBS } else { "blobs" })?,
            repositories: root(paths::REPOSITORIES)?,
            folders: within,
        })
    }
}

/// Whether it is only that nothing of the kind is there.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn is_folder(path: &Path) -> io::Result<()> {
    match fs::metadata(path)?.is_dir() {
        true => Ok(()),
        false => Err(io::ErrorKind::NotADirectory.into()),
    }
}

impl Source for Folder {
    fn inventory(&self, progress: &dyn Progress) -> Result<Inventory, SourceError> {
        progress.begin("scanning", 0, 0);
        let mut found = walk::walk(&self.repositories);
        walk::note_folders_of_others(self.blobs.path(), &mut found);
        if self.tree.with_file_name(paths::DATABASE_MARK).exists() {
            found.database_mark();
        }
        let repositories = self.repositories.path();
        Ok(found.finish(|repository, digest| {
            repositories.join(paths::revision_link(repository, digest)).display().to_string()
        }))
    }

    fn tag(&self, repository: &Repository, tag: &Tag) -> Result<Option<FoundTag>, Problem> {
        let folder = PathBuf::from(paths::tag_folder(repository, tag));
        let link = folder.join(paths::TAG_LINK);
        let (digest, pushed) = match walk::tag_link(&self.repositories, &link) {
            Ok(read) => read,
            Err(Problem::Missing) => {
                return match self.repositories.path().join(folder).exists() {
                    true => Err(Problem::NoCurrent),
                    false => Ok(None),
                };
            }
            Err(problem) => return Err(problem),
        };
        let revision = PathBuf::from(paths::revision_link(repository, digest));
        match self.repositories.file(&revision, Purpose::Look) {
            Ok(_) => Ok(Some(FoundTag { name: tag.clone(), digest, pushed })),
            Err(Problem::Missing) => Err(Problem::Deleted),
            Err(problem) => Err(problem),
        }
    }

    fn size(&self, blob: Digest) -> Result<u64, Problem> {
        let file = self.blobs.file(Path::new(&paths::blob(blob)), Purpose::Look)?;
        let seen = rustix::fs::fstat(&file).map_err(io::Error::from)?;
        match FileType::from_raw_mode(seen.st_mode) {
            FileType::RegularFile => Ok(seen.st_size as u64),
            _ => Err(io::Error::other("it is not a regular file").into()),
        }
    }

    fn open(&self, blob: Digest) -> Result<BlobReader<'_>, Problem> {
        Ok(Box::new(self.blobs.file(Path::new(&paths::blob(blob)), Purpose::Read)?))
    }

    fn location(&self, blob: Digest) -> String {
        self.blobs.path().join(paths::blob(blob)).display().to_string()
    }

    fn tag_location(&self, repository: &Repository, tag: &Tag) -> String {
        let folder = self.repositories.path().join(paths::tag_folder(repository, tag));
        folder.join(paths::TAG_LINK).display().to_string()
    }

    fn blobs(&self) -> Result<Vec<BlobEntry>, SourceError> {
        let children = |folder: PathBuf| {
            let entries = fs::read_dir(folder).into_iter().flatten();
            entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect::<Vec<_>>()
        };
        let entry = |folder: PathBuf| {
            let digest = Digest::from_hex(folder.file_name()?.to_str()?).ok()?;
            Some(BlobEntry { digest, size: self.size(digest).ok()? })
        };
        let prefixes = children(self.blobs.path().to_owned());
        Ok(prefixes.into_par_iter().flat_map_iter(children).filter_map(entry).collect())
    }

    fn may_change(&self) -> bool {
        true
    }

    fn contains(&self, file: &Path) -> bool {
        self.folders.iter().any(|folder| file.starts_with(folder))
    }
}
