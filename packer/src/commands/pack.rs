//! `packer pack`: writes a bundle, or tells what it would be.

use std::io;
use std::path::Path;

use anyhow::{Context, bail};
use indicatif::BinaryBytes;
use rayon::ThreadPool;
use tranship_common::{Digest, Progress};
use tranship_storage::{Order, Source, Survey, Surveyed, Totals, broken_images};
use tranship_terminal::{Exit, Terminal, json, quantity};

use crate::choice::{Storage, read_selection, readers};
use crate::cli::Pack;
use crate::output::{Output, open_report};
use crate::pack::{PackError, find_damage, pack, pack_passing};
use crate::report::Report;
use crate::stop;

pub(crate) fn run(options: &Pack, terminal: Terminal) -> anyhow::Result<Exit> {
    let progress = terminal.progress();
    let storage = Storage::find(&options.storage);
    let is_source = |file: &Path| storage.as_ref().is_ok_and(|storage| storage.contains(file));
    // Before anything can fail: a report of an earlier run must not stay as if it were this one's.
    let report_file = options.report.as_deref().map(|path| open_report(path, is_source));
    let report_file = report_file.transpose()?;
    let output = Output::open(&options.output, is_source)?;
    let storage = storage?;
    if let Some(warning) = output.warning() {
        terminal.problem(&warning);
    }
    stop::watch(output.staged_paths(), terminal)?;
    let selection = read_selection(&options.selection)?;
    let order = match output {
        Output::File(_) => Order::AsTheyPass,
        Output::Pipe => Order::Any,
    };
    let source = storage.open(order, &*progress)?;
    let readers = readers(&*source, options.jobs)?;
    let survey = readers.install(|| Survey::new(&*source, &selection, &*progress))?;
    let run = Run { options, terminal, source: &*source, readers, progress: &*progress };
    let outcome = run.pack_whole_images(survey, output)?;
    drop(progress);

    let Outcome { surveyed, bundle } = &outcome;
    let write_report = || match report_file {
        Some(file) => file.write(&json(&outcome.report())?),
        None => Ok(()),
    };
    super::show(surveyed, terminal);
    if surveyed.has_losses() && !options.skip_broken {
        write_report()?;
        bail!(
            "{} cannot be packed whole, so nothing was written; repair the storage, or leave \
             them out with --skip-broken",
            quantity(broken_images(&surveyed.findings) as u64, "image")
        );
    }
    if surveyed.plan.contents.image_count() == 0 {
        write_report()?;
        let why = super::why_nothing(surveyed);
        terminal.problem(&format!("{why}, so nothing was written"));
        return Ok(Exit::Partial);
    }
    // With `-o -` standard output carries the bundle.
    if options.output == Path::new("-") && bundle.is_some() {
        let summary =
            if options.json { json(&outcome.report())? } else { outcome.summary(options) };
        summary.lines().for_each(|line| terminal.message(line));
    } else if options.json {
        terminal.json(&outcome.report())?;
    } else {
        terminal.result(&outcome.summary(options))?;
    }
    write_report()?;
    Ok(if super::is_partial(surveyed) { Exit::Partial } else { Exit::Done })
}

struct Run<'a> {
    options: &'a Pack,
    terminal: Terminal,
    source: &'a dyn Source,
    readers: ThreadPool,
    progress: &'a dyn Progress,
}

/// What was planned and, unless it was a dry run or something is broken, written.
struct Outcome {
    surveyed: Surveyed,
    bundle: Option<Digest>,
}

impl Run<'_> {
    /// Packs what is whole. When a blob's bytes turn out to be damaged on the way, the images
    /// that need it are broken too: with --skip-broken the others are packed in a second go.
    fn pack_whole_images(&self, mut survey: Survey<'_>, output: Output) -> anyhow::Result<Outcome> {
        // What went down a pipe cannot be taken back, so it is checked beforehand.
        if matches!(output, Output::Pipe) && self.options.skip_broken && !self.options.dry_run {
            let plan = self.look(&mut survey)?.plan;
            self.progress.begin("checking", plan.totals.bytes, 0);
            survey.add_damaged(find_damage(self.source, &plan, &self.readers, self.progress)?);
        }
        loop {
            let surveyed = self.look(&mut survey)?;
            let stop = surveyed.has_losses() && !self.options.skip_broken;
            if stop || surveyed.plan.contents.image_count() == 0 {
                return Ok(Outcome { surveyed, bundle: None });
            }
            output.check_room(surveyed.plan.layout.size())?;
            if self.options.dry_run {
                return Ok(Outcome { surveyed, bundle: None });
            }
            self.progress.begin("packing", surveyed.plan.totals.bytes, 0);
            match self.write(&surveyed, &output) {
                Ok(digest) => {
                    self.commit(output, digest)?;
                    return Ok(Outcome { surveyed, bundle: Some(digest) });
                }
                Err(PackError::Damaged(damaged)) if matches!(output, Output::Pipe) => {
                    survey.add_damaged(damaged);
                    super::show(&self.look(&mut survey)?, self.terminal);
                    bail!("the storage is damaged, so the bundle on standard output is incomplete");
                }
                Err(PackError::Damaged(damaged)) => survey.add_damaged(damaged),
                Err(error) => return Err(self.to_output(error)),
            }
        }
    }

    fn look(&self, survey: &mut Survey<'_>) -> anyhow::Result<Surveyed> {
        let look = || survey.look(self.progress);
        self.readers.install(look).context("the images do not fit into one bundle")
    }

    fn write(&self, surveyed: &Surveyed, output: &Output) -> Result<Digest, PackError> {
        let plan = &surveyed.plan;
        let pack_to =
            |out: &mut dyn io::Write| pack(self.source, plan, out, &self.readers, self.progress);
        match (output, self.source.as_passing()) {
            (Output::Pipe, _) => pack_to(&mut io::stdout().lock()),
            (Output::File(file), None) => file.write(pack_to),
            (Output::File(file), Some(passing)) => {
                file.restart()?;
                pack_passing(passing, plan, file.file(), self.progress)
            }
        }
    }

    fn commit(&self, output: Output, digest: Digest) -> anyhow::Result<()> {
        let Output::File(file) = output else { return Ok(()) };
        let warning = file.commit(digest).map_err(|error| self.to_output(error))?;
        if let Some(warning) = warning {
            self.terminal.problem(&warning);
        }
        Ok(())
    }

    fn to_output(&self, error: impl Into<anyhow::Error>) -> anyhow::Error {
        error.into().context(format!("packing to {}", self.options.output.display()))
    }
}

impl Outcome {
    fn report(&self) -> Report<'_> {
        Report::new(&self.surveyed, self.bundle)
    }

    fn summary(&self, options: &Pack) -> String {
        let Totals {
            repositories,
            tags,
            manifests,
            referrers,
            blobs,
            bytes,
            bytes_without_deduplication,
            bundle_bytes,
        } = self.surveyed.plan.totals;
        let verb = if options.dry_run { "would pack" } else { "packed" };
        let mut text = format!(
            "{verb} {} of {}: {}, {}, {}\n",
            quantity(tags, "tag"),
            quantity(repositories, "repository"),
            quantity(manifests, "manifest"),
            quantity(blobs, "blob"),
            BinaryBytes(bytes),
        );
        if referrers > 0 {
            text += &format!(
                "with {} without a tag (signatures, SBOMs and the like)\n",
                quantity(referrers, "referrer")
            );
        }
        let saved = BinaryBytes(bytes_without_deduplication.saturating_sub(bytes));
        text += &format!("deduplication saves {saved}\n");
        text += &match self.bundle {
            None => format!(
                "the bundle will have {bundle_bytes} bytes; contents were not read, so damaged \
                 blobs are not known yet\n"
            ),
            Some(digest) => {
                format!("{}: {bundle_bytes} bytes, {digest}\n", options.output.display())
            }
        };
        text
    }
}
