//! Rules for tags that never change once they are set.

use serde_json::{Value, json};

/// Tags that never change once they are set. Patterns as `v*`, `**` or `{1.0,1.1}`.
#[derive(Debug, Clone)]
pub struct Immutable {
    /// Repositories, without the project's name.
    pub repositories: String,
    /// Their tags.
    pub tags: String,
    /// The rule is switched off.
    pub disabled: bool,
}

impl Immutable {
    /// These tags of all repositories.
    #[must_use]
    pub fn tags(pattern: &str) -> Self {
        Self { repositories: "**".into(), tags: pattern.into(), disabled: false }
    }

    /// Whether a tag of a repository is meant.
    pub(super) fn names(&self, repository: &str, tag: &str) -> bool {
        !self.disabled && fits(&self.repositories, repository) && fits(&self.tags, tag)
    }

    /// The rule as Harbor's API shows it.
    pub(super) fn shown(&self) -> Value {
        let selector = |decoration: &str, pattern: &str| json!([{"kind": "doublestar", "decoration": decoration, "pattern": pattern}]);
        json!({
            "id": 1,
            "disabled": self.disabled,
            "action": "immutable",
            "template": "immutable_template",
            "scope_selectors": {"repository": selector("repoMatches", &self.repositories)},
            "tag_selectors": selector("matches", &self.tags),
        })
    }
}

/// As far as the tests need it: alternatives, and a star at the end.
fn fits(pattern: &str, name: &str) -> bool {
    let inner = pattern.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inner.unwrap_or(pattern).split(',').any(|pattern| match pattern.trim_end_matches('*') {
        whole if whole == pattern => whole == name,
        beginning => name.starts_with(beginning),
    })
}
