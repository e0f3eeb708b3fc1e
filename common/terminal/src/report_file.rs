//! The file of a report, which is opened before the work begins and written when it is over.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tranship_common::StagedFile;

use crate::terminal::stderr_line;

/// A place for a report that can be written to. From the beginning of a run until its end there is
/// no report, so that none of an earlier run can be taken for its own.
#[derive(Debug)]
pub struct ReportFile {
    path: PathBuf,
    /// Until the report is written.
    staged: Option<StagedFile>,
    /// Where the report of an earlier run is now.
    previous: Option<PathBuf>,
}

impl ReportFile {
    /// Opens the file beside which the report is staged, so that a wrong path is known at once, and
    /// sets the report of an earlier run aside, as `NAME.previous`.
    ///
    /// # Errors
    /// As [`StagedFile::create`] and [`StagedFile::set_aside`].
    pub fn open(path: &Path) -> Result<Self> {
        let open = || {
            let staged = StagedFile::create(path)?;
            let previous = staged.set_aside()?;
            Ok::<_, std::io::Error>(Self { path: path.to_owned(), staged: Some(staged), previous })
        };
        open().with_context(|| format!("cannot write the report to {}", path.display()))
    }

    /// The path that was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the report, whole or not at all. That of an earlier run goes.
    ///
    /// # Errors
    /// As for writing, a full disk for instance.
    pub fn write(mut self, text: &str) -> Result<()> {
        let staged = self.staged.take().expect("it is taken here alone");
        let written = staged.file().write_all(text.as_bytes());
        written.and_then(|()| staged.commit()).map(|_| ()).with_context(|| {
            format!("the work is over, but its report cannot be written to {}", self.path.display())
        })?;
        if let Some(previous) = self.previous.take() {
            // Its name says what it is if it stays.
            let _ = fs::remove_file(previous);
        }
        Ok(())
    }
}

impl Drop for ReportFile {
    /// Says where the report of an earlier run is when this run has not come to one.
    fn drop(&mut self) {
        if let Some(previous) = &self.previous {
            let previous = previous.display();
            stderr_line(&format!(
                "no report was written; that of an earlier run is now {previous}"
            ));
        }
    }
}
