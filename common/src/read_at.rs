//! Reading a file in many places at once.

use std::borrow::Borrow;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// Reads a file, borrowed or shared, from an offset on, without moving a position that others
/// share.
#[derive(Debug)]
pub struct ReadAt<F> {
    file: F,
    offset: u64,
}

impl<F: Borrow<File>> ReadAt<F> {
    /// Begins at this byte, counted from the start of the file.
    #[must_use]
    pub fn new(file: F, offset: u64) -> Self {
        Self { file, offset }
    }
}

impl<F: Borrow<File>> Read for ReadAt<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.borrow().read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
