//! What real registries leave behind: a docker-registry serves the storage itself and is the judge.
//! What it serves and takes is packed and arrives with the same digest; what it does not is named,
//! with the reason; where packer does otherwise, the table says why.

use std::fs;

use e2e::http::{Ask, Reply};
use e2e::odd::{MANIFESTS, Packs, STORAGES, Serves};
use e2e::programs::{Run, load, packer};
use e2e::registry::{Options, Registry};
use e2e::tree::Tree;
use serde_json::Value;
use tranship_common::{Digest, kinds};

mod database; // tags that are kept in a database
mod folders; // links to other disks, folders of others, and what may not be read

/// What a registry answers for a manifest.
fn get(registry: &Registry, repository: &str, reference: &str) -> Reply {
    let accept =
        [kinds::OCI_MANIFEST, kinds::OCI_INDEX, kinds::DOCKER_MANIFEST, kinds::DOCKER_LIST];
    Ask::new(&registry.url(), "GET", &format!("/v2/{repository}/manifests/{reference}"))
        .with("Accept", &accept.join(", "))
        .send()
}

/// The digest that a registry has under tag `1`, if it serves that.
fn tagged(registry: &Registry, repository: &str) -> Option<Digest> {
    let reply = get(registry, repository, "1");
    (reply.status == 200).then(|| reply.header("docker-content-digest").parse().unwrap())
}

fn has_blob(registry: &Registry, repository: &str, digest: &str) -> bool {
    let target = format!("/v2/{repository}/blobs/{digest}");
    Ask::new(&registry.url(), "HEAD", &target).send().status == 200
}

/// Whether a registry serves all that a manifest refers to, as a client that pulls it would find.
fn serves_parts(registry: &Registry, repository: &str, manifest: &Value) -> bool {
    let list = |key: &str| manifest[key].as_array().cloned().unwrap_or_default();
    let is_fetched_elsewhere = |layer: &Value| {
        let kind = layer["mediaType"].as_str().unwrap_or_default();
        kind.contains(".foreign.") && layer["urls"][0].is_string()
    };
    let config = manifest.get("config").filter(|config| !config.is_null()).cloned();
    let blobs = config.into_iter().chain(list("layers"));
    let has_blobs = blobs.filter(|blob| !is_fetched_elsewhere(blob)).all(|blob| {
        // Keys in another case are read by this registry too.
        let digest = blob.get("digest").or(blob.get("Digest")).and_then(Value::as_str);
        has_blob(registry, repository, digest.unwrap_or_default())
    });
    has_blobs
        && list("manifests").iter().all(|child| {
            let digest = child["digest"].as_str().unwrap_or_default();
            let reply = get(registry, repository, digest);
            match reply.status {
                200 => serves_parts(registry, repository, &reply.json()),
                _ => has_blob(registry, repository, digest),
            }
        })
}

fn serves(registry: &Registry, repository: &str) -> Serves {
    let reply = get(registry, repository, "1");
    match reply.status {
        200 if serves_parts(registry, repository, &reply.json()) => Serves::Whole,
        200 => Serves::Partly,
        _ => Serves::Nothing,
    }
}

/// Whether a registry takes a manifest that is pushed to it, by the type that it says it has.
fn takes(registry: &Registry, repository: &str, manifest: &[u8]) -> bool {
    let served = get(registry, repository, "1");
    let kind = match served.status {
        200 => served.header("content-type").to_owned(),
        _ => kinds::OCI_MANIFEST.to_owned(),
    };
    let target = format!("/v2/{repository}/manifests/again");
    let put = Ask::new(&registry.url(), "PUT", &target).with("Content-Type", &kind);
    put.body(manifest).send().status == 201
}

/// What there is to judge, in a repository each.
struct Case {
    repository: String,
    serves: Serves,
    /// Whether a registry takes it; not known of what is not odd by its manifest.
    takes: Option<bool>,
    packs: Packs,
    manifest: Vec<u8>,
    digest: Digest,
}

fn cases(tree: &mut Tree) -> Vec<Case> {
    let mut cases = Vec::new();
    for odd in MANIFESTS {
        let repository = format!("manifest/{}", odd.name);
        let manifest = (odd.make)(tree, &repository);
        let digest = tree.raw_manifest(&repository, &manifest);
        tree.tag(&repository, "1", digest);
        let (serves, takes, packs) = (odd.serves, Some(odd.takes), odd.packs);
        cases.push(Case { repository, serves, takes, packs, manifest, digest });
    }
    for odd in STORAGES {
        let repository = format!("storage/{}", odd.name);
        (odd.make)(tree, &repository);
        let digest = tree.tags[&format!("{repository}:1")];
        let (serves, packs) = (odd.serves, odd.packs);
        cases.push(Case { repository, serves, takes: None, packs, manifest: Vec::new(), digest });
    }
    cases
}

#[test]
fn what_a_registry_serves_is_packed_and_what_it_does_not_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut tree = Tree::new(&folder.join("storage"), 31);
    let cases = cases(&mut tree);

    // Packed first: the judge writes to the storage.
    let mut pack = packer();
    pack.args(["pack", "--storage", "storage", "-o", "images.tar", "--skip-broken", "--json"]);
    let packed = pack.args(["--report", "report.json"]).current_dir(folder).run().expect(3);
    let report: Value =
        serde_json::from_slice(&fs::read(folder.join("report.json")).unwrap()).unwrap();
    let images = report["images"].as_object().unwrap();
    let findings = report["findings"].as_array().unwrap();
    let problem = |name: &str| {
        let mut findings = findings.iter();
        let is_of = |finding: &&Value| finding["images"].as_array().unwrap().contains(&name.into());
        findings.find(is_of).map(|finding| finding["problem"].as_str().unwrap().to_owned())
    };
    let target = Registry::start();
    let loaded = load(&folder.join("images.tar"), &target.url()).run();

    let judge = Registry::with(&Options { storage: Some(tree.root()), ..Default::default() });
    let mut wrong = Vec::new();
    let mut expect = |is_so: bool, name: &str, what: String| {
        if !is_so {
            wrong.push(format!("{name}: {what}"));
        }
    };
    let mut failed = 0;
    for case in &cases {
        let name = format!("{}:1", case.repository);
        let serves = serves(&judge, &case.repository);
        expect(serves == case.serves, &name, format!("the registry serves {serves:?}"));
        let problem = problem(&name);
        let is_packed = images.get(&name).is_some_and(|image| image["status"] == "packed");
        match case.packs {
            Packs::Yes | Packs::Though(_) => {
                expect(is_packed, &name, format!("is not packed: {problem:?}"));
                let digest = Value::from(case.digest.to_string());
                expect(
                    images.get(&name).is_some_and(|image| image["digest"] == digest),
                    &name,
                    "is packed with another digest".to_owned(),
                );
            }
            Packs::No(words) | Packs::NoThough(words, _) => {
                let is_named = problem.as_ref().is_some_and(|problem| problem.contains(words));
                expect(!is_packed && is_named, &name, format!("is called {problem:?}"));
            }
        }
        let is_as_served = matches!(case.packs, Packs::Yes | Packs::No(_));
        let should_be_packed = serves == Serves::Whole;
        expect(
            (is_packed == should_be_packed) == is_as_served,
            &name,
            format!("packed {is_packed}, served {serves:?}"),
        );
        let arrived = tagged(&target, &case.repository);
        let takes = match case.takes {
            Some(said) => {
                let takes = takes(&judge, &case.repository, &case.manifest);
                expect(takes == said, &name, format!("the registry takes it: {takes}"));
                takes
            }
            None => true,
        };
        let want = (is_packed && takes).then_some(case.digest);
        expect(arrived == want, &name, format!("arrived as {arrived:?}"));
        if is_packed && !takes {
            failed += 1;
            expect(loaded.stderr.contains(&name), &name, "loader does not name it".to_owned());
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), loaded.stderr);
    let summary = format!("0 already there, {failed} failed");
    let _ = loaded.expect(3).prints(&summary);
    assert_eq!(packed.json(), report);
}
