//! `loader load`: brings a bundle into the target.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Result, bail};
use indicatif::{BinaryBytes, HumanDuration};
use tokio::signal::unix::{SignalKind, signal};
use tranship_terminal::{Exit, ReportFile, Terminal, quantity};

use crate::cli::Load;
use crate::connect::{map, project_maker, reach};
use crate::deliver::{Deliver, Uploads};
use crate::destination::Destination;
use crate::failure::{Failure, Kind};
use crate::harbor::preflight::{Finding, Preflight, Preflighter};
use crate::harbor::projects::ProjectMaker;
use crate::harbor::quotas::{Books, Overcount};
use crate::plan::estimate::{estimate, total};
use crate::plan::survey::{Projects, Survey, SurveyedImage};
use crate::plan::work::{Order, Status, Work};
use crate::registry::Registry;
use crate::report::Report;
use crate::source::Bundle;
use crate::transfer::stop::{Stopper, stop};
use crate::transfer::{Counts, Tally, Transfer};

pub(crate) fn run(options: &Load, terminal: Terminal) -> Result<Exit> {
    if options.bundle == Path::new("-") && options.connection.password_stdin {
        bail!("standard input cannot be both the bundle and the password: use --password-file");
    }
    let begun = Instant::now();
    let report_file = options.report.as_deref().map(ReportFile::open).transpose()?;
    let bundle = Bundle::open(&options.bundle)?;
    let loaded = super::block_on(load(options, terminal, bundle))?;
    let Loaded { registry, work, .. } = &loaded;

    let (target, requests) = (registry.target().to_string(), registry.requests());
    let seconds = begun.elapsed().as_secs_f64();
    let report = Report::new(target, &loaded.survey, work, loaded.counts, &loaded.overcounts)
        .with_costs(requests, seconds);
    for (at, image) in work.images().iter().enumerate() {
        let name = || format!("{}:{}", work.repository(at), image.surveyed.image.tag);
        match (&image.status, image.replaces()) {
            (Status::Failed(reason), _) => {
                terminal.problem(&format!("failed: {}: {reason}", name()));
            }
            (Status::Loaded, Some(digest)) => {
                terminal.message(&format!("replaced: {} had {digest}", name()));
            }
            _ => {}
        }
    }
    for overcount in &loaded.overcounts {
        terminal.problem(&overcount.in_words());
    }
    let tally = Tally::of(work);
    if let Some(failure) = work.given_up() {
        let left = quantity(tally.left, "image");
        terminal.problem(&format!("{failure}; {left} left: the same command goes on with them"));
    }
    if let Some(damage) = &loaded.damage {
        terminal.problem(&damage.to_string());
    }
    let counts = loaded.counts;
    if options.json {
        terminal.json(&report)?;
    } else {
        let took = HumanDuration(begun.elapsed());
        let summary = format!(
            "{} loaded, {} already there, {} failed\n\
             {} uploaded ({}), {} mounted, {} requests, {took}\n",
            quantity(tally.loaded, "image"),
            tally.present,
            tally.failed,
            quantity(counts.uploaded_blobs, "blob"),
            BinaryBytes(counts.uploaded_bytes),
            counts.mounted_blobs,
            requests,
        );
        terminal.result(&summary)?;
    }
    if let Some(file) = report_file {
        let text = report.text_for(file.path())?;
        file.write(&text)?;
    }
    Ok(match tally {
        Tally { failed: 0, left: 0, .. } if loaded.damage.is_none() => Exit::Done,
        Tally { loaded: 0, present: 0, .. } => Exit::Failed,
        _ => Exit::Partial,
    })
}

/// What a load leaves behind.
struct Loaded {
    registry: Rc<Registry>,
    survey: Survey,
    work: Work,
    counts: Counts,
    overcounts: Vec<Overcount>,
    /// What is wrong with a bundle that came through a pipe.
    damage: Option<Failure>,
}

/// Asks the target what it has, then sends what is missing.
async fn load(options: &Load, terminal: Terminal, bundle: Bundle) -> Result<Loaded> {
    let progress = terminal.progress();
    let (stopper, stop) = stop();
    watch_signals(stopper, terminal)?;
    let destination = reach(&options.connection, terminal, &progress, stop.clone()).await?;
    let mapped = map(bundle.contents(), &options.names, &destination, terminal)?;
    let projects = destination.projects(&mapped).await?;
    let survey = destination.survey(mapped, &projects, options.deep).await?;
    let Destination { registry, harbor, patience, .. } = &destination;
    let has_begun = survey.images.iter().any(SurveyedImage::is_there);
    let delivery = Uploads::new(registry, harbor.as_ref(), patience, has_begun);
    let maker = match options.no_create_projects {
        true => None,
        false => project_maker(&options.connection, &options.projects, &destination).await?,
    };
    let preflight = match options.no_preflight {
        true => Preflight::default(),
        false => {
            look(&destination, &survey, &projects, &delivery, maker.as_ref(), terminal).await?
        }
    };
    let blocked = blocked(&preflight.findings, options.skip_blocked);
    let blocked = match blocked {
        Ok(blocked) => blocked,
        Err(advice) => {
            delivery.finish().await;
            bail!(advice);
        }
    };
    if let Some(maker) = &maker {
        let missing = projects
            .iter()
            .filter(|(name, exists)| !**exists && !blocked.contains_key(name.as_str()));
        let missing = missing.map(|(name, _)| name.as_str());
        maker.make_missing(missing, patience, terminal).await?;
    }

    let bytes = total(estimate(&survey, &delivery).values()).uploaded_bytes;
    let source = {
        let wanted = Work::new(&survey, Order::Bundle, harbor.is_some());
        bundle.into_source(wanted.wanted(), stop)
    };
    let order = if source.is_random() { Order::Images } else { Order::Bundle };
    let mut work = Work::new(&survey, order, harbor.is_some());
    for (project, reason) in &blocked {
        work.block(project, reason);
    }
    let images = work.images().iter().filter(|image| image.status == Status::Pending).count();
    progress.begin("loading", bytes, images as u64);
    let mut books = Books::open(&survey, preflight.used);
    let transfer = Transfer { registry, source: &*source, delivery: &delivery, patience };
    let counts = transfer.run(&mut work, &mut books).await;
    delivery.finish().await;
    let damage = match work.given_up() {
        Some(_) => None,
        None => source.finish().await.err().filter(|failure| failure.kind != Kind::Stopped),
    };
    let overcounts = match harbor {
        Some(harbor) => books.close(harbor, patience).await,
        None => Vec::new(),
    };
    let registry = Rc::clone(registry);
    Ok(Loaded { registry, survey, work, counts, overcounts, damage })
}

/// Looks at what would keep the load from succeeding.
async fn look(
    destination: &Destination,
    survey: &Survey,
    projects: &Projects,
    delivery: &Uploads,
    maker: Option<&ProjectMaker>,
    terminal: Terminal,
) -> Result<Preflight> {
    let Some(harbor) = &destination.harbor else { return Ok(Preflight::default()) };
    let patience = &destination.patience;
    let preflighter = Preflighter { harbor, patience, delivery, survey, jobs: destination.jobs };
    let creator = maker.map(ProjectMaker::creator);
    let preflight = preflighter.look(projects, creator.as_ref()).await?;
    super::show(&preflight, terminal);
    Ok(preflight)
}

/// The projects that are left out, each with the reason; an error where nothing is to be sent.
fn blocked(findings: &[Finding], skip_blocked: bool) -> Result<BTreeMap<&str, &str>, &'static str> {
    let for_all = findings.iter().any(|finding| finding.projects.is_empty());
    if for_all || !findings.is_empty() && !skip_blocked {
        let advice = if for_all {
            "nothing was sent; --no-preflight begins all the same"
        } else {
            "nothing was sent; --skip-blocked leaves these projects out, --no-preflight begins all \
             the same"
        };
        return Err(advice);
    }
    let pairs = findings.iter().flat_map(|finding| {
        finding.projects.iter().map(|project| (project.as_str(), finding.text.as_str()))
    });
    Ok(pairs.collect())
}

/// Tells the first Ctrl-C or SIGTERM. The second ends the program at once: whatever it leaves
/// behind, the next run deals with.
fn watch_signals(stopper: Stopper, terminal: Terminal) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        for is_first in [true, false] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if is_first {
                terminal.message("stopping: what is under way is finished; again to stop at once");
                stopper.stop();
            }
        }
        end_at_once();
    });
    Ok(())
}

#[expect(clippy::exit, reason = "there is nothing to clean up, and the user asked twice")]
fn end_at_once() {
    std::process::exit(130);
}
