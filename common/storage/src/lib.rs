//! The storage of a Docker Distribution registry, read only.
//!
//! A [`Source`] is a kind of storage. [`Inventory`] is what it holds by name, [`Scan`] what the
//! chosen images consist of and what is broken in them.
//!
//! Nothing here prints or reads the environment.

mod folder;
mod inventory;
pub mod paths;
mod problem;
mod source;

pub use folder::Folder;
pub use inventory::{BrokenTag, FoundTag, Holding, Inventory};
pub use problem::{Problem, SourceError};
pub use source::{BlobReader, Passing, Source};
