//! Which images are packed: by name, by time, by list.

use std::fs;
use std::path::Path;
use std::process::Command;

use e2e::Tree;
use e2e::bundle::catalog;
use e2e::programs::{Finished, Run, packer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tranship_common::Digest;

mod platforms; // parts of indexes

/// The images of the storage, each pushed a minute after the one before.
const IMAGES: [&str; 7] = [
    "team/app:1",      // 2023-11-14T22:14:20Z
    "team/app:2",      // 22:15:20
    "team/app:dev",    // 22:16:20
    "team/web/site:1", // 22:17:20
    "tools:1",         // 22:18:20
    "tools:2",         // 22:19:20
    "team/web/site:2", // 22:20:20
];

fn storage(seed: u64) -> (TempDir, Tree) {
    let folder = tempfile::tempdir().unwrap();
    let mut tree = Tree::new(&folder.path().join("storage"), seed);
    for name in IMAGES {
        let (repository, tag) = name.split_once(':').unwrap();
        tree.simple(repository, tag);
    }
    (folder, tree)
}

fn packing(folder: &Path, options: &[&str]) -> Command {
    let mut command = packer();
    command.args(["pack", "--storage", "storage", "--output", "images.tar"]).args(options);
    command.current_dir(folder);
    command
}

fn pack(folder: &Path, options: &[&str]) -> Finished {
    packing(folder, options).run()
}

/// What the bundle holds, `REPOSITORY:TAG`, in its order.
fn packed(folder: &Path) -> Vec<String> {
    let catalog = catalog(&folder.join("images.tar"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = |repository: &Value| {
        let name = text(&repository["name"]);
        let tags = repository["tags"].as_array().unwrap().clone();
        tags.into_iter().map(move |tag| format!("{name}:{}", text(&tag["name"])))
    };
    catalog["repositories"].as_array().unwrap().iter().flat_map(of).collect()
}

fn left_out(folder: &Path) -> Value {
    catalog(&folder.join("images.tar"))["leftOut"].clone()
}

/// The same choice wherever it is made: in a bundle, in a list, and by reading all of it.
#[track_caller]
fn chooses(folder: &Path, options: &[&str], images: &[&str], selection: &str) {
    let number = match images.len() {
        1 => "packed 1 tag of".to_owned(),
        count => format!("packed {count} tags of"),
    };
    pack(folder, options).ok().prints(&number);
    assert_eq!(packed(folder), images);
    assert_eq!(left_out(folder), json!({"selection": selection}));
    let report = pack(folder, &[options, &["--json"]].concat()).ok().json();
    assert_eq!(report["selection"], selection);
    let reported: Vec<&String> = report["images"].as_object().unwrap().keys().collect();
    let mut sorted = images.to_vec();
    sorted.sort_unstable();
    assert_eq!(reported, sorted);
    let other = |name: &str| {
        let mut command = packer();
        command.args([name, "--storage", "storage"]).args(options).current_dir(folder).run().ok()
    };
    assert_eq!(other("list").stdout.lines().collect::<Vec<_>>(), sorted);
    other("verify").prints(&format!("{} image", images.len()));
}

#[test]
fn by_name() {
    let (folder, _) = storage(401);
    let folder = folder.path();
    chooses(
        folder,
        &["--include", "team/*"],
        &["team/app:1", "team/app:2", "team/app:dev"],
        "what fits `team/*`",
    );
    chooses(
        folder,
        &["--include", "team/**:1", "--include", "tools:?"],
        &["team/app:1", "team/web/site:1", "tools:1", "tools:2"],
        "what fits `team/**:1`, `tools:?`",
    );
    chooses(
        folder,
        &["--exclude", "**:{dev,2}"],
        &["team/app:1", "team/web/site:1", "tools:1"],
        "not what fits `**:{dev,2}`",
    );
    // What is excluded is so even where it is included.
    chooses(
        folder,
        &["--exclude", "team/app:dev", "--include", "team/app"],
        &["team/app:1", "team/app:2"],
        "what fits `team/app`; not what fits `team/app:dev`",
    );
}

#[test]
fn by_time() {
    let (folder, _) = storage(402);
    let folder = folder.path();
    let latest = ["team/web/site:1", "team/web/site:2", "tools:1", "tools:2"];
    chooses(
        folder,
        &["--since", "2023-11-14T22:17:20Z"],
        &latest,
        "pushed since 2023-11-14T22:17:20Z",
    );
    // The same moment elsewhere.
    chooses(
        folder,
        &["--since", "2023-11-15T00:17:20+02:00"],
        &latest,
        "pushed since 2023-11-14T22:17:20Z",
    );
    chooses(
        folder,
        &["--newest", "1"],
        &["team/app:dev", "team/web/site:2", "tools:2"],
        "the newest 1 of each repository",
    );
    // Globs first, then the number.
    chooses(
        folder,
        &["--newest", "1", "--exclude", "**:dev"],
        &["team/app:2", "team/web/site:2", "tools:2"],
        "not what fits `**:dev`; the newest 1 of each repository",
    );
    // All of it is some years old.
    pack(folder, &["--since", "30d"]).expect(3).says("no image was found, so nothing was written");
    for (option, value, words) in [
        ("--since", "yesterday", "a time is 2024-05-06T07:08:09Z or how long ago"),
        ("--newest", "0", "number would be zero"),
        ("--include", "team/**x", "stands for whole parts of a name"),
        ("--platform", "linux", "a platform is of the form"),
    ] {
        pack(folder, &[option, value]).expect(2).says(words);
    }
}

#[test]
fn a_pattern_that_fits_nothing_is_said() {
    let (folder, _) = storage(403);
    let options = ["--include", "tools", "--include", "tolls", "--exclude", "tools:3"];
    pack(folder.path(), &options)
        .ok()
        .says("no image fits `tolls`")
        .says("no image fits `tools:3`")
        .prints("packed 2 tags of 1 repository");
    let report = pack(folder.path(), &[&options[..], &["--json"]].concat()).ok().json();
    assert_eq!(report["notices"], json!(["no image fits `tolls`", "no image fits `tools:3`"]));
    fs::remove_file(folder.path().join("images.tar")).unwrap();
    pack(folder.path(), &["--include", "nothing"])
        .expect(3)
        .says("no image fits `nothing`")
        .says("no image was found, so nothing was written");
    assert!(!folder.path().join("images.tar").exists());
}

#[test]
fn what_is_not_chosen_stops_nothing() {
    let (folder, tree) = storage(404);
    let folder = folder.path();
    fs::remove_file(tree.blob_path(tree.last_layer("tools:1"))).unwrap();
    fs::write(tree.tag_link("tools", "2"), "rubbish").unwrap();
    pack(folder, &[]).expect(1).says("tools:1").says("tools:2").says("nothing was written");
    for options in [&["--exclude", "tools"][..], &["--include", "team/**"]] {
        let packed = pack(folder, options).ok().prints("packed 5 tags of 2 repositories");
        assert!(!packed.stderr.contains("tools"), "{}", packed.stderr);
    }
    pack(folder, &["--include", "tools", "--include", "team/app", "--skip-broken"])
        .expect(3)
        .prints("packed 3 tags of 1 repository")
        .says("tools:1")
        .says("tools:2");
    let left_out = left_out(folder);
    assert_eq!(left_out["selection"], "what fits `team/app`, `tools`");
    let names: Vec<&Value> =
        left_out["images"].as_array().unwrap().iter().map(|image| &image["name"]).collect();
    assert_eq!(names, ["tools:1", "tools:2"]);
}

#[test]
fn by_list() {
    let (folder, tree) = storage(405);
    let folder = folder.path();
    let listed = |text: &str| fs::write(folder.join("images.list"), text).unwrap();
    listed("# wanted\nteam/app:dev  # the newest\n\ntools:1\r\n");
    chooses(folder, &["--images-file", "images.list"], &["team/app:dev", "tools:1"], "2 of a list");
    // What packer lists is such a list.
    let all = packer().args(["list", "--storage", "storage"]).current_dir(folder).run().ok();
    listed(&all.stdout);
    pack(folder, &["--images-file", "images.list"]).ok().prints("packed 7 tags");

    // With a digest no tag is needed, but a manifest of that repository.
    let digest = tree.tags["team/app:1"];
    let nobody = Digest::of(b"nobody");
    listed(&format!(
        "team/app:release@{digest}\ntools:1@{digest}\ntools:3\ntools:4@{nobody}\ntools:2\n"
    ));
    pack(folder, &["--images-file", "images.list", "--json"])
        .expect(3)
        .says("tools:1")
        .says("tools:3")
        .says("tools:4")
        .says("there is no such image in the storage");
    assert_eq!(packed(folder), ["team/app:release", "tools:2"]);
    let catalog = catalog(&folder.join("images.tar"));
    assert_eq!(catalog["repositories"][0]["tags"][0]["digest"], json!(digest));
    let no_such = "there is no such image in the storage";
    let with_digest = |digest: Digest| format!("{digest}: {no_such}");
    assert_eq!(
        catalog["leftOut"]["images"],
        json!([
            {"name": "tools:1", "reason": with_digest(digest)},
            {"name": "tools:3", "reason": no_such},
            {"name": "tools:4", "reason": with_digest(nobody)},
        ])
    );
    listed("team/app\n");
    pack(folder, &["--images-file", "images.list"])
        .expect(1)
        .says("images.list: line 1: an image is listed as REPOSITORY:TAG");
    pack(folder, &["--images-file", "nothing.list"]).expect(1).says("nothing.list");
}

#[test]
fn the_order_of_options_makes_no_difference() {
    let (folder, tree) = storage(406);
    let folder = folder.path();
    fs::remove_file(tree.blob_path(tree.last_layer("tools:1"))).unwrap();
    let options = [
        ["--include", "team/**"],
        ["--include", "tools"],
        ["--exclude", "**:dev"],
        ["--exclude", "team/web/**:1"],
        ["--newest", "2"],
        ["--since", "2023-11-14T22:15:20Z"],
        ["--platform", "linux/amd64"],
        ["--platform", "linux/arm64"],
    ];
    let mut chance = fastrand::Rng::with_seed(406);
    let mut sums = std::collections::HashSet::new();
    for _ in 0..6 {
        let mut options = options;
        chance.shuffle(&mut options);
        let options: Vec<&str> = options.concat();
        pack(folder, &[&options[..], &["--skip-broken"]].concat())
            .expect(3)
            .prints("packed 3 tags of 3 repositories");
        sums.insert(Digest::of(&fs::read(folder.join("images.tar")).unwrap()));
    }
    assert_eq!(sums.len(), 1);
    assert_eq!(packed(folder), ["team/app:2", "team/web/site:2", "tools:2"]);
    let left_out = left_out(folder);
    assert_eq!(
        left_out["selection"],
        "what fits `team/**`, `tools`; not what fits `**:dev`, `team/web/**:1`; pushed since \
         2023-11-14T22:15:20Z; the newest 2 of each repository; for linux/amd64, linux/arm64"
    );
    assert_eq!(left_out["images"].as_array().unwrap().len(), 1);
}
