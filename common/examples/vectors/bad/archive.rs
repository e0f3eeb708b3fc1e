//! Bundles whose archive is not as it should be.

use serde_json::json;

use super::super::draft::archive;
use super::super::good::image;
use super::{Bad, edited};

pub(super) fn bundles() -> Vec<Bad> {
    let sound = image().bytes();
    let patched = |at: usize, byte: u8| {
        let mut bytes = sound.clone();
        bytes[at] = byte;
        bytes
    };
    // From the end: two blocks of zeros, the layer's two blocks of data, its header.
    let layer = sound.len() - 1024 - 1024;
    let appended = |more: &[u8]| [&sound[..], more].concat();
    vec![
        ("not-a-bundle", "no tar archive", "this is not a bundle", b"plain text\n".repeat(100)),
        (
            "cut-in-catalog",
            "the file ends inside bundle.json",
            "before its catalog is complete",
            sound[..1500].to_vec(),
        ),
        (
            "cut-in-blob",
            "the file ends inside the last blob",
            "cut off",
            sound[..layer + 100].to_vec(),
        ),
        (
            "cut-trailer",
            "the second block of zeros at the end is missing",
            "cut off",
            sound[..sound.len() - 512].to_vec(),
        ),
        ("flipped-blob", "a byte of the layer is changed", "hashes to", patched(layer + 500, 8)),
        (
            "changed-header",
            "the mtime in a blob's tar header is not zero, with a right checksum",
            "tar header",
            {
                let mut bytes = sound.clone();
                let mut header = tar::Header::new_old();
                header.as_mut_bytes().copy_from_slice(&bytes[layer - 512..layer]);
                header.set_mtime(1);
                header.set_cksum();
                bytes[layer - 512..layer].copy_from_slice(header.as_bytes());
                bytes
            },
        ),
        ("padding", "a byte of padding is not zero", "padding", patched(layer + 1010, 1)),
        (
            "trailing-bytes",
            "bytes stand behind the end of the archive",
            "behind the end",
            appended(&[0; 512]),
        ),
        ("extra-file", "a second archive with another file follows", "behind the end", {
            appended(&archive(&[("blobs/sha256/more".into(), b"more".to_vec())]))
        }),
        (
            "index-name",
            "index.json gives an image another name",
            "`index.json`",
            edited(|draft| {
                draft.index[0]["annotations"]["org.opencontainers.image.ref.name"] =
                    json!("team/app:2.0");
            }),
        ),
    ]
}
