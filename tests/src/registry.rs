//! A real docker-registry on a free port of this machine.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tranship_common::Digest;

use crate::programs::signal;
use crate::tls::Certificates;

/// `loader` with the password `secret`, as `htpasswd -B` writes it.
const HTPASSWD: &str = "loader:$2b$05$fZNt5H0vAL2fwmma69TIQ.s0xK/zUxuXhdtJ4wsUhVTqf3EE8RCdu\n";

/// How a registry is set up.
#[derive(Debug, Default)]
pub struct Options<'a> {
    /// Ask for the password `secret` of the user `loader`.
    pub password: bool,
    /// Serve HTTPS with this certificate.
    pub certificates: Option<&'a Certificates>,
    /// Ask clients for a certificate of the same authority.
    pub client_certificate: bool,
    /// Serve this storage instead of an empty one.
    pub storage: Option<&'a Path>,
    /// Serve this storage driver, a line of YAML, instead of a folder.
    pub driver: Option<String>,
    /// Refuse images with foreign layers, as a registry does that is not told otherwise.
    pub foreign_layers_refused: bool,
    /// Take Docker images of schema 1, as Harbor's backend does.
    pub schema1: bool,
}

/// A running docker-registry.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    port: u16,
    scheme: &'static str,
    folder: TempDir,
    storage: PathBuf,
}

impl Registry {
    /// Starts an empty registry.
    #[must_use]
    pub fn start() -> Self {
        Self::with(&Options::default())
    }

    /// Starts an empty registry that is set up in this way.
    #[must_use]
    pub fn with(options: &Options<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::serve(folder, options)
    }

    fn serve(mut folder: TempDir, options: &Options<'_>) -> Self {
        // Between finding a free port and taking it somebody else may take it.
        for _ in 0..20 {
            let port = free_port();
            let scheme = if options.certificates.is_some() { "https" } else { "http" };
            let storage =
                options.storage.map_or_else(|| folder.path().join("storage"), Path::to_owned);
            let config = config(folder.path(), &storage, port, options);
            fs::write(folder.path().join("config.yml"), config)
                .expect("the configuration can be written");
            let mut process = launch(folder.path());
            if answers(&mut process, port) {
                return Self { process, port, scheme, folder, storage };
            }
            let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            assert!(log.contains("address already in use"), "docker-registry:\n{log}");
            folder = tempfile::tempdir().expect("a temporary folder");
        }
        panic!("no free port was found");
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address())
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The storage folder, as `/var/lib/registry`.
    #[must_use]
    pub fn storage(&self) -> PathBuf {
        self.storage.clone()
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("config.yml")
    }

    /// Requests answered so far, as `METHOD PATH?QUERY STATUS`, from the access log.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.path().join("log")).expect("there is a log");
        log.lines().filter_map(access_log_line).collect()
    }

    /// How many requests about uploads had this method and this status.
    #[must_use]
    pub fn uploads(&self, method: &str, status: u16) -> usize {
        let (method, status) = (format!("{method} "), format!(" {status}"));
        let fits = |line: &&String| {
            line.starts_with(&method) && line.contains("/uploads/") && line.ends_with(&status)
        };
        self.requests().iter().filter(fits).count()
    }

    /// How often a blob of this digest was uploaded to its end.
    #[must_use]
    pub fn commits(&self, digest: &str) -> usize {
        let hex = digest.trim_start_matches("sha256:");
        let commit = |line: &&String| {
            line.starts_with("PUT ") && line.contains("/blobs/uploads/") && line.contains(hex)
        };
        self.requests().iter().filter(commit).filter(|line| line.ends_with(" 201")).count()
    }

    /// Puts a blob into its storage by hand, and into a repository.
    ///
    /// # Panics
    /// When the storage cannot be written.
    #[must_use]
    pub fn place(&self, repository: &str, blob: &[u8]) -> Digest {
        let digest = Digest::of(blob);
        let v2 = self.storage.join("docker/registry/v2");
        let hex = digest.hex();
        let data = v2.join(format!("blobs/sha256/{}/{hex}/data", &hex[..2]));
        let link = v2.join(format!("repositories/{repository}/_layers/sha256/{hex}/link"));
        for (file, bytes) in [(data, blob), (link, digest.to_string().as_bytes())] {
            fs::create_dir_all(file.parent().expect("it is in a folder"))
                .and_then(|()| fs::write(file, bytes))
                .expect("the storage can be written");
        }
        digest
    }

    /// Has it collect its garbage while it runs; `untagged` are then garbage too.
    ///
    /// # Panics
    /// When its collector fails.
    pub fn collect_garbage(&self, untagged: bool) {
        let mut collect = Command::new("docker-registry");
        collect.arg("garbage-collect").args(untagged.then_some("-m"));
        let collected = collect.arg(self.folder.path().join("config.yml")).output();
        let collected = collected.expect("docker-registry is installed");
        assert!(collected.status.success(), "{collected:?}");
    }

    /// Upload sessions that were neither finished nor given back.
    ///
    /// # Panics
    /// When its storage cannot be read.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        let repositories = self.storage.join("docker/registry/v2/repositories");
        sessions_below(&repositories).expect("the storage can be read")
    }

    /// Stops it as its service manager would, and gives its folder.
    pub fn stop(&mut self) -> PathBuf {
        signal(self.process.id(), "TERM");
        self.process.wait().expect("it can be waited for");
        self.storage()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The folders in folders `_uploads`.
fn sessions_below(folder: &Path) -> io::Result<usize> {
    if !folder.exists() {
        return Ok(0);
    }
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        count += match path.file_name().and_then(OsStr::to_str) {
            // What was given back leaves a folder too, but not its beginning.
            Some("_uploads") => fs::read_dir(&path)?
                .filter(|entry| {
                    entry.as_ref().is_ok_and(|entry| entry.path().join("startedat").exists())
                })
                .count(),
            // Nothing else of a repository has sessions in it.
            Some(name) if name.starts_with('_') => 0,
            _ => sessions_below(&path)?,
        };
    }
    Ok(count)
}

/// Waits until the port is open; `false` when the process has ended.
pub(crate) fn answers(process: &mut Child, port: u16) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        if process.try_wait().expect("the process can be asked").is_some() {
            return false;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("the program does not answer");
}

/// `METHOD PATH STATUS` of a line in the combined log format.
fn access_log_line(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("] \"")?;
    let (request, rest) = rest.split_once("\" ")?;
    let (request, _) = request.rsplit_once(' ')?;
    Some(format!("{request} {}", rest.split(' ').next()?))
}

fn launch(folder: &Path) -> Child {
    let log = fs::File::create(folder.join("log")).expect("the log can be created");
    Command::new("docker-registry")
        .arg("serve")
        .arg(folder.join("config.yml"))
        // With it the driver for S3 panics.
        .env_remove("AWS_CA_BUNDLE")
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("docker-registry is installed: run scripts/install.sh")
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
    listener.local_addr().expect("it has an address").port()
}

fn config(folder: &Path, storage: &Path, port: u16, options: &Options<'_>) -> String {
    let folder_name = folder.display();
    let mut text = format!(
        "version: 0.1\n\
         storage:\n  {driver}\n  delete: {{enabled: true}}\n  redirect: {{disable: true}}\n\
         validation:\n  manifests:\n    urls: {{allow: ['{urls}']}}\n\
         http:\n  addr: 127.0.0.1:{port}\n",
        driver = options
            .driver
            .clone()
            .unwrap_or_else(|| { format!("filesystem: {{rootdirectory: {}}}", storage.display()) }),
        // Without the setting the registry refuses images with foreign layers.
        urls = if options.foreign_layers_refused { "^$" } else { "^https?://" },
    );
    if options.schema1 {
        text += "compatibility:\n  schema1: {enabled: true}\n";
    }
    if let Some(certificates) = options.certificates {
        let certificates = certificates.folder().display();
        text += &format!(
            "  tls:\n    certificate: {certificates}/server.pem\n    key: {certificates}/server.key\n"
        );
        if options.client_certificate {
            text += &format!("    clientcas: [{certificates}/ca.pem]\n");
        }
    }
    if options.password {
        fs::write(folder.join("htpasswd"), HTPASSWD).expect("the password can be written");
        text += &format!("auth:\n  htpasswd: {{realm: test, path: {folder_name}/htpasswd}}\n");
    }
    text
}
