//! What the name of a member says that it is.

use tranship_common::Digest;

/// What a member of an archive may be to a storage. Where the storage is in the archive is not
/// known yet, so everything is named with the folder that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name<'a> {
    /// The bytes of a blob.
    Blob {
        /// The folder of all blobs: `…/blobs/sha256`.
        folder: &'a str,
        /// The blob.
        digest: Digest,
    },
    /// The folder of a tag, or something in it.
    Tag {
        /// The folder of the repository.
        repository: &'a str,
        /// The tag's name, not known to be a legal one.
        tag: &'a str,
        /// The path below the tag's folder; empty for that itself.
        rest: &'a str,
    },
    /// The link that says that a repository has a manifest.
    Revision {
        /// The folder of the repository.
        repository: &'a str,
        /// The manifest.
        digest: Digest,
    },
    /// What a registry of GitLab leaves that keeps its tags in a database.
    DatabaseMark {
        /// The folder that the storage is in: `…/docker/registry`.
        folder: &'a str,
    },
}

impl<'a> Name<'a> {
    /// Tells by a path in the form of [`Member::name`](super::members::Member::name).
    pub(super) fn of(path: &'a str) -> Option<Self> {
        if let Some(folder) = below(path, crate::paths::DATABASE_MARK) {
            return Some(Self::DatabaseMark { folder });
        }
        if let Some((repository, manifests)) = path.split_once("/_manifests/") {
            if let Some(tag) = manifests.strip_prefix("tags/") {
                let (tag, rest) = tag.split_once('/').unwrap_or((tag, ""));
                return Some(Self::Tag { repository, tag, rest });
            }
            let hex = manifests.strip_prefix("revisions/sha256/")?.strip_suffix("/link")?;
            return Some(Self::Revision { repository, digest: Digest::from_hex(hex).ok()? });
        }
        let (parent, hex) = path.strip_suffix("/data")?.rsplit_once('/')?;
        let (folder, prefix) = parent.rsplit_once('/')?;
        let is_prefix = prefix.len() == 2 && hex.starts_with(prefix);
        let digest = Digest::from_hex(hex).ok()?;
        is_prefix.then_some(Self::Blob { folder, digest })
    }
}

/// The path of the folder in which a relative path is this one: empty for the archive's root.
pub(super) fn below<'a>(path: &'a str, relative: &str) -> Option<&'a str> {
    let folder = path.strip_suffix(relative)?;
    if folder.is_empty() { Some(folder) } else { folder.strip_suffix('/') }
}

/// A path below a folder. An empty folder is the archive's root.
pub(super) fn joined(folder: &str, relative: &str) -> String {
    match (folder, relative) {
        ("", path) | (path, "") => path.to_owned(),
        (folder, relative) => format!("{folder}/{relative}"),
    }
}

/// The path of a member relative to a folder that it is in, empty for the folder itself.
pub(super) fn relative<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(folder)?;
    if folder.is_empty() || rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths;

    #[test]
    fn names() {
        let digest = Digest::of(b"");
        let hex = digest.hex();
        let blob = paths::blob(digest);
        let folder = "a/docker/registry/v2/blobs/sha256";
        assert_eq!(Name::of(&format!("{folder}/{blob}")), Some(Name::Blob { folder, digest }));
        let (repository, tag) = ("v2/repositories/a/b", "1");
        for (path, rest) in [("", ""), ("/current", "current"), ("/current/link", "current/link")] {
            let path = format!("v2/repositories/a/b/_manifests/tags/1{path}");
            assert_eq!(Name::of(&path), Some(Name::Tag { repository, tag, rest }));
        }
        let link = format!("{repository}/_manifests/revisions/sha256/{hex}/link");
        assert_eq!(Name::of(&link), Some(Name::Revision { repository, digest }));
        let mark = Name::of("a/lockfiles/database-in-use");
        assert_eq!(mark, Some(Name::DatabaseMark { folder: "a" }));
        let mark = Name::of("lockfiles/database-in-use");
        assert_eq!(mark, Some(Name::DatabaseMark { folder: "" }));
        for other in [
            "",
            "repositories/a/_manifests",
            "alockfiles/database-in-use",
            &format!("{folder}/00/{hex}/data"),
            &format!("{folder}/{hex}/{hex}/data"),
            &blob,
            &format!("{repository}/_layers/sha256/{hex}/link"),
            &format!("{repository}/_manifests/revisions/sha256/{hex}"),
        ] {
            assert_eq!(Name::of(other), None, "{other}");
        }
    }

    #[test]
    fn folders() {
        assert_eq!(relative("a/b", "a"), Some("b"));
        assert_eq!(relative("a", "a"), Some(""));
        assert_eq!(relative("a/b", ""), Some("a/b"));
        assert_eq!(relative("ab", "a"), None);
        assert_eq!(joined("a", "b/c"), "a/b/c");
        assert_eq!(joined("", "b"), "b");
        assert_eq!(joined("a", ""), "a");
    }
}
