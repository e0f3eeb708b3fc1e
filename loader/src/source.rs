//! Where the bytes come from.

mod file;
mod pipe;

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use futures_util::future::LocalBoxFuture;
use tranship_common::bundle::{BlobId, BundleFile, Contents, Stream};

use crate::failure::Failure;
use crate::registry::Content;
use crate::transfer::stop::Stop;

/// Hands out the bytes of a bundle's manifests and blobs.
pub(crate) trait Source {
    /// The bytes of a manifest or blob, which check themselves and can be read again. They should
    /// be asked for in about the order of the bundle.
    fn blob(&self, id: BlobId) -> LocalBoxFuture<'_, Result<Arc<dyn Content>, Failure>>;

    /// Nobody will ask for this one any more.
    fn forget(&self, id: BlobId);

    /// All that was needed was handed out: looks at what is left, as far as nobody has seen it yet.
    fn finish(&self) -> LocalBoxFuture<'_, Result<(), Failure>>;
}

type Input = Box<dyn Read + Send>;

/// A bundle that is open, its catalog known.
pub(crate) enum Bundle {
    File(Arc<BundleFile>),
    Pipe(Box<Stream<Input>>),
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
    pub(crate) fn contents(&self) -> &Arc<Contents> {
        match self {
            Self::File(bundle) => bundle.contents(),
            Self::Pipe(stream) => stream.contents(),
        }
    }

    /// Whether the order in which bytes are asked for makes no difference.
    pub(crate) fn is_random(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Begins to hand out what is wanted. A pipe starts to flow now.
    pub(crate) fn into_source(
        self,
        wanted: impl IntoIterator<Item = BlobId>,
        stop: Stop,
    ) -> Box<dyn Source> {
        match self {
            Self::File(bundle) => Box::new(file::FileSource::new(bundle)),
            Self::Pipe(stream) => Box::new(pipe::PipeSource::begin(*stream, wanted, stop)),
        }
    }
}

/// Opens a bundle file that is as long as its catalog says.
pub(crate) fn open_whole(path: &Path) -> Result<BundleFile> {
    let bundle = BundleFile::open(path).with_context(|| path.display().to_string())?;
    let (size, want) = (bundle.file_size(), bundle.layout().size());
    if size < want {
        bail!("{} is cut off at byte {size} of {want}: copy it again", path.display());
    }
    Ok(bundle)
}
