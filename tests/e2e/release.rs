//! What `scripts/release.sh` builds: programs for hosts that are older than the one they are built on.

use std::collections::BTreeSet;
use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use e2e::Tree;
use e2e::kernel::on_old_kernel;
use e2e::programs::{Run, loader, packer, shell};

/// Where what is costly to make stays for the next run: a folder in cargo's target folder.
const KEPT: &str = env!("CARGO_TARGET_TMPDIR");

/// This checkout.
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Libraries that every GLIBC before 2.34 is made of.
const GLIBC: [&str; 6] =
    ["libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0", "ld-linux"];

/// `scripts/release.sh` of a checkout, for this kind of machine, into a folder.
fn release(checkout: &Path, dist: &Path) -> Command {
    // Other tests run beside it and wait for answers.
    let mut command = Command::new("nice");
    command.arg(checkout.join("scripts/release.sh")).arg(format!("{ARCH}-unknown-linux-gnu"));
    command.env("DIST", dist);
    // What cargo tells a test of its own package, some crates would be built anew for.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_") && text != "CARGO_HOME" && text != "CARGO_TARGET_DIR" {
            command.env_remove(name);
        }
    }
    command
}

/// Runs to the end, however long it takes.
#[track_caller]
fn finish(command: &mut Command) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?} failed; what it said stands above");
}

/// The folder with both programs of this checkout; built once.
fn released() -> &'static Path {
    static DIST: OnceLock<PathBuf> = OnceLock::new();
    DIST.get_or_init(|| {
        let dist = Path::new(KEPT).join("dist");
        finish(&mut release(HERE.as_ref(), &dist));
        dist
    })
}

/// The name of a released program.
fn name(program: &str) -> String {
    format!("{program}-{}-{ARCH}-unknown-linux-gnu", env!("CARGO_PKG_VERSION"))
}

#[test]
fn names_tell_version_and_target_and_sums_are_right() {
    let dist = released();
    let files: BTreeSet<_> =
        fs::read_dir(dist).unwrap().map(|file| file.unwrap().file_name()).collect();
    let expected = ["SHA256SUMS", &name("loader"), &name("packer")];
    assert_eq!(files, expected.map(Into::into).into());
    let checked = shell(dist, "sha256sum --check --strict SHA256SUMS");
    assert_eq!(checked, format!("{}: OK\n{}: OK\n", name("loader"), name("packer")));
}

#[test]
fn they_need_nothing_but_glibc_2_17() {
    for program in ["packer", "loader"] {
        let mut readelf = Command::new("readelf");
        readelf.args(["--wide", "--dynamic", "--version-info"]).arg(released().join(name(program)));
        let read = readelf.env("LC_ALL", "C").run().ok().stdout;

        let libraries = read.lines().filter_map(|line| line.split_once("Shared library: ["));
        let libraries: BTreeSet<&str> =
            libraries.map(|(_, name)| name.trim_end_matches(']')).collect();
        assert!(libraries.contains("libc.so.6"), "{read}");
        let foreign = |library: &&&str| !GLIBC.iter().any(|known| library.starts_with(known));
        assert_eq!(libraries.iter().find(foreign), None, "{program} needs it");

        let versions = read.lines().filter_map(|line| line.split_once(" Name: "));
        let versions: BTreeSet<&str> =
            versions.filter_map(|(_, rest)| rest.split_whitespace().next()).collect();
        assert!(versions.contains("GLIBC_2.17"), "{read}");
        for version in versions {
            let minor = version.strip_prefix("GLIBC_2.").and_then(|rest| rest.split('.').next());
            let minor: Option<u32> = minor.and_then(|minor| minor.parse().ok());
            assert!(minor.is_some_and(|minor| minor <= 17), "{program} needs {version}");
        }
    }
}

#[test]
fn another_folder_gives_the_same_bytes() {
    // packer alone: that costs a third, and what could tell one folder from another is the same. Crates
    // that are not of this workspace have one folder in both cases: they need not be built again.
    let folder = Path::new(KEPT).join("another folder");
    let target = folder.join("target");
    fs::create_dir_all(&target).unwrap();
    let copy = "find . -mindepth 1 -maxdepth 1 ! -name target -exec rm -r {} +
        parts='Cargo.toml Cargo.lock common packer loader tests scripts'
        tar -c -C \"$0\" --exclude=target $parts | tar -x
        ln -sfn \"$1\"/release-tools-* target/
        [ -d target/release ] || cp -a \"$1/release\" \"$1/$2\" target/";
    let kind = format!("{ARCH}-unknown-linux-gnu");
    released(); // has installed the tools
    let mut copied = Command::new("bash");
    copied.args(["-euo", "pipefail", "-c", copy, HERE]).arg(Path::new(KEPT).parent().unwrap());
    copied.arg(kind).current_dir(&folder).run().ok();

    let dist = folder.join("dist");
    finish(release(&folder, &dist).env("PROGRAMS", "packer").env("CARGO_TARGET_DIR", target));
    let [here, there] =
        [released(), &dist].map(|dist| fs::read(dist.join(name("packer"))).unwrap());
    assert!(here == there, "the packer of {} is another one", dist.display());
    let holds = |text: &str| here.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!holds("/registry/src/") && holds("/crates/"), "it names cargo's folder");
}

/// The root of a Debian 11, whose GLIBC is 2.31: made once, and then kept. It is not configured: its
/// libraries are there, and that is all that is wanted.
fn old_root() -> PathBuf {
    let root = Path::new(KEPT).join("bullseye");
    // Debian moves what it no longer serves to its archive.
    let make = "[ $(id -u) = 0 ] || { echo 'debootstrap and chroot need root' >&2; exit 1; }
        PATH=$PATH:/usr/sbin
        rm -rf bullseye.partial
        make=(debootstrap --variant=minbase --foreign bullseye bullseye.partial)
        \"${make[@]}\" >bullseye.log 2>&1 ||
            \"${make[@]}\" http://archive.debian.org/debian >>bullseye.log 2>&1 ||
            { cat bullseye.log >&2; exit 1; }
        mv bullseye.partial bullseye";
    if !root.exists() {
        finish(Command::new("bash").args(["-euc", make]).current_dir(KEPT));
    }
    root
}

#[test]
fn they_run_in_an_old_debian_on_an_old_kernel() {
    let root = old_root();
    let folder = tempfile::tempdir_in(root.join("tmp")).unwrap();
    let folder = folder.path();
    let tree = Tree::everything(&folder.join("storage"), 11);
    let bundle = folder.join("here.tar");
    packer().args(["pack", "--storage"]).arg(tree.root()).arg("--output").arg(&bundle).run().ok();

    let inside = Path::new("/").join(folder.strip_prefix(&root).unwrap());
    let there = |program: &str, arguments: &[&str]| {
        let script = format!("cd {} && exec ./{program} \"$@\"", inside.display());
        let mut command = Command::new("/usr/sbin/chroot");
        command.arg(&root).args(["/bin/sh", "-c", &script, "sh"]).args(arguments);
        command
    };
    // By a program, not by `fs::copy`: while another test starts one, it would hold open what we write,
    // and that cannot be run then.
    let copy = |program: &Path, name: &str| {
        Command::new("cp").arg(program).arg(folder.join(name)).run().ok();
    };
    for program in ["packer", "loader"] {
        copy(&released().join(name(program)), program);
    }
    // What is built for this machine does not start there, or the root would prove nothing.
    copy(packer().get_program().as_ref(), "new");
    there("new", &["--version"]).run().expect(1).says("version `GLIBC_2.3");

    let here = |command: &mut Command| command.current_dir(folder).run().ok().stdout;
    for run in [Run::run, on_old_kernel] {
        let list = ["list", "--storage", "storage"];
        let listed = run(&mut there("packer", &list)).ok().stdout;
        assert_eq!(listed, here(packer().args(list)));
        let pack = ["pack", "--storage", "storage", "--output", "there.tar"];
        run(&mut there("packer", &pack)).ok().prints("packed 18 tags of 13 repositories");
        assert!(fs::read(folder.join("there.tar")).unwrap() == fs::read(&bundle).unwrap());
        for command in ["verify", "list"] {
            let read = [command, "there.tar"];
            let said = run(&mut there("loader", &read)).ok().stdout;
            assert_eq!(said, here(loader().args(read)));
        }
        fs::remove_file(folder.join("there.tar")).unwrap();
    }
}
