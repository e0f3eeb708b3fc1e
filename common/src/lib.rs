//! What packer and loader must agree on: digests, names, manifests and the bundle.
//!
//! The three types that everything turns on are [`Digest`] (the proof of a blob's bytes),
//! [`Manifest`] (exact bytes and what they refer to) and [`Catalog`] (the list of all that a
//! bundle holds). The bundle itself is specified in `spec/bundle.md`.
//!
//! ```
//! use tranship_common::{Digest, Manifest};
//!
//! let bytes = br#"{"schemaVersion":2,"config":{"mediaType":"a/b","size":2,
//!   "digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[]}"#;
//! let manifest = Manifest::parse(bytes).unwrap();
//! assert_eq!(manifest.blobs()[0].digest, Digest::of(b"{}"));
//! ```
//!
//! Nothing here prints, reads the environment, speaks HTTP or knows a registry's storage.

mod atomic;
pub mod bundle;
mod digest;
mod graph;
pub mod limits;
mod manifest;
mod media;
mod name;
mod progress;
mod push_time;
mod quote;
mod read_at;

pub use atomic::StagedFile;
pub use bundle::Catalog;
pub use digest::{Digest, Hasher, ParseDigestError, Verified, VerifyError};
pub use graph::{Graph, Marks};
pub use manifest::{Manifest, ManifestError};
pub use media::{Descriptor, MediaType, kinds};
pub use name::{NameError, Repository, Tag};
pub use progress::{Progress, Silent};
pub use push_time::{ParsePushTimeError, PushTime};
pub use read_at::ReadAt;
