//! Standard output and standard error, and the options that decide what goes there.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::sync::Arc;

use indicatif::HumanCount;
use serde::Serialize;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tranship_common::{Progress, Silent};

use crate::printable::{json, printable};
use crate::progress::{Bar, Lines};

/// The crates that have something to tell.
const OURS: [&str; 4] = ["packer", "loader", "tranship_common", "tranship_terminal"];

/// Of a line no more characters are shown. A registry's answer can have any number of them, and
/// comes once for every image.
const MAX_LINE: usize = 2000;

/// How much is told on the way.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Verbosity {
    /// Show no progress and no messages but errors; results are printed all the same
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Tell more on standard error; twice: every detail, as each request
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Verbosity {
    /// Sets up standard error accordingly; once per process.
    #[must_use]
    pub fn terminal(self) -> Terminal {
        let level = match self.verbose {
            0 => LevelFilter::WARN,
            1 => LevelFilter::INFO,
            _ => LevelFilter::DEBUG,
        };
        let level = if self.quiet { LevelFilter::ERROR } else { level };
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_target(false)
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal())
            .fmt_fields(debug_fn(|out, field, value| {
                let text = format!("{value:?}");
                match field.name() {
                    "message" => write!(out, "{}", printable(&text, MAX_LINE)),
                    name => write!(out, " {name}={}", printable(&text, MAX_LINE)),
                }
            }))
            .finish()
            // What libraries do inside is not the user's matter.
            .with(Targets::new().with_targets(OURS.map(|name| (name, level))))
            .init();
        Terminal { quiet: self.quiet }
    }
}

/// Where a command's results, messages and progress go.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    quiet: bool,
}

impl Terminal {
    /// Prints the lines of a result on standard output, each [`printable`]. That nobody reads any
    /// more is no error.
    ///
    /// # Errors
    /// As for writing, a full disk for instance.
    pub fn result(&self, text: &str) -> io::Result<()> {
        print(|out| {
            text.lines().try_for_each(|line| writeln!(out, "{}", printable(line, MAX_LINE)))
        })
    }

    /// Prints a result as [`json`] on standard output.
    ///
    /// # Errors
    /// As for serialising and writing.
    pub fn json(&self, value: &(impl Serialize + ?Sized)) -> io::Result<()> {
        let text = json(value)?;
        print(|out| out.write_all(text.as_bytes()))
    }

    /// Prints a result as [`json`] on standard error, where standard output is taken,
    /// unless it is to be quiet.
    ///
    /// # Errors
    /// As for serialising.
    pub fn json_aside(&self, value: &(impl Serialize + ?Sized)) -> serde_json::Result<()> {
        let text = json(value)?;
        if !self.quiet {
            // Where standard error is gone, nobody is left to tell.
            let _ = io::stderr().lock().write_all(text.as_bytes());
        }
        Ok(())
    }

    /// Prints a message of one line for the person on standard error, unless it is to be quiet.
    pub fn message(&self, text: &str) {
        if !self.quiet {
            stderr_line(text);
        }
    }

    /// Prints a line about something that is wrong on standard error, always.
    pub fn problem(&self, text: &str) {
        stderr_line(text);
    }

    /// Prints something that is wrong, and a line for each image that it breaks.
    pub fn broken(&self, text: &str, images: &[String]) {
        stderr_line(text);
        images.iter().for_each(|image| stderr_line(&format!("    breaks {image}")));
    }

    /// What shows that work goes on: a bar on a terminal, lines at intervals elsewhere.
    #[must_use]
    pub fn progress(&self) -> Arc<dyn Progress> {
        if self.quiet {
            Arc::new(Silent)
        } else if io::stderr().is_terminal() {
            Arc::new(Bar::new())
        } else {
            Arc::new(Lines::new())
        }
    }
}

/// An error that ends the program.
pub(crate) fn error_line(text: &str) {
    stderr_line(&format!("error: {text}"));
}

/// Writes a line to standard error, as it can be shown; where that is gone, nobody is left to tell.
pub(crate) fn stderr_line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(text, MAX_LINE));
}

/// Writes to standard output. That nobody reads any more is no error.
fn print(write: impl FnOnce(&mut BufWriter<StdoutLock<'_>>) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            // What is left in the buffer has no reader either.
            let _ = out.into_parts();
            Ok(())
        }
        other => other,
    }
}

/// A count with its noun: `1 tag`, `5,000 tags`.
#[must_use]
pub fn quantity(count: u64, noun: &str) -> String {
    let plural = match (count, noun.strip_suffix('y')) {
        (1, _) => noun.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{noun}s"),
    };
    format!("{} {plural}", HumanCount(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_words() {
        assert_eq!(quantity(1, "repository"), "1 repository");
        assert_eq!(quantity(0, "tag"), "0 tags");
        assert_eq!(quantity(5000, "repository"), "5,000 repositories");
    }
}
