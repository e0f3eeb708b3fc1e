//! Why a catalog is refused.

use super::catalog::FORMAT_VERSION;
use crate::Digest;
use crate::quote::{explained, quoted};

/// Why a catalog is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// Not a catalog at all.
    #[error("bundle.json cannot be read: {0}")]
    Malformed(String),
    /// Written in another version of the format.
    #[error(
        "the bundle has format version {0}; this program reads version {FORMAT_VERSION}: use a newer one"
    )]
    Version(u64),
    /// Needs features that this program does not know.
    #[error("the bundle requires {}, which this program does not know: use a newer one", features(.0))]
    Features(Vec<String>),
    /// Requires other features than what it lists needs.
    #[error("the catalog requires {}, but what it lists needs {}", features(.required), features(.needed))]
    OtherFeatures {
        /// What it requires.
        required: Vec<String>,
        /// What it should.
        needed: Vec<String>,
    },
    /// Larger, deeper or longer than the format allows.
    #[error("{what}, more than the {limit} that the format allows")]
    Limit {
        /// What it is, and how large.
        what: String,
        /// The most that it may be.
        limit: String,
    },
    /// Repositories or tags that are repeated or out of order.
    #[error("the catalog lists {0} twice or out of order")]
    Order(String),
    /// A digest stands twice among manifests and blobs.
    #[error("the catalog lists {0} twice")]
    Twice(Digest),
    /// A layer that the bundle holds and does not.
    #[error("the catalog lists {digest}, but for manifest {of} it calls it foreign")]
    Foreign {
        /// The layer.
        digest: Digest,
        /// Whose layer it is.
        of: Digest,
    },
    /// A referrer that needs no place of its own.
    #[error("the catalog lists {0} as a referrer, but it is tagged there")]
    Tagged(String),
    /// A referrer that is about nothing.
    #[error("the catalog lists {0} as a referrer, but it has no subject")]
    NoSubject(Digest),
    /// More entries than a [`BlobId`](super::BlobId) counts.
    #[error("the catalog lists more than {} manifests and blobs", u32::MAX - 1)]
    TooMany,
    /// A reference to something that the catalog does not list where it must.
    #[error("the catalog refers to {to} from {from}, but does not list it {place}")]
    Dangling {
        /// The image or manifest that refers.
        from: String,
        /// What it refers to.
        to: Digest,
        /// Where it should stand.
        place: &'static str,
    },
}

impl CatalogError {
    /// What the parser has to say.
    pub(super) fn malformed(error: &serde_json::Error) -> Self {
        Self::Malformed(explained(error))
    }
}

/// ``no feature``, ``the feature `a` `` or ``the features `a`, `b` ``.
fn features(names: &[String]) -> String {
    let noun = match names.len() {
        0 => return "no feature".to_owned(),
        1 => "feature",
        _ => "features",
    };
    let names: Vec<String> = names.iter().map(|name| format!("`{}`", quoted(name))).collect();
    format!("the {noun} {}", names.join(", "))
}
