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
use crate::harbor::preflight::{Finding, Preflighter};
use crate::harbor::projects::{ProjectMaker, missing};
use crate::harbor::quotas::{Books, Overcount, used_by};
use crate::plan::estimate::{estimate, total};
use crate::plan::survey::{Projects, Survey, SurveyedImage};
use crate::plan::work::{Order, Status, Work};
use crate::registry::{Registry, Target};
use crate::report::Report;
use crate::source::Bundle;
use crate::transfer::stop::{Stopper, stop};
use crate::transfer::{Counts, Tallies, Tally, Transfer};

/// So many images that have failed for one reason are named one by one.
const NAMED: usize = 20;

pub(crate) fn run(options: &Load, terminal: Terminal) -> Result<Exit> {
    if options.bundle == Path::new("-") && options.connection.password_stdin {
        bail!("standard input cannot be both the bundle and the password: use --password-file");
    }
    let begun = Instant::now();
    let report_file = options.report.as_deref().map(ReportFile::open).transpose()?;
    match send(options, terminal) {
        Ok(loaded) => tell(options, terminal, &loaded, begun, report_file),
        Err(error) => {
            if let Some(file) = report_file {
                // An address that is none may hold a password.
                let target = Target::parse(&options.connection.to, options.connection.plain_http);
                let target = target.map_or_else(|_| String::new(), |target| target.to_string());
                let report = Report::of_error(target, format!("{error:#}"));
                let written = report.text_for(file.path()).map_err(Into::into);
                if let Err(unwritten) = written.and_then(|text| file.write(&text)) {
                    terminal.problem(&format!("{unwritten:#}"));
                }
            }
            Err(error)
        }
    }
}

fn send(options: &Load, terminal: Terminal) -> Result<Loaded> {
    let bundle = Bundle::open(&options.bundle)?;
    super::block_on(load(options, terminal, bundle))
}

/// Tells what has become of the images.
fn tell(
    options: &Load,
    terminal: Terminal,
    loaded: &Loaded,
    begun: Instant,
    report_file: Option<ReportFile>,
) -> Result<Exit> {
    let Loaded { registry, work, .. } = loaded;

    let (target, requests) = (registry.target().to_string(), registry.requests());
    let seconds = begun.elapsed().as_secs_f64();
    let report = Report::new(target, &loaded.survey, work, loaded.counts, &loaded.overcounts)
        .with_costs(requests, seconds);
    tell_failures(loaded, terminal);
    for image in work.images() {
        if let (Status::Loaded, Some(digest)) = (&image.status, image.replaces()) {
            let name = loaded.survey.name(&image.surveyed);
            terminal.message(&format!("replaced: {name} had {digest}"));
        }
    }
    for overcount in &loaded.overcounts {
        terminal.problem(&overcount.in_words());
    }
    let tallies = Tallies::of(work);
    if let Some(failure) = work.given_up().filter(|_| tallies.left() > 0) {
        let left = super::counted("image", tallies.images.left, tallies.referrers.left);
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
        let Tallies { images, referrers } = tallies;
        let with_referrers = match referrers.all() {
            0 => String::new(),
            all => format!(
                "with {}: {} loaded, {} already there, {} failed\n",
                quantity(all, "referrer"),
                referrers.loaded,
                referrers.present,
                referrers.failed,
            ),
        };
        let summary = format!(
            "{} loaded, {} already there, {} failed\n{with_referrers}\
             {} uploaded ({}), {} mounted, {} requests, {took}\n",
            quantity(images.loaded, "image"),
            images.present,
            images.failed,
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
    Ok(match tallies.images {
        _ if tallies.failed() + tallies.left() == 0 && loaded.damage.is_none() => Exit::Done,
        Tally { loaded: 0, present: 0, .. } => Exit::Failed,
        _ => Exit::Partial,
    })
}

/// Names the images that have failed. Many that have done so for one reason are counted: the
/// report names them.
fn tell_failures(loaded: &Loaded, terminal: Terminal) {
    let images = loaded.work.images();
    let name = |image: usize| loaded.survey.name(&images[image].surveyed);
    let mut by_reason: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, image) in images.iter().enumerate() {
        if let Status::Failed(reason) = &image.status {
            by_reason.entry(reason).or_default().push(at);
        }
    }
    let mut failed: Vec<(&str, Vec<usize>)> = by_reason.into_iter().collect();
    failed.sort_by_key(|(_, images)| images[0]);
    for (reason, images) in failed {
        if images.len() > NAMED {
            let (count, first) = (images.len(), name(images[0]));
            terminal.problem(&format!(
                "failed: {count} images, the first of them {first}: {reason}; --report and --json \
                 name them all"
            ));
        } else {
            for image in images {
                terminal.problem(&format!("failed: {}: {reason}", name(image)));
            }
        }
    }
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
    super::show_left_out(bundle.contents(), terminal);
    let mapped = map(bundle.contents(), &options.names, &destination, terminal)?;
    let projects = destination.projects(&mapped).await?;
    let survey = destination.survey(mapped, &projects, options.deep).await?;
    let Destination { registry, harbor, patience, jobs } = &destination;
    let has_begun = survey.images.iter().any(SurveyedImage::is_there);
    let delivery = Uploads::new(registry, harbor.as_ref(), patience, has_begun);
    let prepared = prepare(options, &destination, &survey, &projects, &delivery, terminal).await;
    let Prepared { used, blocked } = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            delivery.finish().await;
            return Err(error);
        }
    };

    let costs = estimate(&survey, &delivery);
    let costs = costs.iter().filter(|(project, _)| !blocked.contains_key(*project));
    let bytes = total(costs.map(|(_, cost)| cost)).uploaded_bytes;
    let order = if bundle.is_random() { Order::Images } else { Order::Bundle };
    let mut work = Work::new(&survey, order, harbor.is_some());
    let source = bundle.into_source(work.wanted(), stop);
    work.block(&blocked);
    let images = work.images().iter().filter(|image| image.status == Status::Pending).count();
    progress.begin("loading", bytes, images as u64);
    let mut books = Books::open(&survey, used);
    let transfer = Transfer { registry, source: &*source, delivery: &delivery, patience };
    let counts = transfer.run(&mut work, &mut books).await;
    delivery.finish().await;
    let damage = match Tallies::of(&work).left() {
        1.. => None,
        0 => source.finish().await.err().map(|failure| match failure.kind {
            Kind::Stopped => Failure::stopped_in_rest(),
            _ => failure,
        }),
    };
    let overcounts = match harbor {
        Some(harbor) => books.close(harbor, patience, *jobs).await,
        None => Vec::new(),
    };
    let registry = Rc::clone(registry);
    Ok(Loaded { registry, survey, work, counts, overcounts, damage })
}

/// What is known when everything is ready to be sent.
#[derive(Default)]
struct Prepared {
    /// Bytes that projects hold, where Harbor tells.
    used: BTreeMap<String, i64>,
    /// Projects that nothing is sent to, each with the reason.
    blocked: BTreeMap<String, String>,
}

/// Looks at what would keep the load from succeeding, and makes the projects that are missing. It
/// is an error where that is to keep everything from being sent.
async fn prepare(
    options: &Load,
    destination: &Destination,
    survey: &Survey,
    projects: &Projects,
    delivery: &Uploads,
    terminal: Terminal,
) -> Result<Prepared> {
    let Destination { harbor: Some(harbor), patience, jobs, .. } = destination else {
        return Ok(Prepared::default());
    };
    let maker = match options.no_create_projects {
        true => None,
        false => project_maker(&options.connection, &options.projects, destination).await?,
    };
    let (used, findings) = match options.no_preflight {
        true => (used_by(harbor, patience, projects, *jobs).await?, Vec::new()),
        false => {
            let preflighter = Preflighter { harbor, patience, delivery, survey, jobs: *jobs };
            let creator = maker.as_ref().map(ProjectMaker::creator);
            let preflight = preflighter.look(projects, creator.as_ref()).await?;
            super::show(&preflight, terminal);
            (preflight.used, preflight.findings)
        }
    };
    let mut blocked = blocked(findings, options.skip_blocked)?;
    if let Some(maker) = &maker {
        let mut missing = missing(projects);
        missing.retain(|name| !blocked.contains_key(*name));
        let failed = maker.make(&missing, patience, |text| terminal.message(text)).await?;
        failed.values().for_each(|failure| terminal.problem(failure));
        if !failed.is_empty() && !options.skip_blocked {
            bail!(NOTHING_SENT);
        }
        blocked.extend(failed);
    }
    Ok(Prepared { used, blocked })
}

const NOTHING_SENT: &str = "nothing was sent; --skip-blocked leaves these projects out, \
                            --no-preflight begins all the same";

/// The projects that are left out, each with the reason; an error where nothing is to be sent.
fn blocked(findings: Vec<Finding>, skip_blocked: bool) -> Result<BTreeMap<String, String>> {
    if findings.iter().any(|finding| finding.projects.is_empty()) {
        bail!("nothing was sent; --no-preflight begins all the same");
    }
    if !findings.is_empty() && !skip_blocked {
        bail!(NOTHING_SENT);
    }
    let mut blocked: BTreeMap<String, String> = BTreeMap::new();
    for Finding { projects, text } in findings {
        for project in projects {
            let reasons = blocked.entry(project).or_default();
            *reasons += if reasons.is_empty() { "" } else { "; " };
            *reasons += &text;
        }
    }
    Ok(blocked)
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
