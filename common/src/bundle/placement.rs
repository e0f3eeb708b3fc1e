//! Writes a bundle into a file in any order, since the place of every byte is known beforehand.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;

use super::PIECE;
use super::contents::Contents;
use super::layout::{Entry, Layout, TRAILER};
use super::tar_header::{padding, zeros};
use super::writer::{AppendError, Writer};
use crate::{Digest, Hasher, ReadAt};

/// A bundle in a file, of which all is there but the entries that have not been placed.
#[derive(Debug)]
pub struct Placement<'a> {
    file: &'a File,
    layout: &'a Layout,
}

impl<'a> Placement<'a> {
    /// Writes everything in front of the first entry into an empty file, and makes it as long as
    /// the bundle is.
    ///
    /// # Errors
    /// As [`Writer::new`].
    pub fn new(mut file: &'a File, contents: &Contents, layout: &'a Layout) -> io::Result<Self> {
        let mut front = BufWriter::with_capacity(PIECE, &mut file);
        Writer::new(&mut front, contents, layout)?;
        front.flush()?;
        drop(front);
        // The end of a tar archive is zeros, and so is what a file gains by growing.
        file.set_len(layout.size())?;
        Ok(Self { file, layout })
    }

    /// Puts an entry where it belongs. It is the caller's duty that the reader fails unless the
    /// bytes have the entry's digest.
    ///
    /// # Errors
    /// [`AppendError`]; the entry may be placed again then.
    pub fn place(&self, entry: Entry, mut bytes: impl Read) -> Result<(), AppendError<io::Error>> {
        let wrong_size = AppendError::Size { digest: entry.digest, size: entry.size };
        let write =
            |bytes: &[u8], at| self.file.write_all_at(bytes, at).map_err(AppendError::Write);
        write(&entry.header(), entry.header_offset)?;
        let (mut at, end) = (entry.offset, entry.offset + entry.size);
        let mut piece = vec![0; PIECE.min(entry.size as usize + 1)];
        loop {
            let read = match bytes.read(&mut piece) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(AppendError::Source(error)),
            };
            if read == 0 {
                break;
            }
            if end - at < read as u64 {
                return Err(wrong_size);
            }
            write(&piece[..read], at)?;
            at += read as u64;
        }
        if at < end {
            return Err(wrong_size);
        }
        write(zeros(padding(entry.size)), end)
    }

    /// The digest of the whole bundle, once all entries are in their places.
    ///
    /// # Errors
    /// As for reading.
    pub fn finish(self, mut passed: impl FnMut(u64)) -> io::Result<Digest> {
        self.file.write_all_at(&[0; TRAILER as usize], self.layout.size() - TRAILER)?;
        let (mut hasher, mut piece) = (Hasher::new(), vec![0; PIECE]);
        let mut reader = ReadAt::new(self.file, 0);
        loop {
            let read = match reader.read(&mut piece) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(&piece[..read]);
            passed(read as u64);
        }
    }
}
