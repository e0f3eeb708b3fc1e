//! What would keep a load into Harbor from succeeding, found out before the first byte is sent.

use std::collections::BTreeMap;
use std::rc::Rc;

use futures_util::{StreamExt, stream};

use super::api::{DefaultQuota, Harbor, ImmutableRule, Quota};
use super::immutable::ImmutableTags;
use super::need::{Need, Search, needed_by_project};
use super::quotas::quotas_of;
use super::stored::not_stored;
use crate::deliver::Deliver;
use crate::failure::{About, Failure, Kind, hopeful};
use crate::plan::mapping::TargetRepository;
use crate::plan::survey::{Projects, Standing, Survey, SurveyedImage};
use crate::transfer::retry::Patience;

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
        let needed = needed_by_project(self.survey);
        if needed.is_empty() {
            return Ok(preflight);
        }
        if self.harbor.info.read_only == Some(true) {
            preflight.find_read_only();
        }
        let is_missing = |name: &&str| projects.get(*name) == Some(&Standing::New);
        let (missing, there): (Vec<&str>, Vec<&str>) = needed.keys().copied().partition(is_missing);
        if !missing.is_empty() {
            let missing: Vec<String> = missing.iter().map(|name| (*name).to_owned()).collect();
            self.missing_projects(&mut preflight, &missing, creator).await?;
            let limit = match creator {
                Some(creator) => self.limit_of_new_projects(&mut preflight, creator).await?,
                None => None,
            };
            for project in missing {
                preflight.quota(&project, needed[project.as_str()].bytes, Quota { used: 0, limit });
                preflight.used.insert(project, 0);
            }
        }
        let quotas = quotas_of(self.harbor, self.patience, &there, self.jobs).await?;
        let are_untold = quotas.values().any(|quota| matches!(quota, Ok(None)));
        let has_no_quotas = are_untold && self.has_no_quotas().await?;
        let mut looks = stream::iter(there)
            .map(|project| {
                let quota = (!has_no_quotas).then_some(&quotas[project]);
                self.project(project, &needed[project], quota)
            })
            .buffered(self.jobs);
        while let Some(look) = looks.next().await {
            preflight.add(look?);
        }
        preflight.warnings.extend(not_stored(self.survey, &self.harbor.info.harbor_version));
        Ok(preflight)
    }

    /// A project that exists, and what Harbor tells of its quota where there are any.
    async fn project(
        &self,
        project: &str,
        need: &Need,
        quota: Option<&Result<Option<Quota>, Failure>>,
    ) -> Result<Preflight, Failure> {
        let mut preflight = Preflight::default();
        if !self.takes_pushes(&mut preflight, project, need).await? {
            return Ok(preflight);
        }
        match quota {
            None => {}
            Some(Ok(Some(quota))) => {
                preflight.used.insert(project.to_owned(), quota.used);
                let mut gain = need.bytes;
                if gain > quota.free() {
                    let Self { harbor, patience, survey, jobs, .. } = *self;
                    let search = Search { harbor, patience, survey, jobs };
                    gain -= search.held(project, need).await?;
                }
                preflight.quota(project, gain, *quota);
            }
            Some(Ok(None)) => {
                let what = format!("the storage quota of project {project}: its limit is unknown");
                preflight.unknown.push(what);
            }
            Some(Err(failure)) => {
                let why = failure.why();
                preflight.unknown.push(format!("the storage quota of project {project}: {why}"));
            }
        }
        if !need.changed.is_empty() {
            let ask = || self.harbor.immutable_rules(project);
            let rules = self.patience.ask(About::Project(project), ask).await;
            preflight.immutable_tags(project, self.survey, &need.changed, hopeful(rules)?);
        }
        Ok(preflight)
    }

    /// Whether a project takes pushes. That one of its repositories does not proves nothing as long
    /// as another one does.
    async fn takes_pushes(
        &self,
        preflight: &mut Preflight,
        project: &str,
        need: &Need,
    ) -> Result<bool, Failure> {
        let ends = [need.repositories.first(), need.repositories.last()].into_iter().flatten();
        let mut ends: Vec<usize> = ends.copied().collect();
        ends.dedup();
        let mut refused: Option<(&TargetRepository, Failure)> = None;
        for repository in ends {
            let repository = &self.survey.repositories[repository].name;
            match (hopeful(self.delivery.rehearse(repository).await)?, &refused) {
                (Ok(()), None) => return Ok(true),
                (Ok(()), Some((name, failure))) => {
                    preflight.warnings.push(format!("what goes to {name}: {failure}"));
                    return Ok(true);
                }
                (Err(failure), None) => refused = Some((repository, failure)),
                (Err(_), Some(_)) => {}
            }
        }
        if let Some((_, failure)) = refused {
            let has_account = self.harbor.registry.has_credentials();
            preflight.push_failure(project, &failure, has_account);
        }
        Ok(false)
    }

    /// Whether Harbor says that there are no quotas. Most accounts are not told.
    async fn has_no_quotas(&self) -> Result<bool, Failure> {
        let default = self.patience.ask(About::Target, || self.harbor.default_quota()).await;
        Ok(hopeful(default)?.is_ok_and(|default| default == DefaultQuota::Off))
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
        if !creator.registry.has_credentials() {
            let what = format!(
                "these projects do not exist: {names}; give credentials with --username and \
                 --password-stdin of somebody who may make them"
            );
            preflight.find(missing.to_owned(), what);
            return Ok(());
        }
        let account = creator.registry.account();
        let restriction = self.harbor.info.project_creation_restriction.as_deref();
        let for_administrators = restriction == Some("adminonly");
        // Harbor names the robot of a project PREFIX$PROJECT+NAME.
        let of_project = account.contains('+');
        if !(for_administrators || of_project) {
            return Ok(());
        }
        let ask = || creator.is_administrator();
        let why = match hopeful(self.patience.ask(About::Target, ask).await)? {
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
                let why = failure.why();
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
        match hopeful(self.patience.ask(About::Target, ask).await)? {
            Ok(default) => Ok(default.limit()),
            Err(failure) => {
                let why = failure.why();
                preflight.unknown.push(format!("the storage quota that new projects get: {why}"));
                Ok(None)
            }
        }
    }
}

impl Preflight {
    fn find(&mut self, projects: Vec<String>, text: String) {
        self.findings.push(Finding { projects, text });
    }

    fn find_read_only(&mut self) {
        let what =
            "Harbor is in read-only mode: switch it off under Configuration, System Settings";
        self.find(Vec::new(), what.to_owned());
    }

    fn push_failure(&mut self, project: &str, failure: &Failure, has_account: bool) {
        let advice = match failure.kind {
            Kind::ReadOnly => return self.find_read_only(),
            Kind::Denied if has_account => {
                "; it has to be a member with the role of a developer at least, or a robot with the \
                 right to push there"
            }
            _ => "",
        };
        let text = format!("cannot push into project {project}: {failure}{advice}");
        self.find(vec![project.to_owned()], text);
    }

    /// Adds what another look has found. What concerns everything is found once.
    fn add(&mut self, look: Self) {
        let Self { findings, warnings, unknown, used } = look;
        for finding in findings {
            let is_for_all = finding.projects.is_empty();
            if !(is_for_all && self.findings.contains(&finding)) {
                self.findings.push(finding);
            }
        }
        self.warnings.extend(warnings);
        self.unknown.extend(unknown);
        self.used.extend(used);
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
                    let tag = image.image.tag.as_ref();
                    tag.is_some_and(|tag| rules.holds(survey.repository(image), tag))
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
}
