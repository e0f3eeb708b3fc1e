//! `loader projects`: makes the projects of Harbor that a load needs.

use anyhow::{Result, bail};
use tranship_terminal::{Exit, Terminal, quantity};

use crate::cli::Projects;
use crate::connect::{map, project_maker, reach};
use crate::harbor::projects::{existing, missing};

pub(crate) fn run(options: &Projects, terminal: Terminal) -> Result<Exit> {
    let bundle = super::open(&options.bundle)?;
    let (all, missing, failed) = super::block_on(async {
        let progress = terminal.progress();
        let destination = reach(&options.connection, terminal, &progress, super::never()).await?;
        let maker = project_maker(&options.connection, &options.projects, &destination).await?;
        let Some(maker) = maker else {
            bail!("{} is not Harbor and has no projects", destination.registry.target());
        };
        let mapped = map(bundle.contents(), &options.names, &destination, terminal)?;
        // Asked by who makes them: others may not be shown all that there are.
        let (patience, jobs) = (&destination.patience, destination.jobs);
        let projects = existing(&maker.harbor, &mapped, patience, jobs).await?;
        let missing = missing(&projects);
        let failed = maker.make(&missing, patience, |text| terminal.message(text)).await?;
        Ok((projects.len(), missing.len(), failed))
    })?;
    for failure in failed.values() {
        terminal.problem(failure);
    }
    let count = |number| quantity(number as u64, "project");
    let (made, there) = (missing - failed.len(), all - missing);
    terminal.result(&format!("{} made, {} there before\n", count(made), count(there)))?;
    Ok(match failed.len() {
        0 => Exit::Done,
        failed if failed == all => Exit::Failed,
        _ => Exit::Partial,
    })
}
