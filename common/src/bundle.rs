//! The bundle: one tar archive that is also an OCI image layout. `spec/bundle.md` is normative.
//!
//! [`Contents`] is a catalog that was found sound, [`Layout`] the place of every byte that follows
//! from it, [`BlobId`] the short identity of an entry in both. [`Writer`] writes a bundle front to back, [`Placement`] in any order; [`Stream`] reads one from a pipe and
//! [`BundleFile`] at random; [`verify`](fn@verify) finds all that is wrong in one.

mod blob_id;
mod catalog;
mod catalog_error;
mod catalog_reader;
mod contents;
mod digest_index;
mod features;
mod file;
mod finding;
mod first_use;
mod front;
mod hashed;
mod image_index;
mod input;
mod layout;
mod left_out;
mod placement;
mod read_error;
mod soundness;
mod stream;
mod tar_header;
mod users;
mod verify;
mod writer;

pub use blob_id::BlobId;
pub use catalog::{
    BlobEntry, Catalog, DescriptionError, FORMAT_VERSION, ManifestEntry, RepositoryEntry, TagEntry,
};
pub use catalog_error::CatalogError;
pub use contents::Contents;
pub use features::required_features;
pub use file::BundleFile;
pub use finding::{Finding, FindingKind};
pub use layout::{Entry, Layout};
pub use left_out::{LeftOut, LeftOutImage};
pub use placement::Placement;
pub use read_error::{OpenError, ReadError};
pub use stream::Stream;
pub use verify::{EntryCheck, verify};
pub use writer::{AppendError, Writer};

/// Name of the file in the bundle that lists everything else.
pub const CATALOG_NAME: &str = "bundle.json";

/// Whatever is long is read and written in pieces of this many bytes.
const PIECE: usize = 256 << 10;
