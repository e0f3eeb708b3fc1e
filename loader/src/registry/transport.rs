//! What comes over the wire, within bounds, and what goes wrong below HTTP.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::Response;
use reqwest::header::{LOCATION, RETRY_AFTER};
use rustls::{AlertDescription, CertificateError, OtherError, PeerIncompatible};

use super::error::{MAX_ERROR_BODY, shortened};
use super::{Answer, RequestError};

/// Adds a body, piece by piece, to what was read of it; what goes far beyond `limit` (bytes) is
/// left. When this ends early, what came is there.
pub(super) async fn gather(
    response: &mut Response,
    limit: u64,
    body: &mut Vec<u8>,
) -> Result<(), reqwest::Error> {
    while body.len() as u64 <= limit
        && let Some(piece) = response.chunk().await?
    {
        body.extend_from_slice(&piece);
    }
    Ok(())
}

/// Reads an error answer, as far as it comes within the time `limit`.
pub(super) async fn error_answer(request: &str, mut response: Response, limit: Duration) -> Answer {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let retry_after = header(RETRY_AFTER).and_then(Answer::read_retry_after);
    let location = header(LOCATION).filter(|_| response.status().is_redirection());
    let location = location.map(shortened);
    let mut body = Vec::new();
    // A body that breaks off, or does not end, says what it says.
    let _ =
        tokio::time::timeout(limit, gather(&mut response, MAX_ERROR_BODY as u64, &mut body)).await;
    body.truncate(MAX_ERROR_BODY);
    Answer {
        request: shortened(request),
        status: response.status(),
        errors: Answer::read_errors(&body),
        is_disk_full: Answer::tells_of_full_disk(response.status(), &body),
        retry_after,
        location,
        clock_difference: 0,
        anonymous: false,
    }
}

/// Sorts what went wrong below HTTP.
pub(super) fn transport_error(target: &str, source: reqwest::Error) -> RequestError {
    let target = target.to_owned();
    // An address may carry an upload's state; it is of no use to a person.
    let source = source.without_url();
    let handshake = tls_error(&source).and_then(disagreement);
    match (tls_error(&source), handshake) {
        (Some(rustls::Error::InvalidCertificate(why)), _) => {
            let advice = advice(why);
            RequestError::Certificate { target, advice, source: source.into() }
        }
        (Some(rustls::Error::InvalidMessage(_)), _) => RequestError::NotTls { target },
        (_, Some(why)) => RequestError::Handshake { target, why, source: source.into() },
        _ if source.is_connect() => RequestError::Connect { target, source: source.into() },
        _ => RequestError::Interrupted { target, source: source.into() },
    }
}

/// What to do about a certificate that was not accepted.
fn advice(why: &CertificateError) -> &'static str {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "renew it, or set this machine's clock if that is wrong"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "set this machine's clock, which is probably behind"
        }
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "it names no host: have one made with the registry's name as subjectAltName"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "use a name with --to that the certificate is for"
        }
        CertificateError::BadSignature => {
            "an authority of this name is trusted, but has another key: give the present one with \
             --ca-file"
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "it is signed in a way that cannot be checked here: have it signed with SHA-256 or better \
             and a key of RSA, Ed25519, or ECDSA on P-256 or P-384 (not P-521)"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not for servers: have one made with serverAuth among its uses"
        }
        CertificateError::Other(OtherError(other)) => match other.downcast_ref() {
            Some(webpki::Error::CaUsedAsEndEntity) => {
                "it is that of an authority itself: give this very certificate with --ca-file"
            }
            Some(webpki::Error::UnsupportedCertVersion) => {
                "it is of version 1 of X.509: have one made of version 3"
            }
            _ => "have another one made",
        },
        _ => "give the authority that signed it with --ca-file",
    }
}

/// Why the two sides agree on no secure connection, if that is what happened.
fn disagreement(error: &rustls::Error) -> Option<&'static str> {
    match error {
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
        | rustls::Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            Some("it speaks only versions of TLS before 1.2: have 1.2 or 1.3 switched on")
        }
        rustls::Error::AlertReceived(
            AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity,
        )
        | rustls::Error::PeerIncompatible(_)
        | rustls::Error::PeerMisbehaved(_) => Some(
            "its key or cipher suites are none of those that this program has: a key of RSA, Ed25519, \
             or ECDSA on P-256 or P-384 (not P-521), and TLS 1.3, or TLS 1.2 with ECDHE and AES-GCM \
             or ChaCha20; or it wants a certificate of ours, which --client-cert gives",
        ),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            Some("it wants a certificate of ours: give one with --client-cert and --client-key")
        }
        rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => Some(
            "it wants a certificate of ours that it trusts, which --client-cert and --client-key give",
        ),
        _ => None,
    }
}

/// The TLS error among the causes, if there is one.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        // An I/O error that wraps another error skips it when asked for its source.
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}
