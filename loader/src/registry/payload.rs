//! A blob's bytes on their way to the registry.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tranship_common::bundle::{BundleFile, Entry, ReadError};
use tranship_common::{Progress, Verified};

/// Blobs up to this size (bytes) are read whole and checked before they are sent.
pub(crate) const SMALL: u64 = 1 << 20;

/// Larger ones are sent in pieces of this many bytes.
const PIECE: usize = 256 << 10;

/// A blob's bytes, that can be read as often as an upload has to be tried.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    /// In a bundle file.
    Bundle(Arc<BundleFile>, Entry),
    /// Taken from a pipe, small enough to keep. Already checked.
    Memory(Bytes),
    /// Taken from a pipe and put into an unnamed file. Already checked when it was written.
    Spooled(Arc<File>, Entry),
}

/// What has become of a body that is being sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    bytes: AtomicU64,
    failure: Mutex<Option<ReadError>>,
}

impl Sent {
    /// Bytes that the connection has taken so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Why our own bytes could not be had, if that is what stopped the body.
    pub(super) fn take_failure(&self) -> Option<ReadError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn fail(&self, error: ReadError) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// A part of a file, read without moving a position that others share.
struct Slice(Arc<File>, u64);

impl Read for Slice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read_at(buffer, self.1)?;
        self.1 += read as u64;
        Ok(read)
    }
}

impl Payload {
    /// Size in bytes.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Bundle(_, entry) | Self::Spooled(_, entry) => entry.size,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// All of the bytes, checked; meant for small blobs and manifests.
    pub(crate) async fn bytes(&self) -> Result<Bytes, ReadError> {
        Ok(match self {
            Self::Memory(bytes) => bytes.clone(),
            Self::Bundle(bundle, entry) => {
                let (bundle, entry) = (Arc::clone(bundle), *entry);
                blocking(move || bundle.read(entry)).await?.into()
            }
            Self::Spooled(file, entry) => {
                let (file, entry) = (Arc::clone(file), *entry);
                let read = move || {
                    let mut bytes = Vec::new();
                    Slice(file, 0).take(entry.size).read_to_end(&mut bytes)?;
                    Ok(bytes)
                };
                let read = blocking(read).await;
                read.map_err(|error| ReadError::from_io(entry.offset, error))?.into()
            }
        })
    }

    /// The bytes as a request body, which begins after a pause. Small ones are checked before this returns; of a large one the
    /// last piece is held back until all of it is checked, so that damage never gets through whole.
    pub(super) async fn body(
        &self,
        sent: &Arc<Sent>,
        progress: &Arc<dyn Progress>,
        pause: Duration,
    ) -> Result<reqwest::Body, ReadError> {
        let pieces = if self.size() > SMALL {
            self.streamed(sent, progress).left_stream()
        } else {
            let bytes = self.bytes().await?;
            sent.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            progress.add_bytes(bytes.len() as u64);
            if pause.is_zero() {
                return Ok(bytes.into());
            }
            stream::iter([Ok(bytes)]).right_stream()
        };
        let begin = async move {
            tokio::time::sleep(pause).await;
            pieces
        };
        Ok(reqwest::Body::wrap_stream(begin.flatten_stream()))
    }

    fn streamed(
        &self,
        sent: &Arc<Sent>,
        progress: &Arc<dyn Progress>,
    ) -> impl Stream<Item = io::Result<Bytes>> + use<> {
        let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(2);
        let (payload, failed) = (self.clone(), Arc::clone(sent));
        spawn_blocking(move || match payload {
            Self::Bundle(bundle, entry) => {
                read_ahead(bundle.reader(entry), entry, &sender, &failed);
            }
            Self::Spooled(file, entry) => {
                let bytes = Slice(file, 0).take(entry.size);
                read_ahead(Verified::new(bytes, entry.digest, entry.size), entry, &sender, &failed);
            }
            Self::Memory(bytes) => drop(sender.blocking_send(Ok(bytes))),
        });
        let (sent, progress) = (Arc::clone(sent), Arc::clone(progress));
        stream::unfold(receiver, move |mut receiver| {
            let (sent, progress) = (Arc::clone(&sent), Arc::clone(&progress));
            async move {
                let piece = receiver.recv().await?;
                if let Ok(bytes) = &piece {
                    sent.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    progress.add_bytes(bytes.len() as u64);
                }
                Some((piece, receiver))
            }
        })
    }
}

/// Sends pieces, always one behind the reading. Ends when nobody receives any more.
fn read_ahead(
    mut reader: impl Read,
    entry: Entry,
    sender: &mpsc::Sender<io::Result<Bytes>>,
    failed: &Sent,
) {
    let mut held_back: Option<Bytes> = None;
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let read = reader.by_ref().take(PIECE as u64).read_to_end(&mut piece);
        let next = match read {
            Ok(read) => (read > 0).then(|| Bytes::from(piece)),
            Err(error) => {
                let _ = sender.blocking_send(Err(io::Error::other("the bundle is damaged")));
                failed.fail(ReadError::from_io(entry.offset, error));
                return;
            }
        };
        if let Some(ready) = held_back.take()
            && sender.blocking_send(Ok(ready)).is_err()
        {
            return;
        }
        match next {
            Some(piece) => held_back = Some(piece),
            None => return,
        }
    }
}

/// Runs what waits for a disk where it holds up nothing else.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
