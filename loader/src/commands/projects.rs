//! `loader projects`: makes the projects of Harbor that a load needs.

use anyhow::{Result, bail};
use tranship_terminal::{Exit, Terminal, quantity};

use crate::cli::Projects;
use crate::connect::{map, project_maker, reach};
use crate::harbor::projects::existing;

pub(crate) fn run(options: &Projects, terminal: Terminal) -> Result<Exit> {
    let bundle = super::open(&options.bundle)?;
    let (all, made) = super::block_on(async {
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
        let missing = projects.iter().filter(|(_, exists)| !**exists);
        let missing = missing.map(|(name, _)| name.as_str());
        let made = maker.make_missing(missing, &destination.patience, terminal).await?;
        Ok((projects.len() as u64, made))
    })?;
    let there = quantity(all - made, "project");
    terminal.result(&format!("{} made, {there} there before\n", quantity(made, "project")))?;
    Ok(Exit::Done)
}
