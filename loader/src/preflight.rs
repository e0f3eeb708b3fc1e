//! What would keep a load from succeeding, found out before the first byte is sent.

use std::collections::{BTreeMap, HashSet};

use reqwest::StatusCode;
use tranship_common::bundle::Contents;
use tranship_common::{Digest, Progress, Repository};

use crate::destination::{Destination, Projects};
use crate::mapping::project_of;
use crate::registry::{Quota, Registry, RequestError, SystemInfo, Upload};
use crate::survey::Found;

/// What was found out.
#[derive(Debug, Default)]
pub(crate) struct Preflight {
    /// What has to change first.
    pub(crate) findings: Vec<String>,
    /// What these rights do not let us find out.
    pub(crate) unknown: Vec<String>,
}

/// Looks at modes, rights and quotas. `creator` is the account that makes missing projects, if
/// any are to be made.
pub(crate) async fn preflight(
    destination: &Destination,
    contents: &Contents,
    found: &[Found],
    projects: &Projects,
    creator: Option<&Registry>,
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
        preflight.missing_projects(info, &missing.join(", "), creator).await;
    }
    for (project, need) in needed {
        if projects.get(project) == Some(&false) {
            continue;
        }
        let push = destination.retry.insist(progress, || try_to_push(registry, need.repository));
        if let Err(error) = push.await {
            preflight.push_error(destination, project, &error);
            continue;
        }
        let quota = destination.retry.insist(progress, || registry.quota(project)).await;
        preflight.quota(project, need.bytes, quota);
    }
    Ok(preflight)
}

/// What a project gains.
struct Need<'a> {
    repository: &'a Repository,
    bytes: u64,
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
        if !matches!(found, Found::Missing | Found::Different(_)) {
            continue;
        }
        let project = project_of(repository);
        let need = needed.entry(project).or_insert(Need { repository, bytes: 0 });
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
        creator: Option<&Registry>,
    ) {
        let Some(creator) = creator else {
            let what = "these projects do not exist";
            return self.find(&format!("{what}: {missing}; make them with `loader projects`"));
        };
        if info.project_creation_restriction.as_deref() != Some("adminonly") {
            return;
        }
        let account = creator.account();
        match creator.is_administrator().await {
            Ok(Some(true)) => {}
            Ok(Some(false)) => self.find(&format!(
                "only administrators may make projects here, and {account} is none; missing are \
                 {missing}: have one run `loader projects`, or give --admin-username"
            )),
            Ok(None) => {
                self.unknown.push(format!("whether the robot {account} may make projects"));
            }
            Err(error) => {
                let why = error.in_words();
                self.unknown.push(format!("whether {account} may make projects: {why}"));
            }
        }
    }

    fn push_error(&mut self, destination: &Destination, project: &str, error: &RequestError) {
        let account = destination.registry.account();
        self.find(&match error.answer() {
            Some(answer) if answer.is_read_only() => return,
            Some(answer) if answer.is_denied() => {
                format!("{account} may not push into project {project}: {answer}")
            }
            _ => format!("cannot push into project {project}: {}", error.in_words()),
        });
    }

    fn quota(&mut self, project: &str, gain: u64, quota: Result<Option<Quota>, RequestError>) {
        match quota {
            Ok(Some(Quota { used, limit: Some(limit) })) => {
                let free = u64::try_from(limit - used).unwrap_or(0);
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
                let why = match error.answer() {
                    Some(answer) if answer.status == StatusCode::FORBIDDEN => {
                        "these rights do not show it".to_owned()
                    }
                    _ => error.in_words(),
                };
                self.unknown.push(format!("the storage quota of project {project}: {why}"));
            }
        }
    }
}
