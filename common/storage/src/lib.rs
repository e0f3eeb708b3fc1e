//! The storage of a Docker Distribution registry, read only.
//!
//! A [`Source`] is a kind of storage; its [`Inventory`] is what it holds by name. A [`Survey`] takes
//! of it what a [`Selection`] wants, reads the manifests, finds with the graph of a [`Scan`] what is
//! broken, and makes of the rest a [`Plan`] of a bundle. All between the source and the plan is pure.
//!
//! Nothing here prints or reads the environment.

mod archive;
mod bucket;
mod chosen;
mod database;
mod finding;
mod folder;
mod inventory;
mod location;
mod manifests;
pub mod paths;
mod plan;
mod platforms;
mod problem;
mod referrers;
mod registry_config;
mod role;
mod scan;
mod selection;
mod settle;
mod small;
mod source;
mod survey;

pub use archive::{Order, is_file_at, open_archive};
pub use bucket::Bucket;
pub use chosen::Chosen;
pub use finding::{Finding, broken_images};
pub use folder::Folder;
pub use inventory::{BrokenTag, FoundTag, Holding, Inventory, Revision};
pub use location::{BucketLocation, StorageLocation};
pub use manifests::Manifests;
pub use plan::{Plan, Totals};
pub use platforms::{Platform, PlatformError};
pub use problem::{Problem, SourceError};
pub use scan::{Fault, Scan};
pub use selection::{ImageList, ImageListError, Pattern, PatternError, Selection};
pub use source::{BlobReader, Passing, Source};
pub use survey::{Survey, Surveyed};
