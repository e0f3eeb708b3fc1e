//! A real S3 server: moto, with one bucket.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tranship_common::PushTime;

use crate::http::{Ask, Reply};
use crate::programs::shell;
use crate::registry::{answers, free_port};
use crate::tree;

/// The bucket.
pub const BUCKET: &str = "images";

/// Who may read it, and with which secret; moto believes it.
pub const KEY: (&str, &str) = ("somebody", "confidential");

/// A running server.
#[derive(Debug)]
pub struct S3 {
    process: Child,
    port: u16,
    _log: TempDir,
}

impl S3 {
    /// Starts a server with an empty bucket.
    ///
    /// # Panics
    /// When it cannot be installed or started.
    #[must_use]
    pub fn start() -> Self {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let program = shell(root.as_ref(), "scripts/moto.sh");
        // Between finding a free port and taking it somebody else may take it.
        for _ in 0..20 {
            let (port, folder) = (free_port(), tempfile::tempdir().expect("a temporary folder"));
            let mut process = launch(program.trim(), port, folder.path());
            if answers(&mut process, port) {
                let server = Self { process, port, _log: folder };
                assert_eq!(server.ask("PUT", "").send().status, 200, "a bucket can be made");
                return server;
            }
            let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            assert!(log.contains("Address already in use"), "moto:\n{log}");
        }
        panic!("no free port was found");
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The driver's section of a registry's configuration, with a `rootdirectory`.
    #[must_use]
    pub fn driver(&self, root: &str) -> String {
        let (url, (user, secret)) = (self.url(), KEY);
        format!(
            "s3: {{region: us-east-1, regionendpoint: '{url}', bucket: {BUCKET}, \
             accesskey: {user}, secretkey: {secret}, rootdirectory: {root}}}"
        )
    }

    /// Puts an object into the bucket.
    ///
    /// # Panics
    /// When the server does not take it.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        let ask = self.ask("PUT", key).with("Content-Type", "application/octet-stream");
        assert_eq!(ask.body(bytes).send().status, 200, "{key}");
    }

    /// Removes an object from the bucket.
    ///
    /// # Panics
    /// When there is none.
    pub fn delete(&self, key: &str) {
        assert!(self.keys().iter().any(|(known, _)| known == key), "there is no {key}");
        assert_eq!(self.ask("DELETE", key).send().status, 204);
    }

    /// Puts a folder's files into the bucket.
    ///
    /// # Panics
    /// When they cannot be read.
    pub fn upload(&self, folder: &Path) {
        for file in shell(folder, "find . -type f -printf '%P\\n'").lines() {
            self.put(file, &fs::read(folder.join(file)).expect("the file is there"));
        }
    }

    /// All keys, and when each was written.
    ///
    /// # Panics
    /// When they do not fit on one page.
    #[must_use]
    pub fn keys(&self) -> Vec<(String, PushTime)> {
        let page = self.ask("GET", "?list-type=2&max-keys=100000").send().body;
        assert!(page.contains("<IsTruncated>false<"), "{page}");
        let element = |entry: &str, name: &str| {
            let (_, rest) = entry.split_once(&format!("<{name}>")).expect("it has that");
            rest.split_once("</").expect("it ends").0.to_owned()
        };
        let object = |entry: &str| {
            let time = element(entry, "LastModified").replace(".000Z", "Z");
            (element(entry, "Key"), time.parse().expect("a time in whole seconds"))
        };
        page.split("<Contents>").skip(1).map(object).collect()
    }

    /// Writes the bucket into a folder, times included.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn mirror(&self, folder: &Path) {
        for (key, time) in self.keys() {
            let Reply { status, bytes, .. } = self.ask("GET", &key).send();
            assert_eq!(status, 200, "{key}");
            let path: PathBuf = folder.join(key);
            tree::write(&path, &bytes);
            let seconds = u64::try_from(time.unix()).expect("a time after 1970");
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let file = fs::File::options().write(true).open(path).expect("it is there");
            file.set_modified(time).expect("times can be set");
        }
    }

    fn ask(&self, method: &str, key: &str) -> Ask {
        let slash = if key.starts_with('?') { "" } else { "/" };
        let ask = Ask::new(&self.url(), method, &format!("/{BUCKET}{slash}{key}"));
        // moto looks at who asks, not at the signature.
        let user = KEY.0;
        let credential = format!("Credential={user}/20260101/us-east-1/s3/aws4_request");
        ask.with(
            "Authorization",
            &format!("AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=00"),
        )
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn launch(program: &str, port: u16, folder: &Path) -> Child {
    let log = fs::File::create(folder.join("log")).expect("the log can be created");
    Command::new(program)
        .args(["-H", "127.0.0.1", "-p", &port.to_string()])
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("scripts/moto.sh has installed it")
}
