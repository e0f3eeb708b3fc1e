//! Bytes that pass by once, kept in a file without a name until nobody needs them.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use tranship_common::{Progress, Silent};

use super::decompress::Decompressed;
use super::format::Format;
use super::header::BLOCK;
use super::{refused, unreadable};
use crate::problem::SourceError;

/// Bytes are copied in pieces of this many.
const PIECE: usize = 256 << 10;

/// A file without a name.
pub(super) struct Spool<'a> {
    file: File,
    folder: &'a Path,
    /// How many bytes have been written.
    bytes: u64,
    progress: &'a dyn Progress,
}

/// Why bytes could not be kept.
pub(super) enum SpoolError {
    /// They could not be read.
    Read(io::Error),
    /// They could not be written.
    Write(io::Error),
}

impl<'a> Spool<'a> {
    /// Makes the file in a folder.
    pub(super) fn create(
        folder: &'a Path,
        progress: &'a dyn Progress,
    ) -> Result<Self, SourceError> {
        let file = tempfile::tempfile_in(folder).map_err(|error| unwritable(folder, &error))?;
        Ok(Self { file, folder, bytes: 0, progress })
    }

    /// Keeps bytes at an offset. What was never put is zeros, for which the disk needs no room.
    pub(super) fn put(&mut self, offset: u64, bytes: &mut dyn Read) -> Result<(), SpoolError> {
        self.file.seek(SeekFrom::Start(offset)).map_err(SpoolError::Write)?;
        let mut piece = vec![0; PIECE];
        loop {
            let read = match bytes.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(SpoolError::Read(error)),
            };
            self.file.write_all(&piece[..read]).map_err(SpoolError::Write)?;
            self.bytes += read as u64;
            self.progress.add_bytes(read as u64);
        }
    }

    /// What an error means, for an archive of this name.
    pub(super) fn explained(&self, archive: &str, error: SpoolError) -> SourceError {
        match error {
            SpoolError::Read(error) => unreadable(archive, error),
            SpoolError::Write(error) => unwritable(self.folder, &error),
        }
    }

    /// The file, of which is said where it is.
    pub(super) fn finish(self, archive: &str) -> File {
        let Self { file, folder, bytes, progress } = self;
        progress.say(&format!(
            "{bytes} bytes of {archive} are kept in {} for as long as this runs",
            folder.display()
        ));
        file
    }
}

fn unwritable(folder: &Path, error: &io::Error) -> SourceError {
    let what = format!(
        "the archive cannot be kept there while it is read ({error}): name a folder with more room \
         in TMPDIR"
    );
    refused(folder.display(), what)
}

/// Keeps what a stream brings, unpacked.
pub(super) fn spool_stream(
    stream: File,
    archive: &str,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<File, SourceError> {
    progress.begin("reading the archive", 0, 0);
    let unreadable = |error| unreadable(archive, error);
    let mut head = Vec::new();
    (&stream).take(BLOCK as u64).read_to_end(&mut head).map_err(unreadable)?;
    let format = Format::of(&head).map_err(|what| refused(archive, what))?;
    let whole = Cursor::new(head).chain(stream);
    let mut unpacked = Decompressed::new(whole, format, &Silent).map_err(unreadable)?;
    let mut spool = Spool::create(folder, progress)?;
    spool.put(0, &mut unpacked).map_err(|error| spool.explained(archive, error))?;
    Ok(spool.finish(archive))
}
