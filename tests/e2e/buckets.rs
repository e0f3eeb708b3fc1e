//! Storage in a bucket: a real docker-registry on a real S3 server, and what can be in the way.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use e2e::front::Judge;
use e2e::programs::{self, Run};
use e2e::s3::{BUCKET, KEY};
use e2e::tls::Certificates;
use e2e::{Bundle, Front, Registry, Request, S3, Tree, Verdict, packer, registry};

/// `packer`, with what it needs to know to read from a server.
fn reading(command: &str, endpoint: &str) -> Command {
    let mut packer = packer();
    packer.arg(command).env("AWS_ENDPOINT_URL", endpoint);
    packer.env("AWS_ACCESS_KEY_ID", KEY.0).env("AWS_SECRET_ACCESS_KEY", KEY.1);
    packer
}

/// The bundle of a storage, for which `storage` are the options.
fn packed(mut packer: Command, storage: &[&str], folder: &Path) -> Vec<u8> {
    packer.args(storage).args(["--output", "images.tar"]).current_dir(folder).run().ok();
    fs::read(folder.join("images.tar")).unwrap()
}

/// A bucket with a tree below `registry`.
fn filled(fill: impl FnOnce(&mut Tree)) -> (S3, Tree, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut tree = Tree::new(&folder.path().join("registry"), 1);
    fill(&mut tree);
    let s3 = S3::start();
    s3.upload(folder.path());
    (s3, tree, folder)
}

fn one_image(tree: &mut Tree) {
    tree.simple("team/image", "1");
}

#[test]
fn a_registry_on_s3_gives_the_bundle_that_its_folder_would_give() {
    let bundle = Bundle::everything(1);
    let s3 = S3::start();
    let driver = Some(s3.driver("/deep/er"));
    let registry = Registry::with(&registry::Options { driver, ..Default::default() });
    programs::load(&bundle.path(), &registry.url()).run().ok().prints("18 images loaded");

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    s3.mirror(&folder.join("mirror"));
    let of_folder = packed_folder(&folder.join("mirror/deep/er"), folder);

    let front = Front::start(s3.address(), |_| Verdict::Forward);
    let address = format!("s3://{BUCKET}/deep/er");
    let of_bucket = packed(reading("pack", &front.url()), &["--storage", &address], folder);
    assert!(of_bucket == of_folder, "the bucket's bundle is another");
    for request in front.requests() {
        let target = request.target.to_lowercase();
        assert!(!target.contains("_layers") && !target.contains("_uploads"), "{target}");
        assert!(request.method == "GET" || request.method == "HEAD", "{}", request.method);
    }

    // What the registry itself is told is enough.
    let config = registry.config();
    let mut of_config = packer();
    of_config.args(["pack", "--registry-config"]).arg(&config);
    assert!(packed(of_config, &[], folder) == of_folder, "the configuration's bundle is another");
    let listed = |options: &[&str]| {
        let mut list = packer();
        list.arg("list").args(options).run().ok().stdout
    };
    let mirror = folder.join("mirror/deep/er");
    assert_eq!(
        listed(&["--registry-config", config.to_str().unwrap()]),
        listed(&["--storage", mirror.to_str().unwrap()])
    );
}

fn packed_folder(storage: &Path, folder: &Path) -> Vec<u8> {
    let mut of_folder = packer();
    of_folder.arg("pack");
    packed(of_folder, &["--storage", storage.to_str().unwrap()], folder)
}

#[test]
fn throttled_and_cut_the_bundle_is_whole() {
    let (s3, _, folder) = filled(|tree| {
        for tag in 0..3 {
            tree.simple("team/image", &format!("v{tag}"));
        }
        // Large enough to be cut.
        let large = tree.layer(e2e::content::Family::Oci, 1_200_000);
        let image = tree.image("team/large", e2e::content::Family::Oci, "large", &[large]);
        tree.tag("team/large", "1", e2e::tree::digest_of(&image));
    });
    let address = format!("s3://{BUCKET}/registry");
    let undisturbed = packed(reading("pack", &s3.url()), &["--storage", &address], folder.path());

    // What is asked for is throttled, cut and throttled again before it is given.
    let slow_down = "<Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>";
    let asked = Mutex::new(HashMap::new());
    let front = Front::start(s3.address(), move |request| {
        let mut asked = asked.lock().unwrap();
        let times = asked.entry(format!("{} {}", request.method, request.target)).or_insert(0);
        *times += 1;
        match *times {
            1 => Verdict::text(503, "application/xml", slow_down.to_owned()),
            2 if request.target.ends_with("/data") => Verdict::CutDown(500_000),
            2 => Verdict::CutDown(40),
            3 => Verdict::status(429),
            _ => Verdict::Forward,
        }
    });
    let disturbed = packed(reading("pack", &front.url()), &["--storage", &address], folder.path());
    assert!(disturbed == undisturbed);
    let resumed = front
        .requests()
        .iter()
        .any(|request| request.header("range").is_some() && request.header("if-match").is_some());
    assert!(resumed, "the large layer was not read on");
}

#[test]
fn a_server_that_is_always_ill_is_given_up() {
    let (s3, _, folder) = filled(one_image);
    let address = format!("s3://{BUCKET}/registry");
    let pack = |endpoint: &str| {
        let mut pack = reading("pack", endpoint);
        pack.args(["--storage", &address, "--output", "no.tar"]).current_dir(folder.path());
        let finished = pack.run().expect(1);
        assert!(!folder.path().join("no.tar").exists());
        finished
    };
    let front = Front::start(s3.address(), |_| Verdict::page(500, "Internal Server Error"));
    let _ = pack(&front.url())
        .says("s3://images/registry: the server answers 500")
        .says("try again later");
    // It lists, and does not give.
    let front = Front::start(s3.address(), |request| match request.target.ends_with("/data") {
        true => Verdict::CutDown(0),
        false => Verdict::Forward,
    });
    let _ = pack(&front.url()).says("the connection broke").says("try again later");
}

#[test]
fn what_is_broken_in_a_bucket_is_named_by_its_address() {
    let (s3, tree, _folder) = filled(|tree| {
        for name in ["whole", "nolink", "deleted", "noblob", "odd"] {
            tree.simple(name, "1");
        }
    });
    let v2 = "registry/docker/registry/v2";
    s3.delete(&format!("{v2}/repositories/nolink/_manifests/tags/1/current/link"));
    let revisions = format!("{v2}/repositories/deleted/_manifests/revisions/sha256");
    let hex = tree.tags["deleted:1"].hex();
    s3.delete(&format!("{revisions}/{hex}/link"));
    let layer = tree.last_layer("noblob:1");
    let data = format!("{v2}/blobs/sha256/{}/{}/data", &layer.hex()[..2], layer.hex());
    s3.delete(&data);
    s3.put(&format!("{v2}/repositories//odd//key"), b"");
    s3.put(&format!("{v2}/repositories/odd/_manifests/tags/1/current/link"), b"sha256:0");

    let address = format!("s3://{BUCKET}/registry");
    let listed = reading("list", &s3.url()).args(["--storage", &address]).run().expect(3);
    assert_eq!(listed.stdout, "whole:1\n");
    let _ = listed
        .says("nolink")
        .says("no `current/link`")
        .says("the registry itself no longer serves it")
        .says("the link holds no digest")
        .says(&format!("s3://{BUCKET}/{data}"))
        .says("objects whose keys no registry writes are passed over");
}

#[test]
fn what_is_wrong_with_the_bucket_is_said() {
    let (s3, ..) = filled(one_image);
    let list = |address: &str| reading("list", &s3.url()).args(["--storage", address]).run();
    let _ = list("s3://nothing/registry")
        .expect(1)
        .says("s3://nothing/registry: the server answers 404 NoSuchBucket")
        .says("look at its name and at the endpoint");
    let _ = list(&format!("s3://{BUCKET}/other"))
        .expect(1)
        .says("s3://images/other holds no registry storage")
        .says("s3://images/other/docker/registry/v2");
    let _ = list("s3://somebody:confidential@images").expect(1).says("credentials and endpoint");
    let mut nobody = reading("list", "http://127.0.0.1:9");
    let _ = nobody.args(["--storage", "s3://images"]).run().expect(1).says("AWS_ENDPOINT_URL");
    // Both programs' options, and what is no registry's configuration.
    let _ = packer().args(["list", "--storage", "a", "--registry-config", "b"]).run().expect(2);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yml");
    fs::write(&config, "storage: {swift: {password: confidential}}").unwrap();
    let refused = packer().args(["list", "--registry-config"]).arg(&config).run().expect(1);
    assert!(!refused.stderr.contains("confidential"));
    let _ = refused.says("its storage driver `swift` cannot be read");
}

struct Passing;

impl Judge for Passing {
    fn judge(&self, _: &mut Request) -> Verdict {
        Verdict::Forward
    }
}

#[test]
fn over_tls_the_server_is_known_or_trusted_blindly() {
    let (s3, tree, folder) = filled(one_image);
    let certificates = Certificates::new();
    let front = Front::with(s3.address(), Arc::new(Passing), Some(&certificates));
    let address = format!("s3://{BUCKET}/registry");
    let list = || {
        let mut list = reading("list", &front.url());
        list.args(["--storage", &address, "--json"]);
        list
    };
    let _ = list().run().expect(1).says(" is not trusted: ").says("AWS_CA_BUNDLE");
    let authority = certificates.folder().join("ca.pem");
    let listed = list().env("AWS_CA_BUNDLE", authority).run().ok();
    listed.prints(&tree.tags["team/image:1"].to_string());

    let config = folder.path().join("config.yml");
    let driver = s3.driver("registry").replace(&s3.url(), &front.url());
    let read = |driver: &str| {
        fs::write(&config, format!("storage: {{{driver}}}")).unwrap();
        packer().args(["list", "--registry-config"]).arg(&config).run()
    };
    let _ = read(&driver).expect(1).says(" is not trusted: ");
    read(&driver.replace("{region", "{skipverify: true, region")).ok().prints("team/image:1");
}
