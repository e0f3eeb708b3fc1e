//! Certificates in files as people have them: with comments, blank lines and keys between.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::CertificateDer;

/// A certificate, and where it begins in its file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) line: usize,
    pub(super) der: CertificateDer<'static>,
}

/// A block between its two lines.
struct Block {
    line: usize,
    label: String,
    base64: String,
}

/// The text of a file. What is none in it stands in comments.
pub(super) fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// All certificates of a file; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<Read>> {
    certificates_in(&read(path)?).with_context(|| path.display().to_string())
}

fn certificates_in(text: &str) -> Result<Vec<Read>> {
    let (mut found, mut others) = (Vec::new(), Vec::new());
    let mut open: Option<Block> = None;
    for (line, text) in (1..).zip(text.trim_start_matches('\u{feff}').lines().map(str::trim)) {
        let begun = text.strip_prefix("-----BEGIN ").and_then(|text| text.strip_suffix("-----"));
        if let Some(label) = begun {
            ensure!(!is_certificate(open.as_ref()), "line {line}: {}", without_end(open.as_ref()));
            open = Some(Block { line, label: label.to_owned(), base64: String::new() });
        } else if text.starts_with("-----END ") {
            match open.take() {
                Some(block) if is_certificate(Some(&block)) => found.push(block.certificate()?),
                Some(block) if !others.contains(&block.label) => others.push(block.label),
                _ => {}
            }
        } else if let Some(block) = &mut open
            && !text.starts_with('#')
        {
            block.base64.extend(text.split_whitespace());
        }
    }
    ensure!(!is_certificate(open.as_ref()), "at its end: {}", without_end(open.as_ref()));
    match (found.is_empty(), others.is_empty()) {
        (false, _) => Ok(found),
        (true, false) => bail!("it holds no PEM certificates, only {}", others.join(", ")),
        (true, true) => bail!(
            "it holds no PEM certificates; one in DER is made into one by \
             `openssl x509 -inform der`"
        ),
    }
}

fn is_certificate(block: Option<&Block>) -> bool {
    block.is_some_and(|block| matches!(block.label.as_str(), "CERTIFICATE" | "X509 CERTIFICATE"))
}

fn without_end(block: Option<&Block>) -> String {
    let line = block.map_or(0, |block| block.line);
    format!("the certificate that begins in line {line} has no end")
}

impl Block {
    fn certificate(self) -> Result<Read> {
        let der = BASE64_STANDARD.decode(&self.base64);
        let der =
            der.with_context(|| format!("the certificate in line {} is damaged", self.line))?;
        Ok(Read { line: self.line, der: der.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(usize, Vec<u8>)>, String> {
        match certificates_in(text) {
            Ok(found) => Ok(found.into_iter().map(|read| (read.line, read.der.to_vec())).collect()),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    #[test]
    fn files_as_people_have_them() {
        let one = "-----BEGIN CERTIFICATE-----\nQUJD\nRA==\n-----END CERTIFICATE-----\n";
        let der = b"ABCD".to_vec();
        let key = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n?\n\
                   -----END RSA PRIVATE KEY-----\n";
        for (text, lines) in [
            (one.to_owned(), &[1][..]),
            (one.trim_end().to_owned(), &[1]),
            (one.replace('\n', "\r\n"), &[1]),
            (one.replace('\n', "\n\n"), &[1]),
            (one.replace('\n', " \n  # a comment\n  "), &[1]),
            (format!("\u{feff}{one}"), &[1]),
            (format!("subject=CN = ca\n\n{one}"), &[3]),
            (format!("{one}{one}"), &[1, 5]),
            (format!("{key}{one}"), &[6]),
            (format!("{one}{key}"), &[1]),
            (one.replace("CERTIFICATE", "X509 CERTIFICATE"), &[1]),
        ] {
            let want: Vec<_> = lines.iter().map(|line| (*line, der.clone())).collect();
            assert_eq!(read(&text), Ok(want), "{text}");
        }
    }

    #[test]
    fn bad_ones_are_named() {
        let says = |text: &str, want: &str| {
            let error = read(text).unwrap_err();
            assert!(error.contains(want), "{error}");
        };
        says("", "openssl x509 -inform der");
        says("\0\u{1}binary", "openssl x509 -inform der");
        says("-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----", "only PRIVATE KEY");
        let cut = "\n-----BEGIN CERTIFICATE-----\nQUJD\n";
        says(cut, "the certificate that begins in line 2 has no end");
        says(&format!("{cut}{cut}"), "line 5: the certificate that begins in line 2 has no end");
        let damaged = "-----BEGIN CERTIFICATE-----\nQU?D\n-----END CERTIFICATE-----\n";
        says(&format!("\n{damaged}"), "the certificate in line 2 is damaged");
    }
}
