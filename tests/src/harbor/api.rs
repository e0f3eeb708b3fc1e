//! The calls of Harbor's own API that a load makes.

use serde_json::{Value, json};

use super::accounts::{Account, Kind, Login};
use super::{Project, State, images, parameter};
use crate::front::{Request, Verdict};

/// A project may hold no more (bytes): 1024 TiB.
const MOST: i64 = 1 << 50;

impl State {
    pub(super) fn api(&mut self, request: &Request) -> Verdict {
        let login = match self.login(request) {
            Ok(login) => login,
            // A wrong password counts as none here.
            Err(_) if request.target == "/api/v2.0/systeminfo" => Login::Anonymous,
            Err(refusal) => return refusal,
        };
        if request.target == "/api/internal/syncquota" {
            return self.sync_quota(&login);
        }
        let path = request.target.strip_prefix("/api/v2.0/").unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let (account, kind) = match &login {
            Login::Account { name, kind } => (name, kind.clone()),
            _ if path == "systeminfo" => {
                return Verdict::json(200, &json!({"harbor_version": "v2.9.5-double"}));
            }
            _ => return Verdict::error(401, "UNAUTHORIZED", "unauthorized"),
        };
        match (request.method.as_str(), path) {
            ("GET", "systeminfo") => self.system_info(),
            ("GET", "configurations") if kind == Kind::Administrator => {
                let shown = |value: Value| json!({"value": value, "editable": true});
                let settings = json!({
                    "quota_per_project_enable": shown(json!(!self.quotas_off)),
                    "storage_per_project": shown(json!(self.storage_per_project)),
                });
                Verdict::json(200, &settings)
            }
            ("GET", "users/current") if kind.is_robot() => Verdict::error(
                412,
                "PRECONDITION",
                "get current user not available for security context: robot",
            ),
            ("GET", "users/current") => {
                Verdict::json(200, &json!({"sysadmin_flag": kind == Kind::Administrator}))
            }
            ("HEAD", "projects") => {
                let name = parameter(&request.target, "project_name").unwrap_or_default();
                Verdict::status(if self.projects.contains_key(&name) { 200 } else { 404 })
            }
            ("POST", "projects") => self.create_project(request, account, &kind),
            ("GET", _) => self.look_at(request, path, &kind),
            _ => forbidden(),
        }
    }

    /// Harbor does it after it has answered; here it is done at once.
    fn sync_quota(&mut self, login: &Login) -> Verdict {
        match login {
            Login::Account { kind: Kind::Administrator, .. } if self.quotas_off => {
                Verdict::error(403, "FORBIDDEN", "quota per project is deactivated")
            }
            Login::Account { kind: Kind::Administrator, .. } => {
                self.sync_quotas();
                Verdict::status(200)
            }
            Login::Account { .. } => forbidden(),
            _ => Verdict::error(401, "UNAUTHORIZED", "UnAuthorized"),
        }
    }

    fn system_info(&self) -> Verdict {
        let restriction = if self.admin_only { "adminonly" } else { "everyone" };
        Verdict::json(
            200,
            &json!({
                "harbor_version": "v2.9.5-double",
                "auth_mode": "db_auth",
                "external_url": self.external_url,
                "read_only": self.read_only,
                "project_creation_restriction": restriction,
            }),
        )
    }

    /// What is in a project.
    fn look_at(&self, request: &Request, path: &str, kind: &Kind) -> Verdict {
        let Some(rest) = path.strip_prefix("projects/") else { return forbidden() };
        let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
        // A number is that of a project, unless it is said to be a name.
        let by_name = request.header("x-is-resource-name") == Some("true");
        let number = name.parse::<usize>().ok().filter(|_| !by_name);
        let name = match number {
            Some(number) => match self.projects.keys().nth(number.saturating_sub(1)) {
                Some(name) => name,
                None => return Verdict::error(404, "NOT_FOUND", "project not found"),
            },
            None => name,
        };
        let Some(project) = self.projects.get(name) else { return forbidden() };
        if !kind.may_look_at(name) {
            // Anybody may ask what a public project is, but not what it may hold.
            return match rest {
                "summary" if project.public => Verdict::json(200, &project.summary(true)),
                _ => forbidden(),
            };
        }
        match rest {
            "summary" => Verdict::json(200, &project.summary(self.quotas_off)),
            "immutabletagrules" => {
                let rules = project.immutable.iter().map(super::Immutable::shown).collect();
                page(request, rules)
            }
            _ => match rest.strip_prefix("repositories/") {
                Some(rest) => artifacts(request, project, name, rest),
                None => Verdict::status(404),
            },
        }
    }

    fn create_project(&mut self, request: &Request, account: &str, kind: &Kind) -> Verdict {
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
        if !is_legal(&name) {
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
        project.public = text(&body["metadata"]["public"]) == "true";
        let limit = if limit == 0 || !may_limit { self.storage_per_project } else { limit };
        project.limit = u64::try_from(limit).ok();
        // Who makes a project is its administrator.
        if let Some(Account { kind: Kind::User(projects), .. }) = self.accounts.get_mut(account) {
            projects.push(name.clone());
            project.maker = Some(account.to_owned());
        }
        self.projects.insert(name, project);
        Verdict::status(201).with_header("location", "/api/v2.0/projects/2")
    }
}

fn forbidden() -> Verdict {
    Verdict::error(403, "FORBIDDEN", "forbidden")
}

/// A page of a list.
fn page(request: &Request, all: Vec<Value>) -> Verdict {
    let number = |name: &str, otherwise| {
        parameter(&request.target, name).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
    };
    let (page, size): (usize, usize) = (number("page", 1), number("page_size", 10));
    if size > 100 {
        let words = "page_size in query should be less than or equal to 100";
        return Verdict::error(422, "UNPROCESSABLE_ENTITY", words);
    }
    let count = all.len().to_string();
    let listed: Vec<Value> = all.into_iter().skip((page - 1) * size).take(size).collect();
    Verdict::json(200, &json!(listed)).with_header("x-total-count", &count)
}

/// `REPOSITORY/artifacts`, or `REPOSITORY/artifacts/REFERENCE`; nested names are encoded twice.
fn artifacts(request: &Request, project: &Project, name: &str, rest: &str) -> Verdict {
    let Some((repository, reference)) = rest.split_once("/artifacts") else {
        return Verdict::status(404);
    };
    if repository.contains('/') || repository.contains("%2F") {
        return Verdict::status(404);
    }
    let repository = format!("{name}/{}", repository.replace("%252F", "/"));
    match reference.strip_prefix('/') {
        None => page(request, project.artifacts(&repository)),
        Some(reference) => match project.artifact(&repository, reference) {
            Some(digest) => Verdict::json(200, &json!({"digest": digest})),
            None => Verdict::error(404, "NOT_FOUND", "artifact not found"),
        },
    }
}

/// Harbor's own rule for names of projects.
fn is_legal(name: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let parts: Vec<&str> = name.split(['.', '_', '-']).collect();
    parts.iter().all(|part| !part.is_empty() && part.chars().all(alphanumeric))
}
