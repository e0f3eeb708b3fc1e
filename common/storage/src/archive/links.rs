//! Symbolic links in an archive.

use std::collections::BTreeMap;

use super::name::relative;
use crate::paths::REPOSITORIES;

/// As many as Linux follows on the way to one file.
const MAX_LINKS: usize = 40;

/// Those symbolic links that can be part of a storage's tree, by their paths.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<String, String>);

impl Links {
    /// Remembers a link, if it is below a folder with one of the names that a storage has, or in
    /// the place of one. What the link replaces in an archive with two of one name is forgotten.
    pub(super) fn add(&mut self, path: &str, target: &str) {
        if path.split('/').any(|name| name == REPOSITORIES || name == "blobs") {
            self.0.insert(path.to_owned(), target.to_owned());
        }
    }

    /// Another member of the same name is the last.
    pub(super) fn forget(&mut self, path: &str) {
        self.0.remove(path);
    }

    /// The links and what each leads to, as it stands.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, target)| (path.as_str(), target.as_str()))
    }

    /// Where the first link on the way of a path leads, as it stands.
    pub(super) fn first(&self, path: &str) -> Option<(&str, &str)> {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        let link = ends.filter_map(|end| self.0.get_key_value(&path[..end])).next();
        link.map(|(path, target)| (path.as_str(), target.as_str()))
    }

    /// A path without links, or `None` where they lead out of the archive or nowhere. A target
    /// that begins with a slash begins at the root of the archive.
    pub(super) fn follow(&self, path: &str) -> Option<String> {
        let mut path = path.to_owned();
        for _ in 0..MAX_LINKS {
            let Some((link, target)) = self.first(&path) else { return Some(path) };
            let rest = relative(&path, link)?;
            let folder = link.rsplit_once('/').map_or("", |(folder, _)| folder);
            let start = if target.starts_with('/') { "" } else { folder };
            path = resolved(&[start, target, rest])?;
        }
        None
    }
}

/// A path of parts one below another, without `.` and `..`, or `None` when it leaves the root.
fn resolved(parts: &[&str]) -> Option<String> {
    let mut names = Vec::new();
    for name in parts.iter().flat_map(|part| part.split('/')) {
        match name {
            "" | "." => {}
            // The root of the archive is itself in another folder: that above is unknown.
            ".." => drop(names.pop().filter(|name| *name != "..")?),
            name => names.push(name),
        }
    }
    Some(names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_within_the_archive() {
        let mut links = Links::default();
        for (path, target) in [
            ("v2/blobs", "/mnt/./big//blobs"),
            ("mnt/big/blobs", "../other"),
            ("v2/repositories/a", "b"),
            ("v2/repositories/out", "../../../x"),
            ("v2/repositories/loop", "loop/x"),
            ("etc/other", "never kept"),
        ] {
            links.add(path, target);
        }
        let follow = |path| links.follow(path);
        assert_eq!(follow("v2/blobs/sha256").as_deref(), Some("mnt/other/sha256"));
        assert_eq!(follow("v2/repositories/a/x").as_deref(), Some("v2/repositories/b/x"));
        assert_eq!(follow("v2/repositories/ab").as_deref(), Some("v2/repositories/ab"));
        assert_eq!(follow("v2/repositories/out/x"), None);
        assert_eq!(follow("v2/repositories/loop"), None);
        assert_eq!(follow("etc/other").as_deref(), Some("etc/other"));
        assert_eq!(follow("").as_deref(), Some(""));
        assert_eq!(links.first("v2/blobs/sha256"), Some(("v2/blobs", "/mnt/./big//blobs")));
        links.forget("v2/blobs");
        assert_eq!(links.first("v2/blobs/sha256"), None);
    }
}
