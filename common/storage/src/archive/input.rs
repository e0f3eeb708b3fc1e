//! What members are read from: a file, in which one can leap, or bytes that pass by.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use tranship_common::{Progress, ReadAt};

/// So much of a file is read at once: enough for many small members, and little beside a large
/// one that is leapt over.
const BUFFER: usize = 16 << 10;

/// Bytes that are read from front to back.
pub(super) trait Input: Read {
    /// Passes over so many bytes. Returns how many there were, fewer only at the end.
    fn pass_over(&mut self, count: u64) -> io::Result<u64>;
}

/// A file's bytes.
pub(super) struct FileInput<'a> {
    file: &'a File,
    length: u64,
    at: u64,
    buffered: BufReader<ReadAt<&'a File>>,
    progress: &'a dyn Progress,
}

impl<'a> FileInput<'a> {
    /// From the front of a file of so many bytes on.
    pub(super) fn new(file: &'a File, length: u64, progress: &'a dyn Progress) -> Self {
        Self { file, length, at: 0, buffered: buffered(file, 0), progress }
    }

    fn advance(&mut self, count: u64) {
        self.at += count;
        self.progress.add_bytes(count);
    }
}

fn buffered(file: &File, at: u64) -> BufReader<ReadAt<&File>> {
    BufReader::with_capacity(BUFFER, ReadAt::new(file, at))
}

impl Read for FileInput<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.buffered.read(buffer)?;
        self.advance(read as u64);
        Ok(read)
    }
}

impl Input for FileInput<'_> {
    fn pass_over(&mut self, count: u64) -> io::Result<u64> {
        let count = count.min(self.length.saturating_sub(self.at));
        match usize::try_from(count) {
            Ok(near) if near <= self.buffered.buffer().len() => self.buffered.consume(near),
            _ => self.buffered = buffered(self.file, self.at + count),
        }
        self.advance(count);
        Ok(count)
    }
}
