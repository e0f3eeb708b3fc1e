//! `loader projects`: makes the projects of Harbor that a load needs.

use anyhow::{Result, bail};
use tranship_terminal::{Exit, Terminal, quantity};

use crate::cli::Projects;
use crate::destination::Destination;
use crate::harbor::projects::ProjectMaker;

pub(crate) fn run(options: &Projects, terminal: Terminal) -> Result<Exit> {
    let bundle = super::open(&options.bundle)?;
    let (all, made) = super::block_on(async {
        let progress = terminal.progress();
        let destination = Destination::reach(&options.connection, terminal, &*progress).await?;
        if destination.harbor.is_none() {
            bail!("{} is not Harbor and has no projects", destination.registry.target());
        }
        let mapped = destination.map(bundle.contents(), &options.names, terminal)?;
        let projects = destination.projects(&mapped.contents, &*progress).await?;
        let maker =
            ProjectMaker::new(&options.connection, &options.projects, &destination, &*progress)
                .await?;
        let made = maker.make_missing(&projects, &*progress, terminal).await?;
        Ok((projects.len() as u64, made))
    })?;
    let there = quantity(all - made, "project");
    terminal.result(&format!("{} made, {there} there before\n", quantity(made, "project")))?;
    Ok(Exit::Done)
}
