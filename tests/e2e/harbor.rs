//! Harbor as the target.

use std::process::Command;

use e2e::programs::{load, loader};
use e2e::{Bundle, Harbor};

mod accessories; // signatures and referrers
mod blocked; // projects that cannot be loaded into
mod books; // quotas, to the byte
mod faults; // a network and a proxy that fail, by seeds
mod illness; // Harbor answers, but not as it should
mod limits; // modes, quotas, rules, contents
mod loads; // what is sent, and in which order
mod names; // of projects and repositories
mod outages; // Harbor goes away, or the user wants to stop
mod policies; // images that nobody may pull, tags that nobody may move
mod report; // the page
mod rights; // accounts, robots, certificates
mod robots; // what those need who may do little

const ALL_ARRIVED: &str = "18 images loaded, 0 already there, 0 failed";

fn log_in<'a>(command: &'a mut Command, name: &str, password: &str) -> &'a mut Command {
    command.env("TRANSHIP_USERNAME", name).env("TRANSHIP_PASSWORD", password)
}

fn admin(mut command: Command) -> Command {
    log_in(&mut command, "admin", "Harbor12345");
    command
}

fn loading(bundle: &Bundle, harbor: &Harbor) -> Command {
    admin(load(&bundle.path(), &harbor.url()))
}

/// Another command of loader, for the same bundle and target.
fn command(name: &str, bundle: &Bundle, harbor: &Harbor) -> Command {
    let mut command = loader();
    command.arg(name).arg(bundle.path()).args(["--to", &harbor.url(), "--retry-delay", "10"]);
    admin(command)
}
