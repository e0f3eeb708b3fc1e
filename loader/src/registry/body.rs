//! A blob's bytes on their way to the registry.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tranship_common::Progress;

/// Contents up to this size (bytes) are read whole, and so checked, before they are sent.
pub(crate) const SMALL: u64 = 1 << 20;

/// Larger ones are sent in pieces of this many bytes.
const PIECE: usize = 256 << 10;

/// Bytes that can be had as often as a request has to be tried.
pub(crate) trait Content: Send + Sync {
    /// How many there are.
    fn size(&self) -> u64;

    /// Reads them from the first on. What is not as it should be is an error of the reader, at its
    /// end at the latest.
    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>>;

    /// All of them at once, where they are at hand.
    fn in_memory(&self) -> Option<Bytes> {
        None
    }
}

/// What has become of a body that is being sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    bytes: AtomicU64,
    failure: Mutex<Option<io::Error>>,
}

impl Sent {
    /// Bytes that the connection has taken so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Why our own bytes could not be had, if that is what stopped the body.
    pub(super) fn take_failure(&self) -> Option<io::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn fail(&self, error: io::Error) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    fn took(&self, bytes: &Bytes, progress: &Arc<dyn Progress>) {
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        progress.add_bytes(bytes.len() as u64);
    }
}

/// All bytes of a content, checked; meant for small ones.
pub(crate) async fn whole(content: &Arc<dyn Content>) -> io::Result<Bytes> {
    if let Some(bytes) = content.in_memory() {
        return Ok(bytes);
    }
    let content = Arc::clone(content);
    blocking(move || {
        let mut bytes = vec![0; content.size() as usize];
        let mut reader = content.open()?;
        reader.read_exact(&mut bytes)?;
        // At its end it says whether they are what they should be.
        match reader.read(&mut [0])? {
            0 => Ok(bytes.into()),
            _ => Err(io::Error::other("there are more bytes than there should be")),
        }
    })
    .await
}

/// A content as a request body, which begins after a pause. Small ones are checked before this
/// returns; of a large one the last piece is held back until all of it is checked, so that damage
/// never gets through whole.
pub(super) async fn body(
    content: &Arc<dyn Content>,
    sent: &Arc<Sent>,
    progress: &Arc<dyn Progress>,
    pause: Duration,
) -> io::Result<reqwest::Body> {
    let pieces = if content.size() > SMALL {
        streamed(content, sent, progress).left_stream()
    } else {
        let bytes = whole(content).await?;
        sent.took(&bytes, progress);
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
    content: &Arc<dyn Content>,
    sent: &Arc<Sent>,
    progress: &Arc<dyn Progress>,
) -> impl Stream<Item = io::Result<Bytes>> + use<> {
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(2);
    let (content, failed) = (Arc::clone(content), Arc::clone(sent));
    spawn_blocking(move || {
        let read = content.open().and_then(|reader| read_ahead(reader, &sender));
        if let Err(error) = read {
            failed.fail(error);
            // The body breaks off; why is known already.
            let _ = sender.blocking_send(Err(io::Error::other("the content cannot be read")));
        }
    });
    let (sent, progress) = (Arc::clone(sent), Arc::clone(progress));
    stream::unfold(receiver, move |mut receiver| {
        let (sent, progress) = (Arc::clone(&sent), Arc::clone(&progress));
        async move {
            let piece = receiver.recv().await?;
            if let Ok(bytes) = &piece {
                sent.took(bytes, &progress);
            }
            Some((piece, receiver))
        }
    })
}

/// Sends pieces, always one behind the reading. Ends when nobody receives any more.
fn read_ahead(mut reader: impl Read, sender: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
    let mut held_back: Option<Bytes> = None;
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let read = reader.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
        if let Some(ready) = held_back.take()
            && sender.blocking_send(Ok(ready)).is_err()
        {
            return Ok(());
        }
        if read == 0 {
            return Ok(());
        }
        held_back = Some(Bytes::from(piece));
    }
}

/// Runs what waits for a disk where it holds up nothing else.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
