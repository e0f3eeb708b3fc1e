//! Where the bytes come from: a bundle file, read at random, or a bundle that passes by in a pipe.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio::sync::mpsc;
use tranship_common::Digest;
use tranship_common::bundle::{BundleFile, Contents, Entry, ReadError, Stream};

use crate::registry::{Payload, SMALL};

type Input = Box<dyn Read + Send>;

/// A bundle that is open, its catalog known.
pub(crate) enum Bundle {
    File(Arc<BundleFile>),
    Pipe(Box<Stream<Input>>),
}

/// Hands out the bytes of manifests and blobs.
pub(crate) enum Cargo {
    File(Arc<BundleFile>),
    Pipe(Pipe),
}

/// What has come out of the pipe so far.
pub(crate) struct Pipe {
    passing: mpsc::Receiver<Passing>,
    /// All of them: a manifest is needed once for each of its tags.
    manifests: HashMap<Digest, Result<Payload, Arc<ReadError>>>,
    /// Blobs that were not asked for yet.
    blobs: HashMap<Digest, Result<Payload, Arc<ReadError>>>,
    /// The first thing that was wrong.
    ended: Option<Arc<ReadError>>,
}

/// What comes out of the pipe: everything wanted, in the order of the bundle.
enum Passing {
    Manifest(Digest, Result<Payload, ReadError>),
    Blob(Digest, Result<Payload, ReadError>),
    /// The pipe cannot be read on, or is not as it should be between the entries.
    Damaged(ReadError),
}

/// Opens a bundle file that is as long as its catalog says.
pub(crate) fn open_whole(path: &Path) -> Result<BundleFile> {
    let bundle = BundleFile::open(path).with_context(|| path.display().to_string())?;
    let (size, want) = (bundle.file_size(), bundle.layout().size());
    if size < want {
        bail!("{} is cut off: it has {size} of {want} bytes; copy it again", path.display());
    }
    Ok(bundle)
}

impl Bundle {
    /// Opens a file, or standard input for `-`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            let input: Input = Box::new(io::BufReader::with_capacity(1 << 18, io::stdin()));
            let stream = Stream::open(input).context("standard input")?;
            return Ok(Self::Pipe(Box::new(stream)));
        }
        open_whole(path).map(|bundle| Self::File(Arc::new(bundle)))
    }

    /// What the bundle holds.
    pub(crate) fn contents(&self) -> &Contents {
        match self {
            Self::File(bundle) => bundle.contents(),
            Self::Pipe(stream) => stream.contents(),
        }
    }

    /// Begins to hand out what is wanted. A pipe starts to flow now, and flows to its end.
    pub(crate) fn into_cargo(self, wanted: HashSet<Digest>) -> Cargo {
        match self {
            Self::File(bundle) => Cargo::File(bundle),
            Self::Pipe(stream) => {
                let (sender, passing) = mpsc::channel(2);
                tokio::task::spawn_blocking(move || flow(*stream, &wanted, &sender));
                Cargo::Pipe(Pipe {
                    passing,
                    manifests: HashMap::new(),
                    blobs: HashMap::new(),
                    ended: None,
                })
            }
        }
    }
}

impl Cargo {
    /// The bytes of a manifest or blob. They should be asked for in about the order of the
    /// bundle, and a blob in a pipe only once: what passes by meanwhile is kept.
    pub(crate) async fn payload(&mut self, digest: Digest) -> Result<Payload, Arc<ReadError>> {
        match self {
            Self::File(bundle) => match bundle.entry(digest) {
                Some(entry) => Ok(Payload::Bundle(Arc::clone(bundle), entry)),
                None => Err(Arc::new(cut_off(bundle.file_size()))),
            },
            Self::Pipe(pipe) => pipe.payload(digest).await,
        }
    }

    /// Reads the rest of a pipe, so that its writer ends well and damage anywhere is seen.
    pub(crate) async fn finish(&mut self) -> Result<(), Arc<ReadError>> {
        let Self::Pipe(pipe) = self else { return Ok(()) };
        while let Some(passing) = pipe.passing.recv().await {
            pipe.take(passing);
        }
        pipe.ended.clone().map_or(Ok(()), Err)
    }
}

impl Pipe {
    async fn payload(&mut self, digest: Digest) -> Result<Payload, Arc<ReadError>> {
        loop {
            if let Some(result) = self.manifests.get(&digest) {
                return result.clone();
            }
            if let Some(result) = self.blobs.remove(&digest) {
                return result;
            }
            match self.passing.recv().await {
                Some(passing) => self.take(passing),
                None => {
                    let ended = self.ended.clone();
                    return Err(ended.unwrap_or_else(|| Arc::new(cut_off(0))));
                }
            }
        }
    }

    fn take(&mut self, passing: Passing) {
        let (map, digest, result) = match passing {
            Passing::Manifest(digest, result) => (&mut self.manifests, digest, result),
            Passing::Blob(digest, result) => (&mut self.blobs, digest, result),
            Passing::Damaged(error) => {
                self.ended.get_or_insert(Arc::new(error));
                return;
            }
        };
        let result = result.map_err(Arc::new);
        if let Err(error) = &result {
            self.ended.get_or_insert_with(|| Arc::clone(error));
        }
        map.insert(digest, result);
    }
}

fn cut_off(offset: u64) -> ReadError {
    ReadError::CutOff { offset }
}

/// Reads the pipe to its end and sends on what is wanted.
fn flow(mut stream: Stream<Input>, wanted: &HashSet<Digest>, sender: &mpsc::Sender<Passing>) {
    let manifests = stream.contents().catalog().manifests.len();
    for position in 0.. {
        let entry = stream.layout().entries().get(position).copied();
        let is_wanted = entry.is_some_and(|entry| wanted.contains(&entry.digest));
        let result = stream.next_entry(|entry, bytes| match is_wanted {
            true => spool(entry, bytes).map(Some),
            false => io::copy(bytes, &mut io::sink()).map(|_| None),
        });
        let ends = matches!(&result, Err(error) if !error.can_read_on());
        let result = match result {
            Ok(Some(Some(payload))) => Ok(payload),
            Ok(Some(None)) => continue,
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let passing = match (entry, result) {
            (Some(entry), result) if is_wanted && position < manifests => {
                Passing::Manifest(entry.digest, result)
            }
            (Some(entry), result) if is_wanted => Passing::Blob(entry.digest, result),
            (_, Err(error)) => Passing::Damaged(error),
            (_, Ok(_)) => continue,
        };
        if sender.blocking_send(passing).is_err() || ends || entry.is_none() {
            return;
        }
    }
}

/// Takes an entry out of the pipe: into memory when it is small, into an unnamed file otherwise, so
/// that an upload of it can be repeated.
fn spool(entry: Entry, bytes: &mut dyn Read) -> io::Result<Payload> {
    if entry.size <= SMALL {
        let mut memory = Vec::with_capacity(entry.size as usize);
        bytes.read_to_end(&mut memory)?;
        return Ok(Payload::Memory(memory.into()));
    }
    let mut file = tempfile::tempfile()?;
    io::copy(bytes, &mut file)?;
    file.flush()?;
    Ok(Payload::Spooled(Arc::new(file), entry))
}
