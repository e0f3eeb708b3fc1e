//! An archive that passes by once, kept in a file without a name until nobody needs it.

use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::path::Path;

use tranship_common::{Progress, Silent};

use super::decompress::Decompressed;
use super::format::Format;
use super::header::BLOCK;
use super::{refused, unreadable};
use crate::problem::SourceError;

/// Bytes are copied in pieces of this many.
const PIECE: usize = 256 << 10;

/// Keeps what a stream brings, unpacked, in a file in this folder.
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
    let unwritable = |error| unwritable(folder, &error);
    let mut file = tempfile::tempfile_in(folder).map_err(unwritable)?;
    let mut piece = vec![0; PIECE];
    let mut bytes = 0;
    loop {
        // It is interrupted by nothing: the pieces come from a thread.
        let read = unpacked.read(&mut piece).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        file.write_all(&piece[..read]).map_err(unwritable)?;
        bytes += read as u64;
        progress.add_bytes(read as u64);
    }
    let folder = folder.display();
    progress
        .say(&format!("{bytes} bytes of {archive} are kept in {folder} for as long as this runs"));
    Ok(file)
}

fn unwritable(folder: &Path, error: &io::Error) -> SourceError {
    let what = format!(
        "the archive cannot be kept there while it is read ({error}): name a folder with more room \
         in TMPDIR"
    );
    refused(folder.display(), what)
}
