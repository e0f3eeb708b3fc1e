//! `loader`: loads a bundle into Harbor or any OCI registry, and proves that every tag arrived.

mod cli;
mod commands;
mod connect;
mod deliver;
mod destination;
mod failure;
mod harbor;
mod plan;
mod registry;
mod report;
mod source;
mod transfer;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tranship_terminal::{Exit, finish};

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let terminal = cli.verbosity.terminal();
    finish(match cli.command {
        Command::Load(options) => commands::load::run(&options, terminal),
        Command::Plan(options) => commands::plan::run(&options, terminal),
        Command::Projects(options) => commands::projects::run(&options, terminal),
        Command::Check(options) => commands::check::run(&options, terminal),
        Command::Verify(options) => commands::verify::run(&options, terminal),
        Command::List(options) => commands::list::run(&options, terminal),
        Command::Generate(generate) => {
            generate.run(Cli::command()).map(|()| Exit::Done).map_err(Into::into)
        }
    })
}
