//! How a program ends.

use std::process::ExitCode;

use crate::terminal::error_line;

/// The outcome of a run, as the exit code tells it. Code 2, wrong usage, comes from the parser of
/// the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done: 0.
    Done,
    /// It failed, or something was found to be wrong: 1.
    Failed,
    /// Done in part; the report names what is missing: 3.
    Partial,
}

/// Turns the result of a command into the exit code, with its error on standard error.
#[must_use]
pub fn finish(result: anyhow::Result<Exit>) -> ExitCode {
    match result {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::Failed) => ExitCode::from(1),
        Ok(Exit::Partial) => ExitCode::from(3),
        Err(error) => {
            error_line(&format!("{error:#}"));
            ExitCode::from(1)
        }
    }
}
