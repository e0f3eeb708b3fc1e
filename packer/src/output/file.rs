//! A bundle that becomes a file, with its checksum beside it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tranship_common::{Digest, StagedFile};

use super::OutputError;
use super::room::hindrance;
use super::write_behind::WriteBehind;

/// A bundle that becomes a file.
#[derive(Debug)]
pub(crate) struct FileOutput {
    path: PathBuf,
    bundle: StagedFile,
    checksum: StagedFile,
}

impl FileOutput {
    pub(super) fn open(
        given: &Path,
        is_source: impl Fn(&Path) -> bool,
    ) -> Result<Self, OutputError> {
        let open = |path: &Path| {
            let shown = || path.display().to_string();
            let paths = StagedFile::paths_of(path)
                .map_err(|source| OutputError::Open { path: shown(), source })?;
            if paths.iter().any(|path| is_source(path)) {
                return Err(OutputError::InStorage { what: "output" });
            }
            StagedFile::create(path).map_err(|source| OutputError::Open { path: shown(), source })
        };
        let mut checksum = given.file_name().unwrap_or_default().to_owned();
        checksum.push(".sha256");
        let checksum = given.with_file_name(checksum);
        Ok(Self { bundle: open(given)?, checksum: open(&checksum)?, path: given.to_owned() })
    }

    /// What a person should know of the place, in a sentence.
    pub(super) fn warning(&self) -> Option<String> {
        (!self.bundle.is_locked()).then(|| {
            let path = self.path.display();
            format!("the disk of {path} has no locks: see that nobody else writes the same file")
        })
    }

    pub(super) fn check_room(&self, bytes: u64) -> Result<(), OutputError> {
        let path = || self.path.display().to_string();
        let hindrance = hindrance(self.bundle.file(), bytes)
            .map_err(|source| OutputError::Open { path: path(), source })?;
        match hindrance {
            Some(hindrance) => Err(OutputError::NoRoom { path: path(), needed: bytes, hindrance }),
            None => Ok(()),
        }
    }

    pub(super) fn staged_paths(&self) -> [&Path; 2] {
        [self.bundle.staged_path(), self.checksum.staged_path()]
    }

    /// Begins anew: whatever was written is gone.
    pub(crate) fn restart(&self) -> io::Result<()> {
        self.bundle.restart()
    }

    /// The file as it is being written.
    pub(crate) fn file(&self) -> &File {
        self.bundle.file()
    }

    /// Has `write` write the bundle from front to back.
    pub(crate) fn write<T, E: From<io::Error>>(
        &self,
        write: impl FnOnce(&mut dyn Write) -> Result<T, E>,
    ) -> Result<T, E> {
        self.bundle.restart()?;
        let mut out = BufWriter::with_capacity(1 << 20, WriteBehind::new(self.bundle.file()));
        let written = write(&mut out)?;
        let behind = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        behind.finish()?;
        Ok(written)
    }

    /// Gives the bundle its name, and writes NAME.sha256 in the format of coreutils. Returns what
    /// the disk could not promise, in a sentence.
    pub(crate) fn commit(self, digest: Digest) -> io::Result<Option<String>> {
        let name = self.path.file_name().unwrap_or_default();
        let mut line = format!("{}  ", digest.hex()).into_bytes();
        line.extend_from_slice(name.as_encoded_bytes());
        line.push(b'\n');
        let mut file = self.checksum.file();
        // The bundle gets its name when nothing else can fail but names.
        file.write_all(&line)?;
        file.sync_all()?;
        let unsynced = self.bundle.commit()?;
        self.checksum.commit()?;
        Ok(unsynced.map(|error| {
            format!("the folder of {} cannot be synced: {error}", self.path.display())
        }))
    }
}
