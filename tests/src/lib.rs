//! What the end-to-end tests are made of: real programs, real registries, real storage trees, and
//! a front that makes the network between them misbehave.

pub mod bundle;
pub mod content;
pub mod dialect;
pub mod front;
pub mod harbor;
pub mod http;
pub mod kernel;
pub mod nginx;
pub mod odd;
pub mod programs;
pub mod registry;
pub mod s3;
pub mod schema1;
pub mod shown;
pub mod skopeo;
pub mod tls;
pub mod tree;

pub use bundle::Bundle;
pub use front::{Front, Request, Verdict};
pub use harbor::Harbor;
pub use programs::{Finished, loader, packer};
pub use registry::Registry;
pub use s3::S3;
pub use tree::Tree;
