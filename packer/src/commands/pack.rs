//! `packer pack`: writes a bundle, or tells what it would be.

use std::io::{self, BufWriter, Write};
use std::num::NonZero;
use std::path::Path;

use anyhow::{Context, bail};
use indicatif::BinaryBytes;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tranship_common::{Digest, Progress, StagedFile};
use tranship_terminal::{Exit, ReportFile, Terminal, json, quantity};

use crate::cli::Pack;
use crate::finding::Finding;
use crate::pack::{PackError, find_damage, pack};
use crate::plan::{Plan, Totals};
use crate::report::Report;
use crate::scan::Scan;
use crate::storage::{Storage, Usage};
use crate::write_behind::WriteBehind;

pub(crate) fn run(options: &Pack, terminal: Terminal) -> anyhow::Result<Exit> {
    let storage = Storage::locate(&options.storage.folder);
    let is_inside = |file: &Path| storage.as_ref().is_ok_and(|storage| storage.contains(file));
    if options.report.as_deref().is_some_and(is_inside) {
        bail!("the report would be inside the storage, which is only read: give another --report");
    }
    // Before anything can fail: a report of an earlier run must not stay as if it were this one's.
    let report_file = options.report.as_deref().map(ReportFile::open).transpose()?;
    let to_pipe = options.output == Path::new("-");
    if !to_pipe && is_inside(&options.output) {
        bail!("the output would be inside the storage, which is only read: give another --output");
    }
    let storage = storage?;
    // No number means one thread per processor.
    let threads = options.jobs.map_or(0, NonZero::get);
    let readers = ThreadPoolBuilder::new().num_threads(threads).build()?;
    let progress = terminal.progress();
    let (usage, scan) =
        readers.install(|| (Usage::measure(&storage), Scan::new(&storage, &*progress)));
    let run = Run { options, terminal, storage, usage, readers, to_pipe, progress: &*progress };
    let outcome = run.pack_whole_images(scan)?;
    drop(progress);

    let write_report = || match report_file {
        Some(file) => file.write(&json(&outcome.report())?),
        None => Ok(()),
    };
    super::show(outcome.findings(), terminal);
    let broken: usize = outcome.findings().iter().map(|finding| finding.images.len()).sum();
    if broken > 0 && !options.skip_broken {
        write_report()?;
        bail!(
            "{} cannot be packed whole, so nothing was written; repair the storage, or leave \
             them out with --skip-broken",
            quantity(broken as u64, "image")
        );
    }
    // With `-o -` standard output carries the bundle.
    if to_pipe && !options.dry_run {
        let summary =
            if options.json { json(&outcome.report())? } else { outcome.summary(options) };
        summary.lines().for_each(|line| terminal.message(line));
    } else if options.json {
        terminal.json(&outcome.report())?;
    } else {
        terminal.result(&outcome.summary(options))?;
    }
    write_report()?;
    Ok(if broken > 0 { Exit::Partial } else { Exit::Done })
}

struct Run<'a> {
    options: &'a Pack,
    terminal: Terminal,
    storage: Storage,
    usage: Usage,
    readers: ThreadPool,
    to_pipe: bool,
    progress: &'a dyn Progress,
}

/// What was planned and, unless it was a dry run or something is broken, written.
struct Outcome {
    plan: Plan,
    scan: Scan,
    bundle: Option<Digest>,
}

impl Run<'_> {
    /// Packs what is whole. When a blob's bytes turn out to be damaged on the way, the images
    /// that need it are broken too: with --skip-broken the others are packed in a second go.
    fn pack_whole_images(&self, mut scan: Scan) -> anyhow::Result<Outcome> {
        // What went down a pipe cannot be taken back, so it is checked beforehand.
        if self.to_pipe && self.options.skip_broken && !self.options.dry_run {
            let plan = self.plan(&scan)?;
            self.progress.begin("checking", plan.totals.bytes, 0);
            scan.exclude(find_damage(&self.storage, &plan.layout, &self.readers, self.progress)?);
        }
        loop {
            let plan = self.plan(&scan)?;
            let stop = !scan.findings.is_empty() && !self.options.skip_broken;
            if stop || self.options.dry_run {
                return Ok(Outcome { plan, scan, bundle: None });
            }
            self.progress.begin("packing", plan.totals.bytes, 0);
            match self.write(&plan) {
                Ok(digest) => return Ok(Outcome { plan, scan, bundle: Some(digest) }),
                Err(PackError::Broken(broken)) if self.to_pipe => {
                    scan.exclude(broken);
                    super::show(&scan.findings, self.terminal);
                    bail!("the storage is damaged, so the bundle on standard output is incomplete");
                }
                Err(PackError::Broken(broken)) => scan.exclude(broken),
                Err(error) => {
                    let path = self.options.output.display();
                    return Err(anyhow::Error::new(error).context(format!("packing to {path}")));
                }
            }
        }
    }

    fn plan(&self, scan: &Scan) -> anyhow::Result<Plan> {
        Plan::new(scan, self.usage).context("the images do not fit into one bundle")
    }

    fn write(&self, plan: &Plan) -> Result<Digest, PackError> {
        let pack_to =
            |out: &mut dyn Write| pack(&self.storage, plan, out, &self.readers, self.progress);
        if self.to_pipe {
            return pack_to(&mut io::stdout().lock());
        }
        let staged = StagedFile::create(&self.options.output).map_err(PackError::Write)?;
        let mut out = BufWriter::with_capacity(1 << 20, WriteBehind::new(staged.file()));
        let digest = pack_to(&mut out)?;
        let behind = out.into_inner().map_err(|error| PackError::Write(error.into_error()))?;
        behind.finish().map_err(PackError::Write)?;
        staged.commit().and_then(|()| self.write_checksum(digest)).map_err(PackError::Write)?;
        Ok(digest)
    }

    /// Writes NAME.sha256 in the format of coreutils.
    fn write_checksum(&self, digest: Digest) -> io::Result<()> {
        let name = self.options.output.file_name().unwrap_or_default();
        let mut checksum_name = name.to_owned();
        checksum_name.push(".sha256");
        let staged = StagedFile::create(&self.options.output.with_file_name(checksum_name))?;
        let mut line = format!("{}  ", digest.hex()).into_bytes();
        line.extend_from_slice(name.as_encoded_bytes());
        line.push(b'\n');
        staged.file().write_all(&line)?;
        staged.commit()
    }
}

impl Outcome {
    fn findings(&self) -> &[Finding] {
        &self.scan.findings
    }

    fn report(&self) -> Report<'_> {
        Report::new(&self.plan.contents, &self.plan.totals, &self.scan.findings, self.bundle)
    }

    fn summary(&self, options: &Pack) -> String {
        let Totals {
            repositories,
            tags,
            manifests,
            blobs,
            bytes,
            bytes_without_deduplication,
            bundle_bytes,
            storage_bytes,
            storage_garbage_bytes,
        } = self.plan.totals;
        let verb = if options.dry_run { "would pack" } else { "packed" };
        let mut text = format!(
            "{verb} {} of {}: {}, {}, {}\n",
            quantity(tags, "tag"),
            quantity(repositories, "repository"),
            quantity(manifests, "manifest"),
            quantity(blobs, "blob"),
            BinaryBytes(bytes),
        );
        text += &format!(
            "deduplication saves {}; {} of the storage's {} is not tagged and stays behind\n",
            BinaryBytes(bytes_without_deduplication - bytes),
            BinaryBytes(storage_garbage_bytes),
            BinaryBytes(storage_bytes),
        );
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
