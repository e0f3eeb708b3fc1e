//! `packer list`: the tagged images.

use tranship_storage::Survey;
use tranship_terminal::{Exit, ListedImage, Terminal, list};

use crate::choice::{open_source, read_selection, readers};
use crate::cli::List;

pub(crate) fn run(options: &List, terminal: Terminal) -> anyhow::Result<Exit> {
    let source = open_source(&options.storage)?;
    let selection = read_selection(&options.selection)?;
    let progress = terminal.progress();
    let surveyed = readers(&*source, None)?.install(|| {
        let mut survey = Survey::new(&*source, &selection, &*progress)?;
        anyhow::Ok(survey.look(&*progress)?)
    })?;
    drop(progress);
    let images: Vec<_> = surveyed
        .plan
        .contents
        .list()
        .into_iter()
        .map(|(repository, tag, manifest)| ListedImage::new(repository, tag, manifest))
        .collect();
    list(&images, options.json, terminal)?;
    super::show(&surveyed, terminal);
    if images.is_empty() {
        terminal.problem("no image was found");
    }
    Ok(if super::is_partial(&surveyed) { Exit::Partial } else { Exit::Done })
}
