//! Reads a bundle from front to back, from a file or a pipe.

use std::io::{self, Read};
use std::sync::Arc;

use super::CATALOG_NAME;
use super::contents::{CatalogError, Contents};
use super::layout::{Entry, Layout, TRAILER};
use super::tar_header::{header, padding, parse};
use crate::{Verified, VerifyError};

/// No catalog is larger (bytes): some million images. A damaged size must not fill the memory.
const MAX_CATALOG: u64 = 1 << 30;

/// Why the front of a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It does not begin as a bundle does.
    #[error(
        "this is not a bundle, or its beginning is damaged: expected the file `{want}` at byte {offset}"
    )]
    NotABundle {
        /// The file that should stand there.
        want: &'static str,
        /// Where, in bytes from the start.
        offset: u64,
    },
    /// It is a folder, a pipe or a device.
    #[error(
        "this is not a file: a bundle is one tar archive; only `loader load -` reads it from a pipe"
    )]
    NotAFile,
    /// It ends before the blobs begin.
    #[error(
        "the bundle ends at byte {0}, before its catalog is complete: it was cut off, copy it again"
    )]
    Truncated(u64),
    /// The catalog is refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A front file has not the content that goes with the catalog.
    #[error(
        "the bundle is damaged: `{name}` at byte {offset} does not fit bundle.json; copy it again"
    )]
    Damaged {
        /// The file's name.
        name: &'static str,
        /// Where its data or header begins, in bytes from the start.
        offset: u64,
    },
    /// The bundle could not be read.
    #[error("cannot read the bundle at byte {offset}")]
    Io {
        /// Where, in bytes from the start.
        offset: u64,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why an entry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Something other than the entry's bytes is damaged.
    #[error("the bundle is damaged at byte {offset}: {what}")]
    Damaged {
        /// Where, in bytes from the start.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The bundle ends here or before.
    #[error("the bundle is cut off at or before byte {offset}; copy it again")]
    CutOff {
        /// Where, in bytes from the start.
        offset: u64,
    },
    /// The entry's bytes are not what its digest says.
    #[error("the bundle is damaged at byte {offset}")]
    Blob {
        /// Where the blob begins, in bytes from the start.
        offset: u64,
        /// What is wrong with it.
        #[source]
        source: VerifyError,
    },
    /// The bundle could not be read.
    #[error("cannot read the bundle at byte {offset}")]
    Io {
        /// Where the blob begins, in bytes from the start.
        offset: u64,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl ReadError {
    /// Whether what stands behind the damage can still be read.
    #[must_use]
    pub fn can_read_on(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Blob { source, .. } => !matches!(source, VerifyError::Short { .. }),
            Self::CutOff { .. } | Self::Io { .. } => false,
        }
    }

    /// Sorts an error of reading the blob at `offset`: damage is told from a failing disk.
    #[must_use]
    pub fn from_io(offset: u64, error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<VerifyError>()) {
            Some(damage) => Self::Blob { offset, source: damage.clone() },
            None => Self::Io { offset, source: error },
        }
    }
}

/// A bundle that is read once, in order.
#[derive(Debug)]
pub struct Stream<R> {
    input: R,
    contents: Arc<Contents>,
    layout: Layout,
    next: usize,
}

impl<R: Read> Stream<R> {
    /// Reads and checks everything in front of the blobs.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(mut input: R) -> Result<Self, OpenError> {
        let mut at = 0;
        let oci_layout = front_file(&mut input, &mut at, "oci-layout", 4096)?;
        let catalog = front_file(&mut input, &mut at, CATALOG_NAME, MAX_CATALOG)?;
        let contents = Arc::new(Contents::parse(&catalog)?);
        let layout = Layout::with_catalog(&contents, catalog);

        let [expected_oci_layout, _, rest @ ..] = layout.front();
        if oci_layout != expected_oci_layout.bytes {
            return Err(OpenError::Damaged { name: "oci-layout", offset: 0 });
        }
        for file in rest {
            let offset = at;
            let damaged = || OpenError::Damaged { name: file.name, offset };
            let head = header(file.name, file.bytes.len() as u64);
            let padding = vec![0; padding(file.bytes.len() as u64) as usize];
            for want in [&head, &file.bytes, &padding] {
                if exactly(&mut input, &mut at, want.len() as u64)? != *want {
                    return Err(damaged());
                }
            }
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
        io::copy(&mut blob, &mut io::sink())
            .map_err(|source| ReadError::Io { offset: entry.offset, source })?;
        let zeros = vec![0; padding(entry.size) as usize];
        let padding = self.expect(entry.offset + entry.size, &zeros, "the padding is not zero");
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
        let mut got = vec![0; want.len()];
        match self.input.read_exact(&mut got) {
            Ok(()) if got == want => Ok(()),
            Ok(()) => Err(ReadError::Damaged { offset, what }),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(ReadError::CutOff { offset })
            }
            Err(source) => Err(ReadError::Io { offset, source }),
        }
    }
}

/// Reads a front file of a name that is known and a size that is not.
fn front_file(
    input: &mut impl Read,
    at: &mut u64,
    want: &'static str,
    max: u64,
) -> Result<Vec<u8>, OpenError> {
    let offset = *at;
    let not_a_bundle = || OpenError::NotABundle { want, offset };
    let block: [u8; 512] = exactly(input, at, 512)?.try_into().map_err(|_| not_a_bundle())?;
    let (_, size) = parse(&block)
        .filter(|(name, size)| name == want && *size <= max)
        .ok_or_else(not_a_bundle)?;
    let bytes = exactly(input, at, size)?;
    let zeros = exactly(input, at, padding(size))?;
    if zeros.iter().any(|byte| *byte != 0) {
        return Err(OpenError::Damaged { name: want, offset });
    }
    Ok(bytes)
}

fn exactly(input: &mut impl Read, at: &mut u64, size: u64) -> Result<Vec<u8>, OpenError> {
    let mut bytes = Vec::new();
    let read = input
        .by_ref()
        .take(size)
        .read_to_end(&mut bytes)
        .map_err(|source| OpenError::Io { offset: *at, source })?;
    *at += read as u64;
    if (read as u64) < size { Err(OpenError::Truncated(*at)) } else { Ok(bytes) }
}
