//! The client of a registry: one method per endpoint of the OCI distribution specification that a
//! load needs. It knows authentication and nothing of policy: retries, order and concurrency are
//! the caller's.

mod auth;
mod blobs;
mod body;
mod client;
mod credentials;
mod error;
mod lists;
mod manifests;
mod schema1;
mod target;
mod tls;
mod transport;

pub(crate) use blobs::Upload;
pub(crate) use body::{Content, SMALL, whole};
pub(crate) use client::Registry;
pub(crate) use credentials::{Accounts, Credentials, from_auth_files, password_from};
pub(crate) use error::{Answer, RequestError};
pub(crate) use target::Target;
pub(crate) use tls::{Proxies, Tls, http_client};
