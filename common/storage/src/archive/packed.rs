//! A compressed archive, which is read in passes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use tranship_common::limits::MAX_MANIFEST;
use tranship_common::{Digest, Manifest, ManifestError, Progress, ReadAt, Silent, VerifyError};

use super::collect::Span;
use super::decompress::Decompressed;
use super::format::Format;
use super::index::Index;
use super::indexed;
use super::input::Input;
use crate::problem::{Problem, SourceError};
use crate::source::{BlobReader, Passing};

/// A compressed archive, with what the manifests in it say, which was seen in the first pass.
#[derive(Debug)]
pub(super) struct Packed {
    stream: Stream,
    index: Arc<Index>,
    manifests: HashMap<Digest, Seen>,
}

/// A manifest that has passed by, or why what is called one is none. Boxed, since there are some for
/// a short time that are thrown away.
type Seen = Result<Box<Manifest>, Box<Problem>>;

/// A compressed file.
#[derive(Debug)]
struct Stream {
    file: Arc<File>,
    format: Format,
}

impl Stream {
    /// Unpacks it from its front.
    fn unpacked<'a>(&self, progress: &'a dyn Progress) -> io::Result<Decompressed<'a>> {
        Decompressed::new(ReadAt::new(self.file.clone(), 0), self.format, progress)
    }
}

impl Packed {
    /// Passes through an archive for the first time.
    pub(super) fn read(
        file: Arc<File>,
        format: Format,
        archive: &str,
        progress: &dyn Progress,
    ) -> Result<Self, SourceError> {
        let stream = Stream { file, format };
        let mut manifests = HashMap::new();
        let mut buffer = Vec::new();
        let mut witness = |digest, size, bytes: &mut dyn Read| {
            if size > MAX_MANIFEST {
                return Ok(());
            }
            buffer.clear();
            bytes.read_to_end(&mut buffer)?;
            if let Some(seen) = seen(digest, &buffer) {
                manifests.insert(digest, seen);
            }
            Ok(())
        };
        let unpacked = |progress| stream.unpacked(progress);
        let index = indexed(archive, unpacked, &mut witness, progress)?;
        // Why a config is no manifest is never asked.
        let revisions = index.revisions();
        manifests.retain(|digest, seen| seen.is_ok() || revisions.contains(digest));
        manifests.shrink_to_fit();
        Ok(Self { stream, index: Arc::new(index), manifests })
    }

    /// What is where in it.
    pub(super) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// A manifest, where it was seen.
    pub(super) fn manifest(&self, digest: Digest, size: u64) -> Option<Result<Manifest, Problem>> {
        if size > MAX_MANIFEST {
            return Some(Err(ManifestError::TooLarge(size).into()));
        }
        let seen = self.manifests.get(&digest)?.as_ref();
        Some(seen.map(|manifest| (**manifest).clone()).map_err(|problem| (**problem).clone()))
    }

    /// Opens the bytes of one member, by a pass through all that stands before them.
    pub(super) fn open(&self, span: Span) -> io::Result<BlobReader<'_>> {
        let mut unpacked = self.stream.unpacked(&Silent)?;
        unpacked.pass_over(span.offset)?;
        Ok(Box::new(unpacked.take(span.size)))
    }
}

/// What a blob is as a manifest; `None` for a sound layer, of which there are many.
fn seen(digest: Digest, bytes: &[u8]) -> Option<Seen> {
    let manifest = Manifest::parse(bytes);
    let got = manifest.as_ref().map_or_else(|_| Digest::of(bytes), Manifest::digest);
    if got != digest {
        return Some(Err(Box::new(VerifyError::Digest { want: digest, got }.into())));
    }
    match manifest {
        Ok(manifest) => Some(Ok(Box::new(manifest))),
        Err(error) if bytes.trim_ascii_start().starts_with(b"{") => {
            Some(Err(Box::new(error.into())))
        }
        Err(_) => None,
    }
}

impl Passing for Packed {
    fn pass(
        &self,
        is_wanted: &dyn Fn(Digest) -> bool,
        take: &mut dyn FnMut(Digest, &mut dyn Read) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut wanted: Vec<_> = self.index.spans().filter(|(blob, _)| is_wanted(*blob)).collect();
        wanted.sort_unstable_by_key(|(_, span)| span.offset);
        let mut unpacked = self.stream.unpacked(&Silent)?;
        let mut at = 0;
        for (blob, span) in wanted {
            // No two blobs have the same bytes, so the next begins where this one ends or later.
            pass_over(&mut unpacked, span.offset - at)?;
            let mut bytes = unpacked.by_ref().take(span.size);
            take(blob, &mut bytes)?;
            let unread = bytes.limit();
            pass_over(&mut unpacked, unread)?;
            at = span.offset + span.size;
        }
        Ok(())
    }
}

fn pass_over(unpacked: &mut Decompressed<'_>, count: u64) -> io::Result<()> {
    match unpacked.pass_over(count)? == count {
        true => Ok(()),
        false => {
            let text = "the archive ends before what was found in it: it has been changed";
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
        }
    }
}
