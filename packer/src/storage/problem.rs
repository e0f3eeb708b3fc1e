//! What can be wrong in a storage tree.

use std::io;
use std::path::PathBuf;

use tranship_common::{Digest, ManifestError, NameError, ParseDigestError, VerifyError};

/// Why a folder is not taken for a registry's storage.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocateError {
    #[error(
        "{given} holds no registry storage: looked for the folders `repositories` and `blobs` in \
         {looked_for}; give the folder that the registry's configuration calls `rootdirectory`"
    )]
    NotStorage { given: String, looked_for: String },
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Why a tag cannot be packed. Each names what a person has to look at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("its name is not UTF-8")]
    NotUtf8,
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("the path is longer than a repository name can be")]
    TooDeep,
    #[error("the symbolic link leaves the storage, to {0}")]
    LeavesTree(PathBuf),
    #[error("the symbolic link leads back to a folder that it stands in")]
    LinkLoop,
    #[error("cannot be read: {0}")]
    Read(io::Error),
    #[error("is missing")]
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
    Manifest(#[from] ManifestError),
    #[error("reference in the manifest: {0}")]
    Reference(ParseDigestError),
    #[error("{0}")]
    Damaged(#[from] VerifyError),
    #[error(
        "the file has {got} bytes where the manifest says {want}, and their digest is {digest}"
    )]
    WrongSize { want: u64, got: u64, digest: Digest },
    #[error("index inside index, more than {0} deep")]
    Nested(usize),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<VerifyError>()) {
            Some(damage) => Self::Damaged(damage.clone()),
            None if error.kind() == io::ErrorKind::NotFound => Self::Missing,
            None => Self::Read(error),
        }
    }
}
