//! `packer list`: the tagged images.

use std::ffi::OsStr;
use std::path::Path;

use tranship_storage::{Chosen, Order, Scan, Survey};
use tranship_terminal::{Exit, ListedImage, Terminal, json, list};

use crate::choice::{Storage, read_selection, readers};
use crate::cli::List;
use crate::output::open_report;
use crate::picture::Picture;

pub(crate) fn run(options: &List, terminal: Terminal) -> anyhow::Result<Exit> {
    let progress = terminal.progress();
    let storage = Storage::find(&options.storage)?;
    let is_source = |file: &Path| storage.contains(file);
    let report = options.report.as_deref().map(|path| open_report(path, is_source)).transpose()?;
    let source = storage.open(Order::AsTheyPass, &*progress)?;
    let selection = read_selection(&options.selection)?;
    let readers = readers(&*source, None)?;
    let mut survey = readers.install(|| Survey::new(&*source, &selection, &*progress))?;
    let stored = report.is_some().then(|| readers.install(|| source.blobs())).transpose()?;
    let mut picture = None;
    let draw = |chosen: &Chosen, scan: &Scan| {
        picture = stored.map(|stored| Picture::new(chosen, scan, &stored));
    };
    let surveyed = readers.install(|| survey.look_and(&*progress, draw))?;
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
    if let (Some(file), Some(picture)) = (report, picture) {
        let text = match file.path().extension() == Some(OsStr::new("html")) {
            true => picture.to_html(&options.storage.in_words())?,
            false => json(&picture)?,
        };
        file.write(&text)?;
    }
    if images.is_empty() {
        terminal.problem(super::why_nothing(&surveyed));
    }
    Ok(if super::is_partial(&surveyed) { Exit::Partial } else { Exit::Done })
}
