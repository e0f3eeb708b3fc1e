//! The client of a registry: one method per endpoint of the OCI distribution specification that a
//! load needs. It knows authentication and nothing of policy: retries, order and concurrency are
//! the caller's.

mod api;
mod auth;
mod credentials;
mod endpoints;
mod error;
mod payload;
mod target;
mod tls;

pub(crate) use api::{Artifact, ImmutableRule, NewProject, Quota, Selector, SystemInfo};
pub(crate) use credentials::{Credentials, from_auth_files, password_from};
pub(crate) use endpoints::{Registry, Upload};
pub(crate) use error::{Answer, RequestError};
pub(crate) use payload::{Payload, SMALL};
pub(crate) use target::Target;
pub(crate) use tls::{Tls, http_client};
