//! The rules of the house that a compiler does not keep.

mod arrows;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use arrows::arrows;
use e2e::programs::{Run, loader, packer, shell};
use serde_json::Value;

fn metadata() -> Value {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version=1", "--no-deps", "--offline"]).current_dir(root);
    cargo.run().ok().json()
}

#[test]
fn dependencies_go_one_way() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let inner: BTreeSet<&str> =
        packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let mut edges = BTreeSet::new();
    for package in packages {
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap();
            if inner.contains(name) {
                edges.insert((package["name"].as_str().unwrap(), name));
            }
        }
    }
    let allowed = BTreeSet::from([
        ("tranship-storage", "tranship-common"),
        ("tranship-terminal", "tranship-common"),
        ("packer", "tranship-common"),
        ("packer", "tranship-storage"),
        ("packer", "tranship-terminal"),
        ("loader", "tranship-common"),
        ("loader", "tranship-terminal"),
        ("e2e", "tranship-common"),
    ]);
    assert_eq!(edges, allowed);
}

/// The rooms of loader, and what each may know of the others. What is not here is not to be: nobody
/// knows `commands`, and what clap makes of the command line goes no further than `connect`.
const ROOMS: &str = "
    cli          plan::rules
    commands     cli connect deliver destination failure harbor plan registry report source transfer
    connect      cli destination harbor::NewProject harbor::projects plan::mapping plan::rules
                 registry transfer::retry transfer::stop
    deliver      failure harbor::Harbor harbor::Quota plan::mapping plan::survey plan::work registry
                 source::Source transfer::retry
    destination  failure harbor::Harbor harbor::api harbor::projects plan::mapping plan::survey
                 registry transfer::retry
                 # It names the repository that it is about.
    failure      plan::mapping registry
                 # The books of quotas hear what comes of a transfer.
    harbor       deliver::Deliver deliver::Delivered failure plan::made_up plan::mapping
                 plan::survey plan::work registry transfer::Ledger transfer::retry
                 # A survey asks, with patience, and asks Harbor too; an estimate asks for prices.
    plan         deliver::Deliver failure harbor::Harbor registry transfer::retry
    registry
    report       harbor::quotas plan::survey plan::work transfer
                 # A pipe ends when the user wants to stop.
    source       failure registry::Content registry::SMALL transfer::stop
                 # A refusal may last as long as Harbor locks an account.
    transfer     deliver::Deliver deliver::Delivered failure harbor::LOCK plan::mapping plan::work
                 registry source::Source
";

#[test]
fn rooms_of_loader_know_only_those_they_may() {
    let mut known: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut room = "";
    for line in ROOMS.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let is_new = line.starts_with("    ") && !line.starts_with("     ");
        let mut words = line.split_whitespace();
        room = if is_new { words.next().unwrap() } else { room };
        known.extend(words.map(|path| (room, path)));
    }
    let covers = |known: &str, path: &str| {
        path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../loader/src");
    let mut unused = known.clone();
    let mut forbidden = Vec::new();
    for (room, path) in arrows(&sources) {
        match known.iter().find(|(from, to)| *from == room && covers(to, &path)) {
            Some(arrow) => drop(unused.remove(arrow)),
            None => forbidden.push(format!("{room} must not know {path}")),
        }
    }
    assert_eq!(forbidden, Vec::<String>::new());
    assert_eq!(unused, BTreeSet::new(), "nobody needs to know it");
}

#[test]
fn only_the_terminal_prints_and_only_connect_reads_the_environment() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let files = |pattern: &str| -> Vec<String> {
        let script = format!(
            "grep -rlE '{pattern}' --include=*.rs common/src common/storage/src common/terminal/src packer/src loader/src || true"
        );
        shell(root.as_ref(), &script).lines().map(str::to_owned).collect()
    };
    assert_eq!(files(r"\b(e?print(ln)?|dbg)!"), Vec::<String>::new());
    let mut environment = files(r"\benv::(var|args)");
    environment.sort();
    let readers =
        ["loader/src/connect.rs", "loader/src/registry/credentials.rs", "packer/src/choice.rs"];
    assert_eq!(environment, readers);
}

#[test]
fn every_command_teaches_with_an_example() {
    for (name, program, commands) in [
        ("packer", packer as fn() -> Command, &["pack", "list", "verify"][..]),
        ("loader", loader, &["load", "plan", "projects", "check", "verify", "list"]),
    ] {
        let help = program().arg("--help").run().ok().prints("Exit codes: 0 all done");
        for command in commands {
            assert!(help.stdout.contains(&format!("\n  {command} ")), "{}", help.stdout);
            let long = program().args([command, "--help"]).run().ok();
            let example = format!("\n  {name} {command} ");
            assert!(long.stdout.contains(&example), "{name} {command} --help has no example");
        }
    }
}

#[test]
fn completions_and_man_pages_are_generated() {
    for (name, program) in [("packer", packer as fn() -> Command), ("loader", loader)] {
        let folder = tempfile::tempdir().unwrap();
        program().arg("generate").arg(folder.path()).run().ok();
        let made = shell(folder.path(), "find . -type f | sort");
        for file in [
            format!("{name}.bash"),
            format!("_{name}"),
            format!("{name}.fish"),
            format!("{name}.1"),
        ] {
            assert!(made.contains(&format!("/{file}\n")), "no {file} in:\n{made}");
        }
        shell(folder.path(), &format!("bash -n $(find . -name {name}.bash)"));
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let _ = packer().arg("pack").run().expect(2).says("--storage");
    let _ = loader().arg("load").run().expect(2).says("--to");
    let _ = loader().args(["load", "x", "--to", "y", "--jobs", "0"]).run().expect(2).says("--jobs");
}
