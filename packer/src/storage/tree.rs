//! Finds the storage and opens what is in it, without ever leaving it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tranship_common::limits::MAX_MANIFEST;
use tranship_common::{Digest, Manifest, ManifestError, Verified};

use super::{LocateError, Problem};

/// A storage tree, the folder `docker/registry/v2` of a registry.
#[derive(Debug)]
pub(crate) struct Storage {
    root: PathBuf,
}

impl Storage {
    /// Finds the storage tree from the registry's root folder, its `docker` or `docker/registry/v2`.
    pub(crate) fn locate(given: &Path) -> Result<Self, LocateError> {
        let read = |source| LocateError::Read { path: given.to_owned(), source };
        let given = fs::canonicalize(given).map_err(read)?;
        let below = ["docker/registry/v2", "registry/v2", "v2"].map(|tail| given.join(tail));
        let candidates: Vec<PathBuf> = below.into_iter().chain([given.clone()]).collect();
        let is_storage = |folder: &&PathBuf| {
            folder.join("repositories").is_dir() && folder.join("blobs").is_dir()
        };
        match candidates.iter().find(is_storage) {
            Some(found) => Ok(Self { root: fs::canonicalize(found).map_err(read)? }),
            None => Err(LocateError::NotStorage {
                given: given.display().to_string(),
                looked_for: candidates
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
        }
    }

    /// Whether a file that may not exist yet would be inside the storage.
    pub(crate) fn contains(&self, file: &Path) -> bool {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        fs::canonicalize(folder.unwrap_or(Path::new(".")))
            .is_ok_and(|folder| folder.starts_with(&self.root))
    }

    /// The folder below which the repositories are.
    pub(crate) fn repositories(&self) -> PathBuf {
        self.root.join("repositories")
    }

    /// The folder below which the blobs are.
    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    /// The file with a blob's bytes.
    pub(crate) fn blob_path(&self, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        self.blobs().join(&hex[..2]).join(&hex).join("data")
    }

    /// Follows the symbolic links of a path, if they stay inside the storage.
    pub(crate) fn resolve(&self, path: &Path) -> Result<PathBuf, Problem> {
        let real = fs::canonicalize(path)?;
        if real.starts_with(&self.root) { Ok(real) } else { Err(Problem::LeavesTree(real)) }
    }

    /// Opens a regular file inside the storage and tells its size in bytes.
    pub(crate) fn open(&self, path: &Path) -> Result<(File, u64), Problem> {
        let real = self.resolve(path)?;
        // Opening a pipe would wait for a writer for ever.
        if !fs::metadata(&real)?.is_file() {
            return Err(Problem::Read(io::Error::other("it is not a regular file")));
        }
        let file = File::open(real)?;
        let size = file.metadata()?.len();
        Ok((file, size))
    }

    /// Reads, checks and parses a manifest.
    pub(crate) fn manifest(&self, digest: Digest) -> Result<Manifest, Problem> {
        let (file, size) = self.open(&self.blob_path(digest))?;
        if size > MAX_MANIFEST {
            return Err(ManifestError::TooLarge(size).into());
        }
        let mut raw = Vec::with_capacity(size as usize);
        Verified::new(file, digest, size).read_to_end(&mut raw)?;
        Manifest::parse(raw).map_err(|error| match error {
            ManifestError::Reference { source, .. } => Problem::Reference(source),
            other => other.into(),
        })
    }

    /// The size of a blob in bytes. Where it is none of the sizes that manifests declare, the
    /// bytes are hashed: a declared size may be wrong, a digest may not.
    pub(crate) fn blob_size(&self, digest: Digest, declared: &[u64]) -> Result<u64, Problem> {
        let (file, size) = self.open(&self.blob_path(digest))?;
        if declared.contains(&size) {
            return Ok(size);
        }
        let mut reader = Verified::new(file, digest, size);
        match io::copy(&mut reader, &mut io::sink()).map_err(Problem::from) {
            Ok(_) => Ok(size),
            Err(Problem::Damaged(tranship_common::VerifyError::Digest { got, .. })) => {
                let want = declared.first().copied().unwrap_or_default();
                Err(Problem::WrongSize { want, got: size, digest: got })
            }
            Err(other) => Err(other),
        }
    }
}
