//! The calls of Harbor's own API that a load makes.

use serde_json::{Value, json};

use super::accounts::{Kind, Login};
use super::{Project, State, error, text};
use crate::front::{Request, Verdict};

impl State {
    pub(super) fn api(&mut self, request: &Request) -> Verdict {
        let login = match self.login(request) {
            Ok(login) => login,
            // A wrong password counts as none here.
            Err(_) if request.target == "/api/v2.0/systeminfo" => Login::Anonymous,
            Err(refusal) => return refusal,
        };
        let path = request.target.strip_prefix("/api/v2.0/").unwrap_or_default();
        let (path, _) = path.split_once('?').unwrap_or((path, ""));
        let kind = match &login {
            Login::Account(kind) => kind.clone(),
            _ if path == "systeminfo" => {
                return Verdict::json("200 OK", &json!({"harbor_version": "v2.9.5-double"}));
            }
            _ => return error("401 Unauthorized", "UNAUTHORIZED", "unauthorized"),
        };
        let is_robot = matches!(kind, Kind::SystemRobot | Kind::ProjectRobot(_));
        let forbidden = || error("403 Forbidden", "FORBIDDEN", "forbidden");
        match (request.method.as_str(), path) {
            ("GET", "ping") => Verdict::status("200 OK"),
            ("GET", "systeminfo") => {
                let restriction = if self.admin_only { "adminonly" } else { "everyone" };
                Verdict::json(
                    "200 OK",
                    &json!({
                        "harbor_version": "v2.9.5-double",
                        "read_only": self.read_only,
                        "project_creation_restriction": restriction,
                    }),
                )
            }
            ("GET", "users/current") if is_robot => error(
                "412 Precondition Failed",
                "PRECONDITION",
                "get current user not available for security context: robot",
            ),
            ("GET", "users/current") => {
                let flag = kind == Kind::Administrator;
                Verdict::json("200 OK", &json!({"sysadmin_flag": flag}))
            }
            ("HEAD", "projects") => {
                let name = super::parameter(&request.target, "project_name").unwrap_or_default();
                match self.projects.contains_key(&name) {
                    true => Verdict::status("200 OK"),
                    false => Verdict::status("404 Not Found"),
                }
            }
            ("POST", "projects") => self.create_project(request, &kind),
            ("GET", _) => {
                let Some(rest) = path.strip_prefix("projects/") else { return forbidden() };
                let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
                if is_robot {
                    return forbidden();
                }
                let Some(project) = self.projects.get(name) else { return forbidden() };
                match rest.strip_prefix("repositories/") {
                    None if rest == "summary" => Verdict::json("200 OK", &project.summary()),
                    Some(rest) => project.artifacts(name, rest),
                    None => Verdict::status("404 Not Found"),
                }
            }
            _ => forbidden(),
        }
    }

    fn create_project(&mut self, request: &Request, kind: &Kind) -> Verdict {
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            return error(
                "422 Unprocessable Entity",
                "UNPROCESSABLE_ENTITY",
                "parsing body failed",
            );
        };
        let name = text(&body, "project_name");
        if self.read_only {
            let words = "The system is in read only mode. Any modification is prohibited.";
            return error("403 Forbidden", "DENIED", words);
        }
        if matches!(kind, Kind::ProjectRobot(_)) {
            let words = "Only system level robot can create project";
            return error("403 Forbidden", "FORBIDDEN", words);
        }
        if self.admin_only && *kind != Kind::Administrator {
            return error("403 Forbidden", "FORBIDDEN", "Only system admin can create project");
        }
        if !is_legal(name) {
            let words = "project name is not in lower case or contains illegal characters";
            return error("400 Bad Request", "BAD_REQUEST", words);
        }
        if self.projects.contains_key(name) {
            let words = format!("The project named {name} already exists");
            return error("409 Conflict", "CONFLICT", &words);
        }
        let project = Project {
            public: text(&body["metadata"], "public") == "true",
            limit: body["storage_limit"].as_u64().filter(|limit| *limit > 0),
            ..Project::default()
        };
        self.projects.insert(name.to_owned(), project);
        Verdict::status("201 Created").with_header("Location: /api/v2.0/projects/2")
    }
}

impl Project {
    fn summary(&self) -> Value {
        let hard = self.limit.map_or(json!(-1), |limit| json!(limit));
        json!({"quota": {"hard": {"storage": hard}, "used": {"storage": self.used()}}})
    }

    /// `REPOSITORY/artifacts`, or `REPOSITORY/artifacts/TAG`; nested names are encoded twice.
    fn artifacts(&self, project: &str, rest: &str) -> Verdict {
        let Some((repository, reference)) = rest.split_once("/artifacts") else {
            return Verdict::status("404 Not Found");
        };
        if repository.contains('/') || repository.contains("%2F") {
            return Verdict::status("404 Not Found");
        }
        let name = format!("{project}/{}", repository.replace("%252F", "/"));
        let prefix = format!("{name}:");
        let tags = self
            .tags
            .iter()
            .filter_map(|(image, digest)| image.strip_prefix(&prefix).map(|tag| (tag, digest)));
        if let Some(tag) = reference.strip_prefix('/') {
            return match tags.into_iter().find(|(have, _)| *have == tag) {
                Some((_, digest)) => Verdict::json("200 OK", &json!({"digest": digest})),
                None => error("404 Not Found", "NOT_FOUND", "artifact not found"),
            };
        }
        // Signatures are accessories, which are in no list.
        let listed: Vec<Value> = tags
            .filter(|(tag, _)| !tag.ends_with(".sig"))
            .map(|(tag, digest)| json!({"digest": digest, "tags": [{"name": tag}]}))
            .collect();
        Verdict::json("200 OK", &json!(listed))
    }
}

/// Harbor's own rule for names of projects.
fn is_legal(name: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let parts: Vec<&str> = name.split(['.', '_', '-']).collect();
    parts.iter().all(|part| !part.is_empty() && part.chars().all(alphanumeric))
}
