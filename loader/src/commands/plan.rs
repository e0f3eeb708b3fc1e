//! `loader plan`: tells what a load would do.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use indicatif::BinaryBytes;
use serde::Serialize;
use tranship_common::bundle::LeftOut;
use tranship_common::{Digest, Repository};
use tranship_terminal::{Exit, Terminal, quantity};

use crate::cli::Plan;
use crate::connect::{map, reach};
use crate::deliver::{Deliver, Uploads};
use crate::harbor::preflight::{Creator, Preflight, Preflighter};
use crate::harbor::projects::missing;
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
    /// What of its source the bundle does not hold.
    #[serde(skip_serializing_if = "LeftOut::is_empty")]
    left_out: LeftOut,
    missing_projects: BTreeSet<String>,
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
        let destination = reach(&options.connection, terminal, &progress, super::never()).await?;
        let mapped = map(bundle.contents(), &options.names, &destination, terminal)?;
        let renamed = mapped.all_renamed();
        let projects = destination.projects(&mapped).await?;
        let survey = destination.survey(mapped, &projects, false).await?;
        let (harbor, patience) = (destination.harbor.as_ref(), &destination.patience);
        let delivery = Uploads::new(&destination.registry, harbor, patience, false);
        let preflight = match harbor {
            Some(harbor) => {
                let creator = Creator { harbor: harbor.clone(), storage_limit: None };
                let preflighter = Preflighter {
                    harbor,
                    patience,
                    delivery: &delivery,
                    survey: &survey,
                    jobs: destination.jobs,
                };
                preflighter.look(&projects, Some(&creator)).await?
            }
            None => Preflight::default(),
        };
        delivery.finish().await;
        let replaced = survey.images.iter().filter_map(|image| match image.found {
            Found::Different(digest) => Some((survey.name(image), digest)),
            _ => None,
        });
        let costs = estimate(&survey, &delivery);
        let totals = total(costs.values());
        let unknown = survey.images.iter().filter_map(|image| match &image.found {
            Found::Unknown(failure) => Some(format!("{}: {failure}", survey.name(image))),
            _ => None,
        });
        let not_checked = preflight.unknown.into_iter().chain(unknown);
        Ok(Planned {
            target: destination.registry.target().to_string(),
            harbor_version: harbor.map(|harbor| harbor.info.harbor_version.clone()),
            replaced: replaced.collect(),
            renamed,
            left_out: bundle.contents().catalog().left_out.clone(),
            missing_projects: missing(&projects).into_iter().map(str::to_owned).collect(),
            requests: totals.requests,
            projects: costs,
            totals,
            findings: preflight.findings.into_iter().map(|finding| finding.text).collect(),
            warnings: preflight.warnings,
            not_checked: not_checked.collect(),
        })
    })?;
    let is_sure = planned.warnings.is_empty() && planned.totals.unknown == 0;
    let exit = match (planned.findings.is_empty(), is_sure) {
        (true, true) => Exit::Done,
        (true, false) => Exit::Partial,
        (false, _) => Exit::Failed,
    };
    match options.json {
        true => terminal.json(&planned)?,
        false => terminal.result(&planned.in_words())?,
    }
    Ok(exit)
}

impl Planned {
    fn in_words(&self) -> String {
        let mut text = match &self.harbor_version {
            Some(version) => format!("{} is Harbor {version}\n", self.target),
            None => format!("{} is a registry\n", self.target),
        };
        if !self.left_out.is_empty() {
            text += &format!("{}\n", self.left_out);
        }
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
    if cost.referrers > 0 {
        text += &format!(", with {}", quantity(cost.referrers, "referrer"));
    }
    text + &format!(
        ", {} there; {} to upload ({}), {} to mount, {} to store: {}",
        cost.present,
        quantity(cost.uploaded_blobs, "blob"),
        BinaryBytes(cost.uploaded_bytes),
        cost.mounted_blobs,
        quantity(cost.manifests, "manifest"),
        quantity(cost.requests, "request"),
    )
}
