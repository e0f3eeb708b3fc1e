//! What names Harbor takes: fewer than a registry does.

use tranship_common::Repository;

use super::{MappingError, TargetRepository};

/// Parts of names below the project that Harbor's routes take apart wrongly.
const ROUTES: [&str; 4] = ["blobs", "manifests", "tags", "referrers"];

/// Longer names fail in the backend of Harbor, which makes a path of them (characters).
pub(super) const MAX_NAME: usize = 245;

/// Harbor's project names: narrower than what registries allow.
fn is_project_name(name: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let separators = name.as_bytes().split(|b| alphanumeric(*b));
    name.len() <= 255
        && !name.is_empty()
        && separators.into_iter().all(|s| s.len() <= 1)
        && !name.starts_with(['.', '_', '-'])
        && !name.ends_with(['.', '_', '-'])
}

/// Judges a name in the target.
pub(super) fn check_for_harbor(from: &Repository, to: &Repository) -> Result<(), MappingError> {
    let (from, to) = (from.clone(), to.clone());
    let Some((project, path)) = to.as_str().split_once('/') else {
        return Err(MappingError::NoProject { from, to });
    };
    if !is_project_name(project) {
        let (project, suggestion) = (project.to_owned(), suggestion(&from, &to, project));
        return Err(MappingError::Project { from, to, project, suggestion });
    }
    if let Some(part) = ROUTES.into_iter().find(|route| path.split('/').any(|part| part == *route))
    {
        let changed =
            |name: &str| if name == part { format!("{name}-images") } else { name.to_owned() };
        let parts: Vec<String> = path.split('/').map(changed).collect();
        let suggestion = format!("{project}/{}", parts.join("/"));
        return Err(MappingError::Route { from, to, part, suggestion });
    }
    if to.as_str().len() > MAX_NAME {
        let length = to.as_str().len();
        return Err(MappingError::TooLong { from, to, length });
    }
    Ok(())
}

/// A rule that gives the project a legal name: runs of separators become one.
fn suggestion(from: &Repository, to: &Repository, project: &str) -> String {
    let mut legal = String::new();
    for character in project.chars() {
        let separator = ['.', '_', '-'].contains(&character);
        if !(separator && legal.ends_with(['.', '_', '-'])) {
            legal.push(character);
        }
    }
    if TargetRepository::from(from.clone()).project() == project {
        format!("{project}/*={legal}/*")
    } else {
        let rest = to.as_str().split_once('/').map_or("", |(_, rest)| rest);
        format!("{from}={legal}/{rest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_names() {
        for good in ["a", "1", "a_b", "a.b", "a-b.c_d", &"a".repeat(255)] {
            assert!(is_project_name(good), "{good}");
        }
        for bad in ["", "a__b", "a--b", "a..b", "a.-b", "a_", "-a", &"a".repeat(256)] {
            assert!(!is_project_name(bad), "{bad}");
        }
    }
}
