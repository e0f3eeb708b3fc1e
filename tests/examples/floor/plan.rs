//! The least requests that bring a bundle into an empty registry, and which comes after which.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};

use tranship_common::bundle::{Contents, ManifestEntry, TagEntry};
use tranship_common::{Digest, Repository, Tag};

/// A request, or the two of an upload.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'a> {
    /// A blob that no repository has yet.
    Upload { blob: Digest, to: &'a Repository },
    /// A blob that another repository has.
    Mount { blob: Digest, to: &'a Repository, from: &'a Repository },
    /// A manifest, under a tag or else under its digest.
    Put { manifest: &'a ManifestEntry, tag: Option<&'a Tag>, to: &'a Repository },
}

/// A step among the others.
#[derive(Debug)]
struct Node<'a> {
    step: Step<'a>,
    /// Steps that have to be done before.
    waits_for: usize,
    /// Steps that wait for this one.
    then: Vec<usize>,
}

/// All steps. What may be done now is done in the order of their numbers: image by image, from
/// each project in turn, since Harbor lets the pushes into one project wait for each other.
#[derive(Debug, Default)]
pub(crate) struct Plan<'a> {
    nodes: Vec<Node<'a>>,
    ready: BinaryHeap<Reverse<usize>>,
    /// The upload of each blob, and where it goes.
    uploads: HashMap<Digest, (usize, &'a Repository)>,
    /// The step that brings a blob to a repository.
    delivered: HashMap<(&'a Repository, Digest), usize>,
    /// The first step that stores a manifest in a repository.
    stored: HashMap<(&'a Repository, Digest), usize>,
}

impl<'a> Plan<'a> {
    /// Plans for a registry that has nothing.
    pub(crate) fn new(contents: &'a Contents) -> Self {
        let mut plan = Self::default();
        // A child that has a tag of its own is stored by that.
        let mut tags: HashMap<(&Repository, Digest), &Tag> = HashMap::new();
        for (repository, tag) in contents.images() {
            tags.entry((repository, tag.digest)).or_insert(&tag.name);
        }
        let mut tagged: HashSet<(&Repository, &Tag)> = HashSet::new();
        for (to, image) in by_turns(contents) {
            for manifest in contents.closure(image.digest) {
                let key = (to, manifest.digest);
                let tag = match manifest.digest == image.digest {
                    true => Some(&image.name),
                    false if plan.stored.contains_key(&key) => continue,
                    false => tags.get(&key).copied(),
                };
                if tag.is_none_or(|tag| tagged.insert((to, tag))) {
                    plan.put(manifest, tag, to);
                }
            }
        }
        plan
    }

    fn put(&mut self, manifest: &'a ManifestEntry, tag: Option<&'a Tag>, to: &'a Repository) {
        let mut needs: Vec<usize> =
            manifest.blobs.iter().map(|blob| self.deliver(*blob, to)).collect();
        needs.extend(manifest.manifests.iter().map(|child| self.stored[&(to, *child)]));
        let number = self.add(Step::Put { manifest, tag, to }, &needs);
        self.stored.entry((to, manifest.digest)).or_insert(number);
    }

    /// The step that brings a blob to a repository.
    fn deliver(&mut self, blob: Digest, to: &'a Repository) -> usize {
        if let Some(number) = self.delivered.get(&(to, blob)) {
            return *number;
        }
        let number = match self.uploads.get(&blob).copied() {
            Some((upload, from)) => self.add(Step::Mount { blob, to, from }, &[upload]),
            None => {
                let number = self.add(Step::Upload { blob, to }, &[]);
                self.uploads.insert(blob, (number, to));
                number
            }
        };
        self.delivered.insert((to, blob), number);
        number
    }

    fn add(&mut self, step: Step<'a>, needs: &[usize]) -> usize {
        let number = self.nodes.len();
        for need in needs {
            self.nodes[*need].then.push(number);
        }
        if needs.is_empty() {
            self.ready.push(Reverse(number));
        }
        self.nodes.push(Node { step, waits_for: needs.len(), then: Vec::new() });
        number
    }

    /// How many requests all steps are.
    pub(crate) fn requests(&self) -> usize {
        self.nodes.len() + self.uploads.len()
    }

    /// The next step that waits for nothing, and its number.
    pub(crate) fn next(&mut self) -> Option<(usize, Step<'a>)> {
        let Reverse(number) = self.ready.pop()?;
        Some((number, self.nodes[number].step))
    }

    /// The step with this number is done.
    pub(crate) fn done(&mut self, number: usize) {
        for then in std::mem::take(&mut self.nodes[number].then) {
            self.nodes[then].waits_for -= 1;
            if self.nodes[then].waits_for == 0 {
                self.ready.push(Reverse(then));
            }
        }
    }
}

/// The images: the first of each project, then the second of each, and so on.
fn by_turns(contents: &Contents) -> Vec<(&Repository, &TagEntry)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut images: Vec<_> = contents
        .images()
        .map(|(repository, tag)| {
            let project = repository.as_str().split('/').next().unwrap_or_default();
            let count = counts.entry(project).or_default();
            *count += 1;
            (*count, repository, tag)
        })
        .collect();
    images.sort_by_key(|(turn, ..)| *turn);
    images.into_iter().map(|(_, repository, tag)| (repository, tag)).collect()
}
