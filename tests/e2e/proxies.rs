//! A real nginx before the target, as it stands before every Harbor.

use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::content::Family;
use e2e::harbor::{Account, Kind, Project};
use e2e::nginx::Nginx;
use e2e::programs::{Run, load, loader};
use e2e::tree::digest_of;
use e2e::{Bundle, Harbor, Registry, Tree, Verdict};

/// An image with a layer of 3 MB, which is on its way for a while, and a small one.
fn large_and_small() -> Bundle {
    Bundle::of(|root| {
        let mut tree = Tree::new(root, 131);
        let layer = tree.layer(Family::Oci, 5_000_000);
        let image = tree.image("large/image", Family::Oci, "1", &[layer]);
        tree.tag("large/image", "1", digest_of(&image));
        tree.simple("small/image", "1");
        tree
    })
}

#[test]
fn bodies_that_are_too_large_for_the_proxy() {
    let bundle = large_and_small();
    let target = Registry::start();
    // nginx takes 1 MB unless it is told otherwise.
    let proxy = Nginx::start(&target.url(), "");
    load(&bundle.path(), &proxy.url())
        .run()
        .expect(3)
        .prints("1 image loaded, 0 already there, 1 failed")
        .says("failed: large/image:1")
        .says("client_max_body_size");
}

#[test]
fn connections_that_the_proxy_closes_again_and_again() {
    let bundle = Bundle::everything(132);
    let target = Registry::start();
    let proxy = Nginx::start(&target.url(), "client_max_body_size 0; keepalive_requests 3;");
    load(&bundle.path(), &proxy.url())
        .run()
        .ok()
        .prints("18 images loaded, 0 already there, 0 failed");
    loader().arg("check").arg(bundle.path()).args(["--to", &proxy.url()]).run().ok();
    for blob in bundle.blobs() {
        assert_eq!(target.commits(&blob), 1, "{blob}");
    }
}

#[test]
fn harbor_refuses_what_the_proxy_is_still_passing_on() {
    let bundle = large_and_small();
    let harbor = Harbor::start();
    harbor.state().projects.insert("large".into(), Project::limited(1_000_000));
    let proxy = Nginx::start(&harbor.url(), "client_max_body_size 0;");
    harbor.state().external_url = proxy.url();
    harbor.state().without_proxy = true;
    // A robot, which is not shown the quota.
    let robot = Account::new("secret", Kind::SystemRobot);
    harbor.state().accounts.insert("robot$loader".into(), robot);
    let loading = || {
        let mut command = load(&bundle.path(), &proxy.url());
        command.env("TRANSHIP_USERNAME", "robot$loader").env("TRANSHIP_PASSWORD", "secret");
        command
    };
    loading()
        .arg("--no-preflight")
        .run()
        .expect(3)
        .prints("1 image loaded, 0 already there, 1 failed")
        .says("project large is full")
        .says("raise its storage quota");
    let puts = harbor.requests().into_iter().filter(|request| {
        request.method == "PUT" && request.target.starts_with("/v2/large/image/blobs/")
    });
    assert!(puts.count() <= 3, "what does not fit is not sent again and again");
    harbor.state().projects.get_mut("large").unwrap().limit = None;
    loading().run().ok().prints("1 image loaded, 1 already there, 0 failed");
}

#[test]
fn harbor_starts_anew_behind_the_proxy() {
    let bundle = Bundle::everything(133);
    let seen = AtomicUsize::new(0);
    let harbor = Harbor::with_trouble(move |_, _| {
        (seen.fetch_add(1, Ordering::SeqCst) == 60).then_some(Verdict::Restart(60))
    });
    let proxy = Nginx::start(&harbor.url(), "client_max_body_size 0;");
    let mut loading = load(&bundle.path(), &proxy.url());
    loading.env("TRANSHIP_USERNAME", "admin").env("TRANSHIP_PASSWORD", "Harbor12345");
    loading
        .run()
        .ok()
        .prints("18 images loaded, 0 already there, 0 failed")
        .says("502 Bad Gateway; waiting up to 300 s for it to come back");
}
