//! The file of a report, which is opened before the work begins and written when it is over.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tranship_common::StagedFile;

/// A place for a report that can be written to.
#[derive(Debug)]
pub struct ReportFile {
    path: PathBuf,
    staged: StagedFile,
}

impl ReportFile {
    /// Opens the file beside which the report is staged, so that a wrong path is known at once.
    ///
    /// # Errors
    /// As [`StagedFile::create`].
    pub fn open(path: &Path) -> Result<Self> {
        let staged = StagedFile::create(path)
            .with_context(|| format!("cannot write the report to {}", path.display()))?;
        Ok(Self { path: path.to_owned(), staged })
    }

    /// The path that was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the report, whole or not at all.
    ///
    /// # Errors
    /// As for writing, a full disk for instance.
    pub fn write(self, text: &str) -> Result<()> {
        let written = self.staged.file().write_all(text.as_bytes());
        written.and_then(|()| self.staged.commit()).with_context(|| {
            format!("the work is over, but its report cannot be written to {}", self.path.display())
        })
    }
}
