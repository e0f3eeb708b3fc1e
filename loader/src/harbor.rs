//! What only Harbor has: projects with their rights, quotas and rules.

pub(crate) mod api;
pub(crate) mod immutable;
pub(crate) mod listing;
pub(crate) mod preflight;
pub(crate) mod projects;
pub(crate) mod quotas;

pub(crate) use api::{Harbor, NewProject, Quota};
