//! A certificate authority of our own, and certificates that it has signed.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// `ca.pem`, `server.pem`, `server.key`, `client.pem` and `client.key` in a folder.
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
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut authority = CertificateParams::new(Vec::new()).expect("no names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().expect("a key");
        let certificate = authority.self_signed(&authority_key).expect("it signs itself");
        fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("it can be written");
        let issuer = Issuer::new(authority, authority_key);
        for (name, subject) in [("server", "127.0.0.1"), ("client", "client.example")] {
            let key = KeyPair::generate().expect("a key");
            let params = CertificateParams::new(vec![subject.to_owned()]).expect("a legal name");
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
