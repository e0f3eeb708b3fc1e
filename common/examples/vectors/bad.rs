//! Bundles that no reader takes for sound.

mod archive;
mod catalog;
mod manifests;
mod referrers;

use super::draft::Draft;
use super::good::image;

/// Name, what is wrong, words of the message that says so, and bytes.
pub(super) type Bad = (&'static str, &'static str, &'static str, Vec<u8>);

pub(super) fn bundles() -> Vec<Bad> {
    [archive::bundles(), catalog::bundles(), manifests::bundles(), referrers::bundles()].concat()
}

/// The bundle of one image, changed.
fn edited(edit: impl FnOnce(&mut Draft)) -> Vec<u8> {
    changed(image(), edit)
}

/// A bundle, changed.
fn changed(mut draft: Draft, edit: impl FnOnce(&mut Draft)) -> Vec<u8> {
    edit(&mut draft);
    draft.bytes()
}
