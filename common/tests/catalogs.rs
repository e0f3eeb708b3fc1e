//! Properties of catalogs: what is written is read again, whatever stands in it.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;
use std::io;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use tranship_common::bundle::{
    BlobEntry, Catalog, Contents, FORMAT_VERSION, Layout, LeftOut, ManifestEntry, RepositoryEntry,
    Stream, TagEntry, Writer,
};
use tranship_common::{Digest, Manifest, PushTime};

/// Tags (by name, with a time and the number of an image) by repository, and the layers of each
/// image.
type Images = (BTreeMap<String, BTreeMap<String, (i64, usize)>>, Vec<Vec<Vec<u8>>>);

fn images() -> impl Strategy<Value = Images> {
    let layers = vec(vec(any::<u8>(), 0..2000), 0..4);
    vec(layers, 1..6).prop_flat_map(|images| {
        let component = "[a-z0-9]{1,4}((\\.|_|__|-{1,3})[a-z0-9]{1,3}){0,2}";
        let name = vec(component, 1..5).prop_map(|components| components.join("/"));
        let pushed = -60_000_000_000_i64..200_000_000_000;
        let tags = btree_map("[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", (pushed, 0..images.len()), 1..4);
        (btree_map(name, tags, 0..5), Just(images))
    })
}

/// The bytes of an image's manifest.
fn manifest(layers: &[Vec<u8>]) -> Vec<u8> {
    let layers: Vec<_> = layers
        .iter()
        .map(|layer| {
            serde_json::json!({
                "mediaType": "application/octet-stream",
                "digest": Digest::of(layer),
                "size": layer.len(),
            })
        })
        .collect();
    let manifest = serde_json::json!({"schemaVersion": 2, "layers": layers});
    manifest.to_string().into_bytes()
}

/// A catalog, and the bytes of its entries.
fn catalog((repositories, images): &Images) -> (Catalog, BTreeMap<Digest, Vec<u8>>) {
    let raw: Vec<Vec<u8>> = images.iter().map(|layers| manifest(layers)).collect();
    let manifests: Vec<Manifest> = raw.iter().map(|raw| Manifest::parse(raw).unwrap()).collect();
    let mut bytes: BTreeMap<Digest, Vec<u8>> = BTreeMap::new();
    let mut listed = Vec::new();
    for (manifest, raw) in manifests.iter().zip(&raw) {
        if bytes.insert(manifest.digest(), raw.clone()).is_none() {
            listed.push(ManifestEntry::describe(manifest, |_| false));
        }
    }
    let mut blobs = Vec::new();
    for layer in images.iter().flatten() {
        let digest = Digest::of(layer);
        if bytes.insert(digest, layer.clone()).is_none() {
            blobs.push(BlobEntry { digest, size: layer.len() as u64 });
        }
    }
    let repositories = repositories
        .iter()
        .map(|(name, tags)| {
            let tag = |(name, (pushed, image)): (&String, &(i64, usize))| TagEntry {
                name: name.parse().unwrap(),
                digest: manifests[*image].digest(),
                pushed: PushTime::from_unix(*pushed),
                selected_from: None,
            };
            let mut tags: Vec<TagEntry> = tags.iter().map(tag).collect();
            tags.sort_by(|a, b| (a.pushed, &a.name).cmp(&(b.pushed, &b.name)));
            RepositoryEntry { name: name.parse().unwrap(), tags, referrers: Vec::new() }
        })
        .collect();
    let catalog = Catalog {
        format_version: FORMAT_VERSION,
        required_features: Vec::new(),
        repositories,
        manifests: listed,
        blobs,
        left_out: LeftOut::default(),
    };
    (catalog, bytes)
}

fn json(catalog: &Catalog) -> Vec<u8> {
    let mut json = Vec::new();
    catalog.write_json(&mut json).unwrap();
    json
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_again(images in images()) {
        let (catalog, bytes) = catalog(&images);
        let contents = Contents::new(catalog.clone()).unwrap();
        let parsed = Contents::parse(&json(&catalog)).unwrap();
        prop_assert_eq!(parsed.catalog(), &catalog);

        let layout = Layout::new(&contents);
        let mut bundle = Vec::new();
        let mut writer = Writer::new(&mut bundle, &contents, &layout).unwrap();
        for entry in layout.entries() {
            let mut piece = Some(bytes[&entry.digest].clone());
            writer.append(|| Ok::<_, io::Error>(piece.take())).unwrap();
        }
        writer.finish().unwrap();
        prop_assert_eq!(bundle.len() as u64, layout.size());

        let mut stream = Stream::open(&bundle[..]).unwrap();
        prop_assert_eq!(stream.contents().catalog(), &catalog);
        let mut count = 0;
        while let Some((digest, read)) = stream
            .next_entry(|entry, input| {
                let mut read = Vec::new();
                input.read_to_end(&mut read).map(|_| (entry.digest, read))
            })
            .unwrap()
        {
            prop_assert_eq!(&read, &bytes[&digest]);
            count += 1;
        }
        prop_assert_eq!(count, bytes.len());
    }

    #[test]
    fn ids_stand_for_digests(images in images()) {
        let contents = Contents::new(catalog(&images).0).unwrap();
        let layout = Layout::new(&contents);
        prop_assert!(contents.ids().map(|id| contents.entry(id)).eq(contents.entries()));
        for (id, place) in contents.ids().zip(layout.entries()) {
            let BlobEntry { digest, size } = contents.entry(id);
            prop_assert_eq!(layout.entry(id), Some(*place));
            prop_assert_eq!((place.id, place.digest, place.size), (id, digest, size));
            prop_assert_eq!(contents.id(digest), Some(id));
            prop_assert_eq!(contents.manifest_by_id(id), contents.manifest(digest));
            let closure = contents.closure_ids(id);
            let manifests = closure.into_iter().filter_map(|id| contents.manifest_by_id(id));
            prop_assert!(manifests.eq(contents.closure(digest)));
        }
    }

    #[test]
    fn damaged_catalogs_never_panic(images in images(), at in any::<usize>(), byte in any::<u8>()) {
        let mut json = json(&catalog(&images).0);
        let at = at % json.len();
        json[at] = byte;
        if let Ok(contents) = Contents::parse(&json) {
            let _ = Layout::new(&contents);
        }
    }
}
