//! `loader check`: every tag of the bundle is in the target, with the packed digest.

use anyhow::{Context, Result};
use serde::Serialize;
use tranship_common::Digest;
use tranship_terminal::{Exit, Terminal, quantity};

use crate::cli::Check;
use crate::connect::{connect, retry_policy};
use crate::survey::{Found, Surveyor};

#[derive(Debug, Serialize)]
struct Checked {
    name: String,
    packed: Digest,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<Digest>,
}

pub(crate) fn run(options: &Check, terminal: Terminal) -> Result<Exit> {
    let bundle = super::open(&options.bundle)?;
    let registry = connect(&options.connection, terminal)?;
    let progress = terminal.progress();
    let surveyor = Surveyor {
        registry: &registry,
        contents: bundle.contents(),
        retry: retry_policy(&options.connection),
        jobs: options.connection.jobs.get(),
        progress: &*progress,
    };
    let found = super::block_on(async {
        registry.ping().await.with_context(|| format!("asking {}", registry.target()))?;
        Ok(surveyor.images().await?)
    })?;
    drop(progress);

    let checked: Vec<_> = bundle.contents().images().zip(found).map(checked).collect();
    let wrong = checked.iter().filter(|image| image.status != "same").count();
    if options.json {
        terminal.result(&(serde_json::to_string_pretty(&checked)? + "\n"))?;
    } else {
        for image in &checked {
            match (image.status, image.found) {
                (_, Some(found)) => terminal.result(&format!(
                    "different: {} has {found}, packed was {}\n",
                    image.name, image.packed
                ))?,
                ("missing", None) => terminal.result(&format!("missing: {}\n", image.name))?,
                _ => {}
            }
        }
        let (all, target) = (quantity(checked.len() as u64, "tag"), registry.target());
        let verdict = match wrong {
            0 => format!("{all} checked, all in {target} with the packed digest\n"),
            wrong => format!("{all} checked, {wrong} missing in {target} or different\n"),
        };
        terminal.result(&verdict)?;
    }
    Ok(if wrong == 0 { Exit::Done } else { Exit::Failed })
}

fn checked(
    ((repository, tag), found): (
        (&tranship_common::Repository, &tranship_common::bundle::TagEntry),
        Found,
    ),
) -> Checked {
    let (status, found) = match found {
        Found::Same => ("same", None),
        Found::Different(digest) => ("different", Some(digest)),
        Found::Missing => ("missing", None),
    };
    Checked { name: format!("{repository}:{}", tag.name), packed: tag.digest, status, found }
}
