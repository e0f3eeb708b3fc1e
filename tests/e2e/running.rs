//! A registry that runs: pushes, deletes and garbage collection while packer reads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use e2e::http::Ask;
use e2e::programs::{Run, packer};
use e2e::{Registry, Tree};
use serde_json::json;
use tranship_common::bundle::{BundleFile, verify};
use tranship_common::{Digest, Silent};

/// How often packer runs while the registry changes.
const RUNS: usize = 200;

/// Somebody who pushes, overwrites and deletes the same few tags all the time.
struct Pusher {
    url: String,
    random: fastrand::Rng,
}

impl Pusher {
    fn send(&self, method: &str, target: &str, media_type: &str, body: &[u8]) -> e2e::http::Reply {
        let ask = Ask::new(&self.url, method, target);
        let ask = if media_type.is_empty() { ask } else { ask.with("Content-Type", media_type) };
        ask.body(body).send()
    }

    /// Uploads bytes that nobody has had before.
    fn blob(&mut self, repository: &str) -> (Digest, usize) {
        let mut bytes = vec![0; self.random.usize(50..3000)];
        self.random.fill(&mut bytes);
        let session = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), "", b"");
        assert_eq!(session.status, 202, "{}", session.body);
        let digest = Digest::of(&bytes);
        let location = session.header("Location");
        let target = format!("{location}&digest={digest}");
        let put = self.send("PUT", &target, "application/octet-stream", &bytes);
        assert_eq!(put.status, 201, "{}", put.body);
        (digest, bytes.len())
    }

    fn push(&mut self, repository: &str, tag: &str) -> Digest {
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let [config, layer] = [(); 2].map(|()| {
            let (digest, size) = self.blob(repository);
            json!({"mediaType": "application/octet-stream", "digest": digest, "size": size})
        });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer],
        });
        let manifest = manifest.to_string();
        let target = format!("/v2/{repository}/manifests/{tag}");
        let put = self.send("PUT", &target, kind, manifest.as_bytes());
        assert_eq!(put.status, 201, "{}", put.body);
        Digest::of(manifest.as_bytes())
    }

    /// One change. Garbage is collected between changes: during a push, Distribution's own collector
    /// would take the blobs of it.
    fn change(&mut self, registry: &Registry) {
        let repository = format!("team/app-{}", self.random.u8(..3));
        let tag = format!("build-{}", self.random.u8(..4));
        let pushed = self.push(&repository, &tag);
        if self.random.u8(..3) == 0 {
            let target = format!("/v2/{repository}/manifests/{pushed}");
            assert_eq!(self.send("DELETE", &target, "", b"").status, 202);
        }
        if self.random.u8(..12) == 0 {
            registry.collect_garbage(self.random.bool());
        }
    }
}

#[test]
fn what_changes_while_it_is_read_is_no_finding() {
    let folder = tempfile::tempdir().unwrap();
    let storage = folder.path().join("storage");
    // Something that stays, so that no bundle is empty.
    let mut tree = Tree::new(&storage, 91);
    let steady = tree.simple("steady/image", "1");
    let options = e2e::registry::Options { storage: Some(&storage), ..Default::default() };
    let registry = Registry::with(&options);
    let mut pusher = Pusher { url: registry.url(), random: fastrand::Rng::with_seed(92) };
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let changing = scope.spawn(|| {
            let mut changes = 0;
            while !is_over.load(Ordering::Relaxed) {
                pusher.change(&registry);
                changes += 1;
            }
            changes
        });
        let run = std::panic::catch_unwind(|| {
            for run in 0..RUNS {
                pack_once(folder.path(), run, steady);
            }
        });
        is_over.store(true, Ordering::Relaxed);
        let changes: usize = changing.join().unwrap();
        run.unwrap();
        assert!(changes > RUNS / 4, "only {changes} changes: the registry hardly ran");
    });
}

fn pack_once(folder: &std::path::Path, run: usize, steady: Digest) {
    let packed = packer()
        .args(["pack", "--storage", "storage", "-o", "images.tar", "-q"])
        .current_dir(folder)
        .run();
    assert_eq!(packed.code, Some(0), "run {run}: {packed:?}");
    assert_eq!(packed.stderr, "", "run {run}");
    let bundle = BundleFile::open(&folder.join("images.tar")).unwrap();
    let findings = verify(&bundle, &Silent, |entries, check| entries.iter().map(check).collect());
    assert!(findings.is_empty(), "run {run}: {findings:?}");
    assert!(bundle.contents().images().any(|(_, tag)| tag.digest == steady), "run {run}");
}
