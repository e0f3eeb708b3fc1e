//! The files in front of the entries. All but the catalog follow from it, so none is kept: they are
//! written, measured and compared as they are made.

use std::io::{self, BufWriter, Write};

use super::contents::Contents;
use super::hashed::Hashed;
use super::image_index::write_image_index;
use super::tar_header::{BLOCK, header, padding};
use super::{CATALOG_NAME, PIECE};
use crate::Digest;

/// The content of the file `oci-layout` (OCI image specification, image-layout.md).
pub(super) const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Which file in front of the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrontFile {
    OciLayout,
    Catalog,
    ImageIndex,
    Checksums,
}

impl FrontFile {
    /// In the order of the archive.
    pub(super) const ALL: [Self; 4] =
        [Self::OciLayout, Self::Catalog, Self::ImageIndex, Self::Checksums];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OciLayout => "oci-layout",
            Self::Catalog => CATALOG_NAME,
            Self::ImageIndex => "index.json",
            Self::Checksums => "SHA256SUMS",
        }
    }
}

/// The name of an entry in the archive.
pub(super) fn entry_name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// A file in front, measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measure {
    pub(super) size: u64,
    pub(super) digest: Digest,
}

/// Sizes and digests of the files in front, in the order of the archive.
#[derive(Debug, Clone)]
pub(super) struct Front {
    measures: Vec<Measure>,
}

impl Front {
    /// Measures the files that go with a catalog.
    pub(super) fn new(contents: &Contents) -> Self {
        let mut front = Self { measures: Vec::new() };
        for file in FrontFile::ALL {
            let measure = match file {
                // Its bytes may be another writer's, with fields that are not known here.
                FrontFile::Catalog => contents.file(),
                // Each follows from those before it.
                _ => front.measure_content(file, contents),
            };
            front.measures.push(measure);
        }
        front
    }

    fn measure_content(&self, file: FrontFile, contents: &Contents) -> Measure {
        let mut content = Hashed::new(io::sink());
        self.write_content(file, contents, &mut content).expect("a sink takes all");
        content.measure()
    }

    /// Size and digest of a file.
    pub(super) fn measure(&self, file: FrontFile) -> Measure {
        self.measures[file as usize]
    }

    /// How many bytes of the archive they take.
    pub(super) fn size(&self) -> u64 {
        let size = |file: &Measure| BLOCK + file.size + padding(file.size);
        self.measures.iter().map(size).sum()
    }

    /// The tar header of a file.
    pub(super) fn header(&self, file: FrontFile) -> Vec<u8> {
        header(file.name(), self.measure(file).size)
    }

    /// Writes the bytes of a file.
    ///
    /// # Errors
    /// As for writing.
    pub(super) fn write_content(
        &self,
        file: FrontFile,
        contents: &Contents,
        out: &mut impl Write,
    ) -> io::Result<()> {
        match file {
            FrontFile::OciLayout => out.write_all(OCI_LAYOUT),
            FrontFile::Catalog => contents.catalog().write_json(out),
            FrontFile::ImageIndex => write_image_index(contents, out),
            FrontFile::Checksums => self.write_checksums(contents, out),
        }
    }

    /// A line for each other file, as `sha256sum` prints it.
    fn write_checksums(&self, contents: &Contents, out: &mut impl Write) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(PIECE, out);
        for (file, measure) in FrontFile::ALL.iter().zip(&self.measures) {
            if *file != FrontFile::Checksums {
                writeln!(out, "{}  {}", measure.digest.hex(), file.name())?;
            }
        }
        for entry in contents.entries() {
            writeln!(out, "{}  {}", entry.digest.hex(), entry_name(entry.digest))?;
        }
        out.flush()
    }
}
