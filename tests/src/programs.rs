//! Runs packer and loader as a user does.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// No run of a test takes longer; one that does hangs.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// A command for `packer`.
#[must_use]
pub fn packer() -> Command {
    clean(Command::new(program("packer")))
}

/// A command for `loader`.
#[must_use]
pub fn loader() -> Command {
    clean(Command::new(program("loader")))
}

/// A command for `loader load` of a bundle into a registry, with short pauses before retries.
#[must_use]
pub fn load(bundle: &Path, url: &str) -> Command {
    let mut command = loader();
    command.arg("load").arg(bundle).args(["--to", url, "--retry-delay", "10"]);
    command
}

/// A command for `packer` that may not read what is forbidden, even if root runs the tests.
#[must_use]
pub fn packer_without_privileges() -> Command {
    let plain = packer();
    if !std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        return plain;
    }
    let mut command = clean(Command::new("setpriv"));
    command.args(["--bounding-set", "-dac_override,-dac_read_search"]).arg(plain.get_program());
    command
}

/// Without what the tester's own environment would bring in.
fn clean(mut command: Command) -> Command {
    let foreign = ["tranship_", "docker_", "registry_", "aws_", "google_", "azure_"];
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_lowercase();
        if text.ends_with("_proxy") || foreign.iter().any(|begin| text.starts_with(begin)) {
            command.env_remove(name);
        }
    }
    for name in ["XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "RUST_BACKTRACE"] {
        command.env_remove(name);
    }
    command.env("HOME", "/nonexistent");
    command.stdin(Stdio::null());
    command
}

/// The program's path: from `PACKER_BIN` or `LOADER_BIN`, else built now, once.
fn program(name: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(format!("{}_BIN", name.to_uppercase())) {
        return path.into();
    }
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build).join(name)
}

/// Builds both programs and returns their folder.
fn build() -> PathBuf {
    let built = Command::new(env!("CARGO"))
        .args(["build", "-p", "packer", "-p", "loader", "--message-format=json"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be started");
    assert!(built.status.success(), "packer and loader do not build");
    let text = String::from_utf8_lossy(&built.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut executables =
        messages.filter_map(|message| Some(message["executable"].as_str()?.to_owned()));
    let executable = executables.next_back().expect("cargo names what it has built");
    Path::new(&executable).parent().expect("an executable is in a folder").to_owned()
}

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote on standard output.
    pub stdout: String,
    /// What it wrote on standard error.
    pub stderr: String,
}

impl Finished {
    /// Panics, with all that was said, unless the exit code is this.
    #[track_caller]
    #[must_use = "assertions on the output are usually wanted"]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Panics unless the exit code is 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.expect(0)
    }

    /// Panics unless standard error contains the text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no `{text}` in:\n{}", self.stderr);
        self
    }

    /// Panics unless standard output contains the text.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "no `{text}` in:\n{}", self.stdout);
        self
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).expect("standard output is JSON")
    }
}

/// Starts and ends commands.
pub trait Run {
    /// Runs to the end, within the time limit.
    fn run(&mut self) -> Finished;
    /// Starts, with its output captured.
    fn start(&mut self) -> Child;
}

impl Run for Command {
    #[track_caller]
    fn run(&mut self) -> Finished {
        wait(self.start())
    }

    #[track_caller]
    fn start(&mut self) -> Child {
        self.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.spawn().unwrap_or_else(|error| panic!("{self:?} cannot be started: {error}"))
    }
}

/// Waits for a program to end and takes what it has written.
///
/// # Panics
/// When it takes longer than the time limit; it is killed then.
#[track_caller]
pub fn wait(child: Child) -> Finished {
    let id = child.id();
    let (sender, receiver) = mpsc::channel::<std::io::Result<Output>>();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(TIME_LIMIT) else {
        signal(id, "KILL");
        let output = receiver.recv().expect("the thread waits").expect("output can be read");
        panic!("it hangs; so far it said:\n{}", String::from_utf8_lossy(&output.stderr));
    };
    let output = output.expect("output can be read");
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Sends a signal to a process.
pub fn signal(process: u32, name: &str) {
    let mut kill = Command::new("kill");
    let sent =
        kill.args([&format!("-{name}"), &process.to_string()]).stderr(Stdio::null()).status();
    assert!(sent.is_ok(), "kill can be started");
}

/// Runs a shell command of an auditor in a folder, and expects it to succeed.
#[track_caller]
pub fn shell(folder: &Path, script: &str) -> String {
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(folder).stdin(Stdio::null());
    command.run().ok().stdout
}
