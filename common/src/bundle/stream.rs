//! Reads a bundle from front to back, from a file or a pipe.

use std::io::{self, Read, Write};
use std::sync::Arc;

use super::contents::Contents;
use super::front::{Front, FrontFile, OCI_LAYOUT};
use super::input::{Comparing, Input};
use super::layout::{Entry, Layout, TRAILER};
use super::read_error::{OpenError, ReadError};
use super::tar_header::{padding, parse, zeros};
use crate::Verified;

/// A bundle that is read once, in order.
#[derive(Debug)]
pub struct Stream<R> {
    input: Input<R>,
    contents: Arc<Contents>,
    layout: Layout,
    next: usize,
}

impl<R: Read> Stream<R> {
    /// Reads and checks everything in front of the blobs.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(input: R) -> Result<Self, OpenError> {
        let mut input = Input::new(input);
        let damaged = |file: FrontFile, offset| OpenError::Damaged { name: file.name(), offset };
        let size = front_header(&mut input, FrontFile::OciLayout)?;
        let is_sound = size == OCI_LAYOUT.len() as u64
            && input.is_next(OCI_LAYOUT)?
            && input.is_next(zeros(padding(size)))?;
        if !is_sound {
            return Err(damaged(FrontFile::OciLayout, 0));
        }
        let offset = input.at();
        let size = front_header(&mut input, FrontFile::Catalog)?;
        let contents = Arc::new(Contents::read(&mut input, size)?);
        if !input.is_next(zeros(padding(size)))? {
            return Err(damaged(FrontFile::Catalog, offset));
        }
        let layout = Layout::new(&contents);
        for file in [FrontFile::ImageIndex, FrontFile::Checksums] {
            expect_front(&mut input, file, &contents, layout.front())?;
        }
        Ok(Self { input, contents, layout, next: 0 })
    }

    /// What the bundle holds.
    #[must_use]
    pub fn contents(&self) -> &Arc<Contents> {
        &self.contents
    }

    /// Where everything is.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The catalog's view and the layout, for who reads the bundle's bytes elsewhere.
    #[must_use]
    pub fn into_parts(self) -> (Arc<Contents>, Layout) {
        (self.contents, self.layout)
    }

    /// Hands the next entry's bytes to `take`, which must read to the end, or `None` at the end of
    /// the archive. What `take` has seen is good only when this returns without an error. After an
    /// error that [can be read on](ReadError::can_read_on) from, the entry behind it comes next.
    ///
    /// # Errors
    /// [`ReadError`] when the bundle is damaged, cut off or cannot be read.
    pub fn next_entry<T>(
        &mut self,
        take: impl FnOnce(Entry, &mut dyn Read) -> io::Result<T>,
    ) -> Result<Option<T>, ReadError> {
        let Some(&entry) = self.layout.entries().get(self.next) else {
            self.expect_end()?;
            return Ok(None);
        };
        self.next += 1;
        let what = "the tar header is wrong";
        let header = match self.expect(entry.header_offset, &entry.header(), what) {
            Err(error) if !error.can_read_on() => return Err(error),
            other => other,
        };
        let mut blob = (&mut self.input).take(entry.size);
        let mut verified = Verified::new(&mut blob, entry.digest, entry.size);
        let taken = take(entry, &mut verified);
        let drained = io::copy(&mut blob, &mut io::sink());
        let is_complete = blob.limit() == 0;
        let at = self.input.at();
        drained.map_err(|source| ReadError::Io { offset: at, source })?;
        if !is_complete {
            return Err(ReadError::CutOff { offset: at });
        }
        let (end, padding) = (entry.offset + entry.size, zeros(padding(entry.size)));
        let padding = self.expect(end, padding, "the padding is not zero");
        let taken = taken.map_err(|error| ReadError::from_io(entry.offset, error))?;
        header.and(padding).map(|()| Some(taken))
    }

    fn expect_end(&mut self) -> Result<(), ReadError> {
        let offset = self.layout.size() - TRAILER;
        self.expect(offset, &[0; TRAILER as usize], "the end of the archive is not zero")?;
        let source = |source| ReadError::Io { offset: self.layout.size(), source };
        match self.input.read(&mut [0]).map_err(source)? {
            0 => Ok(()),
            _ => Err(ReadError::Damaged {
                offset: self.layout.size(),
                what: "there are bytes behind the end of the archive",
            }),
        }
    }

    fn expect(&mut self, offset: u64, want: &[u8], what: &'static str) -> Result<(), ReadError> {
        match self.input.is_next(want)? {
            true => Ok(()),
            false => Err(ReadError::Damaged { offset, what }),
        }
    }
}

/// Reads the header of a front file and returns the size that it announces.
fn front_header(input: &mut Input<impl Read>, file: FrontFile) -> Result<u64, OpenError> {
    let (want, offset) = (file.name(), input.at());
    let block = input.block()?;
    parse(&block)
        .filter(|(name, _)| name == want)
        .map(|(_, size)| size)
        .ok_or(OpenError::NotABundle { want, offset })
}

/// Reads a front file that follows from the catalog: it must be exactly as we would write it.
fn expect_front(
    input: &mut Input<impl Read>,
    file: FrontFile,
    contents: &Contents,
    front: &Front,
) -> Result<(), OpenError> {
    let damaged = OpenError::Damaged { name: file.name(), offset: input.at() };
    let mut comparing = Comparing::new(input);
    let written = comparing
        .write_all(&front.header(file))
        .and_then(|()| front.write_content(file, contents, &mut comparing))
        .and_then(|()| comparing.write_all(zeros(padding(front.measure(file).size))));
    match (written, comparing.into_failure()) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(error)) => Err(error.into()),
        (Err(_), None) => Err(damaged),
    }
}
