//! What a storage holds, to choose by: what each project, repository and tag takes, and what leaving
//! it out would save.

mod html;

use serde::Serialize;
use tranship_common::PushTime;
use tranship_common::bundle::BlobEntry;
use tranship_storage::{Chosen, Scan};

/// What a storage holds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Picture {
    /// All blobs of the storage.
    stored: Blobs,
    /// Those that no chosen tag leads to: garbage, where all tags were chosen.
    unreached: Blobs,
    /// By name.
    projects: Vec<Group>,
    /// By project, then by name.
    repositories: Vec<Group>,
    /// By repository, then oldest first.
    tags: Vec<TagPart>,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Blobs {
    count: u64,
    bytes: u64,
}

/// A project or a repository.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    tags: u64,
    newest: PushTime,
    #[serde(flatten)]
    part: Part,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TagPart {
    /// `REPOSITORY:TAG`.
    name: String,
    pushed: PushTime,
    #[serde(flatten)]
    part: Part,
}

/// A part of the storage, in bytes of manifests and blobs, each counted once.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    /// What it needs.
    bytes: u64,
    /// What nothing else of its kind needs, so that leaving it out saves as much.
    unique_bytes: u64,
}

/// For each node, by how many things of a kind it is needed: the last, and whether there was
/// another.
struct Users {
    last: Vec<u32>,
    is_shared: Vec<bool>,
}

impl Users {
    fn new(nodes: usize) -> Self {
        Self { last: vec![u32::MAX; nodes], is_shared: vec![false; nodes] }
    }

    /// Notes a user, and tells whether this one was not noted before. Users come one after the
    /// other.
    fn add(&mut self, node: u32, user: u32) -> bool {
        let last = &mut self.last[node as usize];
        if *last == user {
            return false;
        }
        self.is_shared[node as usize] |= *last != u32::MAX;
        *last = user;
        true
    }
}

impl Picture {
    /// Counts. `stored` are all blobs of the storage.
    pub(crate) fn new(chosen: &Chosen, scan: &Scan, stored: &[BlobEntry]) -> Self {
        let nodes = scan.graph().len();
        let (mut of_tags, mut of_repositories, mut of_projects) =
            (Users::new(nodes), Users::new(nodes), Users::new(nodes));
        let mut picture = Self {
            stored: count(stored.iter()),
            unreached: Blobs::default(),
            projects: Vec::new(),
            repositories: Vec::new(),
            tags: Vec::new(),
        };
        // First who needs what, with the bytes of each; then what one alone needs.
        // A project's repositories one after the other, which `a-b/c` between `a` and `a/b` is not.
        let mut repositories: Vec<_> = chosen.repositories.iter().collect();
        repositories.sort_by_key(|repository| project_of(repository.name.as_str()));
        for repository in repositories {
            let name = repository.name.as_str();
            let project = project_of(name);
            if picture.projects.last().is_none_or(|last| last.name != project) {
                picture.projects.push(Group::new(project));
            }
            picture.repositories.push(Group::new(name));
            for tag in &repository.tags {
                picture.tags.push(TagPart {
                    name: format!("{name}:{}", tag.name),
                    pushed: tag.pushed,
                    part: Part::default(),
                });
                let Self { projects, repositories, tags, .. } = &mut picture;
                let at = [projects.len(), repositories.len(), tags.len()].map(|n| n as u32 - 1);
                let groups = [projects.last_mut(), repositories.last_mut()];
                for group in groups.into_iter().flatten() {
                    group.tags += 1;
                    group.newest = group.newest.max(tag.pushed);
                }
                let mut open: Vec<u32> = scan.find(tag.digest).into_iter().collect();
                while let Some(node) = open.pop() {
                    if !of_tags.add(node, at[2]) {
                        continue;
                    }
                    open.extend(scan.graph().needs(node));
                    let is_new =
                        [of_projects.add(node, at[0]), of_repositories.add(node, at[1]), true];
                    let parts = [
                        projects.last_mut().map(|group| &mut group.part),
                        repositories.last_mut().map(|group| &mut group.part),
                        tags.last_mut().map(|tag| &mut tag.part),
                    ];
                    for (part, _) in parts.into_iter().flatten().zip(is_new).filter(|(_, new)| *new)
                    {
                        part.bytes += scan.size(node);
                    }
                }
            }
        }
        for node in 0..nodes as u32 {
            let alone = |users: &Users| {
                let last = users.last[node as usize];
                (last != u32::MAX && !users.is_shared[node as usize]).then_some(last as usize)
            };
            let parts = [
                alone(&of_projects).map(|at| &mut picture.projects[at].part),
                alone(&of_repositories).map(|at| &mut picture.repositories[at].part),
                alone(&of_tags).map(|at| &mut picture.tags[at].part),
            ];
            for part in parts.into_iter().flatten() {
                part.unique_bytes += scan.size(node);
            }
        }
        let is_reached = |blob: &&BlobEntry| {
            let node = scan.find(blob.digest);
            node.is_some_and(|node| of_tags.last[node as usize] != u32::MAX)
        };
        picture.unreached = count(stored.iter().filter(|blob| !is_reached(blob)));
        picture
    }
}

impl Group {
    fn new(name: &str) -> Self {
        let (name, newest) = (name.to_owned(), PushTime::from_unix(i64::MIN));
        Self { name, tags: 0, newest, part: Part::default() }
    }
}

fn project_of(repository: &str) -> &str {
    repository.split('/').next().unwrap_or_default()
}

fn count<'a>(blobs: impl Iterator<Item = &'a BlobEntry>) -> Blobs {
    blobs.fold(Blobs::default(), |sum, blob| Blobs {
        count: sum.count + 1,
        bytes: sum.bytes + blob.size,
    })
}
