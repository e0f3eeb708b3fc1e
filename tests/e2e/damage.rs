//! Damaged bundles: always found, never accepted by the target.

use std::fs;
use std::path::Path;

use e2e::programs::{Run, load, loader};
use e2e::{Bundle, Registry, Tree, skopeo};
use serde_json::Value;

/// A bundle small enough to be damaged hundreds of times.
fn small() -> Bundle {
    Bundle::of(|root| {
        let mut tree = Tree::new(root, 51);
        for (repository, tag) in [("team/one", "1"), ("team/one", "2"), ("team/two", "1")] {
            tree.simple(repository, tag);
        }
        tree
    })
}

/// Writes a copy with one byte changed and returns where.
fn flipped(bytes: &[u8], random: &mut fastrand::Rng, to: &Path) -> usize {
    let at = random.usize(..bytes.len());
    let mut bytes = bytes.to_vec();
    bytes[at] ^= random.u8(1..);
    fs::write(to, bytes).unwrap();
    at
}

#[test]
fn verify_finds_any_changed_byte() {
    let bundle = small();
    let bytes = fs::read(bundle.path()).unwrap();
    let damaged = bundle.file("damaged.tar");
    let mut random = fastrand::Rng::with_seed(52);
    for _ in 0..300 {
        let at = flipped(&bytes, &mut random, &damaged);
        let found = loader().arg("verify").arg(&damaged).run();
        assert_eq!(found.code, Some(1), "byte {at}: {}{}", found.stdout, found.stderr);
        assert!(!found.stderr.contains("panicked"), "byte {at}: {}", found.stderr);
        let json = loader().args(["verify", "--json"]).arg(&damaged).run().expect(1).json();
        assert!(!json.as_array().unwrap().is_empty(), "byte {at}");
    }
}

#[test]
fn verify_finds_every_cut_and_every_addition() {
    let bundle = small();
    let bytes = fs::read(bundle.path()).unwrap();
    let damaged = bundle.file("damaged.tar");
    let mut random = fastrand::Rng::with_seed(53);
    let verify = || loader().arg("verify").arg(&damaged).run();
    for _ in 0..100 {
        let length = random.usize(..bytes.len());
        fs::write(&damaged, &bytes[..length]).unwrap();
        let found = verify();
        assert_eq!(found.code, Some(1), "cut at {length}: {}{}", found.stdout, found.stderr);
    }
    // Nobody needs to be asked to see that it is too short.
    fs::write(&damaged, &bytes[..bytes.len() - 1]).unwrap();
    let mut plan = loader();
    plan.arg("plan").arg(&damaged).args(["--to", "http://127.0.0.1:1"]);
    plan.run().expect(1).says("is cut off at byte").says("copy it again");
    for extra in [&b"\0"[..], &[0; 512], &[0; 10240], b"more"] {
        fs::write(&damaged, [&bytes, extra].concat()).unwrap();
        let found = verify();
        assert_eq!(found.code, Some(1), "{} bytes more: {}", extra.len(), found.stdout);
    }
}

#[test]
fn verify_names_the_blob_its_images_and_the_offset() {
    let bundle = small();
    let layer = bundle.tree.last_layer("team/one:2");
    let at = place_of(&bundle, &layer.hex());
    damage(&bundle, &[at + 10]);
    let found = loader().arg("verify").arg(bundle.path()).run().expect(1);
    let found = found.says(&format!("damaged at byte {at}: {layer}")).says("breaks team/one:2");
    assert_eq!(found.stderr.matches("breaks ").count(), 1, "{}", found.stderr);
    let _ = found.says("1 finding: copy the bundle again, or pack it anew");

    let other = bundle.tree.last_layer("team/two:1");
    damage(&bundle, &[place_of(&bundle, &other.hex())]);
    let both = loader().arg("verify").arg(bundle.path()).run().expect(1);
    let _ = both.says("breaks team/one:2").says("breaks team/two:1");
}

#[test]
fn nothing_damaged_reaches_a_tag() {
    let bundle = small();
    let bytes = fs::read(bundle.path()).unwrap();
    let damaged = bundle.file("damaged.tar");
    let mut random = fastrand::Rng::with_seed(54);
    let mut target = Registry::start();
    for round in 0..200 {
        let at = flipped(&bytes, &mut random, &damaged);
        // A fresh target now and then: in a full one little is sent.
        if round % 10 == 0 {
            target = Registry::start();
        }
        let through_a_pipe = round % 2 == 1;
        let loaded = if through_a_pipe {
            let mut command = loader();
            command.args(["load", "-", "--to", &target.url(), "--retry-delay", "1"]);
            command.stdin(fs::File::open(&damaged).unwrap()).run()
        } else {
            load(&damaged, &target.url()).run()
        };
        assert!(!loaded.stderr.contains("panicked"), "byte {at}: {}", loaded.stderr);
        assert!(matches!(loaded.code, Some(0 | 1 | 3)), "byte {at}: {loaded:?}");
        for (name, digest) in tags_of(&target) {
            assert_eq!(digest, bundle.tree.tags[&name].to_string(), "byte {at}: {name}");
        }
        if round % 10 == 0 && loaded.code == Some(0) {
            // Only what a load of a file has no need to read was damaged, or a pipe's padding.
            assert!(!in_a_blob(&bundle, at), "byte {at} was sent: {}", loaded.stdout);
        }
    }
}

#[test]
fn no_image_of_a_bad_vector_is_loaded() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors/bad");
    for vector in fs::read_dir(vectors).unwrap() {
        let path = vector.unwrap().path();
        let name = path.file_name().unwrap().display().to_string();
        // What is damaged in front, or in an image, costs both images; the rest is for `verify`,
        // but a pipe, that passes by but once, is read to its end.
        let between = ["changed-header", "extra-file", "padding", "trailing-bytes"];
        let between = between.iter().any(|stem| name.starts_with(stem));
        // What is added or in another order keeps no image from being whole.
        let passed_over = ["added-manifest", "added-blob", "manifest-order", "blob-order"];
        let passed_over = passed_over.iter().any(|stem| name.starts_with(stem));
        for through_a_pipe in [false, true] {
            let target = Registry::start();
            let mut command = loader();
            command.args(["load", "--retry-delay", "1", "--to", &target.url()]);
            if through_a_pipe {
                command.arg("-").stdin(fs::File::open(&path).unwrap());
            } else {
                command.arg(&path);
            }
            let loaded = command.run();
            assert!(!loaded.stderr.contains("panicked"), "{name}: {}", loaded.stderr);
            if passed_over {
                assert_eq!(loaded.code, Some(0), "{name}: {loaded:?}");
                continue;
            }
            if through_a_pipe || !between {
                assert!(matches!(loaded.code, Some(1 | 3)), "{name}: {loaded:?}");
            }
            // Of two images the other one is whole.
            let whole = ["child-as-blob", "foreign-ordinary", "subject-hidden"]
                .iter()
                .any(|stem| name.starts_with(stem));
            if !between && !name.starts_with("cut-trailer") {
                assert_eq!(tags_of(&target).len(), usize::from(whole), "{name}: {loaded:?}");
            }
        }
    }
}

#[test]
fn the_other_images_of_a_damaged_bundle_arrive() {
    let bundle = small();
    let layer = bundle.tree.last_layer("team/one:2");
    damage(&bundle, &[place_of(&bundle, &layer.hex()) + 100]);
    let target = Registry::start();
    load(&bundle.path(), &target.url())
        .run()
        .expect(3)
        .prints("2 images loaded, 0 already there, 1 failed")
        .says("team/one:2")
        .says(&layer.to_string());
    assert_eq!(skopeo::tag_digest(&target.address(), "team/one:2"), None);
    assert_eq!(target.commits(&layer.to_string()), 0);
}

#[test]
fn damage_in_a_pipe_is_told_as_that_of_a_file() {
    let bundle = small();
    let whole = fs::read(bundle.path()).unwrap();
    let layer_of = |name: &str| place_of(&bundle, &bundle.tree.last_layer(name).hex());
    let places = |names: &[&str]| names.iter().map(|name| layer_of(name)).collect::<Vec<_>>();
    for (names, code, counts) in [
        (&["team/one:2"][..], 3, "2 images loaded, 0 already there, 1 failed"),
        (&["team/two:1", "team/one:1"], 3, "1 image loaded, 0 already there, 2 failed"),
        (&["team/one:1", "team/one:2", "team/two:1"], 1, "0 images loaded, 0 already there, 3"),
    ] {
        fs::write(bundle.path(), &whole).unwrap();
        damage(&bundle, &places(names));
        for through_a_pipe in [false, true] {
            let target = Registry::start();
            let mut command = load(&bundle.path(), &target.url());
            if through_a_pipe {
                command = load(Path::new("-"), &target.url());
                command.stdin(fs::File::open(bundle.path()).unwrap());
            }
            let ended = command.run();
            assert_eq!(ended.code, Some(code), "{names:?}, {through_a_pipe}: {ended:?}");
            let mut ended = ended.prints(counts);
            for name in names {
                ended = ended.says(&format!("failed: {name}: "));
            }
        }
    }
    // What no image needs that is not there already: only who reads all of it can know.
    fs::write(bundle.path(), &whole).unwrap();
    let target = Registry::start();
    load(&bundle.path(), &target.url()).run().ok();
    let at = layer_of("team/two:1");
    damage(&bundle, &[at]);
    load(&bundle.path(), &target.url()).run().ok().prints("0 images loaded, 3 already there");
    let mut piped = load(Path::new("-"), &target.url());
    piped.stdin(fs::File::open(bundle.path()).unwrap());
    let piped = piped.run().expect(3).prints("0 images loaded, 3 already there, 0 failed");
    let _ = piped.says(&format!("damaged at byte {at}"));
}

#[test]
fn a_bundle_that_ends_early_says_so() {
    let bundle = Bundle::everything(55);
    let bytes = fs::read(bundle.path()).unwrap();
    let cut = bundle.file("cut.tar");
    fs::write(&cut, &bytes[..bytes.len() * 2 / 3]).unwrap();
    let target = Registry::start();
    load(&cut, &target.url()).run().expect(1).says("cut.tar");
    assert!(tags_of(&target).is_empty(), "a file is seen to be cut before anything is sent");
    let mut piped = loader();
    piped.args(["load", "-", "--to", &target.url()]).stdin(fs::File::open(&cut).unwrap());
    let _ = piped.run().expect(3);
    let tags = tags_of(&target);
    assert!(tags.len() < bundle.tree.tags.len());
    for (name, digest) in tags {
        assert_eq!(digest, bundle.tree.tags[&name].to_string(), "{name}");
    }
    // What is left comes with the whole bundle.
    load(&bundle.path(), &target.url()).run().ok();
}

#[test]
fn what_is_cut_off_is_one_finding() {
    let bundle = small();
    let bytes = fs::read(bundle.path()).unwrap();
    let cut = bundle.file("cut.tar");
    let last = place_of(&bundle, &bundle.tree.last_layer("team/two:1").hex());
    let manifests = entries(&bundle)[4].1;
    let none: &[&str] = &[];
    for (length, images, code) in [
        (manifests, &["team/one:1", "team/one:2", "team/two:1"][..], 1),
        (last + 10, &["team/two:1"], 3),
        (bytes.len() - 1024, none, 3),
        (bytes.len() - 1, none, 3),
    ] {
        fs::write(&cut, &bytes[..length]).unwrap();
        let words = format!("the bundle is cut off at byte {length}: copy it again");
        let found = loader().arg("verify").arg(&cut).run().expect(1);
        let line = format!("{words}; {} of 3 images need what is missing", images.len());
        assert_eq!(found.stderr.lines().next(), Some(&line[..]), "{}", found.stderr);
        assert_eq!(found.stderr.lines().count(), 2, "{}", found.stderr);

        let found = loader().args(["verify", "--json"]).arg(&cut).run().expect(1).json();
        assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
        assert_eq!(found[0]["kind"], "cutOff");
        assert_eq!(found[0]["offset"], length);
        let listed = found[0]["images"].as_array().cloned().unwrap_or_default();
        assert_eq!(listed, images, "{found}");

        let target = Registry::start();
        let mut piped = loader();
        piped.args(["load", "-", "--to", &target.url()]).stdin(fs::File::open(&cut).unwrap());
        let _ = piped.run().expect(code).says(&words);
    }
}

#[test]
fn many_images_that_a_cut_in_a_pipe_costs_are_counted() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 66);
        for number in 0..40 {
            tree.simple(&format!("team/image-{number:02}"), "1");
        }
        tree
    });
    let bytes = fs::read(bundle.path()).unwrap();
    let cut = bundle.file("cut.tar");
    // Most of the layers, which come last, are missing.
    let length = bytes.len() - 56 * 1024;
    fs::write(&cut, &bytes[..length]).unwrap();
    let target = Registry::start();
    let report = bundle.file("report.json");
    let mut piped = loader();
    piped.args(["load", "-", "--to", &target.url(), "--report"]).arg(&report);
    let ended = piped.stdin(fs::File::open(&cut).unwrap()).run();
    assert!(matches!(ended.code, Some(1 | 3)), "{}", ended.stderr);
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let failed = report["totals"]["failed"].as_u64().unwrap();
    assert!(failed > 20, "{failed}");
    let words = format!("the bundle is cut off at byte {length}: copy it again");
    let counted = format!("failed: {failed} images, the first of them team/image-");
    let lines: Vec<&str> = ended.stderr.lines().filter(|line| line.contains(&words)).collect();
    assert!(lines[0].starts_with(&counted) && lines.len() <= 2, "{}", ended.stderr);
}

#[test]
fn what_was_added_to_a_bundle_is_named() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors/bad");
    for (name, words) in [
        ("added-manifest", "nothing leads to this manifest"),
        ("added-blob", "nothing leads to this blob"),
        ("manifest-order", "out of the order of first use"),
        ("blob-order", "out of the order of first use"),
    ] {
        let path = vectors.join(format!("{name}.tar"));
        let json = loader().args(["verify", "--json"]).arg(&path).run().expect(1).json();
        assert_eq!(json.as_array().map(Vec::len), Some(1), "{name}: {json}");
        let digest = json[0]["digest"].as_str().unwrap();
        let found = loader().arg("verify").arg(&path).run().expect(1);
        let _ = found.says(&format!("{digest}: {words}")).says("1 finding: pack it anew");
    }
}

#[test]
fn words_in_a_bundle_command_no_terminal() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors/bad");
    let vector = fs::read(vectors.join("unknown-feature.tar")).unwrap();
    let at = vector.windows(8).position(|bytes| bytes == b"teleport").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.tar");
    // A command that resets a terminal, and one that turns the line around: as long as the word.
    for (word, feature) in [(r"\u001bcX", "\u{1b}cX"), (r"\u202eXY", "\u{202e}XY")] {
        let mut bytes = vector.clone();
        bytes[at..at + 8].copy_from_slice(word.as_bytes());
        fs::write(&path, bytes).unwrap();
        let mut piped = loader();
        piped.args(["load", "-", "--to", "http://127.0.0.1:1"]);
        piped.stdin(fs::File::open(&path).unwrap());
        let mut verify = loader();
        verify.arg("verify").arg(&path);
        for command in [&mut verify, &mut piped] {
            let refused = command.run().expect(1).says(&format!("the feature `{word}`"));
            assert!(
                !refused.stderr.contains(&feature[..feature.len() - 2]),
                "{:?}",
                refused.stderr
            );
        }
        let found = loader().args(["verify", "--json"]).arg(&path).run().expect(1);
        assert!(!found.stdout.contains(&feature[..feature.len() - 2]), "{:?}", found.stdout);
        let what = found.json()[0]["what"].as_str().unwrap().to_owned();
        assert!(what.contains(&format!("`{feature}`")), "{what:?}");
    }
}

#[test]
fn files_that_are_no_bundles() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("text", b"not a bundle at all\n"),
        ("zeros", &[0; 4096]),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        for command in ["verify", "list"] {
            let refused = loader().arg(command).arg(&path).run().expect(1);
            assert!(refused.stderr.contains(name), "{name}: {}", refused.stderr);
        }
    }
    loader().args(["verify", "/nonexistent.tar"]).run().expect(1).says("/nonexistent.tar");
    loader()
        .arg("verify")
        .arg(folder.path())
        .run()
        .expect(1)
        .says(&folder.path().display().to_string());
}

/// Tags and digests of a target, read from its own storage.
fn tags_of(target: &Registry) -> Vec<(String, String)> {
    let script = "find . -path '*/_manifests/tags/*/current/link' -printf '%P ' -exec cat {} \\; -printf '\\n'";
    let root = target.storage().join("docker/registry/v2/repositories");
    if !root.exists() {
        return Vec::new();
    }
    let listed = e2e::programs::shell(&root, script);
    let parse = |line: &str| {
        let (path, digest) = line.split_once(' ')?;
        let (repository, tag) =
            path.strip_suffix("/current/link")?.split_once("/_manifests/tags/")?;
        Some((format!("{repository}:{tag}"), digest.to_owned()))
    };
    listed.lines().filter_map(parse).collect()
}

/// Offset of an entry's bytes in the archive.
fn place_of(bundle: &Bundle, hex: &str) -> usize {
    entries(bundle).into_iter().find(|(name, _, _)| name.ends_with(hex)).unwrap().1
}

fn in_a_blob(bundle: &Bundle, at: usize) -> bool {
    let inside = |(name, begin, size): (String, usize, usize)| {
        name.starts_with("blobs/") && (begin..begin + size).contains(&at)
    };
    entries(bundle).into_iter().any(inside)
}

/// Name, offset and size of each entry.
fn entries(bundle: &Bundle) -> Vec<(String, usize, usize)> {
    let mut archive = tar::Archive::new(fs::File::open(bundle.path()).unwrap());
    let entries = archive.entries().unwrap();
    let place = |entry: std::io::Result<tar::Entry<'_, fs::File>>| {
        let entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        (name, entry.raw_file_position() as usize, entry.size() as usize)
    };
    entries.map(place).collect()
}

fn damage(bundle: &Bundle, places: &[usize]) {
    places.iter().for_each(|at| e2e::tree::damage(&bundle.path(), *at));
}

#[test]
fn a_damaged_list_of_findings_is_whole_json() {
    let bundle = small();
    let layer = bundle.tree.last_layer("team/one:1");
    let at = place_of(&bundle, &layer.hex());
    damage(&bundle, &[at]);
    let found = loader().args(["verify", "--json"]).arg(bundle.path()).run().expect(1).json();
    let finding: &Value = &found[0];
    assert_eq!(finding["offset"], at);
    assert_eq!(finding["digest"], layer.to_string());
    assert_eq!(finding["images"], serde_json::json!(["team/one:1"]));
}
