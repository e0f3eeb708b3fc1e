//! The graph of what chosen images consist of, and what is broken in it.

use std::collections::HashMap;
use std::io;

use rayon::prelude::*;
use tranship_common::limits::MAX_NESTING;
use tranship_common::{Descriptor, Digest, Graph, Manifest, Marks, Verified, VerifyError};

use crate::manifests::Manifests;
use crate::problem::Problem;
use crate::source::Source;

/// A manifest or blob that cannot be used. Which images that breaks, the graph tells.
#[derive(Debug)]
pub struct Fault {
    /// The node of the graph.
    pub node: u32,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What chosen images consist of. The nodes of its graph are manifests and blobs, those manifests
/// first that were read.
#[derive(Debug)]
pub struct Scan {
    digests: Vec<Digest>,
    /// Sizes in bytes; zero where there is a fault.
    sizes: Vec<u64>,
    manifests: Vec<Manifest>,
    nodes: HashMap<Digest, u32>,
    absent: Marks,
    graph: Graph,
    faults: Vec<Fault>,
}

impl Scan {
    /// Puts together what was read of the manifests that `roots` lead to, and looks at the sizes of
    /// their blobs. What is known already to be damaged is taken from `damaged`.
    pub(crate) fn new(
        source: &dyn Source,
        mut manifests: Manifests,
        roots: impl IntoIterator<Item = Digest>,
        damaged: &HashMap<Digest, Problem>,
    ) -> Self {
        let mut scan = Self {
            digests: Vec::new(),
            sizes: Vec::new(),
            manifests: Vec::new(),
            nodes: HashMap::new(),
            absent: Marks::new(0),
            graph: Graph::new(std::iter::empty::<Vec<u32>>()),
            faults: Vec::new(),
        };
        let unread = scan.take_manifests(&mut manifests, roots);
        for digest in unread {
            let node = scan.node(digest);
            let problem = manifests.unreadable.remove(&digest).unwrap_or(Problem::Missing);
            scan.faults.push(Fault { node, problem });
        }
        drop(manifests);
        scan.measure(source);
        for (digest, problem) in damaged {
            if let Some(node) = scan.nodes.get(digest) {
                scan.faults.push(Fault { node: *node, problem: problem.clone() });
            }
        }
        scan.link();
        scan.find_deep();
        scan
    }

    /// Takes the manifests over that roots lead to, and returns the digests of those that were not
    /// read.
    fn take_manifests(
        &mut self,
        manifests: &mut Manifests,
        roots: impl IntoIterator<Item = Digest>,
    ) -> Vec<Digest> {
        let mut open: Vec<Digest> = roots.into_iter().collect();
        let mut unread = Vec::new();
        while let Some(digest) = open.pop() {
            match manifests.read.remove(&digest) {
                Some(manifest) => {
                    open.extend(manifest.children().iter().map(|child| child.digest));
                    let node = self.node(digest);
                    self.sizes[node as usize] = manifest.size();
                    self.manifests.push(manifest);
                }
                None if !self.nodes.contains_key(&digest) => unread.push(digest),
                None => {}
            }
        }
        unread.sort_unstable();
        unread.dedup();
        unread.retain(|digest| !self.nodes.contains_key(digest));
        unread
    }

    /// The node of a digest, made if there is none.
    fn node(&mut self, digest: Digest) -> u32 {
        *self.nodes.entry(digest).or_insert_with(|| {
            self.digests.push(digest);
            self.sizes.push(0);
            // A catalog of 1 GiB ends long before.
            u32::try_from(self.digests.len() - 1).expect("a storage has fewer than 2^32 blobs")
        })
    }

    /// Looks at the size of each blob. One that is absent is a fault but for layers that are
    /// fetched from elsewhere, where no manifest has it as an ordinary one.
    fn measure(&mut self, source: &dyn Source) {
        let first_blob = self.digests.len() as u32;
        let mut declared: Vec<(u32, Option<u64>)> = Vec::new();
        let mut required = Vec::new();
        for manifest in std::mem::take(&mut self.manifests) {
            for blob in manifest.blobs() {
                let node = self.node(blob.digest);
                if node >= first_blob {
                    declared.push((node, blob.size));
                    required.resize(self.digests.len() - first_blob as usize, false);
                    required[(node - first_blob) as usize] |= !blob.foreign;
                }
            }
            self.manifests.push(manifest);
        }
        declared.sort_unstable();
        declared.dedup();
        let blobs: Vec<_> = declared.chunk_by(|a, b| a.0 == b.0).collect();
        let measured: Vec<(u32, Result<u64, Problem>)> = blobs
            .into_par_iter()
            .map(|declared| {
                let node = declared[0].0;
                (node, blob_size(source, self.digests[node as usize], declared))
            })
            .collect();
        self.absent = Marks::new(self.digests.len());
        for (node, size) in measured {
            match size {
                Ok(size) => self.sizes[node as usize] = size,
                Err(problem) => {
                    let is_required = required[(node - first_blob) as usize];
                    if matches!(problem, Problem::Missing) {
                        self.absent.add(node);
                    }
                    if is_required || !matches!(problem, Problem::Missing) {
                        self.faults.push(Fault { node, problem });
                    }
                }
            }
        }
    }

    /// Draws the graph. A layer that is absent and fetched from elsewhere is not needed.
    fn link(&mut self) {
        let node = |digest: &Digest| self.nodes[digest];
        let is_needed = |blob: &&Descriptor| !blob.foreign || !self.absent.has(node(&blob.digest));
        let of_manifest = |manifest: &Manifest| {
            let children = manifest.children().iter();
            let needed = children.chain(manifest.blobs().iter().filter(is_needed));
            needed.map(|needed| node(&needed.digest)).collect::<Vec<u32>>()
        };
        let others = self.digests.len() - self.manifests.len();
        let of_others = std::iter::repeat_n(Vec::new(), others);
        self.graph = Graph::new(self.manifests.iter().map(of_manifest).chain(of_others));
    }

    /// The innermost indexes that nest too deep, by the longest way down.
    fn find_deep(&mut self) {
        let depths = self.graph.depths(|node| self.manifest(node).is_some());
        let too_deep = (0..self.digests.len() as u32)
            .filter(|node| depths[*node as usize] as usize == MAX_NESTING + 1);
        self.faults.extend(too_deep.map(|node| Fault { node, problem: Problem::Nested }));
    }

    /// What needs what.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What is broken.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The node of a manifest or blob that chosen images lead to.
    #[must_use]
    pub fn find(&self, digest: Digest) -> Option<u32> {
        self.nodes.get(&digest).copied()
    }

    /// The digest of a node.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn digest(&self, node: u32) -> Digest {
        self.digests[node as usize]
    }

    /// The manifest of a node; `None` for a blob, and for a manifest that was not read.
    #[must_use]
    pub fn manifest(&self, node: u32) -> Option<&Manifest> {
        self.manifests.get(node as usize)
    }

    /// The size of a node's bytes; zero where there is a fault.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn size(&self, node: u32) -> u64 {
        self.sizes[node as usize]
    }

    /// Whether the storage does not hold a node.
    #[must_use]
    pub fn is_absent(&self, node: u32) -> bool {
        self.absent.has(node)
    }
}

/// The size of a blob in bytes. Where it is none of the sizes that manifests declare, the bytes are
/// hashed: a declared size may be wrong, a digest may not.
fn blob_size(
    source: &dyn Source,
    digest: Digest,
    declared: &[(u32, Option<u64>)],
) -> Result<u64, Problem> {
    let size = source.size(digest)?;
    let mut sizes = declared.iter().filter_map(|(_, size)| *size);
    let Some(want) = sizes.next() else { return Ok(size) };
    // What passes by is hashed when it is packed; to hash one blob of it would be to read all.
    if want == size || sizes.any(|declared| declared == size) || source.as_passing().is_some() {
        return Ok(size);
    }
    let mut reader = Verified::new(source.open(digest)?, digest, size);
    match io::copy(&mut reader, &mut io::sink()).map_err(Problem::from) {
        Ok(_) => Ok(size),
        Err(Problem::Damaged(VerifyError::Digest { got, .. })) => {
            Err(Problem::WrongSize { want, got: size, digest: got })
        }
        Err(other) => Err(other),
    }
}
