//! The vectors of the specification: what every reader accepts, and what every reader refuses.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../examples/vectors/make.rs"]
mod make;

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::{Value, json};
use tranship_common::bundle::{
    BundleFile, Contents, Layout, RepositoryEntry, Stream, Writer, verify,
};
use tranship_common::{Digest, Silent};

fn spec() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec")
}

fn vector(name: &str) -> PathBuf {
    spec().join(format!("vectors/{name}.tar"))
}

fn expected() -> Value {
    let text = fs::read(spec().join("vectors/expected.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// All that is wrong, in words, read at random.
fn findings(path: &Path) -> Vec<String> {
    let bundle = match BundleFile::open(path) {
        Ok(bundle) => bundle,
        Err(error) => return vec![error.to_string()],
    };
    let found = verify(&bundle, &Silent, |entries, check| entries.iter().map(check).collect());
    found.into_iter().map(|finding| finding.what).collect()
}

/// The first thing that is wrong with the bytes, read front to back.
fn stream_error(bytes: &[u8]) -> Option<String> {
    let mut stream = match Stream::open(bytes) {
        Ok(stream) => stream,
        Err(error) => return Some(error.to_string()),
    };
    loop {
        let next = stream.next_entry(|entry, bytes| {
            let mut raw = Vec::new();
            bytes.read_to_end(&mut raw).map(|_| (entry.digest, raw))
        });
        match next {
            Ok(None) => return None,
            Err(error) => return Some(error.to_string()),
            Ok(Some((digest, raw))) => {
                let listed = stream.contents().manifest(digest);
                if let Some(Err(error)) = listed.map(|listed| listed.check(&raw)) {
                    return Some(error.to_string());
                }
            }
        }
    }
}

#[test]
fn the_files_are_those_that_the_generator_makes() {
    let made = make::files();
    for (name, bytes) in &made {
        assert!(fs::read(spec().join("vectors").join(name)).unwrap() == *bytes, "{name}");
    }
    let count = |folder: &str| fs::read_dir(spec().join("vectors").join(folder)).unwrap().count();
    assert_eq!(count("good") + count("bad") + 1, made.len());
}

#[test]
fn good_bundles_are_accepted() {
    for (name, expected) in expected()["good"].as_object().unwrap() {
        let path = vector(&format!("good/{name}"));
        let bytes = fs::read(&path).unwrap();
        assert_eq!(expected["sha256"], Digest::of(&bytes).hex(), "{name}");
        assert_eq!(findings(&path), Vec::<String>::new(), "{name}");
        assert_eq!(stream_error(&bytes), None, "{name}");
        let bundle = BundleFile::open(&path).unwrap();
        assert_eq!(expected["size"], bundle.layout().size(), "{name}");
        let images = bundle.contents().images();
        let images = images
            .map(|(repository, tag)| json!([format!("{repository}:{}", tag.name), tag.digest]));
        assert_eq!(expected["images"], Value::Array(images.collect()), "{name}");
        let of_repository = |repository: &RepositoryEntry| {
            let name = repository.name.clone();
            let referrers = repository.referrers.clone().into_iter();
            referrers.map(move |referrer| json!(format!("{name}@{referrer}")))
        };
        let repositories = bundle.contents().catalog().repositories.iter();
        let referrers = repositories.flat_map(of_repository);
        assert_eq!(expected["referrers"], Value::Array(referrers.collect()), "{name}");
    }
}

#[test]
fn our_writer_writes_them_so() {
    for name in expected()["good"].as_object().unwrap().keys() {
        let path = vector(&format!("good/{name}"));
        let bundle = BundleFile::open(&path).unwrap();
        let contents = Contents::new(bundle.contents().catalog().clone()).unwrap();
        let layout = Layout::new(&contents);
        let mut written = Vec::new();
        let mut writer = Writer::new(&mut written, &contents, &layout).unwrap();
        for entry in layout.entries() {
            let mut bytes = Some(bundle.read(*entry).unwrap());
            writer.append(|| Ok::<_, io::Error>(bytes.take())).unwrap();
        }
        let digest = writer.finish().unwrap();
        assert_eq!(digest, Digest::of(&written));
        assert!(written == fs::read(&path).unwrap(), "{name}");
    }
}

#[test]
fn bad_bundles_are_refused_for_their_reason() {
    for (name, expected) in expected()["bad"].as_object().unwrap() {
        let path = vector(&format!("bad/{name}"));
        let message = expected["message"].as_str().unwrap();
        let found = findings(&path);
        assert!(found.iter().any(|what| what.contains(message)), "{name}: {found:?}");
        // What reads a bundle once, from the front, judges neither.
        let is_passed_over =
            name.starts_with("added-") || ["manifest-order", "blob-order"].contains(&name.as_str());
        let read = stream_error(&fs::read(&path).unwrap());
        assert_eq!(read.is_none(), is_passed_over, "{name} in a pipe: {read:?}");
    }
}

#[test]
fn the_schema_accepts_good_catalogs_and_refuses_bad_types() {
    let schema = fs::read(spec().join("catalog.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_slice(&schema).unwrap()).unwrap();
    let catalog = |name: &str| -> Value {
        let bytes = fs::read(vector(name)).unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut entries = archive.entries().unwrap().map(Result::unwrap);
        let entry = entries.find(|entry| entry.path().unwrap().ends_with("bundle.json"));
        serde_json::from_reader(entry.unwrap()).unwrap()
    };
    for name in expected()["good"].as_object().unwrap().keys() {
        let catalog = catalog(&format!("good/{name}"));
        let errors = schema.iter_errors(&catalog).map(|error| error.to_string());
        assert_eq!(errors.collect::<Vec<_>>(), Vec::<String>::new(), "{name}");
    }
    for name in [
        "newer-version",
        "unknown-feature",
        "catalog-type",
        "repository-name",
        "sizes",
        "manifest-size",
        "long-media-type",
        "long-feature",
        "many-features",
        "null-field",
        "tag-name",
        "pushed-fraction",
        "pushed-offset",
        "left-out-length",
    ] {
        assert!(!schema.is_valid(&catalog(&format!("bad/{name}"))), "{name}");
    }
}

#[test]
fn what_only_a_referrer_needs_breaks_the_referrer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.tar");
    let mut bytes = fs::read(vector("good/referrers")).unwrap();
    let bundle = BundleFile::open(&vector("good/referrers")).unwrap();
    let contents = bundle.contents();
    // The one that both repositories have.
    let shared = contents.catalog().repositories[1].referrers[0];
    let layer = contents.manifest(shared).unwrap().blobs[1];
    let at = bundle.layout().entry(contents.id(layer).unwrap()).unwrap().offset;
    bytes[at as usize] ^= 1;
    fs::write(&path, bytes).unwrap();
    let damaged = BundleFile::open(&path).unwrap();
    let found = verify(&damaged, &Silent, |entries, check| entries.iter().map(check).collect());
    let images: Vec<_> = found.iter().map(|finding| &finding.images).collect();
    assert_eq!(images, [&[format!("app@{shared}"), format!("mirror@{shared}")]]);
}

/// A small bundle with a bit of each of its bytes flipped: nothing in a bundle is left unchecked.
#[test]
fn a_change_of_any_byte_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.tar");
    let sound = fs::read(vector("good/image")).unwrap();
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (at % 8);
        assert!(stream_error(&bytes).is_some(), "byte {at} in a pipe");
        // In a file, where each costs a write, one of seven.
        if at % 7 == 0 {
            fs::write(&path, bytes).unwrap();
            assert!(!findings(&path).is_empty(), "byte {at}");
        }
    }
}
