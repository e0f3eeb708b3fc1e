//! The commands, one file each.

pub(crate) mod list;
pub(crate) mod pack;
pub(crate) mod verify;

use tranship_storage::{Finding, Surveyed};
use tranship_terminal::{Terminal, quantity};

/// Of many images of one kind so many are named.
const NAMED: usize = 20;

/// Says what is broken, each with the images that it breaks, and what else a person should know.
fn show(surveyed: &Surveyed, terminal: Terminal) {
    show_findings(&surveyed.findings, terminal);
    surveyed.notices.iter().for_each(|notice| terminal.message(notice));
    name_some("left out, for other platforms", &surveyed.other_platforms, terminal);
    let foreign = "layers that are fetched from elsewhere and are not in the storage";
    name_some(foreign, &surveyed.foreign_images(), terminal);
    if let Some(why) = &surveyed.database {
        terminal.problem(&format!(
            "this registry seems to keep its tags in a database: {why}; tags may be missing here: \
             give the images with --images-file, as lines of REPOSITORY:TAG@DIGEST"
        ));
    }
}

/// Says how many images something holds for, and names the first of them.
fn name_some(what: &str, images: &[String], terminal: Terminal) {
    if images.is_empty() {
        return;
    }
    let count = quantity(images.len() as u64, "image");
    let more = if images.len() > NAMED { ", …" } else { "" };
    let named = images.get(..NAMED).unwrap_or(images).join(", ");
    terminal.message(&format!("{what}: {count}: {named}{more}"));
}

fn show_findings(findings: &[Finding], terminal: Terminal) {
    for finding in findings {
        terminal.broken(&format!("broken: {finding}"), &finding.images);
    }
}

/// Why there is nothing to pack.
fn why_nothing(surveyed: &Surveyed) -> &'static str {
    match (surveyed.findings.is_empty(), surveyed.other_platforms.is_empty()) {
        (false, _) => "no whole image was found",
        (true, false) => "no image runs on a wanted platform",
        (true, true) => "no image was found",
    }
}

/// Whether something is missing from what was asked for.
fn is_partial(surveyed: &Surveyed) -> bool {
    !surveyed.findings.is_empty()
        || surveyed.database.is_some()
        || surveyed.plan.contents.image_count() == 0
}
