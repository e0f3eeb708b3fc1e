//! Registries, and what stands before them, that answer otherwise than one would think.

use std::path::Path;
use std::process::Command;

use e2e::content::Family;
use e2e::programs::{Run, load, loader};
use e2e::tree::digest_of;
use e2e::{Bundle, Registry, Request, Tree};
use tranship_common::Digest;

mod answers; // to questions, uploads and manifests
mod bounds; // endless, huge and slow answers, and their words
mod deep; // what the target has lost
mod mounts; // what is refused to be mounted
mod patience; // what fails again and again, and for how long
mod sessions; // what is left open

/// A load with pauses so short that giving up takes no time.
fn hasty(bundle: &Path, url: &str) -> Command {
    let mut command = loader();
    command.arg("load").arg(bundle).args(["--to", url, "--retry-delay", "2"]);
    command
}

/// One that waits no longer than a second for a target that may be ill.
fn impatient(bundle: &Path, url: &str) -> Command {
    let mut command = hasty(bundle, url);
    command.args(["--max-wait", "1"]);
    command
}

/// Every tag of a bundle is in a registry as it was packed, with all that it needs.
#[track_caller]
fn check(bundle: &Bundle, target: &Registry) {
    let mut check = loader();
    check.arg("check").arg(bundle.path()).args(["--to", &target.url(), "--deep"]);
    check.run().ok();
}

/// Whether a request is about this manifest or blob, or whatever a text names.
fn names(request: &Request, what: &str) -> bool {
    request.target.contains(what.trim_start_matches("sha256:"))
}

/// Whether it is the upload of this blob.
fn uploads(request: &Request, blob: &Digest) -> bool {
    request.method == "PUT" && request.target.contains("/uploads/") && names(request, &blob.hex())
}

/// Images of one base in repositories `p/r00`, `p/r01` and so on, all with the same config: two
/// blobs in all.
fn of_one_base(repositories: usize) -> Bundle {
    Bundle::of(|root| {
        let mut tree = Tree::new(root, 21);
        let base = tree.layer(Family::Oci, 4000);
        for number in 0..repositories {
            let name = format!("p/r{number:02}");
            let image = tree.image(&name, Family::Oci, "same", std::slice::from_ref(&base));
            tree.tag(&name, "1", digest_of(&image));
        }
        tree
    })
}

/// Four images: two in one repository and one in another that share a base, and a list of two.
fn four_images() -> Bundle {
    Bundle::of(|root| {
        let mut tree = Tree::new(root, 22);
        let base = tree.layer(Family::Docker, 4000);
        for (repository, tag) in [("base", "1"), ("base", "2"), ("team/app", "1")] {
            let own = tree.layer(Family::Docker, 1000);
            let image = tree.image(repository, Family::Docker, tag, &[base.clone(), own]);
            tree.tag(repository, tag, digest_of(&image));
        }
        let children = ["amd64", "arm64"].map(|architecture| {
            let layer = tree.layer(Family::Oci, 1000);
            tree.image("team/list", Family::Oci, architecture, &[layer])
        });
        let list = tree.index("team/list", Family::Oci, &children);
        tree.tag("team/list", "1", digest_of(&list));
        tree
    })
}

/// Loads everything that a bundle has.
#[track_caller]
fn load_all(bundle: &Bundle, target: &Registry) {
    load(&bundle.path(), &target.url()).run().ok();
}
