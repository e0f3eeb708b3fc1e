//! What a person who stops the program is told.

use std::path::PathBuf;
use std::process;
use std::sync::Mutex;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tranship_terminal::Terminal;

/// The staged files that a signal would leave behind.
static STAGED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// From now on a signal that ends the program is answered with what it leaves behind.
pub(crate) fn watch(staged: Vec<PathBuf>, terminal: Terminal) -> anyhow::Result<()> {
    *STAGED.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = staged;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let staged = STAGED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            terminal.problem("stopped by a signal");
            for path in staged.iter().filter(|path| path.exists()) {
                let path = path.display();
                terminal.problem(&format!(
                    "{path} is left, incomplete; the same command writes it anew"
                ));
            }
            end(128 + signal);
        }
    })?;
    Ok(())
}

#[allow(clippy::exit, reason = "the threads that pack cannot be stopped otherwise")]
fn end(code: i32) -> ! {
    process::exit(code)
}
