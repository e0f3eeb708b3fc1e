//! Where in an archive the storage is.

use std::collections::{BTreeMap, BTreeSet};

use super::collect::Collected;
use super::name::{below, joined, relative};
use crate::paths::{BLOBS, REPOSITORIES, TREE};
use crate::problem::Problem;

/// Of more folders that look like storages no more are looked at: two are too many already.
const MAX_TREES: usize = 16;

/// A repository has no more names than this, on the average, by links. It bounds what a few links can
/// claim.
const MAX_NAMES: usize = 16;

/// A storage in an archive.
#[derive(Debug)]
pub(super) struct Root {
    /// The folder that it is in, `…/docker/registry/v2`; empty for the archive's root.
    pub(super) tree: String,
    /// The folder of its blobs, behind all links.
    pub(super) blobs: Option<String>,
    /// The folder of its repositories, behind all links.
    pub(super) repositories: Option<String>,
    /// The folder of each repository, by the repository's name.
    pub(super) names: BTreeMap<String, String>,
    /// Links below the folder of repositories that lead to none, by their paths in the archive.
    pub(super) broken: Vec<(String, Problem)>,
}

impl Root {
    /// Finds the storage.
    ///
    /// # Errors
    /// A sentence, where there is none, more than one, or one without a half of it.
    pub(super) fn find(collected: &Collected) -> Result<Self, String> {
        let trees = trees(collected).into_iter().take(MAX_TREES);
        let mut roots = trees.map(|tree| Self::at(tree, collected)).collect::<Vec<_>>();
        roots.retain(|root| !root.reach().is_empty() || root.missing_half(collected).is_some());
        // The end of a link from one storage to a disk of its own can look like another.
        roots.sort_by_key(|root| std::cmp::Reverse(root.reach().len()));
        let mut whole: Vec<Self> = Vec::new();
        for root in roots {
            if !whole.iter().any(|other| root.reach().is_subset(&other.reach())) {
                whole.push(root);
            }
        }
        let mut whole = whole.into_iter();
        match (whole.next(), whole.next()) {
            (None, _) => Err(nothing(collected)),
            (Some(one), Some(other)) => Err(two(&one.tree, &other.tree)),
            (Some(root), None) if root.has_too_many_names(collected) => Err(format!(
                "symbolic links in it give its {} repositories {} names and more: unpack it and give \
                 the folder",
                collected.repositories.len(),
                root.names.len()
            )),
            (Some(root), None) => match root.missing_half(collected) {
                Some(sentence) => Err(sentence),
                None => Ok(root),
            },
        }
    }

    fn at(tree: String, collected: &Collected) -> Self {
        let links = &collected.links;
        let blobs = links.follow(&joined(&tree, BLOBS));
        let repositories = links.follow(&joined(&tree, REPOSITORIES));
        let mut root =
            Self { tree, blobs, repositories, names: BTreeMap::new(), broken: Vec::new() };
        if let Some(folder) = &root.repositories {
            let folders = folders_below(collected, folder);
            let name = |path: &str| relative(path, folder).unwrap_or_default().to_owned();
            root.names = folders.map(|path| (name(path), path.to_owned())).collect();
        }
        root.follow_links(collected);
        root.blobs = root.blobs.filter(|folder| collected.blobs.contains_key(folder));
        root
    }

    /// Gives the repositories behind links their names.
    fn follow_links(&mut self, collected: &Collected) {
        let Some(repositories) = self.repositories.clone() else { return };
        for (link, target) in collected.links.iter() {
            let Some(name) = relative(link, &repositories).filter(|name| !name.is_empty()) else {
                continue;
            };
            if is_inside_a_repository(name) {
                continue;
            }
            if self.has_too_many_names(collected) {
                return;
            }
            let end = collected.links.follow(link);
            if end.as_deref().is_some_and(|end| relative(link, end).is_some()) {
                self.broken.push((link.to_owned(), Problem::LinkLoop));
                continue;
            }
            let mut is_broken = true;
            for folder in end.iter().flat_map(|end| folders_below(collected, end)) {
                let below =
                    end.as_deref().and_then(|end| relative(folder, end)).unwrap_or_default();
                self.names.insert(joined(name, below), folder.to_owned());
                is_broken = false;
            }
            if is_broken {
                let problem = Problem::LinkInArchive { target: target.to_owned() };
                self.broken.push((link.to_owned(), problem));
            }
        }
    }

    fn has_too_many_names(&self, collected: &Collected) -> bool {
        self.names.len() > MAX_NAMES * collected.repositories.len()
    }

    /// The folders that can be reached from here.
    fn reach(&self) -> BTreeSet<&str> {
        self.names.values().chain(&self.blobs).map(String::as_str).collect()
    }

    /// A sentence about the half of the storage that a link leads to, out of the archive.
    fn missing_half(&self, collected: &Collected) -> Option<String> {
        let gone = |is_there: bool, folder: &str| {
            let folder = joined(&self.tree, folder);
            let (link, target) = collected.links.first(&folder).filter(|_| !is_there)?;
            Some(format!(
                "`{link}` in it is a symbolic link to {target}, and what is there is not in the \
                 archive: make the archive with tar's option -h, which puts in what links lead to"
            ))
        };
        // A link of such a name may be anything, unless it is where a storage has it.
        let is_storage = !self.reach().is_empty() || below(&self.tree, TREE).is_some();
        let sentence = || {
            gone(self.blobs.is_some(), BLOBS).or_else(|| gone(!self.names.is_empty(), REPOSITORIES))
        };
        is_storage.then(sentence).flatten()
    }
}

/// Whether a path below the folder of repositories is one inside a repository, but for the folders
/// that hold its tags and revisions.
fn is_inside_a_repository(path: &str) -> bool {
    let is_own = |name: &&str| name.starts_with('_');
    let inside: Vec<_> = path.split('/').skip_while(|name| !is_own(name)).collect();
    !matches!(
        inside[..],
        [] | ["_manifests"]
            | ["_manifests", "tags" | "revisions"]
            | ["_manifests", "revisions", "sha256"]
    )
}

/// The folders of repositories at or below a path.
fn folders_below<'c>(collected: &'c Collected, path: &str) -> impl Iterator<Item = &'c str> {
    let inside = if path.is_empty() { String::new() } else { format!("{path}/") };
    let exact = collected.repositories.get_key_value(path).map(|(folder, _)| folder.as_str());
    let rest = collected.repositories.range(inside.clone()..).map(|(folder, _)| folder.as_str());
    exact.into_iter().chain(rest.take_while(move |folder| folder.starts_with(&inside)))
}

/// Folders that may hold a storage.
fn trees(collected: &Collected) -> BTreeSet<String> {
    let blobs = collected.blobs.keys().filter_map(|folder| below(folder, BLOBS));
    let links = collected.links.iter().flat_map(|(link, _)| {
        [below(link, "blobs"), below(link, REPOSITORIES)].into_iter().flatten()
    });
    // Links of these names are many in a host that is archived as a whole.
    let links = links.filter(|tree| matches!(tree.rsplit('/').next(), Some("" | "v2")));
    let mut trees: BTreeSet<_> = blobs.chain(links).map(str::to_owned).collect();
    // The name of a repository can look like the path of a storage: those that have blobs come
    // first.
    let known: Vec<_> =
        trees.iter().take(MAX_TREES).map(|tree| joined(tree, REPOSITORIES)).collect();
    for folder in collected.repositories.keys() {
        if !known.iter().any(|known| relative(folder, known).is_some()) {
            trees.extend(tree_of(folder));
        }
    }
    trees
}

/// The storage's folder, by the folder of a repository.
fn tree_of(repository: &str) -> Option<String> {
    let path = format!("/{repository}");
    let whole = format!("/{TREE}/{REPOSITORIES}/");
    let (tree, inner) = match path.find(&whole) {
        Some(at) => (&path[..at], TREE),
        None => (&path[..path.find(&format!("/{REPOSITORIES}/"))?], ""),
    };
    Some(joined(tree.strip_prefix('/').unwrap_or(tree), inner))
}

fn nothing(collected: &Collected) -> String {
    let first = match &collected.first {
        Some(first) => format!("{} members, the first of which is `{first}`", collected.members),
        None => "nothing with a name".into(),
    };
    format!(
        "it holds no registry storage, which has tags in `repositories/…/_manifests` and blobs in \
         `{BLOBS}`: there are {first}. Make the archive of the folder that the registry's \
         configuration calls `rootdirectory`"
    )
}

fn two(one: &str, other: &str) -> String {
    let shown = |tree: &str| if tree.is_empty() { "its root".into() } else { format!("`{tree}`") };
    format!(
        "it holds two registry storages, one in {} and one in {}: unpack the one that is meant, \
         and give its folder",
        shown(one),
        shown(other)
    )
}
