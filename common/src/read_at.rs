//! Reading a file in many places at once.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// Reads a file from an offset on, without moving a position that others share.
#[derive(Debug)]
pub struct ReadAt<'a> {
    file: &'a File,
    offset: u64,
}

impl<'a> ReadAt<'a> {
    /// Begins at this byte, counted from the start of the file.
    #[must_use]
    pub fn new(file: &'a File, offset: u64) -> Self {
        Self { file, offset }
    }
}

impl Read for ReadAt<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
