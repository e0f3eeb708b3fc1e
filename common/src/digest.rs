//! Content digests: the only file that names a hash implementation.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::quote::quoted;

/// A SHA-256 content digest, printed as `sha256:<64 lower-case hex digits>`.
///
/// The grammar is the OCI image specification's (descriptor.md, section "Digests"). Other
/// algorithms are legal there, but Distribution stores every blob under its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// Why a text is not a digest that can be carried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseDigestError {
    /// The text does not have the form `algorithm:hex`, or its hex part is wrong.
    #[error("`{0}` is not a digest of the form sha256:<64 lower-case hex digits>")]
    Malformed(String),
    /// The text is a digest, but of another algorithm than SHA-256.
    #[error("digest algorithm `{0}` is not supported: only sha256 is")]
    Algorithm(String),
}

impl Digest {
    /// Digest of bytes at hand.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Parses the 64 lower-case hex digits alone, as file names in a storage tree show them.
    ///
    /// # Errors
    /// [`ParseDigestError::Malformed`] for anything else.
    pub fn from_hex(hex: &str) -> Result<Self, ParseDigestError> {
        let malformed = || ParseDigestError::Malformed(quoted(hex));
        if hex.len() != 64 {
            return Err(malformed());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let high = nibble(pair[0]).ok_or_else(malformed)?;
            let low = nibble(pair[1]).ok_or_else(malformed)?;
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }

    /// The 64 hex digits without the algorithm.
    #[must_use]
    pub fn hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
            hex.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        hex
    }
}

/// The value of a lower-case hex digit.
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (algorithm, hex) =
            text.split_once(':').ok_or_else(|| ParseDigestError::Malformed(quoted(text)))?;
        if algorithm == "sha256" {
            return Self::from_hex(hex).map_err(|_| ParseDigestError::Malformed(quoted(text)));
        }
        let known_form = !algorithm.is_empty()
            && algorithm.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        Err(if known_form {
            ParseDigestError::Algorithm(quoted(algorithm))
        } else {
            ParseDigestError::Malformed(quoted(text))
        })
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(DigestVisitor)
    }
}

/// Takes the text as it passes by: a catalog has millions of digests.
struct DigestVisitor;

impl Visitor<'_> for DigestVisitor {
    type Value = Digest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a digest")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Digest, E> {
        text.parse().map_err(E::custom)
    }
}

/// Computes a [`Digest`] of bytes that arrive in pieces.
#[derive(Clone, Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    /// A hasher that has seen no byte.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

/// Bytes that are not what their descriptor says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// There are fewer bytes than announced.
    #[error("blob {digest} ends after {got} of {size} bytes")]
    Short {
        /// The announced digest.
        digest: Digest,
        /// The announced size in bytes.
        size: u64,
        /// The bytes that were there.
        got: u64,
    },
    /// The source goes on after the announced size.
    #[error("blob {digest} is longer than its {size} bytes")]
    Long {
        /// The announced digest.
        digest: Digest,
        /// The announced size in bytes.
        size: u64,
    },
    /// The bytes hash to another digest.
    #[error("blob {want} hashes to {got}")]
    Digest {
        /// The announced digest.
        want: Digest,
        /// The digest of the bytes.
        got: Digest,
    },
}

/// A reader for which copying is checking: it reaches its end without an error only when exactly
/// `size` bytes with the digest `want` were read.
///
/// A wrong blob is an [`io::Error`] of kind `InvalidData` that carries a [`VerifyError`].
#[derive(Debug)]
pub struct Verified<R> {
    inner: R,
    want: Digest,
    size: u64,
    got: u64,
    hasher: Option<Hasher>,
}

impl<R: Read> Verified<R> {
    /// Wraps a reader that must yield exactly this blob.
    pub fn new(inner: R, want: Digest, size: u64) -> Self {
        Self { inner, want, size, got: 0, hasher: Some(Hasher::new()) }
    }

    /// What is wrong with the bytes, once the inner reader has ended.
    fn judge(&mut self) -> Result<(), VerifyError> {
        let Some(hasher) = self.hasher.take() else { return Ok(()) };
        if self.got < self.size {
            return Err(VerifyError::Short { digest: self.want, size: self.size, got: self.got });
        }
        let got = hasher.finish();
        if got == self.want { Ok(()) } else { Err(VerifyError::Digest { want: self.want, got }) }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.inner.read(buffer)?;
        if read == 0 {
            return self.judge().map(|()| 0).map_err(invalid_data);
        }
        self.got += read as u64;
        if self.got > self.size {
            let long = VerifyError::Long { digest: self.want, size: self.size };
            return Err(invalid_data(long));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..read]);
        }
        Ok(read)
    }
}

fn invalid_data(error: VerifyError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn known_digest() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<Digest>(), Ok(Digest::of(b"")));
    }

    #[test]
    fn refuses_what_is_no_digest() {
        for text in [
            "",
            "sha256",
            "sha256:",
            "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
            &EMPTY[..70],
            &format!("{EMPTY}0"),
            &format!("{EMPTY}\n"),
            "SHA256:e3b0",
        ] {
            assert!(
                matches!(text.parse::<Digest>(), Err(ParseDigestError::Malformed(_))),
                "{text}"
            );
        }
        let other = "sha512:00".parse::<Digest>();
        assert_eq!(other, Err(ParseDigestError::Algorithm("sha512".into())));
    }

    fn outcome(bytes: &[u8], want: Digest, size: u64) -> Result<Vec<u8>, String> {
        let mut read = Vec::new();
        let copied = Verified::new(bytes, want, size).read_to_end(&mut read);
        copied.map(|_| read).map_err(|error| error.to_string())
    }

    proptest! {
        #[test]
        fn prints_what_it_parses(bytes in any::<[u8; 32]>()) {
            let digest = Digest(bytes);
            prop_assert_eq!(digest.to_string().parse(), Ok(digest));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC*") {
            let _ = text.parse::<Digest>();
        }

        #[test]
        fn reading_is_verifying(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in any::<usize>()) {
            let (want, size) = (Digest::of(&bytes), bytes.len() as u64);
            prop_assert_eq!(outcome(&bytes, want, size), Ok(bytes.clone()));
            prop_assert!(outcome(&bytes, want, size + 1).is_err());
            if !bytes.is_empty() {
                prop_assert!(outcome(&bytes, want, size - 1).is_err());
                let mut damaged = bytes.clone();
                damaged[at % bytes.len()] ^= 1;
                prop_assert!(outcome(&damaged, want, size).is_err());
            }
        }
    }
}
