//! Where Distribution keeps what (`registry/storage/paths.go`), below its `docker/registry/v2`:
//!
//! ```text
//! blobs/sha256/<first two hex digits>/<hex>/data
//! repositories/<name>/_manifests/tags/<tag>/current/link      digest of the tagged manifest
//! repositories/<name>/_manifests/revisions/sha256/<hex>/link  manifests that the repository has
//! repositories/<name>/_layers, _uploads                       not needed here
//! ```
//!
//! Registries of GitLab keep a file beside the tree that says that the tags are in a database.

use std::ffi::OsStr;

use tranship_common::{Digest, Repository, Tag};

/// The tree below a registry's `rootdirectory`.
pub const TREE: &str = "docker/registry/v2";

/// Where the tree may be, seen from what a person takes for the storage.
pub const TREES: [&str; 4] = [TREE, "registry/v2", "v2", ""];

/// The folder of repositories, below the tree.
pub const REPOSITORIES: &str = "repositories";

/// The folder of blobs, below the tree.
pub const BLOBS: &str = "blobs/sha256";

/// What a registry of GitLab leaves that keeps its tags in a database: beside the tree, in the folder
/// that the tree is in.
pub const DATABASE_MARK: &str = "lockfiles/database-in-use";

/// Whether a folder in the place of a repository, a tag or a blob is one that a file system, a network
/// disk or a desktop makes beside those of its users. No registry can have made it: neither a part
/// of a repository's name nor a tag begins so.
pub(crate) fn is_of_others(folder: &OsStr) -> bool {
    let name = folder.as_encoded_bytes();
    matches!(name.first(), Some(b'.' | b'@' | b'#' | b'$' | b'~'))
        || [&b"lost+found"[..], b"System Volume Information"].contains(&name)
}

/// What a file of the tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// A blob's bytes.
    Blob(Digest),
    /// The link of a tag. Neither name is known to be a legal one.
    Tag {
        /// The repository's name.
        repository: &'a str,
        /// The tag's name.
        tag: &'a str,
    },
    /// The link that says that a repository has a manifest.
    Revision {
        /// The repository's name, not known to be a legal one.
        repository: &'a str,
        /// The manifest.
        digest: Digest,
    },
}

impl<'a> Place<'a> {
    /// What the file at a path below the tree is, or `None` for what is not needed here.
    #[must_use]
    pub fn of(path: &'a str) -> Option<Self> {
        if let Some(blob) = path.strip_prefix(BLOBS) {
            let (prefix, rest) = blob.strip_prefix('/')?.split_once('/')?;
            let hex = rest.strip_suffix("/data")?;
            let digest = Digest::from_hex(hex).ok()?;
            return hex.starts_with(prefix).then_some(Self::Blob(digest));
        }
        let path = path.strip_prefix(REPOSITORIES)?.strip_prefix('/')?;
        let (repository, manifests) = path.split_once("/_manifests/")?;
        if let Some(tag) = manifests.strip_prefix("tags/") {
            let tag = tag.strip_suffix("/current/link")?;
            return (!tag.contains('/')).then_some(Self::Tag { repository, tag });
        }
        let hex = manifests.strip_prefix("revisions/sha256/")?.strip_suffix("/link")?;
        Some(Self::Revision { repository, digest: Digest::from_hex(hex).ok()? })
    }
}

/// The file with a blob's bytes, below [`BLOBS`].
#[must_use]
pub fn blob(digest: Digest) -> String {
    let hex = digest.hex();
    format!("{}/{hex}/data", &hex[..2])
}

/// The folder of a tag, below [`REPOSITORIES`].
#[must_use]
pub fn tag_folder(repository: &Repository, tag: &Tag) -> String {
    format!("{repository}/_manifests/tags/{tag}")
}

/// The link of a tag, below its folder.
pub const TAG_LINK: &str = "current/link";

/// The link that says that a repository has a manifest, below [`REPOSITORIES`].
#[must_use]
pub fn revision_link(repository: &Repository, digest: Digest) -> String {
    format!("{repository}/_manifests/revisions/sha256/{}/link", digest.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let digest = Digest::of(b"");
        let hex = digest.hex();
        let blob_path = format!("{BLOBS}/{}", blob(digest));
        assert_eq!(Place::of(&blob_path), Some(Place::Blob(digest)));
        let (repository, tag) = ("a/b".parse().unwrap(), "1".parse().unwrap());
        let link = format!("{REPOSITORIES}/{}/{TAG_LINK}", tag_folder(&repository, &tag));
        assert_eq!(Place::of(&link), Some(Place::Tag { repository: "a/b", tag: "1" }));
        let link = format!("{REPOSITORIES}/{}", revision_link(&repository, digest));
        assert_eq!(Place::of(&link), Some(Place::Revision { repository: "a/b", digest }));
        for other in [
            format!("blobs/sha256/00/{hex}/data"),
            format!("blobs/sha512/{}/{hex}/data", &hex[..2]),
            format!("repositories/a/_manifests/tags/1/index/sha256/{hex}/link"),
            format!("repositories/a/_layers/sha256/{hex}/link"),
            "repositories/a/_manifests/revisions/sha256/xyz/link".to_owned(),
            "repositories/a".to_owned(),
        ] {
            assert_eq!(Place::of(&other), None, "{other}");
        }
    }
    #[test]
    fn folders_of_others() {
        for other in ["@eaDir", ".snapshot", "#recycle", "$RECYCLE.BIN", "~snapshot", "lost+found"]
        {
            assert!(is_of_others(OsStr::new(other)), "{other}");
        }
        for own in ["a", "_layers", "0", "-dash", "lost", "Upper"] {
            assert!(!is_of_others(OsStr::new(own)), "{own}");
        }
    }
}
