//! `loader plan`: tells what a load would do.

use std::collections::BTreeMap;

use anyhow::Result;
use indicatif::BinaryBytes;
use serde::Serialize;
use tranship_common::{Digest, Repository};
use tranship_terminal::{Exit, Terminal, quantity};

use crate::cli::Plan;
use crate::destination::Destination;
use crate::harbor::preflight::{Creator, preflight};
use crate::plan::estimate::{Cost, estimate, total};
use crate::plan::survey::Found;
use crate::source::open_whole;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Planned {
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    harbor_version: Option<String>,
    /// Tags that have another digest in the target, which this is.
    replaced: BTreeMap<String, Digest>,
    /// Names in the target of the repositories that get another one.
    renamed: BTreeMap<Repository, Repository>,
    missing_projects: Vec<String>,
    projects: BTreeMap<String, Cost>,
    totals: Cost,
    requests: u64,
    findings: Vec<String>,
    warnings: Vec<String>,
    not_checked: Vec<String>,
}

pub(crate) fn run(options: &Plan, terminal: Terminal) -> Result<Exit> {
    let bundle = open_whole(&options.bundle)?;
    let planned = super::block_on(async {
        let progress = terminal.progress();
        let destination = Destination::reach(&options.connection, terminal, &*progress).await?;
        let mapped = destination.map(bundle.contents(), &options.names, terminal)?;
        let contents = &mapped.contents;
        let (projects, found) = destination.inventory(contents, &*progress).await?;
        let creator = Some(Creator { registry: &destination.registry, storage_limit: None });
        let preflight =
            preflight(&destination, contents, &found, &projects, creator, &*progress).await?;
        let replaced = contents.images().zip(&found).filter_map(|((repository, tag), found)| {
            let Found::Different(digest) = found else { return None };
            Some((format!("{repository}:{}", tag.name), *digest))
        });
        let costs = estimate(contents, &found);
        let totals = total(costs.values());
        let is_missing = |(name, exists): (String, bool)| (!exists).then_some(name);
        Ok(Planned {
            target: destination.registry.target().to_string(),
            harbor_version: destination.harbor.map(|info| info.harbor_version),
            replaced: replaced.collect(),
            renamed: mapped.all_renamed(),
            missing_projects: projects.into_iter().filter_map(is_missing).collect(),
            requests: totals.requests(),
            projects: costs,
            totals,
            findings: preflight.findings,
            warnings: preflight.warnings,
            not_checked: preflight.unknown,
        })
    })?;
    let exit = match (planned.findings.is_empty(), planned.warnings.is_empty()) {
        (true, true) => Exit::Done,
        (true, false) => Exit::Partial,
        (false, _) => Exit::Failed,
    };
    let text = match options.json {
        true => serde_json::to_string_pretty(&planned)? + "\n",
        false => planned.in_words(),
    };
    terminal.result(&text)?;
    Ok(exit)
}

impl Planned {
    fn in_words(&self) -> String {
        let mut text = match &self.harbor_version {
            Some(version) => format!("{} is Harbor {version}\n", self.target),
            None => format!("{} is a registry\n", self.target),
        };
        for (from, to) in &self.renamed {
            text += &format!("{from} becomes {to}\n");
        }
        for (name, digest) in &self.replaced {
            text += &format!("replaces: {name} has {digest} there\n");
        }
        for (name, cost) in &self.projects {
            let made = match self.missing_projects.contains(name) {
                true => " (the project will be made)",
                false => "",
            };
            text += &format!("{name}{made}: {}\n", cost_in_words(cost));
        }
        text += &format!("in all: {}\n", cost_in_words(&self.totals));
        for what in &self.not_checked {
            text += &format!("not checked: {what}\n");
        }
        for what in &self.warnings {
            text += &format!("will not arrive: {what}\n");
        }
        for what in &self.findings {
            text += &format!("cannot load: {what}\n");
        }
        text
    }
}

fn cost_in_words(cost: &Cost) -> String {
    let mut text = format!("{} to load", quantity(cost.images, "image"));
    if cost.replaced > 0 {
        text += &format!(" ({} in the place of another)", cost.replaced);
    }
    if cost.unknown > 0 {
        text += &format!(", {} that the target does not tell of", cost.unknown);
    }
    text + &format!(
        ", {} there; {} to upload ({}), {} to mount, {} to store: {}",
        cost.present,
        quantity(cost.uploaded_blobs, "blob"),
        BinaryBytes(cost.uploaded_bytes),
        cost.mounted_blobs,
        quantity(cost.manifests, "manifest"),
        quantity(cost.requests(), "request"),
    )
}
