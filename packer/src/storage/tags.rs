//! Finds every tag of a storage tree.

use std::fs::{self, DirEntry};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rayon::prelude::*;
use tranship_common::{Digest, Repository, Tag};

use super::{Problem, Storage};

/// No link is longer; a larger file in its place is garbage (bytes).
const MAX_LINK: u64 = 1024;

/// Distribution refuses longer repository names (bytes), so the walk ends there.
const MAX_NAME: usize = 255;

/// A tag whose link is sound.
#[derive(Debug, Clone)]
pub(crate) struct FoundTag {
    pub(crate) repository: Repository,
    pub(crate) tag: Tag,
    /// Digest of the manifest that it points to.
    pub(crate) digest: Digest,
    /// When it was last pushed: the modification time of `current/link`.
    pub(crate) pushed: Timestamp,
}

/// Something in the place of a tag or of a repository with tags that cannot be used.
#[derive(Debug)]
pub(crate) struct BrokenTag {
    /// `REPOSITORY:TAG`, or the path below `repositories` where it has no such name.
    pub(crate) name: String,
    pub(crate) digest: Option<Digest>,
    pub(crate) path: PathBuf,
    pub(crate) problem: Problem,
}

/// All tags of a storage tree, good and broken, in no order.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    pub(crate) found: Vec<FoundTag>,
    pub(crate) broken: Vec<BrokenTag>,
}

impl Tags {
    /// Walks the repositories at any depth.
    pub(crate) fn read(storage: &Storage) -> Self {
        Walk { storage, top: storage.repositories() }.folder(&storage.repositories())
    }

    fn join(mut self, other: Self) -> Self {
        self.found.extend(other.found);
        self.broken.extend(other.broken);
        self
    }

    fn broken(name: String, path: &Path, problem: Problem) -> Self {
        let broken = BrokenTag { name, digest: None, path: path.to_owned(), problem };
        Self { found: Vec::new(), broken: vec![broken] }
    }
}

struct Walk<'a> {
    storage: &'a Storage,
    top: PathBuf,
}

impl Walk<'_> {
    /// A folder that may be a repository, a parent of repositories, or both.
    fn folder(&self, folder: &Path) -> Tags {
        let below = folder.strip_prefix(&self.top).unwrap_or(folder);
        let broken = |problem| Tags::broken(below.display().to_string(), folder, problem);
        if below.as_os_str().len() > MAX_NAME {
            return broken(Problem::TooDeep);
        }
        let entries = match entries(folder) {
            Ok(entries) => entries,
            Err(error) => return broken(error.into()),
        };
        entries
            .into_par_iter()
            .map(|entry| {
                let path = entry.path();
                match self.is_folder(&entry) {
                    Ok(false) => Tags::default(),
                    Ok(true) if entry.file_name() == "_manifests" => self.repository(below, &path),
                    // Distribution's own folders; no name component begins so.
                    Ok(true) if entry.file_name().as_encoded_bytes().starts_with(b"_") => {
                        Tags::default()
                    }
                    Ok(true) => self.folder(&path),
                    Err(problem) => {
                        let name = path.strip_prefix(&self.top).unwrap_or(&path);
                        Tags::broken(name.display().to_string(), &path, problem)
                    }
                }
            })
            .reduce(Tags::default, Tags::join)
    }

    /// Whether to go into an entry. A symbolic link counts if it stays inside the storage.
    fn is_folder(&self, entry: &DirEntry) -> Result<bool, Problem> {
        let kind = entry.file_type()?;
        if !kind.is_symlink() {
            return Ok(kind.is_dir());
        }
        let real = self.storage.resolve(&entry.path())?;
        let parent = entry.path().parent().map(fs::canonicalize).transpose()?;
        if parent.is_some_and(|parent| parent.starts_with(&real)) {
            return Err(Problem::LinkLoop);
        }
        Ok(fs::metadata(real)?.is_dir())
    }

    /// The tags of one repository, given its folder `_manifests`.
    fn repository(&self, below: &Path, manifests: &Path) -> Tags {
        let folder = manifests.join("tags");
        let entries = match entries(&folder) {
            Ok(entries) => entries,
            // A repository that never had a tag has no such folder.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Tags::default(),
            Err(error) => return Tags::broken(below.display().to_string(), &folder, error.into()),
        };
        let repository = match below.to_str() {
            None => Err(Problem::NotUtf8),
            Some(name) => name.parse::<Repository>().map_err(Problem::from),
        };
        let mut tags = Tags::default();
        for entry in entries {
            let path = entry.path();
            let name = format!("{}:{}", below.display(), entry.file_name().display());
            match self.is_folder(&entry) {
                Ok(false) => continue,
                Ok(true) => {}
                Err(problem) => {
                    tags = tags.join(Tags::broken(name, &path, problem));
                    continue;
                }
            }
            tags = tags.join(match &repository {
                Ok(repository) => self.tag(repository, &entry, manifests, name),
                Err(Problem::Name(error)) => Tags::broken(name, &path, error.clone().into()),
                Err(_) => Tags::broken(name, &path, Problem::NotUtf8),
            });
        }
        tags
    }

    /// One tag, given its folder.
    fn tag(
        &self,
        repository: &Repository,
        entry: &DirEntry,
        manifests: &Path,
        name: String,
    ) -> Tags {
        let link = entry.path().join("current/link");
        let tag = match entry.file_name().to_str() {
            None => return Tags::broken(name, &entry.path(), Problem::NotUtf8),
            Some(tag) => match tag.parse::<Tag>() {
                Ok(tag) => tag,
                Err(error) => return Tags::broken(name, &entry.path(), error.into()),
            },
        };
        let (digest, pushed) = match self.link(&link) {
            Ok(read) => read,
            Err(Problem::Missing) => return Tags::broken(name, &link, Problem::NoCurrent),
            Err(problem) => return Tags::broken(name, &link, problem),
        };
        let revision = manifests.join("revisions/sha256").join(digest.hex()).join("link");
        if !revision.exists() {
            let problem = Problem::Deleted;
            let broken = BrokenTag { name, digest: Some(digest), path: revision, problem };
            return Tags { found: Vec::new(), broken: vec![broken] };
        }
        let found = FoundTag { repository: repository.clone(), tag, digest, pushed };
        Tags { found: vec![found], broken: Vec::new() }
    }

    /// What a link file holds, and when it was written.
    fn link(&self, path: &Path) -> Result<(Digest, Timestamp), Problem> {
        let (file, _) = self.storage.open(path)?;
        let modified = file.metadata()?.modified()?;
        let mut text = Vec::new();
        file.take(MAX_LINK).read_to_end(&mut text)?;
        let digest = String::from_utf8_lossy(&text).parse().map_err(Problem::Link)?;
        // Out of range only for times that no file system can store.
        let pushed = Timestamp::try_from(modified).unwrap_or(Timestamp::UNIX_EPOCH);
        Ok((digest, pushed))
    }
}

fn entries(folder: &Path) -> io::Result<Vec<DirEntry>> {
    fs::read_dir(folder)?.collect()
}
