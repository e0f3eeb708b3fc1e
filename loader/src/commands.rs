//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod list;
pub(crate) mod load;
pub(crate) mod plan;
pub(crate) mod projects;
pub(crate) mod verify;

use std::path::Path;

use anyhow::{Context, Result};
use tranship_common::bundle::{BundleFile, Contents};
use tranship_terminal::{Terminal, quantity};

use crate::harbor::preflight::Preflight;
use crate::transfer::stop::{Stop, stop};

/// Opens a bundle file; its front is checked.
fn open(path: &Path) -> Result<BundleFile> {
    BundleFile::open(path).with_context(|| path.display().to_string())
}

/// Says what keeps a load from succeeding, and what could not be found out.
fn show(preflight: &Preflight, terminal: Terminal) {
    for what in &preflight.unknown {
        terminal.message(&format!("not checked: {what}"));
    }
    for what in &preflight.warnings {
        terminal.problem(&format!("will not arrive: {what}"));
    }
    for what in &preflight.findings {
        terminal.problem(&format!("cannot load: {}", what.text));
    }
}

/// Says what of its source a bundle does not hold. That is nothing to go wrong on this side.
fn show_left_out(contents: &Contents, terminal: Terminal) {
    let left_out = &contents.catalog().left_out;
    if !left_out.is_empty() {
        terminal.message(&left_out.to_string());
    }
}

/// `3 tags`, or `3 tags and 1 referrer` where there is one.
fn counted(noun: &str, tagged: u64, referrers: u64) -> String {
    let tagged = quantity(tagged, noun);
    match referrers {
        0 => tagged,
        referrers => format!("{tagged} and {}", quantity(referrers, "referrer")),
    }
}

/// For commands that Ctrl-C ends at once, since they leave nothing behind.
fn never() -> Stop {
    stop().1
}

/// Runs what waits for the network. One thread does: the registry is the slower side by far, and
/// disks are read and hashed on threads of their own.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // A thread that still waits for a pipe or a slow disk has nothing more to give.
    runtime.shutdown_background();
    result
}
