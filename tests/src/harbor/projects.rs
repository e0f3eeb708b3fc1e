//! Calls of the API about projects and what is in them.

use std::time::Instant;

use serde_json::{Value, json};

use super::accounts::{Account, Kind, Login};
use super::api::{forbidden, page, unauthorized};
use super::names::is_legal_project;
use super::{Project, State, images};
use crate::front::{Request, Verdict};

/// A project may hold no more (bytes): 1024 TiB.
const MOST: i64 = 1 << 50;

impl State {
    /// Projects that somebody sees, whose names contain what is asked for.
    pub(super) fn list_projects(&self, request: &Request, login: &Login) -> Verdict {
        let part = request.parameter("name").unwrap_or_default().to_lowercase();
        let is_seen = |name: &str, project: &Project| match login {
            Login::Account { kind, .. } => kind.is_listed(name, project),
            _ => project.public,
        };
        let all = self
            .projects
            .iter()
            .enumerate()
            .filter(|(_, (name, project))| name.contains(&part) && is_seen(name, project));
        let shown = all.map(|(index, (name, project))| {
            json!({
                "project_id": index + 1,
                "name": name,
                "metadata": {"public": project.public.to_string()},
                "repo_count": project.repositories().len(),
            })
        });
        page(request, shown.collect())
    }

    /// The quotas of all projects, those too that are switched off.
    pub(super) fn list_quotas(&self, request: &Request) -> Verdict {
        let shown = self.projects.iter().enumerate().map(|(index, (name, project))| {
            let mut quota = project.quota();
            quota["ref"] = json!({"id": index + 1, "name": name, "owner_name": "admin"});
            quota
        });
        page(request, shown.collect())
    }

    /// A call about one project: `NAME`, or `NAME/…`.
    pub(super) fn in_project(&mut self, request: &Request, rest: &str, login: &Login) -> Verdict {
        let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
        // A number is that of a project, unless it is said to be a name.
        let by_name = request.header("x-is-resource-name") == Some("true");
        let number = name.parse::<usize>().ok().filter(|_| !by_name);
        let name = match number {
            Some(number) => match self.projects.keys().nth(number.saturating_sub(1)) {
                Some(name) => name.clone(),
                None => return Verdict::error(404, "NOT_FOUND", "project not found"),
            },
            None => name.to_owned(),
        };
        match request.method.as_str() {
            "GET" => self.look_at(request, &name, rest, login),
            "POST" => self.add_tag(request, &name, rest, login),
            _ => forbidden(),
        }
    }

    /// What is in a project.
    fn look_at(&self, request: &Request, name: &str, rest: &str, login: &Login) -> Verdict {
        let (is_member, refusal) = match login {
            Login::Account { kind, .. } => (kind.may_look_at(name), forbidden()),
            _ => (false, unauthorized()),
        };
        let Some(project) = self.projects.get(name) else { return refusal };
        // Anybody may look at a public project, but not at what it may hold, nor at its rules.
        if !is_member && (!project.public || rest == "immutabletagrules") {
            return refusal;
        }
        match rest {
            "summary" => Verdict::json(200, &project.summary(self.quotas_off || !is_member)),
            "immutabletagrules" => {
                page(request, project.immutable.iter().map(super::Immutable::shown).collect())
            }
            "repositories" => {
                let query = request.parameter("q").unwrap_or_default();
                let mut names = project.repositories();
                if let Some(digest) = query.strip_prefix("blob_digest=") {
                    names.retain(|name| project.uses(name, digest));
                }
                let shown = |name| json!({"name": name});
                page(request, names.into_iter().map(shown).collect())
            }
            _ => match artifact_of(name, rest) {
                Some((repository, "")) => {
                    let query = request.parameter("q").unwrap_or_default();
                    page(request, project.artifacts(&repository, query.strip_prefix("tags=")))
                }
                Some((repository, reference)) => match project.find(&repository, reference) {
                    Some(digest) => Verdict::json(200, &json!({"digest": digest})),
                    None => no_artifact(&repository, reference),
                },
                None => Verdict::status(404),
            },
        }
    }

    /// `repositories/…/artifacts/DIGEST/tags`: another name for what is there. It never moves one.
    fn add_tag(&mut self, request: &Request, name: &str, rest: &str, login: &Login) -> Verdict {
        match login {
            Login::Account { kind, .. } if kind.may_tag_in(name) => {}
            Login::Account { .. } => return forbidden(),
            _ => return unauthorized(),
        }
        if self.read_only {
            return images::read_only();
        }
        let of = rest.strip_suffix("/tags").and_then(|rest| artifact_of(name, rest));
        let Some((repository, reference)) = of else { return Verdict::status(404) };
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let Some(tag) = body["name"].as_str() else {
            return Verdict::error(422, "UNPROCESSABLE_ENTITY", "parsing body failed");
        };
        let Some(project) = self.projects.get_mut(name) else { return forbidden() };
        if project.proxy_cache.is_some() {
            let words = "the operation isn't supported for a proxy cache project";
            return Verdict::error(405, "METHOD_NOT_ALLOWED", words);
        }
        let Some(digest) = project.find(&repository, reference) else {
            return no_artifact(&repository, reference);
        };
        if project.find(&repository, tag).is_some() {
            let words = format!("tag {tag} already exists under the repository");
            return Verdict::error(409, "CONFLICT", &words);
        }
        project.set_tag(&repository, tag, &digest);
        Verdict::status(201)
    }

    pub(super) fn create_project(
        &mut self,
        request: &Request,
        account: &str,
        kind: &Kind,
    ) -> Verdict {
        let is_json = request
            .header("content-type")
            .is_some_and(|content_type| content_type.starts_with("application/json"));
        let body = serde_json::from_slice::<Value>(&request.body).ok().filter(|_| is_json);
        let Some(body) = body else {
            return Verdict::error(422, "UNPROCESSABLE_ENTITY", "parsing body failed");
        };
        if self.read_only {
            return images::read_only();
        }
        match kind {
            Kind::ProjectRobot(_) => {
                let words = "Only system level robot can create project";
                return Verdict::error(403, "FORBIDDEN", words);
            }
            Kind::Administrator | Kind::CreatingRobot => {}
            _ if self.admin_only => {
                return Verdict::error(403, "FORBIDDEN", "Only system admin can create project");
            }
            _ => {}
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&body["project_name"]);
        if name.len() > 255 {
            return Verdict::error(422, "UNPROCESSABLE_ENTITY", "project_name is too long");
        }
        if name.is_empty() {
            let words = "Project name  is illegal in length. (greater than 255 or less than 1)";
            return Verdict::error(400, "BAD_REQUEST", words);
        }
        if !is_legal_project(&name) {
            let words = "project name is not in lower case or contains illegal characters";
            return Verdict::error(400, "BAD_REQUEST", words);
        }
        if self.projects.contains_key(&name) {
            let words = format!("The project named {name} already exists");
            return Verdict::error(409, "CONFLICT", &words);
        }
        let limit = body["storage_limit"].as_i64().unwrap_or(0);
        if !(-1..=MOST).contains(&limit) {
            return Verdict::error(
                400,
                "BAD_REQUEST",
                "invalid non-positive value for quota limit",
            );
        }
        // Others are not asked how much they want.
        let may_limit = matches!(kind, Kind::Administrator | Kind::CreatingRobot);
        let mut project = Project::default();
        project.made = Some(Instant::now());
        project.public = text(&body["metadata"]["public"]) == "true";
        let limit = if limit == 0 || !may_limit { self.storage_per_project } else { limit };
        project.limit = u64::try_from(limit).ok();
        // Who makes a project is its administrator.
        if let Some(Account { kind: Kind::User(projects) | Kind::OidcUser(projects), .. }) =
            self.accounts.get_mut(account)
        {
            projects.push(name.clone());
            project.maker = Some(account.to_owned());
        }
        self.projects.insert(name, project);
        Verdict::status(201).with_header("location", "/api/v2.0/projects/2")
    }
}

/// The repository and the artifact of `repositories/REPOSITORY/artifacts/REFERENCE`, or of all its
/// `artifacts`; nested names are encoded twice.
fn artifact_of<'a>(project: &str, rest: &'a str) -> Option<(String, &'a str)> {
    let (repository, reference) = rest.strip_prefix("repositories/")?.split_once("/artifacts")?;
    if repository.contains('/') || repository.contains("%2F") {
        return None;
    }
    let repository = format!("{project}/{}", repository.replace("%252F", "/"));
    Some((repository, reference.trim_start_matches('/')))
}

fn no_artifact(repository: &str, reference: &str) -> Verdict {
    Verdict::error(404, "NOT_FOUND", &format!("artifact {repository}:{reference} not found"))
}
