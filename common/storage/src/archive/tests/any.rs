//! Any bytes are an answer: no panic, and an end.

use std::cell::Cell;

use proptest::prelude::*;

use super::handmade::{entry, seal};
use super::*;

/// Reads all that can be read.
fn look_at(bytes: &[u8]) {
    let Ok(source) = open(bytes) else { return };
    let _ = source.inventory(&Silent).unwrap();
    for blob in source.blobs().unwrap() {
        let _ = source.manifest(blob.digest);
        let mut data = Vec::new();
        source.open(blob.digest).unwrap().read_to_end(&mut data).unwrap();
        assert_eq!(data.len() as u64, blob.size);
    }
    if let Some(passing) = source.as_passing() {
        let count = Cell::new(0);
        let take = &mut |_, _: &mut dyn Read| {
            count.set(count.get() + 1);
            Ok(())
        };
        passing.pass(&|_| true, take).unwrap();
        assert_eq!(count.get(), source.blobs().unwrap().len());
    }
}

/// Names that mean something, and some that do not.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let hex = Digest::of(b"{}").hex();
    let part = prop_oneof![
        Just("docker/registry/v2".to_owned()),
        Just("blobs".to_owned()),
        Just("sha256".to_owned()),
        Just(hex[..2].to_owned()),
        Just(hex),
        Just("data".to_owned()),
        Just("repositories".to_owned()),
        Just("_manifests".to_owned()),
        Just("tags/a/current".to_owned()),
        Just("revisions/sha256".to_owned()),
        Just("link".to_owned()),
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just(String::new()),
        "[a-c]{1,3}",
    ];
    let whole = prop_oneof![
        2 => proptest::collection::vec(part, 0..5).prop_map(|parts| parts.join("/").into_bytes()),
        1 => Just(blob_path(Digest::of(b"{}")).into_bytes()),
        1 => Just(b"v2/repositories/a/_manifests/tags/1/current/link".to_vec()),
        1 => Just(b"v2/repositories/a".to_vec()),
        1 => Just(b"v2/blobs".to_vec()),
    ];
    whole.prop_map(|mut name| {
        name.truncate(99);
        name
    })
}

fn archive() -> impl Strategy<Value = Vec<u8>> {
    let kind = proptest::sample::select(&b"0000111222567xgLKSDVM\0"[..]);
    let magic = proptest::sample::select(vec![&b""[..], b"ustar  \0", b"ustar\x0000"]);
    let data = prop_oneof![
        Just(b"{}".to_vec()),
        Just(Digest::of(b"{}").to_string().into_bytes()),
        "([0-9]{1,2} (path|size|mtime|GNU.sparse.name)=[a-c0-9]{0,4}\n){0,3}"
            .prop_map(String::into_bytes),
        name(),
        proptest::collection::vec(any::<u8>(), 0..1100),
    ];
    let member = (name(), kind, name(), magic, data)
        .prop_map(|(name, kind, link, magic, data)| entry(&name, kind, &link, magic, &data));
    let damage = proptest::option::weighted(0.3, (any::<proptest::sample::Index>(), any::<u8>()));
    let member = (member, damage).prop_map(|(mut member, damage)| {
        if let Some((at, byte)) = damage {
            let at = at.index(512);
            member[at] = byte;
            seal(&mut member);
        }
        member
    });
    proptest::collection::vec(member, 0..12).prop_map(|members| {
        let mut archive = members.concat();
        archive.extend([0; 1024]);
        archive
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_members(archive in archive()) {
        look_at(&archive);
    }

    #[test]
    fn any_members_compressed(archive in archive()) {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&archive).unwrap();
        look_at(&gzip.finish().unwrap());
    }

    #[test]
    fn any_damage(
        at in any::<proptest::sample::Index>(),
        byte: u8,
        cut in any::<proptest::sample::Index>(),
        format in 0..3,
        archive in archive(),
    ) {
        let mut bytes = match format {
            0 => archive,
            1 => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(&archive).unwrap();
                gzip.finish().unwrap()
            }
            _ => zstd::encode_all(&archive[..], 1).unwrap(),
        };
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len() * 2).max(1));
        look_at(&bytes);
    }

    #[test]
    fn any_bytes(mut bytes in proptest::collection::vec(any::<u8>(), 0..2000), format in 0..4usize) {
        let magic: &[u8] = [&b""[..], b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"][format];
        let most = magic.len().min(bytes.len());
        bytes[..most].copy_from_slice(&magic[..most]);
        look_at(&bytes);
    }
}
