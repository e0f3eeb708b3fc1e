//! The HTTP client and what it trusts.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Certificate, Client, Identity, redirect};

use super::Target;

/// A registry that does not take the connection within this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// How connections are secured.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tls {
    /// Trusted certificate authorities (PEM), instead of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// Our own certificate and key (PEM).
    pub(crate) client_certificate: Option<(PathBuf, PathBuf)>,
    /// Trust whoever answers.
    pub(crate) skip_verify: bool,
}

/// Makes the client: HTTP/1.1, since one HTTP/2 connection would carry all uploads through one
/// flow-control window; no cookies, since Harbor takes a session cookie for a browser's; no
/// redirects, since no endpoint in use has one and a redirected upload would lose its body.
pub(crate) fn http_client(target: &Target, tls: &Tls) -> Result<Client> {
    // Another provider cannot have been installed before: nothing else in the process uses TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("tranship-loader/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .redirect(redirect::Policy::none());
    if tls.skip_verify {
        builder = builder.tls_danger_accept_invalid_certs(true);
    } else if let Some(path) = &tls.ca_file {
        let certificates = Certificate::from_pem_bundle(&read(path)?).unwrap_or_default();
        ensure!(!certificates.is_empty(), "{} holds no PEM certificates", path.display());
        builder = builder.tls_certs_only(certificates);
    } else if !target.is_https() {
        // The system's authorities are not needed, and a bare machine may have none.
        builder = builder.tls_certs_only([]);
    }
    if let Some((certificate, key)) = &tls.client_certificate {
        let mut pem = read(certificate)?;
        pem.push(b'\n');
        pem.extend(read(key)?);
        let identity = Identity::from_pem(&pem).with_context(|| {
            format!(
                "{} and {} are no PEM certificate and key",
                certificate.display(),
                key.display()
            )
        })?;
        builder = builder.identity(identity);
    }
    builder.build().context("cannot set up the HTTP client")
}

fn read(path: &PathBuf) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
