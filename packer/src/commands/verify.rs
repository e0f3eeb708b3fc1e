//! `packer verify`: reads and hashes everything that would be packed.

use indicatif::BinaryBytes;
use tranship_storage::{Order, Survey, broken_images};
use tranship_terminal::{Exit, Terminal, quantity};

use crate::choice::{Storage, read_selection, readers};
use crate::cli::Verify;
use crate::pack::find_damage;

pub(crate) fn run(options: &Verify, terminal: Terminal) -> anyhow::Result<Exit> {
    let progress = terminal.progress();
    let source = Storage::find(&options.storage)?.open(Order::AsTheyPass, &*progress)?;
    let selection = read_selection(&options.selection)?;
    let readers = readers(&*source, options.jobs)?;
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
