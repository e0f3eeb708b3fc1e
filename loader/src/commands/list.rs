//! `loader list`: the images of a bundle.

use anyhow::Result;
use tranship_terminal::{Exit, ListedImage, Terminal, list};

use crate::cli::List;

pub(crate) fn run(options: &List, terminal: Terminal) -> Result<Exit> {
    let bundle = super::open(&options.bundle)?;
    let images: Vec<_> = bundle
        .contents()
        .list()
        .into_iter()
        .map(|(repository, tag, manifest)| ListedImage::new(repository, tag, manifest))
        .collect();
    list(&images, options.json, terminal)?;
    Ok(Exit::Done)
}
