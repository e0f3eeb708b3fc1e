//! A Distribution registry's storage on a file system, read only.
//!
//! The layout is Distribution's (`registry/storage/paths.go`), below `docker/registry/v2`:
//!
//! ```text
//! blobs/sha256/<first two hex digits>/<hex>/data
//! repositories/<name>/_manifests/tags/<tag>/current/link      digest of the tagged manifest
//! repositories/<name>/_manifests/revisions/sha256/<hex>/link  manifests that the repository has
//! repositories/<name>/_layers, _uploads                       not needed to pack
//! ```

mod problem;
mod tags;
mod tree;
mod usage;

pub(crate) use problem::{LocateError, Problem};
pub(crate) use tags::{BrokenTag, FoundTag, Tags};
pub(crate) use tree::Storage;
pub(crate) use usage::Usage;
