//! The hidden command that writes shell completions and man pages, for packagers.

use std::io;
use std::path::PathBuf;

/// Write shell completions and man pages into a folder.
#[derive(Debug, clap::Args)]
pub struct Generate {
    /// Folder to write into; it must exist
    folder: PathBuf,
}

impl Generate {
    /// Writes completions for all shells and a man page for the program and each command.
    ///
    /// # Errors
    /// As for writing files.
    pub fn run(&self, mut program: clap::Command) -> io::Result<()> {
        use clap_complete::Shell;
        let name = program.get_name().to_owned();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            clap_complete::generate_to(shell, &mut program, &name, &self.folder)?;
        }
        clap_mangen::generate_to(program, &self.folder)
    }
}
