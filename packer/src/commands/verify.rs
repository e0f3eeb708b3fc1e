//! `packer verify`: reads and hashes everything that would be packed.

use indicatif::BinaryBytes;
use tranship_storage::{Survey, broken_images};
use tranship_terminal::{Exit, Terminal, quantity};

use crate::choice::{open_source, read_selection, readers};
use crate::cli::Verify;
use crate::pack::find_damage;

pub(crate) fn run(options: &Verify, terminal: Terminal) -> anyhow::Result<Exit> {
    let source = open_source(&options.storage)?;
    let selection = read_selection(&options.selection)?;
    let readers = readers(&*source, options.jobs)?;
    let progress = terminal.progress();
    let mut survey = readers.install(|| Survey::new(&*source, &selection, &*progress))?;
    let first = readers.install(|| survey.look(&*progress))?;
    progress.begin("verifying", first.plan.totals.bytes, 0);
    survey.add_damaged(find_damage(&*source, &first.plan, &readers, &*progress)?);
    let surveyed = readers.install(|| survey.look(&*progress))?;
    drop(progress);
    super::show(&surveyed, terminal);
    let totals = &surveyed.plan.totals;
    terminal.result(&format!(
        "{} whole ({}), {} broken\n",
        quantity(totals.tags, "image"),
        BinaryBytes(totals.bytes),
        broken_images(&surveyed.findings),
    ))?;
    Ok(if super::is_partial(&surveyed) { Exit::Partial } else { Exit::Done })
}
