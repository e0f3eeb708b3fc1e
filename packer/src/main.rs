//! `packer`: packs the tagged images of a Docker Distribution registry's storage into one bundle.

mod choice;
mod cli;
mod commands;
mod output;
mod pack;
mod picture;
mod report;
mod stop;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tranship_terminal::{Exit, finish};

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let terminal = cli.verbosity.terminal();
    finish(match cli.command {
        Command::Pack(options) => commands::pack::run(&options, terminal),
        Command::List(options) => commands::list::run(&options, terminal),
        Command::Verify(options) => commands::verify::run(&options, terminal),
        Command::Generate(generate) => {
            generate.run(Cli::command()).map(|()| Exit::Done).map_err(Into::into)
        }
    })
}
