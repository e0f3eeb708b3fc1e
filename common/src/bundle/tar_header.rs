//! Tar headers as the bundle has them: POSIX ustar, everything fixed but name and size
//! (POSIX.1-2008, pax, "ustar Interchange Format").

use tar::{EntryType, Header};

/// Tar counts in blocks of this many bytes.
pub(super) const BLOCK: u64 = 512;

/// What 11 octal digits hold: the largest size that a ustar header can state (bytes).
const MAX_USTAR_SIZE: u64 = (8 << 30) - 1;

/// The header bytes in front of a file's data: one block, or three for a file of 8 GiB and more,
/// whose size stands in a pax extended header.
pub(super) fn header(name: &str, size: u64) -> Vec<u8> {
    if size <= MAX_USTAR_SIZE {
        return block(name, size, EntryType::Regular).to_vec();
    }
    let record = pax_record("size", &size.to_string());
    // The last path component keeps the extended header's own name short and distinct.
    let base = name.rsplit('/').next().unwrap_or(name);
    let mut bytes =
        block(&format!("PaxHeaders/{base}"), record.len() as u64, EntryType::XHeader).to_vec();
    bytes.extend_from_slice(record.as_bytes());
    bytes.resize(2 * BLOCK as usize, 0);
    bytes.extend_from_slice(&block(name, 0, EntryType::Regular));
    bytes
}

fn block(name: &str, size: u64, kind: EntryType) -> [u8; 512] {
    let mut header = Header::new_ustar();
    // Names in a bundle are shorter than the field's 100 bytes; none is ever used as a path.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    *header.as_bytes()
}

/// `LENGTH KEY=VALUE\n`, where LENGTH counts its own digits too.
fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n")
}

/// The name and size that a header block of a small file states, if it is one.
pub(super) fn parse(block: &[u8; 512]) -> Option<(String, u64)> {
    let header = Header::from_byte_slice(block);
    let name = String::from_utf8(header.path_bytes().into_owned()).ok()?;
    let size = header.size().ok()?;
    // Compared with what we would write ourselves: checksum and all other fields included.
    let possible = name.len() < 100 && size <= MAX_USTAR_SIZE;
    (possible && self::header(&name, size) == block).then_some((name, size))
}

/// Bytes of padding behind this many bytes of data.
pub(super) fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK) - size
}

/// So many zeros, a block at most.
pub(super) fn zeros(count: u64) -> &'static [u8] {
    &[0; BLOCK as usize][..count as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pax_record_counts_itself() {
        assert_eq!(pax_record("size", "8589934592"), "19 size=8589934592\n");
        assert_eq!(pax_record("a", "b"), "6 a=b\n");
    }

    #[test]
    fn a_reader_of_tar_finds_a_huge_size() {
        let size = MAX_USTAR_SIZE + 1;
        let bytes = header("blobs/sha256/ab", size);
        assert_eq!(bytes.len(), 1536);
        let mut archive = tar::Archive::new(&bytes[..]);
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.size(), size);
        assert_eq!(entry.path().unwrap().to_str(), Some("blobs/sha256/ab"));
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(name in "[a-z0-9/.]{0,40}[a-z0-9]", size in 0..=MAX_USTAR_SIZE) {
            let bytes: [u8; 512] = header(&name, size).try_into().unwrap();
            prop_assert_eq!(parse(&bytes), Some((name, size)));
        }

        #[test]
        fn every_damaged_byte_of_a_header_is_seen(at in 0..512usize, bit in 0..8u32) {
            let mut bytes: [u8; 512] = header("bundle.json", 12345).try_into().unwrap();
            prop_assert_eq!(parse(&bytes), Some(("bundle.json".into(), 12345)));
            bytes[at] ^= 1 << bit;
            prop_assert!(parse(&bytes) != Some(("bundle.json".into(), 12345)));
        }

        #[test]
        fn a_size_in_base_256_is_none_of_ours(name in "[a-z/]{1,99}", size in any::<[u8; 11]>()) {
            let mut block = block(&name, 0, EntryType::Regular);
            block[124] = 0x80;
            block[125..136].copy_from_slice(&size);
            prop_assert_eq!(parse(&block), None);
        }

        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 512)) {
            let bytes: [u8; 512] = bytes.try_into().unwrap();
            let _ = parse(&bytes);
        }
    }
}
