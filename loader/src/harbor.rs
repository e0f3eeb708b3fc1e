//! What only Harbor has: projects with their rights, quotas and rules.

pub(crate) mod api;
pub(crate) mod immutable;
pub(crate) mod listing;
mod need;
pub(crate) mod preflight;
pub(crate) mod projects;
pub(crate) mod quotas;
mod stored;

use std::time::Duration;

pub(crate) use api::{Harbor, NewProject, Quota};

/// So long Harbor refuses the right password of a user after a wrong one of anybody's.
pub(crate) const LOCK: Duration = Duration::from_millis(1500);

/// A page of a list has to save so many questions to be worth its time.
const WORTH_A_LIST: usize = 4;
