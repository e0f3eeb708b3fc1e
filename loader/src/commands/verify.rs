//! `loader verify`: checks every byte of a bundle.

use std::num::NonZero;

use anyhow::Result;
use indicatif::BinaryBytes;
use rayon::prelude::*;
use tranship_common::bundle::{Finding, OpenError, verify};
use tranship_terminal::{Exit, Terminal, quantity};

use crate::cli::Verify;

pub(crate) fn run(options: &Verify, terminal: Terminal) -> Result<Exit> {
    let bundle = match super::open(&options.bundle) {
        Ok(bundle) => bundle,
        Err(error) if options.json && error.downcast_ref::<OpenError>().is_some() => {
            let what = format!("{error:#}");
            let finding = Finding { offset: 0, digest: None, what, images: Vec::new() };
            return show(&[finding], options, terminal);
        }
        Err(error) => return Err(error),
    };
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
            quantity(contents.image_count() as u64, "image"),
            quantity(contents.entries().count() as u64, "blob"),
            BinaryBytes(bundle.file_size()),
        ))?;
    }
    show(&findings, options, terminal)
}

fn show(findings: &[Finding], options: &Verify, terminal: Terminal) -> Result<Exit> {
    if options.json {
        terminal.result(&(serde_json::to_string_pretty(findings)? + "\n"))?;
    } else {
        for finding in findings {
            let digest = finding.digest.map(|digest| format!("{digest}: ")).unwrap_or_default();
            let mut text = format!("damaged at byte {}: {digest}{}", finding.offset, finding.what);
            finding.images.iter().for_each(|image| text += &format!("\n    breaks {image}"));
            terminal.problem(&text);
        }
        if !findings.is_empty() {
            let count = quantity(findings.len() as u64, "finding");
            terminal.problem(&format!("{count}: copy the bundle again, or pack it anew"));
        }
    }
    Ok(if findings.is_empty() { Exit::Done } else { Exit::Failed })
}
