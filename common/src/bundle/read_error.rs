//! Why a bundle, or something in it, cannot be read.

use std::io;

use super::catalog_error::CatalogError;
use super::contents::ReadContentsError;
use super::input::InputError;
use crate::VerifyError;

/// Why the front of a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It does not begin as a bundle does.
    #[error(
        "this is not a bundle, or its beginning is damaged: expected the file `{want}` at byte {offset}"
    )]
    NotABundle {
        /// The file that should stand there.
        want: &'static str,
        /// Where, in bytes from the start.
        offset: u64,
    },
    /// It is a folder, a pipe or a device.
    #[error(
        "this is not a file: a bundle is one tar archive; only `loader load -` reads it from a pipe"
    )]
    NotAFile,
    /// It ends before the blobs begin.
    #[error("the bundle is cut off at byte {0}, before its catalog is complete: copy it again")]
    Truncated(u64),
    /// The catalog is refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A front file has not the content that goes with the catalog.
    #[error(
        "the bundle is damaged: `{name}` at byte {offset} does not fit bundle.json; copy it again"
    )]
    Damaged {
        /// The file's name.
        name: &'static str,
        /// Where its data or header begins, in bytes from the start.
        offset: u64,
    },
    /// The bundle could not be read.
    #[error("cannot read the bundle at byte {offset}")]
    Io {
        /// Where, in bytes from the start.
        offset: u64,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why an entry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Something other than the entry's bytes is damaged.
    #[error("the bundle is damaged at byte {offset}: {what}")]
    Damaged {
        /// Where, in bytes from the start.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The bundle ends here.
    #[error("the bundle is cut off at byte {offset}: copy it again")]
    CutOff {
        /// Where, in bytes from the start.
        offset: u64,
    },
    /// The entry's bytes are not what its digest says.
    #[error("the bundle is damaged at byte {offset}")]
    Blob {
        /// Where the blob begins, in bytes from the start.
        offset: u64,
        /// What is wrong with it.
        #[source]
        source: VerifyError,
    },
    /// The bundle could not be read.
    #[error("cannot read the bundle at byte {offset}")]
    Io {
        /// Where the blob begins, in bytes from the start.
        offset: u64,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl ReadError {
    /// Whether what stands behind the damage can still be read.
    #[must_use]
    pub fn can_read_on(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Blob { .. } => true,
            Self::CutOff { .. } | Self::Io { .. } => false,
        }
    }

    /// Sorts an error of reading the blob at `offset`: damage is told from a failing disk.
    #[must_use]
    pub fn from_io(offset: u64, error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<VerifyError>()) {
            // Fewer bytes than the catalog announces come only from a bundle that ends.
            Some(VerifyError::Short { got, .. }) => Self::CutOff { offset: offset + got },
            Some(damage) => Self::Blob { offset, source: damage.clone() },
            None => Self::Io { offset, source: error },
        }
    }
}

impl From<InputError> for OpenError {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Ended(offset) => Self::Truncated(offset),
            InputError::Io(offset, source) => Self::Io { offset, source },
        }
    }
}

impl From<ReadContentsError> for OpenError {
    fn from(error: ReadContentsError) -> Self {
        match error {
            ReadContentsError::Refused(refusal) => Self::Catalog(refusal),
            ReadContentsError::Input(error) => error.into(),
        }
    }
}

impl From<InputError> for ReadError {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Ended(offset) => Self::CutOff { offset },
            InputError::Io(offset, source) => Self::Io { offset, source },
        }
    }
}
