//! Finds all that is wrong in a bundle.

use std::io::Read;

use serde::Serialize;

use super::PIECE;
use super::catalog::ManifestEntry;
use super::file::BundleFile;
use super::layout::{Entry, TRAILER};
use super::read_error::ReadError;
use super::tar_header::padding;
use crate::{Digest, Progress};

/// Something that is wrong in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where, in bytes from the start of the bundle.
    pub offset: u64,
    /// The manifest or blob concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What is wrong.
    pub what: String,
    /// The images that it breaks, as `REPOSITORY:TAG`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}

/// Everything that is wrong with one entry: header, bytes, references, padding.
type EntryFindings = Vec<Finding>;

/// Checks every byte of a bundle whose front is sound, and returns all findings by offset.
///
/// `each_entry` runs the check of one entry for all of them; it may do so in parallel.
pub fn verify(
    bundle: &BundleFile,
    progress: &dyn Progress,
    each_entry: impl FnOnce(&[Entry], &(dyn Fn(&Entry) -> EntryFindings + Sync)) -> Vec<EntryFindings>,
) -> Vec<Finding> {
    let entries = bundle.layout().entries();
    progress.begin("verifying", entries.iter().map(|entry| entry.size).sum(), 0);
    let check = |entry: &Entry| entry_findings(bundle, *entry, progress);
    let mut findings: Vec<_> = each_entry(entries, &check).into_iter().flatten().collect();
    findings.extend(end_findings(bundle));
    findings.sort_by_key(|finding| finding.offset);
    findings
}

fn entry_findings(bundle: &BundleFile, entry: Entry, progress: &dyn Progress) -> EntryFindings {
    let mut findings = Vec::new();
    let mut found = |offset, what: String| {
        let images = bundle.contents().images_with(entry.digest);
        findings.push(Finding { offset, digest: Some(entry.digest), what, images });
    };
    let end = entry.offset + entry.size;
    if end > bundle.file_size() {
        let cut =
            format!("the bundle ends at byte {}, inside or before this blob", bundle.file_size());
        found(entry.offset, cut);
        return findings;
    }
    match bundle.raw(entry.header_offset, entry.offset - entry.header_offset) {
        Ok(header) if header == entry.header() => {}
        Ok(_) => found(entry.header_offset, "the tar header is not the expected one".into()),
        Err(error) => found(entry.header_offset, format!("cannot be read: {error}")),
    }
    if let Some(manifest) = bundle.contents().manifest(entry.digest) {
        if let Err(what) = check_manifest(bundle, entry, manifest) {
            found(entry.offset, what);
        }
        progress.add_bytes(entry.size);
    } else if let Err(what) = check_blob(bundle, entry, progress) {
        found(entry.offset, what);
    }
    match bundle.raw(end, padding(entry.size)) {
        Ok(bytes) if bytes.len() as u64 == padding(entry.size) && all_zero(&bytes) => {}
        Ok(_) => found(end, "the padding is not zero".into()),
        Err(error) => found(end, format!("cannot be read: {error}")),
    }
    findings
}

fn check_blob(bundle: &BundleFile, entry: Entry, progress: &dyn Progress) -> Result<(), String> {
    let mut reader = bundle.reader(entry);
    let mut piece = vec![0; PIECE.min(entry.size as usize + 1)];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => progress.add_bytes(read as u64),
            Err(error) => return Err(in_words(&ReadError::from_io(entry.offset, error))),
        }
    }
}

fn check_manifest(bundle: &BundleFile, entry: Entry, listed: &ManifestEntry) -> Result<(), String> {
    let raw = bundle.read(entry).map_err(|error| in_words(&error))?;
    listed.check(raw).map_err(|error| error.to_string())
}

/// The last link of the chain: what happened, without where.
fn in_words(error: &ReadError) -> String {
    match error {
        ReadError::Blob { source, .. } => source.to_string(),
        ReadError::Io { source, .. } => format!("cannot be read: {source}"),
        ReadError::Damaged { what, .. } => (*what).to_owned(),
        ReadError::CutOff { .. } => "the bundle is cut off".to_owned(),
    }
}

fn all_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn end_findings(bundle: &BundleFile) -> Vec<Finding> {
    let size = bundle.layout().size();
    let found = |offset, what: String| Finding { offset, digest: None, what, images: Vec::new() };
    let mut findings = Vec::new();
    let trailer = bundle.raw(size - TRAILER, TRAILER).unwrap_or_default();
    if bundle.file_size() < size {
        let what = format!("the bundle is cut off: it has {} of {size} bytes", bundle.file_size());
        findings.push(found(bundle.file_size(), what));
    } else if trailer.len() as u64 != TRAILER || !all_zero(&trailer) {
        findings.push(found(size - TRAILER, "the end of the archive is not zero".into()));
    }
    if bundle.file_size() > size {
        let what =
            format!("{} bytes stand behind the end of the archive", bundle.file_size() - size);
        findings.push(found(size, what));
    }
    findings
}
