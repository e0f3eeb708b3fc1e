//! What can be wrong in a storage.

use std::io;
use std::sync::Arc;

use tranship_common::limits::MAX_NESTING;
use tranship_common::{Digest, ManifestError, NameError, ParseDigestError, VerifyError};

/// What is said where the program may not read.
const DENIED: &str = "Permission denied; run it as root, or as the user that the registry runs as";

/// Why no storage can be read at all.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nothing in it is a registry's.
    #[error(
        "{given} holds no registry storage: looked for the folders `repositories` and `blobs` in \
         {looked_for}; give the folder that the registry's configuration calls `rootdirectory`"
    )]
    NotStorage {
        /// What was given.
        given: String,
        /// Where it was looked.
        looked_for: String,
    },
    /// It may not be read.
    #[error("cannot read {path}: {DENIED}")]
    Denied {
        /// The folder or file.
        path: String,
    },
    /// It cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The folder, file or bucket.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It can be read and is not what it has to be.
    #[error("{path}: {what}")]
    Refused {
        /// The file or bucket.
        path: String,
        /// What is wrong, and what to do.
        what: String,
    },
}

impl SourceError {
    /// What a failure to read means.
    #[must_use]
    pub fn of_io(path: impl ToString, source: io::Error) -> Self {
        let path = path.to_string();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Denied { path },
            _ => Self::Read { path, source },
        }
    }
}

/// Why something in a storage cannot be packed. Each is said of a place that is named beside it.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs, reason = "each says in its message what it is")]
pub enum Problem {
    #[error("its name is not UTF-8")]
    NotUtf8,
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("the path is longer than a repository name can be")]
    TooDeep,
    #[error(
        "the symbolic link {link} leaves the storage, to {target}; give --follow-links if the \
         registry follows it too"
    )]
    LeavesTree { link: String, target: String },
    #[error("the symbolic link leads to {target}, which is not there: is a disk not mounted?")]
    LeadsNowhere { target: String },
    #[error("the symbolic link leads back to a folder that it stands in")]
    LinkLoop,
    #[error("cannot be read: {DENIED}")]
    Denied,
    #[error(
        "it is a symbolic link to {target}, and what is there is not in the archive: make the \
         archive with tar's option -h, which puts in what links lead to"
    )]
    LinkInArchive { target: String },
    #[error("it is a hard link to {target}, and the archive has no such file before it")]
    HardLink { target: String },
    #[error(
        "it is a hard link to {target}, the bytes of another blob: of two blobs with the same \
         bytes at least one is wrong"
    )]
    SharedBytes { target: String },
    #[error(
        "it is stored as a sparse file, which is not read from an archive: make the archive without \
         tar's option -S, or unpack it and give the folder"
    )]
    Sparse,
    #[error("cannot be read: {0}")]
    Read(Arc<io::Error>),
    #[error("the blob is missing")]
    Missing,
    #[error(
        "the tag has no `current/link`: its push was never finished, or it was removed by hand"
    )]
    NoCurrent,
    #[error("the link holds no digest: {0}")]
    Link(ParseDigestError),
    #[error(
        "the manifest was deleted from the repository, the registry itself no longer serves it"
    )]
    Deleted,
    #[error(transparent)]
    Manifest(ManifestError),
    #[error("reference in the manifest: {0}")]
    Reference(ParseDigestError),
    #[error("{0}")]
    Damaged(#[from] VerifyError),
    #[error(
        "the file has {got} bytes where the manifest says {want}, and their digest is {digest}"
    )]
    WrongSize { want: u64, got: u64, digest: Digest },
    #[error("index inside index, more than {MAX_NESTING} deep")]
    Nested,
    #[error("there is no such image in the storage")]
    NoSuchImage,
}

impl From<ManifestError> for Problem {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Reference { source, .. } => Self::Reference(source),
            other => Self::Manifest(other),
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<VerifyError>()) {
            Some(damage) => Self::Damaged(damage.clone()),
            None if error.kind() == io::ErrorKind::NotFound => Self::Missing,
            None if error.kind() == io::ErrorKind::PermissionDenied => Self::Denied,
            None => Self::Read(Arc::new(error)),
        }
    }
}
