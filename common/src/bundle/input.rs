//! The bytes of a bundle as they come.

use std::io::{self, Read, Write};

use super::PIECE;
use super::tar_header::BLOCK;

/// Why bytes did not come, and after how many.
#[derive(Debug)]
pub(super) enum InputError {
    /// There are no more.
    Ended(u64),
    /// They could not be read.
    Io(u64, io::Error),
}

/// A reader that knows how many bytes it has given.
#[derive(Debug)]
pub(super) struct Input<R> {
    inner: R,
    at: u64,
}

impl<R: Read> Input<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, at: 0 }
    }

    /// How many bytes have been read.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Reads a block.
    pub(super) fn block(&mut self) -> Result<[u8; BLOCK as usize], InputError> {
        let mut block = [0; BLOCK as usize];
        self.fill(&mut block)?;
        Ok(block)
    }

    /// Reads as many bytes as are wanted, and tells whether they are those.
    pub(super) fn is_next(&mut self, want: &[u8]) -> Result<bool, InputError> {
        let mut got = vec![0; want.len()];
        self.fill(&mut got)?;
        Ok(got == want)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), InputError> {
        let read = self.read_exact(buffer);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => InputError::Ended(self.at),
            _ => InputError::Io(self.at, error),
        })
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Takes what should stand in the input, and fails as soon as something else does.
#[derive(Debug)]
pub(super) struct Comparing<'a, R> {
    input: &'a mut Input<R>,
    failure: Option<InputError>,
}

impl<'a, R: Read> Comparing<'a, R> {
    pub(super) fn new(input: &'a mut Input<R>) -> Self {
        Self { input, failure: None }
    }

    /// After a failure: why the input could not be compared, or `None` when it differs.
    pub(super) fn into_failure(self) -> Option<InputError> {
        self.failure
    }
}

impl<R: Read> Write for Comparing<'_, R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let want = &bytes[..bytes.len().min(PIECE)];
        match self.input.is_next(want) {
            Ok(true) => Ok(want.len()),
            Ok(false) => Err(io::Error::other("the input differs")),
            Err(error) => {
                self.failure = Some(error);
                Err(io::Error::other("the input has failed"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
