//! Which room of a program uses which: its `use` lines and paths, read as text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// An arrow: a room, and a path in another room of the same program.
pub(super) type Arrow = (String, String);

/// The arrows between the rooms of a program, whose sources are in this folder. A room is a file in
/// it, and the folder of the same name.
pub(super) fn arrows(sources: &Path) -> BTreeSet<Arrow> {
    let mut arrows = BTreeSet::new();
    for file in files(sources) {
        let module = module(file.strip_prefix(sources).unwrap());
        let Some(room) = module.first() else { continue };
        let used = paths(&module, &fs::read_to_string(&file).unwrap());
        let elsewhere = used.into_iter().filter(|path| path.first().is_some_and(|to| to != room));
        arrows.extend(elsewhere.map(|path| (room.clone(), path.join("::"))));
    }
    arrows
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}

/// The module that a file is; the program itself for `main.rs`.
fn module(file: &Path) -> Vec<String> {
    let path = file.with_extension("");
    let parts = path.iter().map(|part| part.to_str().unwrap().to_owned());
    parts.filter(|part| part != "main").collect()
}

/// All paths in a module's text that begin with `crate` or `super`, counted from the crate.
fn paths(module: &[String], text: &str) -> Vec<Vec<String>> {
    let code = text.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    let code: String = code.flat_map(|line| [line, "\n"]).collect();
    let mut paths = Vec::new();
    let mut rest = code.as_str();
    let mut is_inner = false;
    while let Some(at) = next(rest) {
        for line in rest[..at].lines() {
            // As rustfmt leaves a module that stands in a file, and its end.
            is_inner = line.starts_with("mod ") && line.ends_with('{') || is_inner && line != "}";
        }
        let mut tree = Vec::new();
        rest = &rest[at..];
        rest = &rest[read_tree(rest, &[], &mut tree)..];
        for path in tree {
            let ups = path.iter().take_while(|part| *part == "super").count();
            let depth = match ups {
                0 => 0,
                _ => module.len() + usize::from(is_inner) - ups,
            };
            let below = path.into_iter().skip(ups.max(1)).filter(|part| part != "*");
            paths.push(module[..depth].iter().cloned().chain(below).collect());
        }
    }
    paths
}

/// Where the next path begins.
fn next(text: &str) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let begins = ["crate::", "super::"].into_iter().flat_map(|word| text.match_indices(word));
    begins.map(|(at, _)| at).filter(|at| !text[..*at].ends_with(is_part)).min()
}

/// Reads a path, or the tree of a `use` line, at the beginning of a text. Returns where it ends.
fn read_tree(text: &str, before: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        if rest.starts_with('{') {
            at += 1;
            loop {
                at += text[at..].find(|c: char| !c.is_whitespace() && c != ',').unwrap();
                if text[at..].starts_with('}') {
                    return at + 1;
                }
                at += read_tree(&text[at..], &path, paths);
            }
        }
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '*';
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        if rest[..length] != *"self" {
            path.push(rest[..length].to_owned());
        }
        at += length;
        if !text[at..].starts_with("::") {
            paths.push(path);
            return at;
        }
        at += 2;
    }
}

#[test]
fn paths_are_read() {
    let text = "
        // use crate::comment::No;
        use crate::registry::{Answer, error::{self, Kind}};
        use super::mapping::*;
        pub(crate) fn ask() -> super::super::failure::Failure { crate::harbor::api::info() }
        let url = tranship_crate::other();
\nmod tests {\n    use super::*;\n    use super::super::lanes;\n}\nfn last() { super::rules::last() }
";
    let module = ["plan", "survey"].map(str::to_owned);
    let read: Vec<String> = paths(&module, text).iter().map(|path| path.join("::")).collect();
    let expected = [
        "registry::Answer",
        "registry::error",
        "registry::error::Kind",
        "plan::mapping",
        "failure::Failure",
        "harbor::api::info",
        "plan::survey",
        "plan::lanes",
        "plan::rules::last",
    ];
    assert_eq!(read, expected);
}
