//! What runs on some platforms: children of indexes, new indexes, single images.

use e2e::content::Family;
use e2e::programs::load;
use e2e::tree::{Built, digest_of};
use e2e::{Registry, skopeo};

use super::*;

/// `app:1` is an index for amd64, arm64 and s390x with attestations; each of its images and the
/// index itself are signed. `single:amd64` and `single:arm64` are images alone, `note:1` has no
/// platform.
struct Storage {
    folder: TempDir,
    built: Built,
    /// Signatures of the images, in their order, and of the index.
    seals: Vec<Digest>,
}

fn storage(seed: u64) -> Storage {
    let folder = tempfile::tempdir().unwrap();
    let mut tree = Tree::new(&folder.path().join("storage"), seed);
    let built = tree.built("app", &["amd64", "arm64", "s390x"]);
    let index = digest_of(&built.index);
    tree.tag("app", "1", index);
    let mut seals = Vec::new();
    for (at, of) in built.images.iter().chain([&built.index]).enumerate() {
        let note = format!("seal {at}");
        let seal = tree.untagged("app", &note, "application/vnd.example.seal", Some(of));
        seals.push(digest_of(&seal));
    }
    for architecture in ["amd64", "arm64"] {
        let layer = tree.layer(Family::Docker, 1000);
        let image = tree.image_for("single", Family::Docker, architecture, architecture, &[layer]);
        tree.tag("single", architecture, digest_of(&image));
    }
    tree.artifact("note", "1", "application/vnd.example.note", None);
    Storage { folder, built, seals }
}

impl Storage {
    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn app(&self) -> Value {
        catalog(&self.path().join("images.tar"))["repositories"][0].clone()
    }
}

const OTHER: &str = "runs on none of the wanted platforms";

#[test]
fn one_leads_to_the_child() {
    let storage = storage(411);
    let folder = storage.path();
    let report = pack(folder, &["--platform", "linux/aarch64", "--json"])
        .ok()
        .says("left out, for other platforms: 1 image: single:amd64")
        .says("tags that lead to a part of their index: 1")
        .says("signatures over the whole index do not fit these")
        .json();
    let child = digest_of(&storage.built.images[1]);
    let app = storage.app();
    assert_eq!(app["tags"][0]["digest"], json!(child));
    assert_eq!(app["tags"][0]["selectedFrom"], storage.built.index["digest"]);
    // That of the child follows it; those of the others and of the index have nothing to be about.
    assert_eq!(app["referrers"], json!([storage.seals[1]]));
    assert_eq!(packed(folder), ["app:1", "note:1", "single:arm64"]);
    assert_eq!(
        left_out(folder),
        json!({
            "selection": "for linux/arm64",
            "images": [{"name": "single:amd64", "reason": OTHER}],
        })
    );
    let images = &report["images"];
    assert_eq!(images["app:1"]["digest"], json!(child));
    assert_eq!(images["app:1"]["selectedFrom"], storage.built.index["digest"]);
    assert_eq!(images["single:amd64"], json!({"status": "otherPlatform"}));

    let target = Registry::start();
    load(&folder.join("images.tar"), &target.url())
        .run()
        .ok()
        .says("the bundle holds a selection: for linux/arm64; left out of it: 1")
        .prints("3 images loaded, 0 already there, 0 failed\nwith 1 referrer: 1 loaded");
    assert_eq!(skopeo::tag_digest(&target.address(), "app:1"), Some(child));
}

#[test]
fn several_lead_to_a_new_index_with_what_is_attested_of_its_images() {
    let storage = storage(412);
    let folder = storage.path();
    let platforms = ["--platform", "linux/s390x", "--platform", "linux/amd64"];
    pack(folder, &platforms)
        .ok()
        .says("left out, for other platforms: 1 image: single:arm64")
        .prints("packed 3 tags of 3 repositories");
    let app = storage.app();
    let new: Digest = app["tags"][0]["digest"].as_str().unwrap().parse().unwrap();
    assert_eq!(app["tags"][0]["selectedFrom"], storage.built.index["digest"]);
    let mut seals = [storage.seals[0], storage.seals[2]];
    seals.sort_unstable();
    assert_eq!(app["referrers"], json!(seals));

    // The chosen descriptors as they stand in the index, and nothing else of it is changed.
    let target = Registry::start();
    load(&folder.join("images.tar"), &target.url()).run().ok().prints("with 2 referrers: 2 loaded");
    assert_eq!(skopeo::tag_digest(&target.address(), "app:1"), Some(new));
    let stored = target.storage().join(format!(
        "docker/registry/v2/blobs/sha256/{}/{}/data",
        &new.hex()[..2],
        new.hex()
    ));
    let index: Value = serde_json::from_slice(&fs::read(stored).unwrap()).unwrap();
    let Built { images, attestations, .. } = &storage.built;
    let chosen = [&images[0], &images[2], &attestations[0], &attestations[2]];
    assert_eq!(index["manifests"], json!(chosen));
    assert_eq!(index["mediaType"], tranship_common::kinds::OCI_INDEX);

    // The order in which they are named makes no difference.
    let first = fs::read(folder.join("images.tar")).unwrap();
    pack(folder, &["--platform", "linux/amd64", "--platform", "linux/s390x"]).ok();
    assert!(fs::read(folder.join("images.tar")).unwrap() == first);
}

#[test]
fn an_index_of_which_all_is_wanted_stays_as_it_is() {
    let storage = storage(413);
    let folder = storage.path();
    let all = ["linux/amd64", "linux/arm64/v8", "linux/s390x"];
    let options: Vec<&str> = all.iter().flat_map(|platform| ["--platform", *platform]).collect();
    let packed = pack(folder, &options).ok().prints("packed 4 tags of 3 repositories");
    assert!(!packed.stderr.contains("part of their index"), "{}", packed.stderr);
    let app = storage.app();
    assert_eq!(app["tags"][0]["digest"], storage.built.index["digest"]);
    assert_eq!(app["tags"][0]["selectedFrom"], Value::Null);
    assert_eq!(app["referrers"].as_array().unwrap().len(), 4);
}

#[test]
fn where_nothing_runs_on_them_nothing_is_written() {
    let storage = storage(414);
    let folder = storage.path();
    pack(folder, &["--platform", "windows/amd64", "--exclude", "note"])
        .expect(3)
        .says("left out, for other platforms: 3 images: app:1, single:amd64, single:arm64")
        .says("no image runs on a wanted platform, so nothing was written");
    // The child that is wanted is broken, the others are not asked for.
    let tree_of = |of: &Value| {
        let hex = digest_of(of).hex().to_owned();
        let blobs = "storage/docker/registry/v2/blobs/sha256";
        folder.join(blobs).join(&hex[..2]).join(&hex).join("data")
    };
    fs::remove_file(tree_of(&storage.built.images[2])).unwrap();
    pack(folder, &["--platform", "linux/arm64"]).ok().prints("packed 3 tags of 3 repositories");
    pack(folder, &["--platform", "linux/s390x"])
        .expect(1)
        .says("app:1")
        .says("1 image cannot be packed whole");
}
