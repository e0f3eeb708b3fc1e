//! Archives made by the real `tar` program, and by hand where it makes none of the kind.

mod any;
mod damage;
mod formats;
mod handmade;
mod links;
mod passes;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use tempfile::TempDir;
use tranship_common::{Digest, Progress, Silent};

use super::{Order, open_archive};
use crate::folder::Folder;
use crate::paths::{self, TREE};
use crate::problem::SourceError;
use crate::source::Source;

/// When the links of the first tag were written (seconds since 1970).
const PUSHED: u64 = 1_500_000_000;

/// A storage in a folder, with two images.
struct Storage {
    top: TempDir,
    manifests: Vec<Digest>,
}

impl Storage {
    fn new() -> Self {
        let mut storage = Self { top: tempfile::tempdir().unwrap(), manifests: Vec::new() };
        storage.image("team/app", "1", 0);
        storage.image("team/app", "latest", 1);
        storage.image("other", "1", 2);
        storage
    }

    fn path(&self) -> &Path {
        self.top.path()
    }

    fn tree(&self) -> PathBuf {
        self.path().join(TREE)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> PathBuf {
        let path = self.tree().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.write(&blob_path(digest), bytes);
        digest
    }

    fn image(&mut self, repository: &str, tag: &str, number: u64) {
        let config = format!("{{\"config\":{{}},\"number\":{number}}}");
        // Larger than what is read at once, and different everywhere.
        let layer: Vec<u8> = (0..20_000 * (number + 1)).flat_map(u64::to_le_bytes).collect();
        let mut descriptors = Vec::new();
        for bytes in [config.as_bytes(), &layer] {
            let (digest, size) = (self.blob(bytes), bytes.len());
            descriptors
                .push(format!("{{\"mediaType\":\"a\",\"size\":{size},\"digest\":\"{digest}\"}}"));
        }
        let [config, layer] = &descriptors[..] else { unreachable!() };
        let manifest = format!("{{\"schemaVersion\":2,\"config\":{config},\"layers\":[{layer}]}}");
        let manifest = self.blob(manifest.as_bytes());
        self.manifests.push(manifest);
        let (repository, tag) = (repository.parse().unwrap(), tag.parse().unwrap());
        for (seconds, path) in [
            (PUSHED + number, tag_link(&repository, &tag)),
            (PUSHED + 1000 + number, in_repositories(&paths::revision_link(&repository, manifest))),
        ] {
            let link = self.write(&path, manifest.to_string().as_bytes());
            let time = UNIX_EPOCH + Duration::from_nanos(seconds * 1_000_000_000 + 999_999_999);
            File::options().write(true).open(link).unwrap().set_modified(time).unwrap();
        }
        let layers = format!("{repository}/_layers/sha256/{}/link", manifest.hex());
        self.write(&in_repositories(&layers), b"not looked at");
    }

    /// An archive made by `tar`, which is run in the storage's folder.
    fn archive(&self, arguments: &[&str]) -> Vec<u8> {
        run("tar", &[&["-C", self.path().to_str().unwrap(), "-cf", "-"], arguments].concat(), b"")
    }

    fn folder(&self) -> Folder {
        Folder::locate(self.path(), false).unwrap()
    }
}

fn blob_path(digest: Digest) -> String {
    format!("{}/{}", paths::BLOBS, paths::blob(digest))
}

fn in_repositories(path: &str) -> String {
    format!("{}/{path}", paths::REPOSITORIES)
}

fn tag_link(repository: &tranship_common::Repository, tag: &tranship_common::Tag) -> String {
    in_repositories(&format!("{}/{}", paths::tag_folder(repository, tag), paths::TAG_LINK))
}

/// What a program makes of its input.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let (stdin, stdout) = (Stdio::piped(), Stdio::piped());
    let mut child =
        Command::new(program).args(arguments).stdin(stdin).stdout(stdout).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}");
        output.stdout
    })
}

/// Opens bytes in a file as the archive `a.tar`.
fn open(bytes: &[u8]) -> Result<Box<dyn Source>, SourceError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    open_archive(file, "a.tar", Order::AsTheyPass, &std::env::temp_dir(), &Silent)
}

/// What an error says.
fn refusal(bytes: &[u8]) -> String {
    open(bytes).unwrap_err().to_string()
}

/// All that a source tells of itself but where things are.
fn told(source: &dyn Source) -> String {
    let inventory = source.inventory(&Silent).unwrap();
    let broken: Vec<_> = inventory
        .broken
        .iter()
        .map(|broken| format!("{}: {}", broken.name, broken.problem))
        .collect();
    let mut blobs = source.blobs().unwrap();
    blobs.sort_by_key(|blob| blob.digest);
    let mut text = format!("{:#?}\n{broken:#?}\n", inventory.repositories);
    for blob in blobs {
        let mut bytes = Vec::new();
        source.open(blob.digest).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(source.size(blob.digest).unwrap(), bytes.len() as u64);
        let is_whole = Digest::of(&bytes) == blob.digest;
        let manifest = source.manifest(blob.digest).map_err(|problem| problem.to_string());
        text += &format!("{} {} {is_whole} {manifest:?}\n", blob.digest, blob.size);
    }
    text
}

/// What is broken in a source.
fn broken(source: &dyn Source) -> Vec<String> {
    let inventory = source.inventory(&Silent).unwrap();
    inventory.broken.iter().map(|broken| format!("{}: {}", broken.name, broken.problem)).collect()
}

/// Keeps what is said.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Progress for Heard {
    fn begin(&self, _stage: &'static str, _bytes: u64, _images: u64) {}
    fn add_bytes(&self, _bytes: u64) {}
    fn take_back_bytes(&self, _bytes: u64) {}
    fn add_images(&self, _images: u64) {}
    fn say(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}
