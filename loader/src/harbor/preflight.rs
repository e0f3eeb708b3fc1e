//! What would keep a load into Harbor from succeeding, found out before the first byte is sent.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use futures_util::{StreamExt, stream};
use tranship_common::bundle::BlobId;
use tranship_common::{Digest, kinds};

use super::api::{Harbor, ImmutableRule, Quota};
use super::immutable::ImmutableTags;
use crate::deliver::Deliver;
use crate::failure::{About, Extent, Failure, Kind};
use crate::plan::survey::{Found, Projects, Standing, Survey, SurveyedImage};
use crate::transfer::retry::Patience;

/// The types of manifests that Harbor stores.
const STORED: [&str; 4] =
    [kinds::OCI_MANIFEST, kinds::OCI_INDEX, kinds::DOCKER_MANIFEST, kinds::DOCKER_LIST];

/// Layers larger than this (bytes) are too much for old versions of Harbor.
const LARGE_BLOB: u64 = 32 << 30;

/// Something that has to change first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The projects that it keeps from being loaded into; all of them when there is none.
    pub(crate) projects: Vec<String>,
    pub(crate) text: String,
}

/// What was found out.
#[derive(Debug, Default)]
pub(crate) struct Preflight {
    /// What has to change first.
    pub(crate) findings: Vec<Finding>,
    /// What will keep single images from arriving.
    pub(crate) warnings: Vec<String>,
    /// What these rights do not let us find out.
    pub(crate) unknown: Vec<String>,
    /// Bytes that projects hold, where Harbor tells.
    pub(crate) used: BTreeMap<String, i64>,
}

/// Who makes missing projects.
#[derive(Clone)]
pub(crate) struct Creator {
    pub(crate) harbor: Rc<Harbor>,
    /// What they may hold (bytes), where that is not left to Harbor.
    pub(crate) storage_limit: Option<u64>,
}

/// Looks at modes, rights and quotas.
pub(crate) struct Preflighter<'a> {
    pub(crate) harbor: &'a Harbor,
    pub(crate) patience: &'a Patience,
    pub(crate) delivery: &'a dyn Deliver,
    pub(crate) survey: &'a Survey,
    /// Questions at once.
    pub(crate) jobs: usize,
}

/// What a project gains.
#[derive(Default)]
struct Need {
    bytes: u64,
    /// The manifests and blobs that it has not, and the repositories that need them.
    parts: HashMap<BlobId, Vec<usize>>,
    /// Repositories that gain something.
    repositories: Vec<usize>,
    /// Images whose tags have another digest now.
    changed: Vec<usize>,
}

impl Preflighter<'_> {
    /// Looks at everything. Without a `creator` no projects are made.
    ///
    /// # Errors
    /// When Harbor itself no longer answers. What it does not tell is noted.
    pub(crate) async fn look(
        &self,
        projects: &Projects,
        creator: Option<&Creator>,
    ) -> Result<Preflight, Failure> {
        let mut preflight = Preflight::default();
        let needed = self.needed_by_project();
        if needed.is_empty() {
            return Ok(preflight);
        }
        if self.harbor.info.read_only == Some(true) {
            let what =
                "Harbor is in read-only mode: switch it off under Configuration, System Settings";
            preflight.find(Vec::new(), what.to_owned());
        }
        let is_missing = |name: &&&str| projects.get(**name) == Some(&false);
        let missing: Vec<String> =
            needed.keys().filter(is_missing).map(|name| (*name).to_owned()).collect();
        let mut new_limit = None;
        if !missing.is_empty() {
            self.missing_projects(&mut preflight, &missing, creator).await?;
            if let Some(creator) = creator {
                new_limit = self.limit_of_new_projects(&mut preflight, creator).await?;
            }
        }
        for (project, need) in &needed {
            if projects.get(*project) == Some(&false) {
                preflight.used.insert((*project).to_owned(), 0);
                preflight.quota(project, need.bytes, Quota { used: 0, limit: new_limit });
            } else {
                self.project(&mut preflight, project, need).await?;
            }
        }
        preflight.contents(self.survey, &self.harbor.info.harbor_version);
        Ok(preflight)
    }

    /// A project that exists.
    async fn project(
        &self,
        preflight: &mut Preflight,
        project: &str,
        need: &Need,
    ) -> Result<(), Failure> {
        let Some(repository) = need.repositories.first() else { return Ok(()) };
        let repository = &self.survey.repositories[*repository].name;
        if let Err(failure) = self.delivery.rehearse(repository).await {
            preflight.push_failure(project, target_lives(failure)?);
            return Ok(());
        }
        let about = About::Project(project);
        let quota = self.patience.ask(about, || self.harbor.quota(project)).await;
        match alive(quota)? {
            Ok(Some(quota)) => {
                preflight.used.insert(project.to_owned(), quota.used);
                let mut gain = need.bytes;
                // Of what an earlier run has brought without its images, nothing is to come.
                if gain > quota.free() {
                    gain -= self.held(need).await?;
                }
                preflight.quota(project, gain, quota);
            }
            Ok(None) => {
                if !self.has_no_quotas().await? {
                    let what =
                        format!("the storage quota of project {project}: its limit is unknown");
                    preflight.unknown.push(what);
                }
            }
            Err(failure) => {
                let why = failure.why();
                preflight.unknown.push(format!("the storage quota of project {project}: {why}"));
            }
        }
        if !need.changed.is_empty() {
            let rules = self.patience.ask(about, || self.harbor.immutable_rules(project)).await;
            preflight.immutable_tags(project, self.survey, &need.changed, alive(rules)?);
        }
        Ok(())
    }

    /// Bytes of what a project gains that are in its repositories already.
    async fn held(&self, need: &Need) -> Result<u64, Failure> {
        let contents = &self.survey.contents;
        let mut asked = stream::iter(&need.parts)
            .map(|(part, repositories)| async move {
                let entry = contents.entry(*part);
                for at in repositories {
                    let repository = &self.survey.repositories[*at];
                    if repository.standing == Standing::New {
                        continue;
                    }
                    let name = repository.name.name();
                    let registry = &self.harbor.registry;
                    let ask = async || match contents.manifest_by_id(*part) {
                        Some(manifest) => {
                            let reference = entry.digest.to_string();
                            let media_type = &manifest.media_type;
                            let found = registry.manifest_digest(name, &reference, media_type);
                            found.await.map(|digest| digest.is_some())
                        }
                        None => registry.has_blob(name, entry.digest).await,
                    };
                    let there = self.patience.ask(About::Question(&repository.name), ask).await;
                    match there {
                        Ok(true) => return Ok(entry.size),
                        Ok(false) => {}
                        Err(failure) => drop(target_lives(failure)?),
                    }
                }
                Ok::<u64, Failure>(0)
            })
            .buffer_unordered(self.jobs);
        let mut held = 0;
        while let Some(size) = asked.next().await {
            held += size?;
        }
        Ok(held)
    }

    /// Whether Harbor says that there are no quotas. Most accounts are not told.
    async fn has_no_quotas(&self) -> Result<bool, Failure> {
        let ask = || self.harbor.default_quota();
        match self.patience.ask(About::Target, ask).await {
            Ok(default) => Ok(default == super::api::DefaultQuota::Off),
            Err(failure) => target_lives(failure).map(|_| false),
        }
    }

    /// Whether somebody may make the projects that are missing.
    async fn missing_projects(
        &self,
        preflight: &mut Preflight,
        missing: &[String],
        creator: Option<&Creator>,
    ) -> Result<(), Failure> {
        let names = missing.join(", ");
        let Some(Creator { harbor: creator, .. }) = creator else {
            let what =
                format!("these projects do not exist: {names}; make them with `loader projects`");
            preflight.find(missing.to_owned(), what);
            return Ok(());
        };
        let account = creator.registry.account();
        let restriction = self.harbor.info.project_creation_restriction.as_deref();
        let for_administrators = restriction == Some("adminonly");
        // Harbor names the robot of a project PREFIX$PROJECT+NAME.
        let of_project = account.contains('+');
        if !(for_administrators || of_project) {
            return Ok(());
        }
        let ask = || creator.is_administrator();
        let why = match self.patience.ask(About::Target, ask).await {
            Ok(None) if of_project => {
                format!("{account} is the robot of a project and makes none")
            }
            Ok(Some(false)) if for_administrators => {
                format!("only administrators may make projects here, and {account} is none")
            }
            Ok(Some(_)) => return Ok(()),
            Ok(None) => {
                preflight.unknown.push(format!("whether the robot {account} may make projects"));
                return Ok(());
            }
            Err(failure) => {
                let why = target_lives(failure)?.why();
                preflight.unknown.push(format!("whether {account} may make projects: {why}"));
                return Ok(());
            }
        };
        let what = format!(
            "{why}; missing are {names}: have an administrator run `loader projects`, or give \
             --admin-username"
        );
        preflight.find(missing.to_owned(), what);
        Ok(())
    }

    /// How many bytes a project may hold that is made now.
    async fn limit_of_new_projects(
        &self,
        preflight: &mut Preflight,
        creator: &Creator,
    ) -> Result<Option<i64>, Failure> {
        if let Some(limit) = creator.storage_limit {
            return Ok(i64::try_from(limit).ok());
        }
        let ask = || creator.harbor.default_quota();
        match self.patience.ask(About::Target, ask).await {
            Ok(default) => Ok(default.limit()),
            Err(failure) => {
                let why = target_lives(failure)?.why();
                preflight.unknown.push(format!("the storage quota that new projects get: {why}"));
                Ok(None)
            }
        }
    }

    /// What each project gains, where a manifest or blob counts once for a project. Projects that
    /// gain nothing are left out.
    fn needed_by_project(&self) -> BTreeMap<&str, Need> {
        let survey = self.survey;
        let mut there: HashSet<(&str, BlobId)> = HashSet::new();
        for image in survey.images.iter().filter(|image| image.is_there()) {
            let project = survey.repository(image).project();
            there.extend(survey.parts(image).into_iter().map(|part| (project, part)));
        }
        let mut needed: BTreeMap<&str, Need> = BTreeMap::new();
        // What the target does not tell of may be there, but a push will show whether it is.
        for (at, image) in survey.images.iter().enumerate().filter(|(_, i)| !i.is_there()) {
            let (repository, project) =
                (image.image.repository, survey.repository(image).project());
            let need = needed.entry(project).or_default();
            if need.repositories.last() != Some(&repository) {
                need.repositories.push(repository);
            }
            if matches!(image.found, Found::Different(_)) {
                need.changed.push(at);
            }
            for part in survey.parts(image) {
                if there.contains(&(project, part)) {
                    continue;
                }
                let by = need.parts.entry(part).or_default();
                if by.is_empty() {
                    need.bytes += survey.contents.entry(part).size;
                }
                if by.last() != Some(&repository) {
                    by.push(repository);
                }
            }
        }
        needed
    }
}

/// A failure that leaves hope for the target, or the error that it is.
fn target_lives(failure: Failure) -> Result<Failure, Failure> {
    // Read-only mode is a finding of its own.
    match failure.extent == Extent::Target && failure.kind != Kind::ReadOnly {
        true => Err(failure),
        false => Ok(failure),
    }
}

/// An answer, or a failure that leaves hope for the target.
fn alive<T>(answer: Result<T, Failure>) -> Result<Result<T, Failure>, Failure> {
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(failure) => target_lives(failure).map(Err),
    }
}

/// Whether this version of Harbor, as `v2.9.5-5f14fa1e`, fails at layers beyond [`LARGE_BLOB`]:
/// mended in 2.9.2.
fn fails_at_large_blobs(version: &str) -> bool {
    let numbers = version.trim_start_matches('v').split('-').next().unwrap_or_default();
    let numbers: Vec<u32> = numbers.split('.').map_while(|number| number.parse().ok()).collect();
    numbers.len() == 3 && numbers < vec![2, 9, 2]
}

impl Preflight {
    fn find(&mut self, projects: Vec<String>, text: String) {
        self.findings.push(Finding { projects, text });
    }

    fn push_failure(&mut self, project: &str, failure: Failure) {
        let text = match failure.kind {
            Kind::ReadOnly => return,
            Kind::Denied => format!(
                "{failure}; it has to be a member with the role of a developer at least, or a robot \
                 with the right to push there"
            ),
            _ => format!("cannot push into project {project}: {failure}"),
        };
        self.find(vec![project.to_owned()], text);
    }

    fn quota(&mut self, project: &str, gain: u64, quota: Quota) {
        let free = quota.free();
        if let Some(limit) = quota.limit
            && gain > free
        {
            let text = format!(
                "project {project} has a storage quota of {limit} bytes with {free} left, and would \
                 gain {gain}: raise it by {} bytes",
                gain - free
            );
            self.find(vec![project.to_owned()], text);
        }
    }

    /// Tags that are to change, but must not.
    fn immutable_tags(
        &mut self,
        project: &str,
        survey: &Survey,
        changed: &[usize],
        rules: Result<Vec<ImmutableRule>, Failure>,
    ) {
        let rules = rules.map_err(|failure| failure.why());
        let rules =
            rules.and_then(|rules| ImmutableTags::new(&rules).map_err(|error| error.to_string()));
        match rules {
            Ok(rules) => {
                let images = changed.iter().map(|image| &survey.images[*image]);
                let held = |image: &&SurveyedImage| {
                    rules.holds(survey.repository(image), &image.image.tag)
                };
                for image in images.filter(held) {
                    self.warnings.push(format!(
                        "{} has another digest there, and a rule of project {project} makes the tag \
                         immutable",
                        survey.name(image)
                    ));
                }
            }
            Err(why) => self.unknown.push(format!("immutable tags of project {project}: {why}")),
        }
    }

    /// Images with something that this Harbor is not known to store.
    fn contents(&mut self, survey: &Survey, version: &str) {
        let largest = if fails_at_large_blobs(version) { LARGE_BLOB } else { u64::MAX };
        let contents = &survey.contents;
        for image in survey.images.iter().filter(|image| !image.is_there()) {
            let name = survey.name(image);
            let mut odd = None;
            let mut large: Option<Digest> = None;
            for part in survey.parts(image) {
                let entry = contents.entry(part);
                match contents.manifest_by_id(part) {
                    Some(manifest) if !STORED.contains(&manifest.media_type.as_str()) => {
                        odd = odd.or(Some(&manifest.media_type));
                    }
                    None if entry.size > largest => large = large.or(Some(entry.digest)),
                    _ => {}
                }
            }
            if let Some(media_type) = odd {
                self.warnings.push(format!(
                    "{name} has a manifest of type {media_type}, which Harbor does not store"
                ));
            }
            if let Some(blob) = large {
                self.warnings.push(format!(
                    "{name} has the layer {blob} of more than 32 GiB, at which Harbor before 2.9.2 \
                     fails"
                ));
            }
        }
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
