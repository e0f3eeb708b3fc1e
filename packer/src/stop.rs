//! What a person who stops the program is told.

use std::path::PathBuf;
use std::process;
use std::sync::Mutex;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tranship_terminal::Terminal;

/// The staged file that a signal would leave behind.
static STAGED: Mutex<Option<PathBuf>> = Mutex::new(None);

/// From now on a signal that ends the program is answered with what it leaves behind.
pub(crate) fn watch(staged: Option<PathBuf>, terminal: Terminal) -> anyhow::Result<()> {
    *STAGED.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = staged;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let staged = STAGED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let left = match &*staged {
                Some(path) if path.exists() => format!(
                    "{} is left, incomplete; the same command writes it anew",
                    path.display()
                ),
                _ => "nothing is left".to_owned(),
            };
            terminal.problem(&format!("stopped by a signal: {left}"));
            end(128 + signal);
        }
    })?;
    Ok(())
}

#[allow(clippy::exit, reason = "the threads that pack cannot be stopped otherwise")]
fn end(code: i32) -> ! {
    process::exit(code)
}
