//! Findings: what is broken in a storage, in words, with the images that it breaks.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use serde::Serialize;
use tranship_common::Digest;

use crate::chosen::Chosen;
use crate::inventory::BrokenTag;
use crate::problem::Problem;
use crate::role::Roles;
use crate::scan::{Fault, Scan};
use crate::source::Source;

/// Something broken in a storage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The images that it breaks, sorted: `REPOSITORY:TAG`, or `REPOSITORY@DIGEST` for a referrer.
    pub images: Vec<String>,
    /// The blob, manifest or tagged manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The file, folder or object to look at.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
    /// Whether a tagged image of the storage is lost by it.
    #[serde(skip)]
    pub is_loss: bool,
}

/// What is broken among the chosen images, sorted.
#[must_use]
pub(crate) fn findings(source: &dyn Source, chosen: &Chosen, scan: &Scan) -> Vec<Finding> {
    let mut findings: Vec<Finding> = chosen.broken.iter().map(of_tag).collect();
    let images = Images::new(chosen, scan);
    let mut roles = Roles::new(source, scan);
    // One link that leads out of the storage may be in the way of many blobs.
    let mut by_link: HashMap<&str, Vec<&Fault>> = HashMap::new();
    for fault in scan.faults() {
        match &fault.problem {
            Problem::LeavesTree { link, .. } => by_link.entry(link).or_default().push(fault),
            problem => {
                let images = images.with([fault.node]);
                // What only needs it to be broken itself may be in the way of nothing.
                if images.is_empty() {
                    continue;
                }
                let is_loss = images.iter().any(|image| !image.contains('@'));
                let digest = scan.digest(fault.node);
                let role = match problem {
                    Problem::Missing => roles.of(fault.node),
                    _ => String::new(),
                };
                findings.push(Finding {
                    images,
                    digest: Some(digest),
                    path: source.location(digest),
                    problem: format!("{problem}{role}"),
                    is_loss,
                });
            }
        }
    }
    for (link, faults) in by_link {
        let (problem, count) = (&faults[0].problem, faults.len());
        let more = if count > 1 { format!(" ({count} blobs)") } else { String::new() };
        findings.push(Finding {
            images: images.with(faults.iter().map(|fault| fault.node)),
            digest: (count == 1).then(|| scan.digest(faults[0].node)),
            path: link.to_owned(),
            problem: format!("{problem}{more}"),
            is_loss: true,
        });
    }
    findings.sort();
    findings
}

fn of_tag(broken: &BrokenTag) -> Finding {
    Finding {
        images: vec![broken.name.clone()],
        digest: broken.digest,
        path: broken.location.clone(),
        problem: broken.problem.to_string(),
        is_loss: !matches!(broken.problem, Problem::NoSuchImage),
    }
}

/// How many images findings break, each counted once.
#[must_use]
pub fn broken_images(findings: &[Finding]) -> usize {
    let images: BTreeSet<&str> =
        findings.iter().flat_map(|finding| &finding.images).map(String::as_str).collect();
    images.len()
}

/// Finds the images that lead to a node.
struct Images<'a> {
    chosen: &'a Chosen,
    scan: &'a Scan,
    /// Where the images of each root stand: the repository, and the tag or else a referrer.
    of_root: HashMap<u32, Vec<(u32, Option<u32>)>>,
}

impl<'a> Images<'a> {
    fn new(chosen: &'a Chosen, scan: &'a Scan) -> Self {
        let mut of_root: HashMap<u32, Vec<(u32, Option<u32>)>> = HashMap::new();
        let mut add = |digest, image| {
            if let Some(node) = scan.find(digest) {
                of_root.entry(node).or_default().push(image);
            }
        };
        for (at, repository) in (0..).zip(&chosen.repositories) {
            (0..).zip(&repository.tags).for_each(|(n, tag)| add(tag.digest, (at, Some(n))));
            repository.referrers.iter().for_each(|referrer| add(*referrer, (at, None)));
        }
        Self { chosen, scan, of_root }
    }

    /// The names of the images that need one of these nodes, sorted.
    fn with(&self, nodes: impl IntoIterator<Item = u32>) -> Vec<String> {
        let mut affected = std::collections::HashSet::new();
        self.scan.graph().spread(nodes, |node| affected.insert(node));
        let roots = affected.iter().filter_map(|node| Some((*node, self.of_root.get(node)?)));
        let mut names: Vec<String> = roots
            .flat_map(|(node, images)| images.iter().map(move |image| self.name(node, *image)))
            .collect();
        names.sort();
        names
    }

    fn name(&self, node: u32, (repository, tag): (u32, Option<u32>)) -> String {
        let repository = &self.chosen.repositories[repository as usize];
        match tag {
            Some(tag) => format!("{}:{}", repository.name, repository.tags[tag as usize].name),
            None => format!("{}@{}", repository.name, self.scan.digest(node)),
        }
    }
}

impl fmt::Display for Finding {
    /// The thing, its path and problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(digest) = &self.digest {
            write!(f, "{digest} ")?;
        }
        write!(f, "({}): {}", self.path, self.problem)
    }
}
