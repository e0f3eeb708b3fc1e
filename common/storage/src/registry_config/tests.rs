use std::fs;

use super::*;
use crate::location::BucketLocation;

fn located(config: &str, environment: &[(&str, &str)]) -> Result<StorageLocation, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yml");
    fs::write(&file, config).unwrap();
    let pairs = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    StorageLocation::of_registry(&file, pairs)
        .map_err(|error| error.to_string().replace(&format!("{}: ", file.display()), ""))
}

fn bucket(config: &str, environment: &[(&str, &str)]) -> BucketLocation {
    match located(config, environment).unwrap() {
        StorageLocation::Bucket(bucket) => bucket,
        StorageLocation::Path(path) => panic!("it is the folder {}", path.display()),
    }
}

fn settings(bucket: &BucketLocation) -> Vec<(&str, &str)> {
    bucket.settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[test]
fn a_folder() {
    let folder = |path: &str| Ok(StorageLocation::Path(path.into()));
    let debian = "version: 0.1\nlog:\n  fields:\n    service: registry\nstorage:\n  cache:\n    \
                  blobdescriptor: inmemory\n  filesystem:\n    rootdirectory: /srv/registry\n  \
                  delete:\n    enabled: true\nhttp:\n  addr: :5000\n";
    assert_eq!(located(debian, &[]), folder("/srv/registry"));
    assert_eq!(located("storage: {filesystem: {}}", &[]), folder("/var/lib/registry"));
    assert_eq!(located("storage: filesystem", &[]), folder("/var/lib/registry"));
    let moved = [("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/data"), ("REGISTRY_HTTP", "x")];
    assert_eq!(located(debian, &moved), folder("/data"));
    assert_eq!(located("storage: filesystem", &moved), folder("/data"));
    assert_eq!(located("version: 0.1", &moved), folder("/data"));
}

#[test]
fn s3() {
    let config = "storage:\n  s3:\n    accesskey: 0123\n    secretkey: 'a#b'\n    region: eu-1\n    \
                  regionendpoint: minio:9000\n    bucket: images\n    rootdirectory: /one/two/\n    \
                  secure: no\n    skipverify: true\n    v4auth: true\n    chunksize: 5242880\n";
    let found = bucket(config, &[]);
    assert_eq!(found.to_string(), "s3://images/one/two");
    assert!(found.skip_verify);
    assert_eq!(
        settings(&found),
        [
            ("AWS_ACCESS_KEY_ID", "0123"),
            ("AWS_SECRET_ACCESS_KEY", "a#b"),
            ("AWS_REGION", "eu-1"),
            ("AWS_ENDPOINT_URL_S3", "http://minio:9000"),
        ]
    );
    let shown = format!("{found:?}");
    assert!(!shown.contains("a#b") && !shown.contains("0123"), "{shown}");

    let given = [
        ("REGISTRY_STORAGE_S3_REGIONENDPOINT", "https://other:9000"),
        ("REGISTRY_STORAGE_S3_FORCEPATHSTYLE", "false"),
        ("REGISTRY_STORAGE_S3_SKIPVERIFY", "\"false\""),
        ("REGISTRY_STORAGE", "{s3: {bucket: b}}"),
    ];
    let found = bucket(config, &given);
    assert_eq!(found.to_string(), "s3://b");
    assert!(!found.skip_verify);
    assert_eq!(
        settings(&found),
        [
            ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true"),
            ("AWS_ENDPOINT_URL_S3", "https://b.other:9000")
        ]
    );
}

#[test]
fn google_and_azure() {
    let found = bucket("storage: {gcs: {bucket: b, keyfile: /key.json, rootdirectory: r}}", &[]);
    assert_eq!(found.to_string(), "gs://b/r");
    assert_eq!(settings(&found), [("GOOGLE_SERVICE_ACCOUNT", "/key.json")]);
    let found = bucket(
        "storage: {azure: {container: c, accountname: a, accountkey: k, realm: core.x, \
         credentials: {clientid: i, tenantid: t, secret: s}}}",
        &[],
    );
    assert_eq!(found.to_string(), "az://c");
    assert_eq!(
        settings(&found),
        [
            ("AZURE_STORAGE_ACCOUNT_NAME", "a"),
            ("AZURE_STORAGE_ACCOUNT_KEY", "k"),
            ("AZURE_STORAGE_ENDPOINT", "https://a.blob.core.x"),
            ("AZURE_CLIENT_ID", "i"),
            ("AZURE_TENANT_ID", "t"),
            ("AZURE_CLIENT_SECRET", "s"),
        ]
    );
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    for (config, what) in [
        ("storage: inmemory", "its storage driver `inmemory` cannot be read"),
        ("storage: {swift: {password: hidden}}", "its storage driver `swift` cannot be read"),
        ("storage: {cache: {}}", "its section `storage` names no driver"),
        ("version: 0.1", "its section `storage` names no driver"),
        ("storage: {s3: {bucket: b}, filesystem: {}}", "several drivers: filesystem, s3"),
        ("storage: {s3: {secretkey: hidden}}", "its setting storage.s3.bucket is missing"),
        ("storage: {s3: {bucket: b, secretkey: [hidden]}}", "storage.s3.secretkey is no text"),
        ("storage: {s3: {bucket: b, skipverify: hidden}}", "skipverify is neither true nor"),
        ("storage: {s3: {bucket: 'k:hidden@b'}}", "neither user, password"),
        ("storage: {gcs: {bucket: b, credentials: {private_key: hidden}}}", "as `keyfile`"),
        ("- hidden", "it is no registry's configuration"),
        ("storage: {s3: {secretkey: hidden", "no YAML in line 2, column 1"),
    ] {
        let error = located(config, &[]).unwrap_err();
        assert!(error.contains(what), "{config}: {error}");
        assert!(!error.contains("hidden"), "{error}");
    }
}

#[test]
fn a_file_that_is_none() {
    let missing = StorageLocation::of_registry(Path::new("/no/config.yml"), []).unwrap_err();
    assert_eq!(missing.to_string(), "cannot read /no/config.yml");
    let large = format!("# {}", "x".repeat(1 << 20));
    assert_eq!(located(&large, &[]).unwrap_err(), "it has more than 1048576 bytes");
}
