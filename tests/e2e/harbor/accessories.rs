//! Signatures and other artifacts that refer to an image.

use e2e::content::Family;
use e2e::programs::Run;
use e2e::tree::digest_of;
use e2e::{Bundle, Harbor, Tree};
use tranship_common::kinds;

use super::{command, loading};

#[test]
fn what_refers_to_an_image_arrives_after_it() {
    let mut referred = None;
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 111);
        let layer = tree.layer(Family::Oci, 2000);
        let image = tree.image("team/app", Family::Oci, "1", &[layer]);
        let digest = digest_of(&image);
        // All that refers to the image was tagged before it.
        let signature = format!("sha256-{}.sig", digest.hex());
        tree.artifact("team/app", &signature, "application/vnd.example.signature", None);
        tree.artifact("team/app", "sbom", "application/vnd.example.sbom", Some(&image));
        // What a registry without the referrers API is told: an index under a tag of its own.
        tree.artifact("team/app", "untagged", "application/vnd.example.scan", Some(&image));
        let scan = tree.tags["team/app:untagged"];
        let size = std::fs::metadata(tree.blob_path(scan)).unwrap().len() as usize;
        let described = e2e::content::descriptor(kinds::OCI_MANIFEST, scan, size);
        let index = tree.index("team/app", Family::Oci, &[described]);
        let fallback = format!("sha256-{}", digest.hex());
        tree.tag("team/app", &fallback, digest_of(&index));
        tree.tag("team/app", "1", digest);
        referred = Some((digest, signature, fallback));
        tree
    });
    let (digest, signature, fallback) = referred.unwrap();
    let harbor = Harbor::start();
    loading(&bundle, &harbor).run().ok().prints("5 images loaded");
    let pushed: Vec<String> = harbor
        .requests()
        .into_iter()
        .filter(|request| request.method == "PUT")
        .filter_map(|request| Some(request.target.strip_prefix("/v2/team/app/manifests/")?.into()))
        .collect();
    let [image, signature, sbom, index] = ["1", &signature, "sbom", &fallback]
        .map(|tag| pushed.iter().position(|reference| reference == tag).unwrap());
    assert!(image < signature && image < sbom && image < index, "{pushed:?}");

    let state = harbor.state();
    let accessories = state.projects["team"].accessories("team/app", &digest.to_string());
    // The signature, the list of parts, and the scan.
    assert_eq!(accessories.len(), 3, "{accessories:?}");
    drop(state);
    // Harbor lists none of them, but each is found by its tag.
    let checked = command("check", &bundle, &harbor).run().ok().prints("5 tags checked, all in");
    assert!(!checked.stderr.contains("not checked"), "{}", checked.stderr);
}

#[test]
fn more_artifacts_than_a_page_of_harbors_list_holds() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 112);
        for number in 0..105 {
            tree.simple("team/app", &number.to_string());
        }
        tree
    });
    let harbor = Harbor::start();
    loading(&bundle, &harbor).run().ok().prints("105 images loaded");
    let before = harbor.requests().len();
    command("check", &bundle, &harbor).run().ok().prints("105 tags checked, all in");
    let lists = harbor
        .requests()
        .into_iter()
        .skip(before)
        .filter(|request| request.target.contains("/repositories/app/artifacts"));
    assert_eq!(lists.count(), 2, "one request for each hundred");
}
