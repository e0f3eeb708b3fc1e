//! `loader check`: every tag of the bundle is in the target, with the packed digest, and every
//! referrer.

use anyhow::Result;
use serde::Serialize;
use tranship_common::Digest;
use tranship_terminal::{Exit, Terminal};

use crate::cli::Check;
use crate::connect::{map, reach};
use crate::failure::Kind;
use crate::harbor::listing::Listing;
use crate::plan::survey::{Found, Survey, SurveyedImage};

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
    super::show_left_out(bundle.contents(), terminal);
    let (destination, survey, listing) = super::block_on(async {
        let progress = terminal.progress();
        let destination = reach(&options.connection, terminal, &progress, super::never()).await?;
        let mapped = map(bundle.contents(), &options.names, &destination, terminal)?;
        let projects = destination.projects(&mapped).await?;
        let survey = destination.survey(mapped, &projects, options.deep).await?;
        let listing = match &destination.harbor {
            Some(harbor) => Listing::of(harbor, &survey, &destination.patience).await,
            None => Listing::default(),
        };
        Ok((destination, survey, listing))
    })?;
    let registry = &destination.registry;
    for what in &listing.unknown {
        terminal.message(&format!("not checked: Harbor's list of artifacts of {what}"));
    }

    let mut checked: Vec<_> = survey.images.iter().map(|image| checked(&survey, image)).collect();
    for image in &listing.unlisted {
        checked[*image].status = "unlisted";
        checked[*image].reason =
            Some("the registry has it, but Harbor's list of artifacts does not".into());
    }
    let wrong = checked.iter().filter(|image| image.status != "same").count();
    if options.json {
        terminal.json(&checked)?;
    } else {
        for image in &checked {
            terminal.result(&image.in_words())?;
        }
        let referrers = survey.images.iter().filter(|image| image.image.tag.is_none()).count();
        let tags = survey.images.len() - referrers;
        let all = super::counted("tag", tags as u64, referrers as u64);
        let target = registry.target();
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
            // A line feed in somebody else's words begins no line of ours.
            (None, Some(reason)) => format!("{status}: {name}: {}\n", reason.replace('\n', "\\n")),
            (None, None) if *status == "same" => String::new(),
            (None, None) => format!("{status}: {name}\n"),
        }
    }
}

fn checked(survey: &Survey, image: &SurveyedImage) -> Checked {
    let (status, found, reason) = match &image.found {
        Found::Same => ("same", None, None),
        Found::Different(digest) => ("different", Some(*digest), None),
        Found::Missing => ("missing", None, None),
        Found::Broken(missing) => {
            let missing: Vec<String> = missing.iter().map(Digest::to_string).collect();
            ("incomplete", None, Some(format!("without {}", missing.join(", "))))
        }
        Found::Unknown(failure) if failure.kind == Kind::Forbidden => {
            ("unseen", None, Some(format!("cannot be seen: {failure}")))
        }
        Found::Unknown(failure) => ("unknown", None, Some(failure.to_string())),
    };
    Checked { name: survey.name(image), packed: survey.digest(image), status, found, reason }
}
