//! `loader verify`: checks every byte of a bundle.

use std::num::NonZero;

use anyhow::Result;
use indicatif::BinaryBytes;
use rayon::prelude::*;
use tranship_common::bundle::{Finding, FindingKind, OpenError, verify};
use tranship_terminal::{Exit, Terminal, quantity};

use crate::cli::Verify;

pub(crate) fn run(options: &Verify, terminal: Terminal) -> Result<Exit> {
    let bundle = match super::open(&options.bundle) {
        Ok(bundle) => bundle,
        Err(error) if options.json && error.downcast_ref::<OpenError>().is_some() => {
            let kind = match error.downcast_ref() {
                Some(OpenError::Truncated(_)) => FindingKind::CutOff,
                _ => FindingKind::Damaged,
            };
            let what = format!("{error:#}");
            let finding = Finding { kind, offset: 0, digest: None, what, images: Vec::new() };
            return show(&[finding], options, terminal);
        }
        Err(error) => return Err(error),
    };
    super::show_left_out(bundle.contents(), terminal);
    let threads = options.jobs.map_or(0, NonZero::get);
    let readers = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let progress = terminal.progress();
    let findings = verify(&bundle, &*progress, |entries, check| {
        readers.install(|| entries.par_iter().map(check).collect())
    });
    drop(progress);
    if findings.is_empty() && !options.json {
        let contents = bundle.contents();
        terminal.result(&format!(
            "{} is whole: {}, {}, {}\n",
            options.bundle.display(),
            super::counted(
                "image",
                contents.image_count() as u64,
                contents.referrer_count() as u64
            ),
            quantity(contents.entries().count() as u64, "blob"),
            BinaryBytes(bundle.file_size()),
        ))?;
    }
    show(&findings, options, terminal)
}

fn show(findings: &[Finding], options: &Verify, terminal: Terminal) -> Result<Exit> {
    if options.json {
        terminal.json(findings)?;
    } else {
        findings.iter().for_each(|finding| show_finding(finding, terminal));
        if !findings.is_empty() {
            let count = quantity(findings.len() as u64, "finding");
            // A copy of what was never as packer writes it is no better.
            let can_be_copied = |finding: &Finding| {
                matches!(finding.kind, FindingKind::Damaged | FindingKind::CutOff)
            };
            let advice = match findings.iter().any(can_be_copied) {
                true => "copy the bundle again, or pack it anew",
                false => "pack it anew",
            };
            terminal.problem(&format!("{count}: {advice}"));
        }
    }
    Ok(if findings.is_empty() { Exit::Done } else { Exit::Failed })
}

fn show_finding(finding: &Finding, terminal: Terminal) {
    let Finding { kind, offset, digest, what, images } = finding;
    let digest = digest.map(|digest| format!("{digest}: ")).unwrap_or_default();
    let text = match kind {
        // It concerns most images as a rule, and the words have their number; JSON has them all.
        FindingKind::CutOff => return terminal.problem(what),
        FindingKind::Damaged => format!("damaged at byte {offset}: {digest}{what}"),
        FindingKind::Added => format!("added at byte {offset}: {digest}{what}"),
        FindingKind::Misplaced => format!("misplaced at byte {offset}: {digest}{what}"),
    };
    terminal.broken(&text, images);
}
