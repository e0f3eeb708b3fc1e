//! A bundle file, read at random.

use std::io::{self, Read};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use tranship_common::bundle::{BlobId, BundleFile, Entry, ReadError};

use super::Source;
use crate::failure::Failure;
use crate::registry::Content;

/// A bundle file.
pub(super) struct FileSource(Arc<BundleFile>);

impl FileSource {
    pub(super) fn new(bundle: Arc<BundleFile>) -> Self {
        Self(bundle)
    }
}

impl Source for FileSource {
    fn blob(&self, id: BlobId) -> LocalBoxFuture<'_, Result<Arc<dyn Content>, Failure>> {
        let content = match self.0.layout().entry(id) {
            Some(entry) => {
                let content: Arc<dyn Content> = Arc::new(InBundle(Arc::clone(&self.0), entry));
                Ok(content)
            }
            None => Err(Failure::of_bytes("the bundle does not list it")),
        };
        ready(content).boxed_local()
    }

    fn forget(&self, _id: BlobId) {}

    fn finish(&self) -> LocalBoxFuture<'_, Result<(), Failure>> {
        ready(Ok(())).boxed_local()
    }
}

/// An entry of a bundle file.
struct InBundle(Arc<BundleFile>, Entry);

impl Content for InBundle {
    fn size(&self) -> u64 {
        self.1.size
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(Placed { bytes: self.0.reader(self.1), offset: self.1.offset }))
    }
}

/// A reader whose errors tell where in the bundle they are.
struct Placed<R> {
    bytes: R,
    offset: u64,
}

impl<R: Read> Read for Placed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => io::Error::other(ReadError::from_io(self.offset, error)),
        })
    }
}
