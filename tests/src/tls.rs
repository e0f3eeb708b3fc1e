//! A certificate authority of our own and certificates that it has signed, and some that nobody has
//! signed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::programs::shell;

/// `ca.pem`, `server.pem`, `server.key`, `client.pem` and `client.key` in a folder; a certificate
/// that is its own authority is there as `server.pem` and `server.key` alone.
#[derive(Debug)]
pub struct Certificates(TempDir);

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

impl Certificates {
    /// Makes an authority and has it sign certificates for 127.0.0.1 and for a client.
    #[must_use]
    pub fn new() -> Self {
        Self::for_server("127.0.0.1", 2099)
    }

    /// The same, with a name of the server and the year in which its certificate ends.
    ///
    /// # Panics
    /// When the files cannot be written.
    #[must_use]
    pub fn for_server(name: &str, last_year: i32) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut authority = CertificateParams::new(Vec::new()).expect("no names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().expect("a key");
        let certificate = authority.self_signed(&authority_key).expect("it signs itself");
        fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("it can be written");
        let issuer = Issuer::new(authority, authority_key);
        for (name, subject) in [("server", name), ("client", "client.example")] {
            let key = KeyPair::generate().expect("a key");
            let mut params =
                CertificateParams::new(vec![subject.to_owned()]).expect("a legal name");
            params.not_after = date_time_ymd(last_year, 1, 1);
            let signed = params.signed_by(&key, &issuer).expect("it is signed");
            let write = |ending: &str, text: String| {
                fs::write(folder.path().join(format!("{name}.{ending}")), text)
                    .expect("it can be written");
            };
            write("pem", signed.pem());
            write("key", key.serialize_pem());
        }
        Self(folder)
    }

    /// A certificate that is its own authority, as `openssl req -x509` makes it.
    ///
    /// # Panics
    /// When the files cannot be written.
    #[must_use]
    pub fn own_authority(name: &str, last_year: i32) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a legal name");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("it signs itself");
        fs::write(folder.path().join("server.pem"), certificate.pem()).expect("it can be written");
        fs::write(folder.path().join("server.key"), key.serialize_pem())
            .expect("it can be written");
        Self(folder)
    }

    /// One that the program `openssl req -x509` makes for 127.0.0.1, with these arguments.
    #[must_use]
    pub fn by_openssl(arguments: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script = format!(
            "openssl req -x509 {arguments} -nodes -days 30 -subj /CN=registry \
             -addext subjectAltName=IP:127.0.0.1 -keyout server.key -out server.pem"
        );
        shell(folder.path(), &script);
        Self(folder)
    }

    /// What a server of ours shows.
    ///
    /// # Panics
    /// When the files are damaged.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let certificate = CertificateDer::from_pem_file(self.file("server.pem")).expect("one");
        let key = PrivateKeyDer::from_pem_file(self.file("server.key")).expect("its key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("the key is the certificate's");
        TlsAcceptor::from(Arc::new(config))
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }
}
