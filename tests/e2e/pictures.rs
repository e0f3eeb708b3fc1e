//! `packer list --report`: what a storage holds, to choose by.

use std::fs;

use e2e::Tree;
use e2e::content::Family;
use e2e::programs::{Run, packer};
use e2e::tree::digest_of;
use serde_json::Value;
use tranship_common::Digest;

/// Two repositories of one project that share a layer, one of another, and garbage.
fn tree(root: &std::path::Path) -> (Tree, [u64; 4]) {
    let mut tree = Tree::new(root, 81);
    let shared = tree.layer(Family::Oci, 3000);
    let mut alone = Vec::new();
    for (repository, tags) in [("team/a", &["1", "2"][..]), ("team/b", &["1"]), ("x", &["1"])] {
        let mut bytes = 0;
        for tag in tags {
            let own = tree.layer(Family::Oci, 1000);
            let layers = match repository {
                "x" => vec![own],
                _ => vec![shared.clone(), own],
            };
            let image = tree.image(repository, Family::Oci, tag, &layers);
            tree.tag(repository, tag, digest_of(&image));
            bytes += alone_bytes(
                &tree,
                digest_of(&image),
                tree.last_layer(&format!("{repository}:{tag}")),
            );
        }
        alone.push(bytes);
    }
    let layer = fs::metadata(tree.blob_path(shared_layer(&tree))).unwrap().len();
    let numbers = [alone[0], alone[1], alone[2], layer];
    tree.blob(b"nobody needs this");
    (tree, numbers)
}

fn manifest(tree: &Tree, image: Digest) -> Value {
    serde_json::from_slice(&fs::read(tree.blob_path(image)).unwrap()).unwrap()
}

/// The bytes of an image's manifest, config and last layer.
fn alone_bytes(tree: &Tree, image: Digest, layer: Digest) -> u64 {
    let config = manifest(tree, image)["config"]["digest"].as_str().unwrap().parse().unwrap();
    [image, config, layer]
        .map(|blob| fs::metadata(tree.blob_path(blob)).unwrap().len())
        .iter()
        .sum()
}

fn shared_layer(tree: &Tree) -> Digest {
    let link = fs::read_to_string(tree.tag_link("team/b", "1")).unwrap();
    let manifest = manifest(tree, link.parse().unwrap());
    manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap()
}

#[test]
fn bytes_that_leaving_something_out_would_save() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (_tree, [a, b, x, layer]) = tree(&folder.join("storage"));
    let list = |report: &str, more: &[&str]| {
        let mut command = packer();
        command.args(["list", "--storage", "storage", "--report", report]).args(more);
        let _ = command.current_dir(folder).run().ok().prints("team/a:1");
        fs::read_to_string(folder.join(report)).unwrap()
    };
    let picture: Value = serde_json::from_str(&list("picture.json", &[])).unwrap();
    let rows = |kind: &str| -> Vec<(String, u64, u64, u64)> {
        let number = |row: &Value, field: &str| row[field].as_u64().unwrap_or_default();
        let row = |row: &Value| {
            let name = row["name"].as_str().unwrap().to_owned();
            (name, number(row, "tags"), number(row, "bytes"), number(row, "uniqueBytes"))
        };
        picture[kind].as_array().unwrap().iter().map(row).collect()
    };
    let team = a + b + layer;
    assert_eq!(rows("projects"), [("team".into(), 3, team, team), ("x".into(), 1, x, x)]);
    let repositories = [
        ("team/a".into(), 2, a + layer, a),
        ("team/b".into(), 1, b + layer, b),
        ("x".into(), 1, x, x),
    ];
    assert_eq!(rows("repositories"), repositories);
    let tags = rows("tags");
    assert_eq!(tags.len(), 4);
    assert_eq!(tags[2], ("team/b:1".into(), 0, b + layer, b));
    assert_eq!(tags[0].3 + tags[1].3, a);
    assert_eq!(picture["unreached"]["bytes"], "nobody needs this".len());
    assert_eq!(picture["unreached"]["count"], 1);
    assert_eq!(picture["stored"]["bytes"], team + x + "nobody needs this".len() as u64);

    let chosen: Value = serde_json::from_str(&list("chosen.json", &["--exclude", "x"])).unwrap();
    assert_eq!(chosen["unreached"]["bytes"], x + "nobody needs this".len() as u64);

    // The page has the same numbers in it and needs nothing from elsewhere.
    let page = list("picture.html", &[]);
    let (_, data) = page.split_once("id=\"data\">").unwrap();
    let data: Value = serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap();
    assert_eq!(data["picture"], picture);
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("src="));
}
