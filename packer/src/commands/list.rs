//! `packer list`: the tagged images.

use tranship_terminal::{Exit, ListedImage, Terminal, list};

use crate::cli::List;
use crate::plan::Plan;
use crate::scan::Scan;
use crate::storage::{Storage, Usage};

pub(crate) fn run(options: &List, terminal: Terminal) -> anyhow::Result<Exit> {
    let storage = Storage::locate(&options.storage.folder)?;
    let progress = terminal.progress();
    let scan = Scan::new(&storage, &*progress);
    drop(progress);
    let plan = Plan::new(&scan, Usage::default())?;
    let images: Vec<_> = plan
        .contents
        .list()
        .into_iter()
        .map(|(repository, tag, manifest)| ListedImage::new(repository, tag, manifest))
        .collect();
    list(&images, options.json, terminal)?;
    super::show(&scan.findings, terminal);
    Ok(if scan.findings.is_empty() { Exit::Done } else { Exit::Partial })
}
