//! What the target refuses for good fails at once, with its words and ours.

use e2e::programs::{Run, load, packer};
use e2e::{Registry, Tree, registry};

#[test]
fn images_with_foreign_layers_where_they_are_not_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let tree = Tree::everything(&folder.path().join("storage"), 2);
    let bundle = folder.path().join("images.tar");
    packer().args(["pack", "--storage"]).arg(tree.root()).arg("-o").arg(&bundle).run().ok();
    let target =
        Registry::with(&registry::Options { foreign_layers_refused: true, ..Default::default() });
    load(&bundle, &target.url())
        .run()
        .expect(3)
        .prints("17 images loaded, 0 already there, 1 failed")
        .says("windows/server:2022")
        .says("MANIFEST_BLOB_UNKNOWN")
        .says("validation.manifests.urls.allow");
    let puts = target.requests().into_iter().filter(|line| line.ends_with("manifests/2022 500"));
    assert_eq!(puts.count(), 1, "what cannot pass is not repeated");
}
