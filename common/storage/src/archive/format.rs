//! What a file is, told by its first bytes.

use super::header::{BLOCK, Header};

/// How the members of an archive are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// As they are.
    Tar,
    /// In members of gzip (RFC 1952).
    Gzip,
    /// In frames of Zstandard (RFC 8878).
    Zstd,
}

/// Other formats, with what unpacks them to standard output.
const OTHERS: [(&[u8], &str, &str); 9] = [
    (b"\xfd7zXZ\0", "an xz file", "xz -dc"),
    (b"BZh", "a bzip2 file", "bzip2 -dc"),
    (b"\x04\x22\x4d\x18", "an LZ4 file", "lz4 -dc"),
    (b"LZIP", "an lzip file", "lzip -dc"),
    (b"\x89LZO\0", "an lzop file", "lzop -dc"),
    (b"\x5d\0\0", "an LZMA file", "xz -dc"),
    (b"\x1f\x9d", "a file of compress", "gzip -dc"),
    (b"PK\x03\x04", "a zip file", ""),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip file", ""),
];

impl Format {
    /// Tells a file's format by its first 512 bytes, or by all where it has fewer.
    ///
    /// # Errors
    /// A sentence about what it is, and what to do.
    pub(super) fn of(head: &[u8]) -> Result<Self, String> {
        if head.starts_with(b"\x1f\x8b") {
            return Ok(Self::Gzip);
        }
        if is_zstd(head) {
            return Ok(Self::Zstd);
        }
        let is_tar = head.first_chunk::<BLOCK>().is_some_and(|block| {
            let header = Header(block);
            // What is damaged later says more of it.
            header.is_sound() || header.has_magic() || *block == [0; BLOCK]
        });
        if is_tar {
            return Ok(Self::Tar);
        }
        match OTHERS.iter().find(|(magic, ..)| head.starts_with(magic)) {
            _ if head.is_empty() => Err("it is empty".into()),
            None => Err("it is no tar archive, nor one that is compressed with gzip or \
                         Zstandard: its first bytes are those of none"
                .into()),
            Some((_, what, "")) => Err(format!("it is {what}; unpack it and give the folder")),
            Some((_, what, unpack)) => Err(format!(
                "it is {what}, which is not read here; unpack it on the way, with \
                 `{unpack} FILE | packer … --storage -`"
            )),
        }
    }
}

/// Whether bytes begin a frame of Zstandard, or one that is to be passed over.
fn is_zstd(head: &[u8]) -> bool {
    let magic = head.first_chunk().map(|magic| u32::from_le_bytes(*magic));
    magic.is_some_and(|magic| magic == 0xfd2f_b528 || magic & !0xf == 0x184d_2a50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes() {
        assert_eq!(Format::of(b"\x1f\x8b\x08"), Ok(Format::Gzip));
        assert_eq!(Format::of(b"\x28\xb5\x2f\xfd"), Ok(Format::Zstd));
        assert_eq!(Format::of(b"\x5e\x2a\x4d\x18"), Ok(Format::Zstd));
        assert_eq!(Format::of(&[0; BLOCK]), Ok(Format::Tar));
        assert_eq!(Format::of(b""), Err("it is empty".into()));
        for (head, want) in [
            (
                &b"\xfd7zXZ\0\0"[..],
                "it is an xz file, which is not read here; unpack it on the way, with `xz -dc FILE | packer … --storage -`",
            ),
            (
                b"BZh91AY&SY",
                "it is a bzip2 file, which is not read here; unpack it on the way, with `bzip2 -dc FILE | packer … --storage -`",
            ),
            (b"PK\x03\x04\0", "it is a zip file; unpack it and give the folder"),
            (
                b"BZ",
                "it is no tar archive, nor one that is compressed with gzip or Zstandard: its first bytes are those of none",
            ),
            (
                &[0; BLOCK - 1],
                "it is no tar archive, nor one that is compressed with gzip or Zstandard: its first bytes are those of none",
            ),
        ] {
            assert_eq!(Format::of(head), Err(want.into()));
        }
    }
}
