//! What a compressed archive unpacks to, on a thread of its own, so that unpacking and what is
//! done with the bytes go side by side.

use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use tranship_common::Progress;
use zstd::stream::read::Decoder;

use super::format::Format;
use super::gzip::Gzip;
use super::input::Input;

/// Bytes come from the thread in pieces of this many.
const PIECE: usize = 256 << 10;

/// Pieces that may wait. Together with their size this bounds the memory to 1 MiB.
const PIECES_AHEAD: usize = 3;

/// So much of the file is read at once (bytes).
const BUFFER: usize = 64 << 10;

/// What an archive unpacks to, from front to back.
pub(super) struct Decompressed<'a> {
    pieces: Receiver<Piece>,
    /// Buffers that the thread can fill again.
    spent: Sender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
    state: State,
    progress: &'a dyn Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    GoesOn,
    Ended,
    Failed,
}

enum Piece {
    /// Bytes, and how many of the file were taken in for them.
    Bytes(Vec<u8>, u64),
    End,
    Failure(io::Error),
}

impl<'a> Decompressed<'a> {
    /// Begins to unpack. The progress is that through the packed bytes.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn new(
        reader: impl Read + Send + 'static,
        format: Format,
        progress: &'a dyn Progress,
    ) -> io::Result<Self> {
        let (sender, pieces) = sync_channel(PIECES_AHEAD);
        let (spent, buffers) = channel();
        let unpack = move || {
            let outcome = unpack(reader, format, &sender, &buffers);
            // Nobody receives any more when the reader has been given up.
            let _ = sender.send(outcome.map_or_else(Piece::Failure, |()| Piece::End));
        };
        thread::Builder::new().name("unpack".into()).spawn(unpack)?;
        Ok(Self { pieces, spent, piece: Vec::new(), at: 0, state: State::GoesOn, progress })
    }

    /// The bytes at hand, more of them if there were none. Empty at the end.
    fn ahead(&mut self) -> io::Result<&[u8]> {
        if self.at == self.piece.len() && self.state == State::GoesOn {
            // Received by nobody when the thread has ended.
            let _ = self.spent.send(std::mem::take(&mut self.piece));
            self.at = 0;
            match self.pieces.recv() {
                Ok(Piece::Bytes(bytes, taken_in)) => {
                    self.piece = bytes;
                    self.progress.add_bytes(taken_in);
                }
                Ok(Piece::End) => self.state = State::Ended,
                Ok(Piece::Failure(error)) => {
                    self.state = State::Failed;
                    return Err(error);
                }
                // The thread is gone without a word.
                Err(_) => self.state = State::Failed,
            }
        }
        match self.state {
            State::Failed => Err(io::Error::other("unpacking has failed")),
            State::GoesOn | State::Ended => Ok(&self.piece[self.at..]),
        }
    }
}

impl Read for Decompressed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ahead = self.ahead()?;
        let read = ahead.len().min(buffer.len());
        buffer[..read].copy_from_slice(&ahead[..read]);
        self.at += read;
        Ok(read)
    }
}

impl Input for Decompressed<'_> {
    fn pass_over(&mut self, count: u64) -> io::Result<u64> {
        let mut left = count;
        while left > 0 {
            let ahead = self.ahead()?.len();
            if ahead == 0 {
                break;
            }
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(ahead);
            self.at += step;
            left -= step as u64;
        }
        Ok(count - left)
    }
}

/// Sends piece after piece, until all is sent or nobody wants more.
fn unpack(
    reader: impl Read + Send + 'static,
    format: Format,
    sender: &SyncSender<Piece>,
    buffers: &Receiver<Vec<u8>>,
) -> io::Result<()> {
    let count = Rc::new(Cell::new(0));
    let counted = Counted { reader, count: count.clone() };
    let buffered = BufReader::with_capacity(BUFFER, counted);
    let mut unpacked: Box<dyn Read> = match format {
        Format::Tar => Box::new(buffered),
        Format::Gzip => Box::new(Gzip::new(buffered)),
        Format::Zstd => Box::new(Decoder::with_buffer(buffered)?),
    };
    let mut before = 0;
    loop {
        let mut bytes = buffers.try_recv().unwrap_or_default();
        bytes.clear();
        bytes.reserve(PIECE);
        let read = unpacked.by_ref().take(PIECE as u64).read_to_end(&mut bytes);
        read.map_err(|error| explained(error, format, count.get()))?;
        let taken_in = count.get() - before;
        before += taken_in;
        if bytes.is_empty() || sender.send(Piece::Bytes(bytes, taken_in)).is_err() {
            return Ok(());
        }
    }
}

/// Counts the bytes that are read.
struct Counted<R> {
    reader: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

/// What an error of unpacking means.
fn explained(error: io::Error, format: Format, at: u64) -> io::Error {
    let name = match format {
        // The disk's own words.
        _ if error.raw_os_error().is_some() => return error,
        Format::Tar => return error,
        Format::Gzip => "gzip",
        Format::Zstd => "Zstandard",
    };
    let text = if error.kind() == io::ErrorKind::UnexpectedEof {
        format!("its {name} data are cut off at byte {at}, the end of the file: copy it again")
    } else if error.to_string().contains("too much memory") {
        "it was compressed with a window of more than 128 MiB; unpack it on the way, with \
         `zstd -dc --long=31 FILE | packer … --storage -`"
            .into()
    } else {
        format!("its {name} data are damaged before byte {at} ({error}): copy it again")
    };
    io::Error::other(text)
}

#[cfg(test)]
mod tests {
    use tranship_common::Silent;

    use super::*;

    /// Reads a while, and panics.
    struct Panics(usize);

    impl Read for Panics {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).expect("this panic belongs to a test");
            Ok(buffer.len())
        }
    }

    #[test]
    fn a_thread_that_is_gone_is_no_end() {
        let mut unpacked = Decompressed::new(Panics(100), Format::Tar, &Silent).unwrap();
        let mut bytes = Vec::new();
        let error = unpacked.read_to_end(&mut bytes).unwrap_err();
        assert_eq!(error.to_string(), "unpacking has failed");
        assert!(unpacked.read(&mut [0]).is_err(), "it is no end later either");
    }
}
