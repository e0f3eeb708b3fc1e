//! Where a bundle goes: opened, tried and measured before the work begins.

mod file;
mod room;
mod write_behind;

use std::io;
use std::path::{Path, PathBuf};

use tranship_common::StagedFile;
use tranship_terminal::ReportFile;

pub(crate) use file::FileOutput;

/// Why nothing can be written there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    /// It would be part of what is only read.
    #[error("the {what} would be inside the storage, which is only read: give another --{what}")]
    InStorage { what: &'static str },
    #[error("cannot write {path}")]
    Open {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("{path} needs {needed} bytes, but {hindrance}")]
    NoRoom { path: String, needed: u64, hindrance: String },
}

/// Where a bundle goes.
#[derive(Debug)]
pub(crate) enum Output {
    File(FileOutput),
    /// Standard output.
    Pipe,
}

impl Output {
    /// Opens what `--output` names. `is_source` tells of a path whether the storage has it.
    pub(crate) fn open(
        given: &Path,
        is_source: impl Fn(&Path) -> bool,
    ) -> Result<Self, OutputError> {
        match given == Path::new("-") {
            true => Ok(Self::Pipe),
            false => Ok(Self::File(FileOutput::open(given, is_source)?)),
        }
    }

    /// Whether it can hold so many bytes.
    pub(crate) fn check_room(&self, bytes: u64) -> Result<(), OutputError> {
        match self {
            Self::File(file) => file.check_room(bytes),
            Self::Pipe => Ok(()),
        }
    }

    /// What a person should know of the place, in a sentence.
    pub(crate) fn warning(&self) -> Option<String> {
        match self {
            Self::File(file) => file.warning(),
            Self::Pipe => None,
        }
    }

    /// What would stay behind if the program ended now.
    pub(crate) fn staged_paths(&self) -> Vec<PathBuf> {
        match self {
            Self::File(file) => file.staged_paths().map(Path::to_owned).into(),
            Self::Pipe => Vec::new(),
        }
    }
}

/// Opens what `--report` names, unless the storage has it.
pub(crate) fn open_report(
    path: &Path,
    is_source: impl Fn(&Path) -> bool,
) -> anyhow::Result<ReportFile> {
    let paths = StagedFile::paths_of(path);
    if paths.is_ok_and(|paths| paths.iter().any(|path| is_source(path))) {
        return Err(OutputError::InStorage { what: "report" }.into());
    }
    ReportFile::open(path)
}
