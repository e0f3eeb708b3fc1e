//! What only Harbor has: projects with their rights, quotas and rules.

pub(crate) mod immutable;
pub(crate) mod preflight;
pub(crate) mod projects;
