//! Counts and hashes what passes by.

use std::io::{self, Read, Write};

use super::front::Measure;
use crate::Hasher;

/// A reader or writer that knows size and digest of what has passed through it.
#[derive(Debug)]
pub(super) struct Hashed<T> {
    inner: T,
    size: u64,
    hasher: Hasher,
}

impl<T> Hashed<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, size: 0, hasher: Hasher::new() }
    }

    /// Size and digest of what has passed.
    pub(super) fn measure(self) -> Measure {
        Measure { size: self.size, digest: self.hasher.finish() }
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.hasher.update(bytes);
    }
}

impl<T: Read> Read for Hashed<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.pass(&buffer[..read]);
        Ok(read)
    }
}

impl<T: Write> Write for Hashed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.pass(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
