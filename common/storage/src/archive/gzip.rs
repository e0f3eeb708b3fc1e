//! A gzip file: one member after another (RFC 1952), as pigz and `cat` make them, and zeros behind
//! the last, as tapes do.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// The first byte of a member.
const MAGIC: u8 = 0x1f;

/// What the members of a gzip file hold. Each one's checksum and length are held against what
/// came out of it.
pub(super) struct Gzip<R> {
    state: State<R>,
}

enum State<R> {
    Member(Box<GzDecoder<R>>),
    Between(R),
    /// An error has been returned.
    Broken,
}

impl<R: BufRead> Gzip<R> {
    /// At the front of the file.
    pub(super) fn new(reader: R) -> Self {
        Self { state: State::Member(Box::new(GzDecoder::new(reader))) }
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.state, State::Broken) {
                State::Member(mut member) => match member.read(buffer)? {
                    0 => self.state = State::Between(member.into_inner()),
                    read => {
                        self.state = State::Member(member);
                        return Ok(read);
                    }
                },
                State::Between(mut reader) => {
                    let ahead = reader.fill_buf()?;
                    let zeros = ahead.iter().take_while(|byte| **byte == 0).count();
                    let (is_end, next) = (ahead.is_empty(), ahead.get(zeros).copied());
                    reader.consume(zeros);
                    self.state = match next {
                        None => State::Between(reader),
                        Some(MAGIC) => State::Member(Box::new(GzDecoder::new(reader))),
                        Some(_) => {
                            let text = "what follows a whole member is none";
                            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                        }
                    };
                    if is_end {
                        return Ok(0);
                    }
                }
                State::Broken => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }
}
