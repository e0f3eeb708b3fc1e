//! The HTTP client: whom it trusts, and which way it takes.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, NoProxy, Proxy, redirect};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// A server that does not take the connection within this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection on which nothing comes for so long is broken.
const SILENCE: Duration = Duration::from_secs(60);

/// Makes the client, with what the environment says of proxies (`HTTPS_PROXY`, `HTTP_PROXY`,
/// `NO_PROXY`, in small letters too) and authorities (`AWS_CA_BUNDLE`). It follows no redirects,
/// since a request is signed for one host.
///
/// # Errors
/// What is wrong with them.
pub(super) fn client(
    environment: &[(String, String)],
    skip_verify: bool,
) -> Result<Client, String> {
    let variable = |wanted: &str| {
        let is_wanted = |(name, value): &&(String, String)| {
            name.eq_ignore_ascii_case(wanted) && !value.is_empty()
        };
        environment.iter().find(is_wanted).map(|(_, value)| value.as_str())
    };
    let mut builder = Client::builder()
        .user_agent(concat!("tranship/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(SILENCE)
        .redirect(redirect::Policy::none())
        .tls_backend_preconfigured(tls(variable("AWS_CA_BUNDLE"), skip_verify)?)
        .no_proxy();
    let direct = NoProxy::from_string(variable("NO_PROXY").unwrap_or_default());
    type Make = fn(String) -> reqwest::Result<Proxy>;
    let proxies: [(_, Make); 2] = [("HTTP_PROXY", Proxy::http), ("HTTPS_PROXY", Proxy::https)];
    for (name, make) in proxies {
        if let Some(url) = variable(name) {
            // The address may have a password in it.
            let proxy = make(url.to_owned()).map_err(|_| format!("{name} is no address"))?;
            builder = builder.proxy(proxy.no_proxy(direct.clone()));
        }
    }
    builder.build().map_err(|error| format!("the HTTP client cannot be made: {error}"))
}

fn tls(authorities: Option<&str>, skip_verify: bool) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody))
    } else {
        let mut roots = RootCertStore::empty();
        match authorities {
            Some(file) => {
                let bad = |error: &dyn std::fmt::Display| format!("AWS_CA_BUNDLE, {file}: {error}");
                let certificates = CertificateDer::pem_file_iter(file).map_err(|e| bad(&e))?;
                for certificate in certificates {
                    let certificate = certificate.map_err(|error| bad(&error))?;
                    roots.add(certificate).map_err(|error| bad(&error))?;
                }
            }
            // A bare machine may have none; then nobody is trusted, and that is said in time.
            None => {
                let system = rustls_native_certs::load_native_certs().certs;
                roots.add_parsable_certificates(system);
            }
        }
        builder.with_root_certificates(roots)
    };
    Ok(builder.with_no_client_auth())
}

/// Trusts whoever answers, as the registry does whose configuration says `skipverify`.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
