//! The bytes of an object, which go on where they stopped when the connection breaks.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectMeta, ObjectStore};
use tokio::runtime::Runtime;

use super::failure::{Failure, explained};
use super::patience::{Patience, Tries};

/// A connection that brings so many bytes before it breaks (bytes) is one that works: what was
/// tried before is forgotten.
const PROGRESS: u64 = 64 << 10;

/// An object on its way.
pub(super) struct Download {
    store: Arc<dyn ObjectStore>,
    object: ObjectMeta,
    stream: Option<BoxStream<'static, object_store::Result<Bytes>>>,
    /// What has come (bytes).
    offset: u64,
    /// What had come when this connection was made.
    resumed: u64,
    tries: Tries,
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Download");
        shown.field("object", &self.object).field("offset", &self.offset).finish_non_exhaustive()
    }
}

impl Download {
    /// Asks for an object.
    pub(super) async fn begin(
        store: &Arc<dyn ObjectStore>,
        key: &Path,
        patience: Patience,
    ) -> object_store::Result<Self> {
        let answer = store.get_opts(key, GetOptions::default()).await?;
        Ok(Self {
            store: Arc::clone(store),
            object: answer.meta.clone(),
            stream: Some(answer.into_stream()),
            offset: 0,
            resumed: 0,
            tries: patience.begin(),
        })
    }

    /// What the store says of the object.
    pub(super) fn object(&self) -> &ObjectMeta {
        &self.object
    }

    /// The next bytes, none at the end.
    pub(super) async fn piece(&mut self) -> io::Result<Bytes> {
        while self.offset < self.object.size {
            let mut stream = match self.stream.take() {
                Some(stream) => stream,
                None => self.resume().await?,
            };
            let failure = match stream.next().await {
                Some(Ok(piece)) => {
                    self.stream = Some(stream);
                    self.offset += piece.len() as u64;
                    return Ok(piece);
                }
                Some(Err(error)) => Failure::Cut(error.to_string()),
                None => Failure::Cut("the object ended too early".to_owned()),
            };
            if self.offset - self.resumed >= PROGRESS {
                self.tries.progressed();
            }
            match self.tries.pause(&failure) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(io::Error::other(failure.advised())),
            }
        }
        Ok(Bytes::new())
    }

    /// Asks for the rest, of the same object.
    async fn resume(&mut self) -> io::Result<BoxStream<'static, object_store::Result<Bytes>>> {
        let changed = || io::Error::other("the object was changed while it was read");
        let options = GetOptions {
            range: Some(GetRange::Offset(self.offset)),
            if_match: self.object.e_tag.clone(),
            ..GetOptions::default()
        };
        let rest = match self.store.get_opts(&self.object.location, options).await {
            Ok(rest) => rest,
            Err(Error::Precondition { .. }) => return Err(changed()),
            // Deleted while it was read.
            Err(Error::NotFound { .. }) => return Err(io::ErrorKind::NotFound.into()),
            Err(error) => return Err(io::Error::other(explained(&error))),
        };
        if rest.meta.e_tag != self.object.e_tag || rest.meta.size != self.object.size {
            return Err(changed());
        }
        self.resumed = self.offset;
        Ok(rest.into_stream())
    }
}

/// Reads an object.
#[derive(Debug)]
pub(super) struct ObjectReader<'a> {
    runtime: &'a Runtime,
    download: Download,
    piece: Bytes,
}

impl<'a> ObjectReader<'a> {
    /// Reads what is on its way.
    pub(super) fn new(runtime: &'a Runtime, download: Download) -> Self {
        Self { runtime, download, piece: Bytes::new() }
    }
}

impl Read for ObjectReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.piece.is_empty() {
            self.piece = self.runtime.block_on(self.download.piece())?;
        }
        let length = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
