//! Finds all that is wrong in a bundle.

use std::io::Read;

use super::PIECE;
use super::blob_id::BlobId;
use super::catalog::ManifestEntry;
use super::file::BundleFile;
use super::finding::{Finding, FindingKind};
use super::first_use::{FirstUse, Misplaced};
use super::layout::{Entry, TRAILER};
use super::read_error::ReadError;
use super::tar_header::padding;
use super::users::Users;
use crate::{Manifest, Progress};

/// What the check of one entry has brought to light.
#[derive(Debug, Default)]
pub struct EntryCheck {
    /// What is wrong with header, bytes, references and padding, each with its offset.
    damage: Vec<(u64, String)>,
    /// A manifest's config, where the manifest could be read, has one, and the bundle holds it.
    config: Option<BlobId>,
}

/// Checks every byte of a bundle whose front is sound, and returns all findings by offset.
///
/// `each_entry` runs the check of one entry for all that it is given, and returns the outcomes in
/// the same order; it may run them in parallel.
pub fn verify(
    bundle: &BundleFile,
    progress: &dyn Progress,
    each_entry: impl FnOnce(&[Entry], &(dyn Fn(&Entry) -> EntryCheck + Sync)) -> Vec<EntryCheck>,
) -> Vec<Finding> {
    let entries = bundle.layout().entries();
    let end = |entry: &Entry| entry.offset + entry.size;
    let (there, cut) =
        entries.split_at(entries.partition_point(|entry| end(entry) <= bundle.file_size()));
    progress.begin("verifying", there.iter().map(|entry| entry.size).sum(), 0);
    let checks = each_entry(there, &|entry| check_entry(bundle, *entry, progress));

    let mut findings = catalog_findings(bundle, &checks);
    findings.extend(end_damage(bundle));
    let is_damaged = |(_, check): &(&Entry, EntryCheck)| !check.damage.is_empty();
    let mut damaged = there.iter().zip(checks).filter(is_damaged).peekable();
    let is_cut = bundle.file_size() < bundle.layout().size();
    if damaged.peek().is_some() || is_cut {
        let users = Users::new(bundle.contents());
        for (entry, check) in damaged {
            let images = users.needing([entry.id]);
            let finding = |(offset, what)| Finding {
                kind: FindingKind::Damaged,
                offset,
                digest: Some(entry.digest),
                what,
                images: images.clone(),
            };
            findings.extend(check.damage.into_iter().map(finding));
        }
        if is_cut {
            findings.push(cut_off(bundle, users.needing(cut.iter().map(|entry| entry.id))));
        }
    }
    findings.sort_by_key(|finding| finding.offset);
    findings
}

fn check_entry(bundle: &BundleFile, entry: Entry, progress: &dyn Progress) -> EntryCheck {
    let mut check = EntryCheck::default();
    let mut found = |offset, what: String| check.damage.push((offset, what));
    match bundle.raw(entry.header_offset, entry.offset - entry.header_offset) {
        Ok(header) if header == entry.header() => {}
        Ok(_) => found(entry.header_offset, "the tar header is not the expected one".into()),
        Err(error) => found(entry.header_offset, format!("cannot be read: {error}")),
    }
    if let Some(listed) = bundle.contents().manifest_by_id(entry.id) {
        match check_manifest(bundle, entry, listed) {
            Ok(config) => check.config = config,
            Err(what) => found(entry.offset, what),
        }
        progress.add_bytes(entry.size);
    } else if let Err(what) = check_blob(bundle, entry, progress) {
        found(entry.offset, what);
    }
    let end = entry.offset + entry.size;
    match bundle.raw(end, padding(entry.size)) {
        Ok(bytes) if all_zero(&bytes) => {}
        Ok(_) => found(end, "the padding is not zero".into()),
        Err(error) => found(end, format!("cannot be read: {error}")),
    }
    check
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

/// Returns the manifest's config, if it has one that the bundle holds.
fn check_manifest(
    bundle: &BundleFile,
    entry: Entry,
    listed: &ManifestEntry,
) -> Result<Option<BlobId>, String> {
    let raw = bundle.read(entry).map_err(|error| in_words(&error))?;
    let manifest = Manifest::parse(&raw).map_err(|error| error.to_string())?;
    listed.check_manifest(&manifest).map_err(|error| error.to_string())?;
    Ok(manifest.config().and_then(|config| bundle.contents().id(config.digest)))
}

/// The last link of the chain: what happened, without where.
fn in_words(error: &ReadError) -> String {
    match error {
        ReadError::Blob { source, .. } => source.to_string(),
        ReadError::Io { source, .. } => format!("cannot be read: {source}"),
        ReadError::Damaged { what, .. } => (*what).to_owned(),
        ReadError::CutOff { .. } => "the bundle became shorter while it was read".to_owned(),
    }
}

/// What the catalog lists without need or out of order, though each of its references is sound.
fn catalog_findings(bundle: &BundleFile, checks: &[EntryCheck]) -> Vec<Finding> {
    let contents = bundle.contents();
    let first_use = FirstUse::new(contents);
    let finding = |kind, id: BlobId, what| Finding {
        kind,
        offset: bundle.layout().entries()[id.index()].offset,
        digest: Some(contents.entry(id).digest),
        what,
        images: Vec::new(),
    };
    let added = first_use.unused().map(|id| {
        let is_manifest = contents.manifest_by_id(id).is_some();
        let noun = if is_manifest { "manifest" } else { "blob" };
        finding(FindingKind::Added, id, format!("nothing leads to this {noun}"))
    });
    // Where a manifest cannot be read, nobody knows which of its blobs is the config.
    let manifests = checks.get(..contents.catalog().manifests.len());
    let manifests = manifests.filter(|checks| checks.iter().all(|check| check.damage.is_empty()));
    let blob =
        manifests.and_then(|checks| first_use.misplaced_blob(|id| checks[id.index()].config));
    let misplaced = [first_use.misplaced_manifest(), blob].into_iter().flatten();
    let misplaced = misplaced.map(|Misplaced { id, instead }| {
        let instead = contents.entry(instead).digest;
        let what = format!("out of the order of first use: {instead} belongs here");
        finding(FindingKind::Misplaced, id, what)
    });
    added.chain(misplaced).collect()
}

/// One finding, however much is missing.
fn cut_off(bundle: &BundleFile, images: Vec<String>) -> Finding {
    let offset = bundle.file_size();
    let all = bundle.contents().image_count();
    // A referrer's name has no tag.
    let count = images.iter().filter(|name| !name.contains('@')).count();
    let what = format!(
        "the bundle is cut off at byte {offset}: copy it again; {count} of {all} images need what \
         is missing"
    );
    Finding { kind: FindingKind::CutOff, offset, digest: None, what, images }
}

/// What is wrong with the end of the archive, and behind it, where the bundle is long enough.
fn end_damage(bundle: &BundleFile) -> Vec<Finding> {
    let size = bundle.layout().size();
    let mut findings = Vec::new();
    let mut found = |offset, what| {
        let (kind, images) = (FindingKind::Damaged, Vec::new());
        findings.push(Finding { kind, offset, digest: None, what, images });
    };
    if bundle.file_size() >= size {
        match bundle.raw(size - TRAILER, TRAILER) {
            Ok(trailer) if all_zero(&trailer) => {}
            Ok(_) => found(size - TRAILER, "the end of the archive is not zero".to_owned()),
            Err(error) => found(size - TRAILER, format!("cannot be read: {error}")),
        }
    }
    if bundle.file_size() > size {
        let more = bundle.file_size() - size;
        found(size, format!("{more} bytes stand behind the end of the archive"));
    }
    findings
}

fn all_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
