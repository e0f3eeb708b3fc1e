//! The rules of the house that a compiler does not keep.

use std::collections::BTreeSet;
use std::process::Command;

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
        ("tranship-terminal", "tranship-common"),
        ("packer", "tranship-common"),
        ("packer", "tranship-terminal"),
        ("loader", "tranship-common"),
        ("loader", "tranship-terminal"),
        ("e2e", "tranship-common"),
    ]);
    assert_eq!(edges, allowed);
}

/// The rooms of loader, and which of the others each may know. What is not here is not to be.
const ROOMS: [(&str, &[&str]); 11] = [
    ("cli", &["plan"]),
    ("connect", &["cli", "destination", "harbor", "plan", "registry", "transfer"]),
    ("deliver", &["failure", "harbor", "plan", "registry", "source", "transfer"]),
    ("destination", &["failure", "harbor", "plan", "registry", "transfer"]),
    // A failure names the repository that it is about.
    ("failure", &["plan", "registry"]),
    ("harbor", &["deliver", "failure", "plan", "registry", "transfer"]),
    // A survey asks, with patience, Harbor too; an estimate asks the delivery for its prices.
    ("plan", &["deliver", "failure", "harbor", "registry", "transfer"]),
    ("registry", &[]),
    ("report", &["harbor", "plan", "transfer"]),
    // A pipe ends when the user wants to stop.
    ("source", &["failure", "registry", "transfer"]),
    ("transfer", &["deliver", "failure", "harbor", "plan", "registry", "source"]),
];

/// Of rooms that are only known in part: who knows which of their files.
const DOORS: [(&str, &str, &[&str]); 5] = [
    ("failure", "plan", &["mapping"]),
    ("plan", "transfer", &["retry"]),
    ("source", "transfer", &["stop"]),
    ("deliver", "transfer", &["retry"]),
    ("cli", "plan", &["rules"]),
];

#[test]
fn rooms_of_loader_know_only_those_they_may() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../loader/src");
    for (room, known) in ROOMS {
        let script = format!(
            "grep -rhoE 'crate::[a-z_]+(::[a-z_]+)?' --include=*.rs $(ls -d {room} {room}.rs \
             2>/dev/null) | sort -u || true"
        );
        for used in shell(root.as_ref(), &script).lines() {
            let (to, file) = used["crate::".len()..].split_once("::").unwrap_or((&used[7..], ""));
            assert!(to == room || known.contains(&to), "{room} must not use {used}");
            let door = DOORS.iter().find(|(from, room_of, _)| (*from, *room_of) == (room, to));
            if let Some((.., files)) = door {
                assert!(files.contains(&file), "{room} must not use {used}, only {files:?} of it");
            }
        }
    }
}

#[test]
fn only_the_terminal_prints_and_only_connect_reads_the_environment() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let files = |pattern: &str| -> Vec<String> {
        let script = format!(
            "grep -rlE '{pattern}' --include=*.rs common/src common/terminal/src packer/src loader/src || true"
        );
        shell(root.as_ref(), &script).lines().map(str::to_owned).collect()
    };
    assert_eq!(files(r"\b(e?print(ln)?|dbg)!"), Vec::<String>::new());
    let mut environment = files(r"\benv::(var|args)");
    environment.sort();
    assert_eq!(environment, ["loader/src/connect.rs", "loader/src/registry/credentials.rs"]);
}

#[test]
fn every_command_teaches_with_an_example() {
    for (name, program, commands) in [
        ("packer", packer as fn() -> Command, &["pack", "list"][..]),
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
