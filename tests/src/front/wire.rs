//! A connection that can be made to end in the middle of an answer, or behind it.

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Both directions of a connection, encrypted or not.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// How a connection is to end.
#[derive(Debug)]
pub(super) struct Ending {
    /// So many bytes may still be written.
    left: AtomicU64,
    /// No further request is read.
    deaf: AtomicBool,
}

impl Ending {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(u64::MAX), deaf: AtomicBool::new(false) })
    }

    /// Breaks the connection once so many bytes more were written.
    pub(super) fn after_bytes(&self, bytes: u64) {
        self.left.store(bytes, Ordering::SeqCst);
    }

    /// Closes the connection behind the answer that is to be written.
    pub(super) fn after_answer(&self) {
        self.deaf.store(true, Ordering::SeqCst);
    }
}

/// A connection with a way to end it.
pub(super) struct Wire {
    pub(super) stream: Box<dyn Duplex>,
    pub(super) ending: Arc<Ending>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        if self.ending.deaf.load(Ordering::SeqCst) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let left = self.ending.left.load(Ordering::SeqCst);
        if left == 0 {
            return Poll::Ready(Err(Error::from(ErrorKind::ConnectionReset)));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let written = Pin::new(&mut self.stream).poll_write(context, &bytes[..most]);
        if let Poll::Ready(Ok(written)) = &written
            && left < u64::MAX
        {
            self.ending.left.store(left - *written as u64, Ordering::SeqCst);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
