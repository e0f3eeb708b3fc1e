//! Harbor's own API: who may call what.

use serde_json::{Value, json};

use super::State;
use super::accounts::{Kind, Login};
use crate::front::{Request, Verdict};

impl State {
    pub(super) fn api(&mut self, request: &Request) -> Verdict {
        // A wrong password, or a token, counts as none here.
        let login = self.login(request).unwrap_or(Login::Anonymous);
        if request.target == "/api/internal/syncquota" {
            return self.sync_quota(&login);
        }
        let path = request.target.strip_prefix("/api/v2.0/").unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let call = (request.method.as_str(), path);
        if let Some(rest) = path.strip_prefix("projects/") {
            return self.in_project(request, rest, &login);
        }
        let (account, kind) = match (&login, call) {
            (_, ("GET", "ping")) => return Verdict::text(200, "text/plain", "Pong".into()),
            (_, ("GET", "health")) => return Verdict::json(200, &json!({"status": "healthy"})),
            (_, ("GET", "projects")) => return self.list_projects(request, &login),
            (Login::Account { name, kind }, _) => (name, kind),
            (_, ("GET", "systeminfo")) => {
                return Verdict::json(200, &json!({"harbor_version": self.version_shown()}));
            }
            _ => return unauthorized(),
        };
        match call {
            ("GET", "systeminfo") => self.system_info(),
            ("GET", "configurations") if *kind == Kind::Administrator => {
                let shown = |value: Value| json!({"value": value, "editable": true});
                let settings = json!({
                    "quota_per_project_enable": shown(json!(!self.quotas_off)),
                    "storage_per_project": shown(json!(self.storage_per_project)),
                });
                Verdict::json(200, &settings)
            }
            ("GET", "quotas") if *kind == Kind::Administrator => self.list_quotas(request),
            ("GET", "users/current") if kind.is_robot() => Verdict::error(
                412,
                "PRECONDITION",
                "get current user not available for security context: robot",
            ),
            ("GET", "users/current") => {
                Verdict::json(200, &json!({"sysadmin_flag": *kind == Kind::Administrator}))
            }
            ("HEAD", "projects") => {
                let name = request.parameter("project_name").unwrap_or_default();
                Verdict::status(if self.projects.contains_key(&name) { 200 } else { 404 })
            }
            ("POST", "projects") => self.create_project(request, account, kind),
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
            _ => unauthorized(),
        }
    }

    fn system_info(&self) -> Verdict {
        let restriction = if self.admin_only { "adminonly" } else { "everyone" };
        Verdict::json(
            200,
            &json!({
                "harbor_version": self.version_shown(),
                "auth_mode": "db_auth",
                "external_url": self.external_url,
                "read_only": self.read_only,
                "project_creation_restriction": restriction,
            }),
        )
    }

    fn version_shown(&self) -> String {
        format!("v{}-double", self.version)
    }

    /// As 9 of version 2.9.5.
    pub(super) fn minor_version(&self) -> u32 {
        let minor = self.version.split('.').nth(1).and_then(|minor| minor.parse().ok());
        minor.expect("a version as 2.9.5")
    }
}

pub(super) fn forbidden() -> Verdict {
    Verdict::error(403, "FORBIDDEN", "forbidden")
}

pub(super) fn unauthorized() -> Verdict {
    Verdict::error(401, "UNAUTHORIZED", "unauthorized")
}

/// A page of a list.
pub(super) fn page(request: &Request, all: Vec<Value>) -> Verdict {
    let number = |name: &str, otherwise| {
        request.parameter(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
    };
    let (page, size): (usize, usize) = (number("page", 1).max(1), number("page_size", 10));
    if size > 100 {
        let words = "page_size in query should be less than or equal to 100";
        return Verdict::error(422, "UNPROCESSABLE_ENTITY", words);
    }
    let count = all.len();
    let listed: Vec<Value> = all.into_iter().skip((page - 1) * size).take(size).collect();
    let answer =
        Verdict::json(200, &json!(listed)).with_header("x-total-count", &count.to_string());
    if page * size >= count {
        return answer;
    }
    let path = request.target.split('?').next().unwrap_or_default();
    let next = format!("<{path}?page={}&page_size={size}>; rel=\"next\"", page + 1);
    answer.with_header("link", &next)
}
