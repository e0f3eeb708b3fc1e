//! What would keep a load from succeeding, found out before the first byte is sent.

use std::collections::{BTreeMap, HashSet};

use reqwest::StatusCode;
use tranship_common::bundle::{Contents, ManifestEntry};
use tranship_common::{Digest, Progress, Repository, Tag, kinds};

use crate::destination::{Destination, Projects};
use crate::harbor::immutable::ImmutableTags;
use crate::plan::mapping::project_of;
use crate::plan::survey::Found;
use crate::registry::{ImmutableRule, Quota, Registry, RequestError, SystemInfo, Upload};

/// The types of manifests that Harbor stores.
const STORED: [&str; 4] =
    [kinds::OCI_MANIFEST, kinds::OCI_INDEX, kinds::DOCKER_MANIFEST, kinds::DOCKER_LIST];

/// Layers larger than this (bytes) are too much for old versions of Harbor.
const LARGE_BLOB: u64 = 32 << 30;

/// What was found out.
#[derive(Debug, Default)]
pub(crate) struct Preflight {
    /// What has to change first.
    pub(crate) findings: Vec<String>,
    /// What will keep single images from arriving.
    pub(crate) warnings: Vec<String>,
    /// What these rights do not let us find out.
    pub(crate) unknown: Vec<String>,
}

/// Who makes missing projects.
pub(crate) struct Creator<'a> {
    pub(crate) registry: &'a Registry,
    /// What they may hold (bytes), where that is not left to Harbor.
    pub(crate) storage_limit: Option<u64>,
}

/// Looks at modes, rights and quotas. Without a `creator` no projects are made.
pub(crate) async fn preflight(
    destination: &Destination,
    contents: &Contents,
    found: &[Found],
    projects: &Projects,
    creator: Option<Creator<'_>>,
    progress: &dyn Progress,
) -> Result<Preflight, RequestError> {
    let mut preflight = Preflight::default();
    let registry = &destination.registry;
    let Some(info) = &destination.harbor else { return Ok(preflight) };
    let needed = needed_by_project(contents, found);
    if needed.is_empty() {
        return Ok(preflight);
    }
    if info.read_only == Some(true) {
        preflight.find(
            "Harbor is in read-only mode: switch it off under Configuration, System Settings",
        );
    }
    let is_missing = |name: &&str| projects.get(*name) == Some(&false);
    let missing: Vec<&str> = needed.keys().copied().filter(is_missing).collect();
    if !missing.is_empty() {
        preflight.missing_projects(info, &missing.join(", "), creator.as_ref()).await;
    }
    let new_limit = match creator.filter(|_| !missing.is_empty()) {
        Some(creator) => preflight.limit_of_new_projects(&creator).await,
        None => None,
    };
    for (project, need) in needed {
        if projects.get(project) == Some(&false) {
            let quota = Quota { used: 0, limit: new_limit };
            preflight.quota(project, need.bytes, Ok(Some(quota)));
            continue;
        }
        let push = destination.retry.insist(progress, || try_to_push(registry, need.repository));
        if let Err(error) = push.await {
            preflight.push_error(destination, project, &error);
            continue;
        }
        let quota = destination.retry.insist(progress, || registry.quota(project)).await;
        preflight.quota(project, need.bytes, quota);
        if !need.changed.is_empty() {
            let rules =
                destination.retry.insist(progress, || registry.immutable_rules(project)).await;
            preflight.immutable_tags(project, &need.changed, rules);
        }
    }
    preflight.contents(contents, found, &info.harbor_version);
    Ok(preflight)
}

/// Whether this version of Harbor, as `v2.9.5-5f14fa1e`, fails at layers beyond [`LARGE_BLOB`]:
/// mended in 2.9.2.
fn fails_at_large_blobs(version: &str) -> bool {
    let numbers = version.trim_start_matches('v').split('-').next().unwrap_or_default();
    let numbers: Vec<u32> = numbers.split('.').map_while(|number| number.parse().ok()).collect();
    numbers.len() == 3 && numbers < vec![2, 9, 2]
}

/// What a project gains.
struct Need<'a> {
    repository: &'a Repository,
    bytes: u64,
    /// Tags that have another digest now.
    changed: Vec<(&'a Repository, &'a Tag)>,
}

/// The bytes that each project gains, where a blob counts once for a project, and one of the
/// repositories that they go to. Projects that gain nothing are left out.
fn needed_by_project<'a>(contents: &'a Contents, found: &[Found]) -> BTreeMap<&'a str, Need<'a>> {
    let parts = |digest: Digest| {
        contents.closure(digest).into_iter().flat_map(|manifest| {
            std::iter::once(manifest.digest).chain(manifest.blobs.iter().copied())
        })
    };
    let mut there: BTreeMap<&str, HashSet<Digest>> = BTreeMap::new();
    for ((repository, tag), _) in contents.images().zip(found).filter(|(_, f)| **f == Found::Same) {
        there.entry(project_of(repository)).or_default().extend(parts(tag.digest));
    }
    let mut needed: BTreeMap<&str, Need<'_>> = BTreeMap::new();
    for ((repository, tag), found) in contents.images().zip(found) {
        // What the target does not tell of may be there, but a push will show whether it is.
        if *found == Found::Same {
            continue;
        }
        let project = project_of(repository);
        let need =
            needed.entry(project).or_insert(Need { repository, bytes: 0, changed: Vec::new() });
        if matches!(found, Found::Different(_)) {
            need.changed.push((repository, &tag.name));
        }
        let there = there.entry(project).or_default();
        need.bytes += parts(tag.digest)
            .filter(|part| there.insert(*part))
            .filter_map(|part| contents.size(part))
            .sum::<u64>();
    }
    needed
}

/// Opens an upload and gives it back.
async fn try_to_push(registry: &Registry, repository: &Repository) -> Result<(), RequestError> {
    match registry.begin_upload(repository, None).await? {
        Upload::Mounted => Ok(()),
        // A session that cannot be given back is purged by the registry in time.
        Upload::Session(session) => {
            let _ = registry.cancel_upload(repository, &session).await;
            Ok(())
        }
    }
}

impl Preflight {
    fn find(&mut self, what: &str) {
        self.findings.push(what.to_owned());
    }

    /// Whether somebody may make the projects that are missing.
    async fn missing_projects(
        &mut self,
        info: &SystemInfo,
        missing: &str,
        creator: Option<&Creator<'_>>,
    ) {
        let Some(Creator { registry: creator, .. }) = creator else {
            let what = "these projects do not exist";
            return self.find(&format!("{what}: {missing}; make them with `loader projects`"));
        };
        let account = creator.account();
        let for_administrators = info.project_creation_restriction.as_deref() == Some("adminonly");
        // Harbor names the robot of a project PREFIX$PROJECT+NAME.
        let of_project = account.contains('+');
        if !(for_administrators || of_project) {
            return;
        }
        let why = match creator.is_administrator().await {
            Ok(None) if of_project => {
                format!("{account} is the robot of a project and makes none")
            }
            Ok(Some(false)) if for_administrators => {
                format!("only administrators may make projects here, and {account} is none")
            }
            Ok(Some(_)) => return,
            Ok(None) => {
                let what = format!("whether the robot {account} may make projects");
                return self.unknown.push(what);
            }
            Err(error) => {
                let why = error.in_words();
                return self.unknown.push(format!("whether {account} may make projects: {why}"));
            }
        };
        self.find(&format!(
            "{why}; missing are {missing}: have an administrator run `loader projects`, or give \
             --admin-username"
        ));
    }

    /// How many bytes a project may hold that is made now.
    async fn limit_of_new_projects(&mut self, creator: &Creator<'_>) -> Option<i64> {
        if let Some(limit) = creator.storage_limit {
            return i64::try_from(limit).ok();
        }
        match creator.registry.default_quota().await {
            Ok(limit) => limit,
            Err(error) => {
                let why = why(&error);
                self.unknown.push(format!("the storage quota that new projects get: {why}"));
                None
            }
        }
    }

    fn push_error(&mut self, destination: &Destination, project: &str, error: &RequestError) {
        let account = destination.registry.account();
        self.find(&match error.answer() {
            Some(answer) if answer.is_read_only() => return,
            Some(answer) if answer.is_denied() => format!(
                "{account} may not push into project {project}: {answer}; it has to be a member \
                 with the role of a developer at least, or a robot with the right to push there"
            ),
            _ => format!("cannot push into project {project}: {}", error.in_words()),
        });
    }

    fn quota(&mut self, project: &str, gain: u64, quota: Result<Option<Quota>, RequestError>) {
        match quota {
            Ok(Some(Quota { used, limit: Some(limit) })) => {
                let free = u64::try_from(limit.saturating_sub(used)).unwrap_or(0);
                if gain > free {
                    self.find(&format!(
                        "project {project} has a storage quota of {limit} bytes with {free} left, and \
                         would gain {gain}: raise it by {} bytes",
                        gain - free
                    ));
                }
            }
            Ok(_) => {}
            Err(error) => {
                let why = why(&error);
                self.unknown.push(format!("the storage quota of project {project}: {why}"));
            }
        }
    }

    /// Tags that are to change, but must not.
    fn immutable_tags(
        &mut self,
        project: &str,
        changed: &[(&Repository, &Tag)],
        rules: Result<Vec<ImmutableRule>, RequestError>,
    ) {
        let rules = rules.map_err(|error| why(&error));
        let rules =
            rules.and_then(|rules| ImmutableTags::new(&rules).map_err(|error| error.to_string()));
        match rules {
            Ok(rules) => {
                for (repository, tag) in changed.iter().filter(|(name, tag)| rules.holds(name, tag))
                {
                    self.warnings.push(format!(
                        "{repository}:{tag} has another digest there, and a rule of project \
                         {project} makes the tag immutable"
                    ));
                }
            }
            Err(why) => self.unknown.push(format!("immutable tags of project {project}: {why}")),
        }
    }

    /// Images with something that this Harbor is not known to store.
    fn contents(&mut self, contents: &Contents, found: &[Found], version: &str) {
        let largest = if fails_at_large_blobs(version) { LARGE_BLOB } else { u64::MAX };
        let missing = contents.images().zip(found).filter(|(_, found)| **found != Found::Same);
        for ((repository, tag), _) in missing {
            let parts = contents.closure(tag.digest);
            let is_odd = |part: &&&ManifestEntry| !STORED.contains(&part.media_type.as_str());
            if let Some(part) = parts.iter().find(is_odd) {
                self.warnings.push(format!(
                    "{repository}:{} has a manifest of type {}, which Harbor does not store",
                    tag.name, part.media_type
                ));
            }
            let is_large =
                |blob: &&Digest| contents.size(**blob).is_some_and(|size| size > largest);
            if let Some(blob) = parts.iter().flat_map(|part| &part.blobs).find(is_large) {
                self.warnings.push(format!(
                    "{repository}:{} has the layer {blob} of more than 32 GiB, at which Harbor \
                     before 2.9.2 fails",
                    tag.name
                ));
            }
        }
    }
}

/// Why something is not shown.
fn why(error: &RequestError) -> String {
    match error.answer() {
        Some(answer) if answer.status == StatusCode::FORBIDDEN => {
            "these rights do not show it".to_owned()
        }
        _ => error.in_words(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_fail_at_large_blobs() {
        for version in ["v2.8.4-1a2b3c", "v2.9.1-1a2b3c", "2.0.0"] {
            assert!(fails_at_large_blobs(version), "{version}");
        }
        for version in ["v2.9.2-1a2b3c", "v2.9.5-1a2b3c", "v2.10.0-1a2b3c", "v3.0.0", "dev", ""] {
            assert!(!fails_at_large_blobs(version), "{version}");
        }
    }
}
