//! Caches of BuildKit: indexes whose children are layers.

use super::*;

fn with_cache(seed: u64) -> (Bundle, Digest) {
    let mut cache = None;
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, seed);
        tree.simple("team/app", "1");
        let index = digest_of(&tree.cache("team/app"));
        tree.tag("team/app", "cache", index);
        cache = Some(index);
        tree
    });
    (bundle, cache.unwrap())
}

#[test]
fn a_registry_takes_them_with_their_layers() {
    let (bundle, cache) = with_cache(311);
    let listed = catalog(&bundle.path());
    let manifests = listed["manifests"].as_array().unwrap();
    let entry = manifests.iter().find(|entry| entry["digest"] == json!(cache)).unwrap();
    assert_eq!(entry["manifests"], Value::Null);
    assert_eq!(entry["blobs"].as_array().unwrap().len(), 3);
    let target = Registry::start();
    load(&bundle.path(), &target.url()).run().ok().prints("2 images loaded");
    command("check", &bundle, &target.url()).arg("--deep").run().ok();
    let v2 = target.storage().join("docker/registry/v2");
    for blob in entry["blobs"].as_array().unwrap() {
        let hex = blob.as_str().unwrap().trim_start_matches("sha256:");
        let link = format!("repositories/team/app/_layers/sha256/{hex}/link");
        assert!(v2.join(link).exists(), "{hex}");
    }
}

#[test]
fn harbor_takes_none_and_that_is_said_beforehand() {
    let (bundle, _) = with_cache(312);
    let harbor = Harbor::start();
    let warning = "will not arrive: team/app:cache has an index that lists layers, as caches of \
                   BuildKit do, which Harbor does not store";
    as_admin(command("plan", &bundle, &harbor.url())).run().expect(3).prints(warning);
    as_admin(load(&bundle.path(), &harbor.url()))
        .run()
        .expect(3)
        .says(warning)
        .says("failed: team/app:cache: ")
        .prints("1 image loaded, 0 already there, 1 failed");
}
