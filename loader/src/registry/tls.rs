//! The HTTP client: whom it trusts, what it shows of us, and which way it takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use reqwest::{Client, NoProxy, Proxy, redirect};
use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use url::Url;

use super::target::LOOPBACK;
use verifier::Verifier;

mod pem;
mod verifier;

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

/// Who passes requests on. This machine itself is never asked for through a proxy.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proxies {
    pub(crate) for_http: Option<Url>,
    pub(crate) for_https: Option<Url>,
    /// Names, domains, addresses and networks that are asked for directly, parted by commas.
    pub(crate) not_for: String,
}

/// Makes the client: HTTP/1.1, since one HTTP/2 connection would carry all uploads through one
/// flow-control window; no cookies, since Harbor takes a session cookie for a browser's; no
/// redirects, since no endpoint in use has one and a redirected upload would lose its body.
pub(crate) fn http_client(tls: &Tls, proxies: &Proxies) -> Result<Client> {
    let mut builder = Client::builder()
        .user_agent(concat!("tranship-loader/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .redirect(redirect::Policy::none())
        .tls_backend_preconfigured(configuration(tls)?)
        .no_proxy();
    let direct = NoProxy::from_string(&format!("{LOOPBACK},{}", proxies.not_for));
    if let Some(proxy) = &proxies.for_http {
        builder = builder.proxy(Proxy::http(proxy.clone())?.no_proxy(direct.clone()));
    }
    if let Some(proxy) = &proxies.for_https {
        builder = builder.proxy(Proxy::https(proxy.clone())?.no_proxy(direct));
    }
    builder.build().context("cannot set up the HTTP client")
}

fn configuration(tls: &Tls) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(tls, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut configuration = match &tls.client_certificate {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = pem::certificates(certificate)?.into_iter().map(|read| read.der).collect();
            builder.with_client_auth_cert(chain, private_key(key)?).with_context(|| {
                let (certificate, key) = (certificate.display(), key.display());
                format!("{certificate} and {key} are no certificate and key that go together")
            })?
        }
    };
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(configuration)
}

fn verifier(tls: &Tls, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
    if tls.skip_verify {
        return Ok(Arc::new(Verifier::of_anybody(provider)));
    }
    let Some(path) = &tls.ca_file else {
        // A bare machine may have none; then nobody is trusted, and that is said in time.
        let system = rustls_native_certs::load_native_certs().certs;
        return Ok(Arc::new(Verifier::of(system, provider)?));
    };
    let mut trusting = Vec::new();
    for read in pem::certificates(path)? {
        Verifier::check(&read.der).map_err(|why| {
            anyhow!(
                "{}, line {}: this certificate cannot be used: {why}",
                path.display(),
                read.line
            )
        })?;
        trusting.push(read.der);
    }
    Ok(Arc::new(Verifier::of(trusting, provider)?))
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let text = pem::read(path)?;
    if text.contains("ENCRYPTED") {
        let path = path.display();
        return Err(anyhow!(
            "the key in {path} is encrypted: `openssl pkey` takes the password off"
        ));
    }
    PrivateKeyDer::from_pem_slice(text.as_bytes())
        .with_context(|| format!("{} holds no PEM key", path.display()))
}
