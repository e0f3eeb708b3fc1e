//! Writes a bundle from front to back.

use std::io::{self, Write};

use super::contents::Contents;
use super::front::FrontFile;
use super::hashed::Hashed;
use super::layout::{Layout, TRAILER};
use super::tar_header::{padding, zeros};
use crate::Digest;

/// Why an entry could not be appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError<E> {
    /// The source of the bytes failed.
    #[error(transparent)]
    Source(E),
    /// The source gave more or fewer bytes than the catalog announces.
    #[error("blob {digest} has not the {size} bytes that were announced")]
    Size {
        /// The blob.
        digest: Digest,
        /// The announced size in bytes.
        size: u64,
    },
    /// The bundle could not be written.
    #[error("cannot write the bundle")]
    Write(#[source] io::Error),
}

/// Writes the front, then each entry of a [`Layout`] in its order, then the end of the archive,
/// and hashes all of it on the way.
#[derive(Debug)]
pub struct Writer<'a, W> {
    out: Hashed<W>,
    layout: &'a Layout,
    next: usize,
}

impl<'a, W: Write> Writer<'a, W> {
    /// Writes everything in front of the first entry.
    ///
    /// # Errors
    /// As for writing; `InvalidInput` when the layout is of another catalog, or of one that was
    /// read from bytes that this writer would write otherwise.
    pub fn new(out: W, contents: &Contents, layout: &'a Layout) -> io::Result<Self> {
        let mut out = Hashed::new(out);
        let front = layout.front();
        for file in FrontFile::ALL {
            out.write_all(&front.header(file))?;
            let mut content = Hashed::new(&mut out);
            front.write_content(file, contents, &mut content)?;
            let written = content.measure();
            if written != front.measure(file) {
                let text = format!("`{}` is not as it was laid out", file.name());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            out.write_all(zeros(padding(written.size)))?;
        }
        Ok(Self { out, layout, next: 0 })
    }

    /// Appends the next entry. `pieces` gives its bytes piece by piece and then `None`; it is the
    /// caller's duty that they have the entry's digest.
    ///
    /// # Errors
    /// [`AppendError`]; the bundle is unusable then.
    ///
    /// # Panics
    /// When all entries have been appended already.
    pub fn append<E>(
        &mut self,
        mut pieces: impl FnMut() -> Result<Option<Vec<u8>>, E>,
    ) -> Result<(), AppendError<E>> {
        let entry = self.layout.entries()[self.next];
        self.next += 1;
        let wrong_size = || AppendError::Size { digest: entry.digest, size: entry.size };
        self.out.write_all(&entry.header()).map_err(AppendError::Write)?;
        let mut missing = entry.size;
        while let Some(piece) = pieces().map_err(AppendError::Source)? {
            missing = missing.checked_sub(piece.len() as u64).ok_or_else(wrong_size)?;
            self.out.write_all(&piece).map_err(AppendError::Write)?;
        }
        if missing > 0 {
            return Err(wrong_size());
        }
        self.out.write_all(zeros(padding(entry.size))).map_err(AppendError::Write)
    }

    /// Writes the end of the archive and returns the digest of the whole bundle.
    ///
    /// # Errors
    /// As for writing.
    ///
    /// # Panics
    /// When entries are missing.
    pub fn finish(mut self) -> io::Result<Digest> {
        assert_eq!(self.next, self.layout.entries().len(), "all entries must have been appended");
        self.out.write_all(&[0; TRAILER as usize])?;
        self.out.flush()?;
        Ok(self.out.measure().digest)
    }
}
