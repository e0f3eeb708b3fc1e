//! In which order a bundle arrives, and with how few requests.

use e2e::content::Family;
use e2e::programs::{Run, load, loader};
use e2e::tree::digest_of;
use e2e::{Bundle, Registry, Tree};

/// Forty images of ten repositories; the images of a repository share two layers.
fn forty_images() -> Bundle {
    Bundle::of(|root| {
        let mut tree = Tree::new(root, 141);
        for number in 0..10 {
            let repository = format!("team/image-{number}");
            let shared = [tree.layer(Family::Oci, 2000), tree.layer(Family::Oci, 2000)];
            for tag in ["1", "2", "3", "4"] {
                let own = tree.layer(Family::Oci, 2000);
                let [first, second] = shared.clone();
                let image = tree.image(&repository, Family::Oci, tag, &[first, second, own]);
                tree.tag(&repository, tag, digest_of(&image));
            }
        }
        tree
    })
}

#[test]
fn half_of_the_requests_bring_almost_half_of_the_images() {
    let bundle = forty_images();
    let target = Registry::start();
    // One job: with more, what is done first is up to the machine too.
    load(&bundle.path(), &target.url()).args(["--jobs", "1"]).run().ok();
    let requests = target.requests();
    let is_tag = |line: &&String| {
        line.starts_with("PUT /v2/") && line.contains("/manifests/") && line.ends_with(" 201")
    };
    let tags = requests[..requests.len() / 2].iter().filter(is_tag).count();
    assert!(tags >= 14, "{tags} of 40 tags");
}

#[test]
fn an_empty_registry_is_asked_little() {
    let bundle = forty_images();
    let target = Registry::start();
    let planned = loader()
        .arg("plan")
        .arg(bundle.path())
        .args(["--to", &target.url(), "--json"])
        .run()
        .ok()
        .json();
    let least = planned["requests"].as_u64().unwrap();
    let before = target.requests().len();
    load(&bundle.path(), &target.url()).run().ok().prints("40 images loaded");
    let sent = target.requests().split_off(before);
    // Ping, the oldest image, the list of repositories, and a sample of eight blobs: an earlier run
    // may have left some.
    assert_eq!(sent.len() as u64, least + 3 + 8);
}

#[test]
fn a_second_bundle_asks_before_it_sends() {
    let bundle = forty_images();
    let target = Registry::start();
    load(&bundle.path(), &target.url()).run().ok();
    // The same layers under another name of the last image: nothing is uploaded again.
    let more = Bundle::of(|root| {
        let mut tree = Tree::new(root, 141);
        let repository = "team/image-0";
        let shared = [tree.layer(Family::Oci, 2000), tree.layer(Family::Oci, 2000)];
        let [first, second] = shared;
        let image = tree.image(repository, Family::Oci, "5", &[first, second]);
        tree.tag(repository, "5", digest_of(&image));
        tree
    });
    load(&more.path(), &target.url())
        .run()
        .ok()
        .prints("1 image loaded, 0 already there, 0 failed")
        .prints("1 blob uploaded");
}
