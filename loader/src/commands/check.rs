//! `loader check`: every tag of the bundle is in the target, with the packed digest.

use anyhow::{Context, Result};
use serde::Serialize;
use tranship_common::bundle::TagEntry;
use tranship_common::{Digest, Repository};
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
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
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
            terminal.result(&image.in_words())?;
        }
        let (all, target) = (quantity(checked.len() as u64, "tag"), registry.target());
        let verdict = match wrong {
            0 => format!("{all} checked, all in {target} with the packed digest\n"),
            wrong => format!("{all} checked, {wrong} of them not in {target} as packed\n"),
        };
        terminal.result(&verdict)?;
    }
    Ok(if wrong == 0 { Exit::Done } else { Exit::Failed })
}

impl Checked {
    /// A line for an image that is not as it was packed.
    fn in_words(&self) -> String {
        let Self { name, packed, status, found, reason } = self;
        match (found, reason) {
            (Some(found), _) => format!("{status}: {name} has {found}, packed was {packed}\n"),
            (None, Some(reason)) => format!("{status}: {name}: {reason}\n"),
            (None, None) if *status == "same" => String::new(),
            (None, None) => format!("{status}: {name}\n"),
        }
    }
}

fn checked(((repository, tag), found): ((&Repository, &TagEntry), Found)) -> Checked {
    let (status, found, reason) = match found {
        Found::Same => ("same", None, None),
        Found::Different(digest) => ("different", Some(digest), None),
        Found::Missing => ("missing", None, None),
        Found::Unknown(reason) => ("unknown", None, Some(reason)),
    };
    Checked {
        name: format!("{repository}:{}", tag.name),
        packed: tag.digest,
        status,
        found,
        reason,
    }
}
