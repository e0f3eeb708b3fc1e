//! Whether the registry's certificate is to be trusted.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

/// Trusts certificates, and all that they have signed; or whoever answers.
///
/// The verifier of rustls takes them for authorities alone: a certificate that is its own
/// authority, as `openssl req -x509` makes it, it refuses in the place of a server's. Other clients
/// take it, since whoever gives a certificate to be trusted means that one.
#[derive(Debug)]
pub(super) struct Verifier {
    /// `None` when nothing is checked.
    trusted: Option<Trusted>,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
struct Trusted {
    certificates: Vec<CertificateDer<'static>>,
    /// `None` without any certificate.
    authorities: Option<Arc<WebPkiServerVerifier>>,
}

impl Verifier {
    /// Whether a certificate can be trusted, being one at all.
    pub(super) fn check(certificate: &CertificateDer<'_>) -> Result<(), Error> {
        RootCertStore::empty().add(certificate.clone().into_owned())
    }

    /// Trusts these, apart from those that cannot be read.
    pub(super) fn of(
        certificates: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        let authorities = match roots.is_empty() {
            true => None,
            false => {
                let roots = Arc::new(roots);
                let provider = Arc::clone(provider);
                Some(WebPkiServerVerifier::builder_with_provider(roots, provider).build()?)
            }
        };
        let trusted = Some(Trusted { certificates, authorities });
        Ok(Self { trusted, algorithms: provider.signature_verification_algorithms })
    }

    /// Trusts whoever answers.
    pub(super) fn of_anybody(provider: &CryptoProvider) -> Self {
        Self { trusted: None, algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(Trusted { certificates, authorities }) = &self.trusted else {
            return Ok(ServerCertVerified::assertion());
        };
        let Some(authorities) = authorities else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        let verified = authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // Dates are looked at before issuers, so they are good; the name comes after.
            Err(Error::InvalidCertificate(why))
                if is_about_issuer(&why) && certificates.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.trusted {
            Some(_) => verify_tls12_signature(message, certificate, signed, &self.algorithms),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.trusted {
            Some(_) => verify_tls13_signature(message, certificate, signed, &self.algorithms),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.algorithms.supported_schemes();
        if self.trusted.is_none() {
            // What is not checked need not be understood.
            schemes.extend([
                SignatureScheme::ECDSA_NISTP521_SHA512,
                SignatureScheme::ED448,
                SignatureScheme::RSA_PKCS1_SHA1,
            ]);
        }
        schemes
    }
}

/// Whether nothing is wrong but who has signed it, and how.
fn is_about_issuer(why: &CertificateError) -> bool {
    match why {
        CertificateError::UnknownIssuer
        | CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => true,
        CertificateError::Other(OtherError(other)) => {
            matches!(other.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
        }
        _ => false,
    }
}
