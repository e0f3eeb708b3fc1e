//! Whom we trust, and what we show.

use std::fs;
use std::io::Write;

use e2e::programs::{Run, load};
use e2e::registry::{Options, Registry};
use e2e::tls::Certificates;
use e2e::{Bundle, Finished};

use super::{ARRIVED, server};

fn secured(certificates: &Certificates) -> Registry {
    Registry::with(&Options { certificates: Some(certificates), ..Options::default() })
}

#[test]
fn a_certificate_of_an_own_authority() {
    let bundle = Bundle::simple();
    let certificates = Certificates::new();
    let registry = secured(&certificates);
    let load = || load(&bundle.path(), &registry.url());
    load().run().expect(1).says("--ca-file");
    load().arg("--ca-file").arg(certificates.file("ca.pem")).run().ok().prints(ARRIVED);
    load().arg("--insecure-skip-tls-verify").run().ok().says("certificate is not checked");
    load().arg("--ca-file").arg(bundle.path()).run().expect(1).says("no PEM certificates");
    load().args(["--ca-file", "/nonexistent.pem"]).run().expect(1).says("/nonexistent.pem");
    assert_eq!(registry.url(), format!("https://{}", registry.address()));
}

#[test]
fn a_registry_that_asks_for_our_certificate() {
    let bundle = Bundle::simple();
    let certificates = Certificates::new();
    let registry = Registry::with(&Options {
        certificates: Some(&certificates),
        client_certificate: true,
        ..Options::default()
    });
    let mut command = load(&bundle.path(), &registry.url());
    command.arg("--ca-file").arg(certificates.file("ca.pem"));
    assert_ne!(command.run().code, Some(0), "it does not let in those without one");
    command.arg("--client-cert").arg(certificates.file("client.pem"));
    command.arg("--client-key").arg(certificates.file("client.key"));
    command.run().ok().prints(ARRIVED);
}

#[test]
fn a_tls_client_at_a_plain_registry() {
    let bundle = Bundle::simple();
    let registry = Registry::start();
    let url = registry.url().replace("http://", "https://");
    load(&bundle.path(), &url).run().expect(1).says("does not answer with TLS");
}

/// A load from a registry that shows a certificate which is its own authority, trusting just that.
fn trusting_itself(bundle: &Bundle, certificates: &Certificates) -> Finished {
    let registry = secured(certificates);
    let mut command = load(&bundle.path(), &registry.url());
    command.arg("--ca-file").arg(certificates.file("server.pem")).run()
}

#[test]
fn a_certificate_that_is_its_own_authority() {
    let bundle = Bundle::simple();
    trusting_itself(&bundle, &Certificates::own_authority("127.0.0.1", 2099)).ok().prints(ARRIVED);
    for arguments in ["-newkey rsa:2048", "-newkey ec -pkeyopt ec_paramgen_curve:P-384"] {
        trusting_itself(&bundle, &Certificates::by_openssl(arguments)).ok().prints(ARRIVED);
    }
    let of_nobody = "-newkey rsa:2048 -addext basicConstraints=CA:FALSE";
    trusting_itself(&bundle, &Certificates::by_openssl(of_nobody)).ok().prints(ARRIVED);

    let misnamed = Certificates::own_authority("harbor.example", 2099);
    let _ = trusting_itself(&bundle, &misnamed).expect(1).says("use a name with --to");
    let expired = Certificates::own_authority("127.0.0.1", 2001);
    let _ = trusting_itself(&bundle, &expired).expect(1).says("renew it, or set this");
    // One that is not the one.
    let (shown, other) = (
        Certificates::own_authority("127.0.0.1", 2099),
        Certificates::own_authority("127.0.0.1", 2099),
    );
    fs::copy(other.file("server.pem"), shown.file("other.pem")).unwrap();
    let registry = secured(&shown);
    let mut command = load(&bundle.path(), &registry.url());
    let refused = command.arg("--ca-file").arg(shown.file("other.pem")).run().expect(1);
    let _ = refused.says("give this very certificate with --ca-file");
}

/// A certificate that an authority has signed, and that is given itself.
#[test]
fn a_certificate_that_is_trusted_without_its_authority() {
    let bundle = Bundle::simple();
    trusting_itself(&bundle, &Certificates::new()).ok().prints(ARRIVED);
    let expired = Certificates::for_server("127.0.0.1", 2001);
    let _ = trusting_itself(&bundle, &expired).expect(1).says("renew it, or set this");
}

#[test]
fn files_of_certificates_as_people_have_them() {
    let bundle = Bundle::simple();
    let certificates = Certificates::new();
    let registry = secured(&certificates);
    let read = |name: &str| fs::read_to_string(certificates.file(name)).unwrap();
    let (authority, key) = (read("ca.pem"), read("client.key"));
    let encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n\
                     -----END RSA PRIVATE KEY-----\n";
    let trusting = |text: &str| {
        fs::write(certificates.file("trusted.pem"), text).unwrap();
        let mut command = load(&bundle.path(), &registry.url());
        command.arg("--ca-file").arg(certificates.file("trusted.pem")).run()
    };
    for text in [
        format!("# Ours, till 2099:\r\n\r\n{}\r\n", authority.replace('\n', "\r\n\r\n")),
        format!("\u{feff}{authority}"),
        format!("{key}{encrypted}{authority}{}", read("client.pem")),
        authority.replace('\n', "\n  "),
    ] {
        let _ = trusting(&text).ok();
    }
    let _ =
        trusting(&key).expect(1).says("trusted.pem: it holds no PEM certificates, only PRIVATE");
    let _ = trusting(&format!("\n{}", &authority[..authority.len() / 2]))
        .expect(1)
        .says("the certificate that begins in line 2 has no end");
    let no_certificate = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n";
    let _ = trusting(&format!("{authority}{no_certificate}"))
        .expect(1)
        .says(&format!("line {}: this certificate cannot be used", authority.lines().count() + 1));
}

#[test]
fn a_handshake_that_cannot_be_agreed_on() {
    let bundle = Bundle::simple();
    let failing = |alert: u8, words: &str| {
        // What TLS sends in the place of its next step: a fatal alert.
        let address = server(move |stream| {
            let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, alert]);
        });
        let said = load(&bundle.path(), &format!("https://{address}")).run().expect(1);
        let said = said.says("no secure connection to").says(words);
        assert!(!said.stderr.contains("--ca-file"), "{}", said.stderr);
    };
    failing(40, "not P-521");
    failing(70, "speaks only versions of TLS before 1.2");
    failing(116, "--client-cert");
    // A real one.
    let registry =
        secured(&Certificates::by_openssl("-newkey ec -pkeyopt ec_paramgen_curve:P-521"));
    let said = load(&bundle.path(), &registry.url()).run().expect(1).says("not P-521");
    assert!(!said.stderr.contains("--ca-file"), "{}", said.stderr);
    load(&bundle.path(), &registry.url()).arg("--insecure-skip-tls-verify").run().ok();
}
