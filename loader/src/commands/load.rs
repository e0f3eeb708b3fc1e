//! `loader load`: brings a bundle into the target.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Result, bail};
use indicatif::{BinaryBytes, HumanDuration};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, Semaphore};
use tranship_terminal::{Exit, ReportFile, Terminal, quantity};

use crate::cli::Load;
use crate::destination::Destination;
use crate::harbor::preflight::preflight;
use crate::harbor::projects::ProjectMaker;
use crate::plan::mapping::Mapped;
use crate::plan::work::{Order, Status, Work};
use crate::registry::Registry;
use crate::report::Report;
use crate::source::Bundle;
use crate::transfer::throttle::Throttle;
use crate::transfer::{Counts, LARGE_AT_ONCE, Tally, Transfer};

pub(crate) fn run(options: &Load, terminal: Terminal) -> Result<Exit> {
    if options.bundle == Path::new("-") && options.connection.password_stdin {
        bail!("standard input cannot be both the bundle and the password: use --password-file");
    }
    let begun = Instant::now();
    let report_file = options.report.as_deref().map(ReportFile::open).transpose()?;
    let bundle = Bundle::open(&options.bundle)?;
    let Loaded { registry, mapped, work, counts, damage } =
        super::block_on(transfer(options, terminal, bundle))?;

    let (target, requests) = (registry.target().to_string(), registry.requests());
    let seconds = begun.elapsed().as_secs_f64();
    let report = Report::new(target, &work, &mapped, counts, requests, seconds);
    for image in work.images() {
        let name = format!("{}:{}", work.repository(image.repository), image.tag);
        match (&image.status, image.replaces) {
            (Status::Failed(reason), _) => terminal.problem(&format!("failed: {name}: {reason}")),
            (Status::Loaded, Some(digest)) => {
                terminal.message(&format!("replaced: {name} had {digest}"));
            }
            _ => {}
        }
    }
    let tally = Tally::of(&work);
    if let Some(reason) = work.given_up() {
        let left = quantity(tally.left, "image");
        terminal.problem(&format!("{reason}; {left} left: the same command goes on with them"));
    }
    if options.json {
        terminal.result(&report.to_json()?)?;
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
    if let Some(damage) = damage {
        bail!(damage);
    }
    Ok(match tally {
        Tally { failed: 0, left: 0, .. } => Exit::Done,
        Tally { loaded: 0, present: 0, .. } => Exit::Failed,
        _ => Exit::Partial,
    })
}

/// What a load leaves behind.
struct Loaded {
    registry: Rc<Registry>,
    mapped: Mapped,
    work: Work,
    counts: Counts,
    /// What is wrong with a bundle that came through a pipe, beyond the images that it cost.
    damage: Option<String>,
}

/// Asks the target what it has, then sends what is missing.
async fn transfer(options: &Load, terminal: Terminal, bundle: Bundle) -> Result<Loaded> {
    let progress = terminal.progress();
    let destination = Destination::reach(&options.connection, terminal, &*progress).await?;
    let mapped = destination.map(bundle.contents(), &options.names, terminal)?;
    let contents = &mapped.contents;
    let (projects, found) = destination.inventory(contents, &*progress).await?;
    let maker = match options.no_create_projects {
        true => None,
        false => Some(
            ProjectMaker::new(&options.connection, &options.projects, &destination, &*progress)
                .await?,
        ),
    };
    if !options.no_preflight {
        let creator = maker.as_ref().map(ProjectMaker::creator);
        let preflight =
            preflight(&destination, contents, &found, &projects, creator, &*progress).await?;
        super::show(&preflight, terminal);
        if !preflight.findings.is_empty() {
            bail!("nothing was sent; --no-preflight begins all the same");
        }
    }
    let new_projects = projects.iter().filter(|(_, exists)| !**exists);
    let new_projects = new_projects.map(|(name, _)| name.clone()).collect();
    if let Some(maker) = &maker {
        maker.make_missing(&projects, &*progress, terminal).await?;
    }

    // What passes by in a pipe has to be taken as it comes.
    let order = match (&destination.harbor, &bundle) {
        (Some(_), Bundle::File(_)) => Order::Projects,
        _ => Order::Bundle,
    };
    let mut work = Work::new(contents, &found, order);
    let wanted = work.wanted();
    let sizes = contents.entries().filter(|entry| wanted.contains(&entry.digest));
    let images = work.images().iter().filter(|image| image.status == Status::Pending).count();
    progress.begin("loading", sizes.map(|entry| entry.size).sum(), images as u64);

    let cargo = Rc::new(Mutex::new(bundle.into_cargo(wanted)));
    let stop = interrupted(terminal)?;
    let Destination { registry, retry, jobs, harbor } = destination;
    let transfer = Transfer {
        registry: Rc::clone(&registry),
        retry,
        throttle: Throttle::new(jobs),
        large: Semaphore::new(LARGE_AT_ONCE),
        progress,
        is_harbor: harbor.is_some(),
        new_projects,
        brought: RefCell::default(),
        denied_mounts: RefCell::default(),
    };
    let counts = transfer.run(&mut work, &cargo, stop).await;
    let damage = match work.given_up() {
        Some(_) => None,
        None => cargo.lock().await.finish().await.err(),
    };
    let damage = damage.map(|error| format!("{:#}", anyhow::Error::new(error)));
    Ok(Loaded { registry, mapped, work, counts, damage })
}

/// Completes at the first Ctrl-C or SIGTERM. The second ends the program at once: whatever it
/// leaves behind, the next run deals with.
fn interrupted(terminal: Terminal) -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        terminal.message("stopping: what is under way is finished; again to stop at once");
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            end_at_once();
        });
    })
}

#[expect(clippy::exit, reason = "there is nothing to clean up, and the user asked twice")]
fn end_at_once() {
    std::process::exit(130);
}
