//! Findings: what is broken in a storage, in words, with the images that it breaks.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use serde::Serialize;
use tranship_common::Digest;

use crate::chosen::Chosen;
use crate::inventory::BrokenTag;
use crate::problem::Problem;
use crate::role::Roles;
use crate::scan::Scan;
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
    let mut findings = Vec::new();
    let mut links = Links::default();
    for broken in &chosen.broken {
        match &broken.problem {
            Problem::LeavesTree { link, .. } => {
                links.of(link, &broken.problem).names.push(broken.name.clone());
            }
            _ => findings.push(of_tag(broken)),
        }
    }
    let images = Images::new(chosen, scan);
    let roles = Roles::new(source, scan);
    for fault in scan.faults() {
        if let Problem::LeavesTree { link, .. } = &fault.problem {
            links.of(link, &fault.problem).nodes.push(fault.node);
            continue;
        }
        let images = images.with([fault.node]);
        // What only needs it to be broken itself may be in the way of nothing.
        if images.is_empty() {
            continue;
        }
        let role = match fault.problem {
            Problem::Missing => roles.of(fault.node),
            _ => String::new(),
        };
        let digest = scan.digest(fault.node);
        findings.push(Finding {
            is_loss: images.iter().any(|image| !image.contains('@')),
            images,
            digest: Some(digest),
            path: source.location(digest),
            problem: format!("{}{role}", fault.problem),
        });
    }
    findings.extend(links.0.into_iter().map(|(link, broken)| broken.finding(link, &images)));
    findings.sort();
    findings
}

/// Links that lead out of the storage, each with what it is in the way of: that may be much.
#[derive(Default)]
struct Links<'a>(HashMap<&'a str, BehindLink<'a>>);

/// What is behind such a link.
struct BehindLink<'a> {
    problem: &'a Problem,
    /// Names of broken tags.
    names: Vec<String>,
    /// Manifests and blobs.
    nodes: Vec<u32>,
}

impl<'a> Links<'a> {
    fn of(&mut self, link: &'a str, problem: &'a Problem) -> &mut BehindLink<'a> {
        let new = || BehindLink { problem, names: Vec::new(), nodes: Vec::new() };
        self.0.entry(link).or_insert_with(new)
    }
}

impl BehindLink<'_> {
    fn finding(mut self, link: &str, images: &Images<'_>) -> Finding {
        let blobs = match self.nodes.len() {
            0 | 1 => String::new(),
            count => format!(" ({count} blobs)"),
        };
        self.names.extend(images.with(self.nodes));
        self.names.sort();
        Finding {
            images: self.names,
            digest: None,
            path: link.to_owned(),
            problem: format!("{}{blobs}", self.problem),
            is_loss: true,
        }
    }
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
