//! What is about an image and has no tag: signatures, lists of contents, attestations; and indexes
//! that list layers.

use std::fs;
use std::path::Path;
use std::process::Command;

use e2e::bundle::catalog;
use e2e::programs::{Finished, Run, load, loader, packer};
use e2e::tree::{Built, digest_of};
use e2e::{Bundle, Front, Harbor, Registry, Request, Tree, Verdict};
use serde_json::{Value, json};
use tranship_common::Digest;

mod caches; // of BuildKit
mod left_out; // what a bundle says of what it does not hold

const SEAL: &str = "application/vnd.example.seal";
const LIST: &str = "application/vnd.example.list";

/// `team/app:1`, an index for two architectures, with what is about it, none of it tagged.
struct Signed {
    built: Built,
    /// A list of what the index contains.
    list: Digest,
    /// Signatures: of the image for arm64, and of that list.
    seals: [Digest; 2],
}

fn signed(tree: &mut Tree) -> Signed {
    let repository = "team/app";
    let built = tree.built(repository, &["amd64", "arm64"]);
    let list = tree.untagged(repository, "list", LIST, Some(&built.index));
    let of_child = tree.untagged(repository, "seal of arm64", SEAL, Some(&built.images[1]));
    let of_list = tree.untagged(repository, "seal of the list", SEAL, Some(&list));
    tree.tag(repository, "1", digest_of(&built.index));
    // About something that is not there, and about nothing: neither is anybody's.
    let absent = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": Digest::of(b"absent").to_string(),
        "size": 6,
    });
    tree.untagged(repository, "stray", SEAL, Some(&absent));
    tree.untagged(repository, "alone", SEAL, None);
    let (list, seals) = (digest_of(&list), [digest_of(&of_child), digest_of(&of_list)]);
    Signed { built, list, seals }
}

impl Signed {
    fn referrers(&self) -> Vec<Digest> {
        let mut referrers = vec![self.list, self.seals[0], self.seals[1]];
        referrers.sort_unstable();
        referrers
    }

    fn names(&self) -> Vec<String> {
        self.referrers().iter().map(|digest| format!("team/app@{digest}")).collect()
    }
}

fn signed_bundle(seed: u64) -> (Bundle, Signed) {
    let mut parts = None;
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, seed);
        parts = Some(signed(&mut tree));
        tree
    });
    (bundle, parts.unwrap())
}

fn texts(digests: &[Digest]) -> Value {
    digests.iter().map(Digest::to_string).collect()
}

fn pack(folder: &Path, options: &[&str]) -> Finished {
    let mut command = packer();
    command.args(["pack", "--storage", "storage", "--output", "images.tar"]).args(options);
    command.current_dir(folder).run()
}

/// Another command of loader than `load`.
fn command(name: &str, bundle: &Bundle, url: &str) -> Command {
    let mut command = loader();
    command.arg(name).arg(bundle.path()).args(["--to", url, "--retry-delay", "10"]);
    command
}

/// As the administrator of the double of Harbor.
fn as_admin(mut command: Command) -> Command {
    command.env("TRANSHIP_USERNAME", "admin").env("TRANSHIP_PASSWORD", "Harbor12345");
    command
}

fn is_put_of(request: &Request, digest: Digest) -> bool {
    request.method == "PUT" && request.target.ends_with(&format!("/manifests/{digest}"))
}

#[test]
fn packer_takes_them_along_unless_it_is_told_not_to() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut tree = Tree::new(&folder.join("storage"), 301);
    let signed = signed(&mut tree);
    // It comes with its index, and is no referrer beside it.
    let attested = tree.untagged("team/other", "attested", SEAL, Some(&signed.built.images[0]));
    let image = tree.simple("team/other", "image");
    let size = fs::metadata(tree.blob_path(image)).unwrap().len() as usize;
    let kind = tranship_common::kinds::DOCKER_MANIFEST;
    let image = e2e::content::descriptor(kind, image, size);
    let child = tree.untagged("team/other", "child", SEAL, Some(&image));
    let index = tree.index("team/other", e2e::content::Family::Oci, &[image, child, attested]);
    tree.tag("team/other", "index", digest_of(&index));

    pack(folder, &[])
        .ok()
        .prints("packed 3 tags of 2 repositories")
        .prints("with 3 referrers without a tag");
    let all = catalog(&folder.join("images.tar"));
    assert_eq!(all["repositories"][0]["referrers"], texts(&signed.referrers()));
    assert_eq!(all["repositories"][1]["referrers"], Value::Null);
    assert_eq!(all["leftOut"], Value::Null);
    let report = pack(folder, &["--json"]).ok().json();
    assert_eq!(report["totals"]["referrers"], 3);

    let without = pack(folder, &["--no-referrers"]).ok();
    assert!(!without.stdout.contains("referrer"), "{}", without.stdout);
    let without = catalog(&folder.join("images.tar"));
    assert_eq!(without["repositories"][0]["referrers"], Value::Null);
    assert_eq!(without["leftOut"], json!({"selection": "without referrers"}));
    assert_eq!(
        all["manifests"].as_array().unwrap().len() - 3,
        without["manifests"].as_array().unwrap().len()
    );
}

#[test]
fn a_broken_one_is_named_and_stops_no_image() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut tree = Tree::new(&folder.join("storage"), 302);
    let signed = signed(&mut tree);
    // With the list its signature goes, which is about nothing then.
    let body = Digest::of(br#"{"of":"list"}"#);
    fs::remove_file(tree.blob_path(body)).unwrap();
    let name = format!("team/app@{}", signed.list);
    pack(folder, &[])
        .expect(3)
        .prints("packed 1 tag of 1 repository")
        .prints("with 1 referrer without a tag")
        .says(&format!("{body} "))
        .says(&name);
    let catalog = catalog(&folder.join("images.tar"));
    assert_eq!(catalog["repositories"][0]["referrers"], texts(&signed.seals[..1]));
    let reason = format!("{body}: the blob is missing; it is a layer of {}", signed.list);
    let orphan = json!({
        "name": format!("team/app@{}", signed.seals[1]),
        "reason": "what it is about is not in the bundle",
    });
    let mut left_out = vec![json!({"name": name, "reason": reason}), orphan];
    left_out.sort_by_key(|image| image["name"].to_string());
    assert_eq!(catalog["leftOut"]["images"], json!(left_out));
}

#[test]
fn what_another_one_lists_may_be_about_something_that_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut tree = Tree::new(&folder.join("storage"), 314);
    let descriptor_of = |tree: &Tree, digest: Digest| {
        let size = fs::metadata(tree.blob_path(digest)).unwrap().len() as usize;
        e2e::content::descriptor(tranship_common::kinds::DOCKER_MANIFEST, digest, size)
    };
    let [whole, broken] = ["1", "2"].map(|tag| tree.simple("team/app", tag));
    let of_broken = descriptor_of(&tree, broken);
    let listed = tree.untagged("team/app", "of the broken one", SEAL, Some(&of_broken));
    let collection = json!({
        "schemaVersion": 2,
        "mediaType": tranship_common::kinds::OCI_INDEX,
        "manifests": [listed],
        "subject": descriptor_of(&tree, whole),
    });
    let collection = tree.manifest("team/app", &collection);
    fs::remove_file(tree.blob_path(tree.last_layer("team/app:2"))).unwrap();
    pack(folder, &["--skip-broken"]).expect(3).prints("with 1 referrer without a tag");
    let catalog = catalog(&folder.join("images.tar"));
    assert_eq!(catalog["repositories"][0]["referrers"], texts(&[collection]));
    let names: Vec<&Value> = catalog["leftOut"]["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| &image["name"])
        .collect();
    let listed = format!("team/app@{}", digest_of(&listed));
    assert_eq!(names, [&json!("team/app:2"), &json!(listed)]);
}

#[test]
fn one_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut tree = Tree::new(&folder.join("storage"), 308);
    let signed = signed(&mut tree);
    e2e::tree::damage(&tree.blob_path(signed.list), 100);
    // It may have been about any image, or about none.
    let notice = format!(
        "manifests without a tag that cannot be read, so that nobody knows whether they are about \
         an image: 1: team/app@{}: blob ",
        signed.list
    );
    let packed = pack(folder, &["--json"]).ok().says(&notice).json();
    assert!(packed["notices"][0].as_str().unwrap().starts_with(&notice), "{packed}");
    // Nobody asks for those of other repositories.
    tree.simple("other/app", "1");
    let other = pack(folder, &["--include", "other/**"]).ok();
    assert!(!other.stderr.contains("without a tag"), "{}", other.stderr);
}

#[test]
fn they_arrive_after_what_they_are_about() {
    let (bundle, signed) = signed_bundle(303);
    let target = Registry::start();
    command("plan", &bundle, &target.url())
        .run()
        .ok()
        .prints("in all: 1 image to load, with 3 referrers, 0 there;");
    let planned = command("plan", &bundle, &target.url()).arg("--json").run().ok().json();
    assert_eq!(planned["totals"]["referrers"], 3);
    let before = target.requests().len();
    load(&bundle.path(), &target.url())
        .run()
        .ok()
        .prints("1 image loaded, 0 already there, 0 failed\nwith 3 referrers: 3 loaded, 0 already");
    let requests = target.requests().split_off(before);
    let pushed: Vec<&str> = requests
        .iter()
        .filter_map(|line| line.strip_prefix("PUT /v2/team/app/manifests/")?.strip_suffix(" 201"))
        .collect();
    // The index, its four children, and these.
    assert_eq!(pushed.len(), 8, "{pushed:?}");
    let place = |reference: &str| pushed.iter().position(|pushed| *pushed == reference).unwrap();
    let [list, of_child, of_list] =
        [signed.list, signed.seals[0], signed.seals[1]].map(|digest| place(&digest.to_string()));
    assert!(place("1") < list && list < of_list, "{pushed:?}");
    assert!(place(&digest_of(&signed.built.images[1]).to_string()) < of_child, "{pushed:?}");

    // All of it is there: what is packed from there is what was packed here.
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(target.storage(), folder.path().join("storage")).unwrap();
    pack(folder.path(), &[]).ok();
    let there = catalog(&folder.path().join("images.tar"));
    let here = catalog(&bundle.path());
    assert_eq!(there["repositories"][0]["referrers"], here["repositories"][0]["referrers"]);
    assert_eq!(there["manifests"], here["manifests"]);
    assert_eq!(there["blobs"], here["blobs"]);
}

#[test]
fn what_is_there_is_not_sent_again_and_what_is_missing_is_found() {
    let (bundle, signed) = signed_bundle(304);
    let target = Registry::start();
    load(&bundle.path(), &target.url()).run().ok();
    let before = target.requests().len();
    load(&bundle.path(), &target.url()).run().ok().prints(
        "0 images loaded, 1 already there, 0 failed\nwith 3 referrers: 0 loaded, 3 already",
    );
    let again = target.requests().split_off(before);
    assert!(again.iter().all(|line| !line.starts_with("PUT")), "{again:?}");
    command("check", &bundle, &target.url())
        .run()
        .ok()
        .prints("1 tag and 3 referrers checked, all in");

    let hex = signed.list.hex();
    let revision = format!("repositories/team/app/_manifests/revisions/sha256/{hex}/link");
    fs::remove_file(target.storage().join("docker/registry/v2").join(revision)).unwrap();
    let name = format!("team/app@{}", signed.list);
    command("check", &bundle, &target.url())
        .run()
        .expect(1)
        .prints(&format!("missing: {name}\n"))
        .prints("1 tag and 3 referrers checked, 1 of them not in");
    let checked = command("check", &bundle, &target.url()).arg("--json").run().expect(1).json();
    let missing: Vec<&Value> =
        checked.as_array().unwrap().iter().filter(|image| image["status"] != "same").collect();
    assert_eq!((missing.len(), &missing[0]["name"]), (1, &json!(name)));
    load(&bundle.path(), &target.url())
        .run()
        .ok()
        .prints("with 3 referrers: 1 loaded, 2 already there, 0 failed");
    command("check", &bundle, &target.url()).arg("--deep").run().ok();
}

#[test]
fn they_are_in_no_list_and_yet_are_asked_for() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 309);
        signed(&mut tree);
        tree.simple("team/app", "2");
        tree
    });
    let target = Registry::start();
    load(&bundle.path(), &target.url()).run().ok();
    // The oldest tag is gone, so the target's list of tags is read instead of asking for each.
    let tag = "docker/registry/v2/repositories/team/app/_manifests/tags/1";
    fs::remove_dir_all(target.storage().join(tag)).unwrap();
    let before = target.requests().len();
    load(&bundle.path(), &target.url())
        .run()
        .ok()
        .prints("1 image loaded, 1 already there, 0 failed\nwith 3 referrers: 0 loaded, 3 already");
    let requests = target.requests().split_off(before);
    assert!(requests.iter().any(|line| line.contains("/team/app/tags/list")), "{requests:?}");
}

#[test]
fn a_damaged_one_is_named_by_its_digest_and_the_image_arrives() {
    let (bundle, signed) = signed_bundle(310);
    let body = Digest::of(br#"{"of":"seal of the list"}"#);
    let listed = e2e::programs::shell(
        bundle.path().parent().unwrap(),
        &format!("grep -abo '\"of\":\"seal of the list\"' {}", bundle.path().display()),
    );
    let at: usize = listed.split(':').next().unwrap().parse().unwrap();
    e2e::tree::damage(&bundle.path(), at);
    let name = format!("team/app@{}", signed.seals[1]);
    loader()
        .arg("verify")
        .arg(bundle.path())
        .run()
        .expect(1)
        .says(&format!("{body}: "))
        .says(&name);
    let found = loader().arg("verify").arg(bundle.path()).arg("--json").run().expect(1).json();
    assert_eq!(found[0]["images"], json!([name]));
    let target = Registry::start();
    load(&bundle.path(), &target.url())
        .run()
        .expect(3)
        .says(&format!("failed: {name}: "))
        .prints("1 image loaded, 0 already there, 0 failed\nwith 3 referrers: 2 loaded, 0 already there, 1 failed");
}

#[test]
fn one_that_fails_fails_alone() {
    let (bundle, signed) = signed_bundle(305);
    let (target, list) = (Registry::start(), signed.list);
    let front = Front::start(target.address(), move |request| {
        let refusal = Verdict::error(400, "MANIFEST_INVALID", "not to my taste");
        if is_put_of(request, list) { refusal } else { Verdict::Forward }
    });
    let [report, page] = ["load.json", "load.html"].map(|name| bundle.file(name));
    load(&bundle.path(), &front.url())
        .arg("--report")
        .arg(&report)
        .run()
        .expect(3)
        .says(&format!("failed: team/app@{list}: "))
        .says("not to my taste")
        .prints("1 image loaded, 0 already there, 0 failed\nwith 3 referrers: 2 loaded, 0 already there, 1 failed");
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    assert_eq!(report["images"].as_array().unwrap().len(), 1);
    let referrers = report["referrers"].as_array().unwrap();
    let names: Vec<&str> = referrers.iter().map(|image| image["name"].as_str().unwrap()).collect();
    assert_eq!(names, signed.names());
    let of_list = &referrers[signed.referrers().iter().position(|of| *of == list).unwrap()];
    assert_eq!((&of_list["status"], &of_list["digest"]), (&json!("failed"), &json!(list)));
    assert_eq!(of_list["subject"], signed.built.index["digest"]);
    assert_eq!(
        report["totals"]["referrers"],
        json!({"loaded": 2, "present": 0, "failed": 1, "left": 0})
    );

    load(&bundle.path(), &front.url())
        .arg("--report")
        .arg(&page)
        .run()
        .expect(3)
        .prints("1 failed");
    let page = fs::read_to_string(page).unwrap();
    assert!(
        page.contains("0 images loaded, 1 there before, 0 failed, 0 left. With 3 referrers: 0")
    );
    let rows: Vec<&str> = page.lines().filter(|line| line.contains("<code>sha256:")).collect();
    assert_eq!(rows.len(), 4);
    assert!(rows[0].starts_with(&format!("<tr><td>team/app@{list}</td><td class=\"failed\">")));
}

#[test]
fn to_harbor_they_are_accessories() {
    let (bundle, signed) = signed_bundle(306);
    let harbor = Harbor::start();
    as_admin(load(&bundle.path(), &harbor.url()))
        .args(["--map", "team/*=other/sub/*"])
        .run()
        .ok()
        .prints("with 3 referrers: 3 loaded");
    let state = harbor.state();
    let project = &state.projects["other"];
    let about = |digest: Digest| project.accessories("other/sub/app", &digest.to_string());
    assert_eq!(about(digest_of(&signed.built.index)), [signed.list.to_string()]);
    assert_eq!(about(digest_of(&signed.built.images[1])), [signed.seals[0].to_string()]);
    assert_eq!(about(signed.list), [signed.seals[1].to_string()]);
    assert_eq!(project.used(), project.held_bytes());
    drop(state);
    // Harbor lists none of them, but each is found by its digest.
    let checked = as_admin(command("check", &bundle, &harbor.url()))
        .args(["--map", "team/*=other/sub/*", "--deep"])
        .run()
        .ok()
        .prints("1 tag and 3 referrers checked, all in");
    assert!(!checked.stderr.contains("not checked"), "{}", checked.stderr);
    as_admin(load(&bundle.path(), &harbor.url()))
        .args(["--map", "team/*=other/sub/*"])
        .run()
        .ok()
        .prints("with 3 referrers: 0 loaded, 3 already there, 0 failed\n0 blobs uploaded");
}

#[test]
fn a_quota_has_to_have_room_for_them() {
    let (bundle, _) = signed_bundle(313);
    let harbor = Harbor::start();
    as_admin(load(&bundle.path(), &harbor.url())).run().ok();
    let need = harbor.state().projects["team"].held_bytes();
    let limited = |limit: u64| {
        let harbor = Harbor::start();
        harbor.state().projects.insert("team".into(), e2e::harbor::Project::limited(limit));
        as_admin(load(&bundle.path(), &harbor.url())).run()
    };
    limited(need).ok().prints("with 3 referrers: 3 loaded");
    let words = format!("would gain {need}: raise it by 1 bytes");
    limited(need - 1).expect(1).says(&words).says("nothing was sent");
}

#[test]
fn through_a_pipe_too() {
    let (bundle, signed) = signed_bundle(307);
    let target = Registry::start();
    let mut command = load(Path::new("-"), &target.url());
    command.stdin(fs::File::open(bundle.path()).unwrap());
    command.run().ok().prints("with 3 referrers: 3 loaded, 0 already there, 0 failed");
    let revisions = "docker/registry/v2/repositories/team/app/_manifests/revisions/sha256";
    for digest in signed.referrers() {
        assert!(target.storage().join(revisions).join(digest.hex()).join("link").exists());
    }
}
