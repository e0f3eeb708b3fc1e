use std::io::Read;
use std::time::Duration;

use tranship_common::Silent;

use super::*;
use crate::location::StorageLocation;
use server::{Server, answer, entry, error, is_storage, object, page};

mod server;

/// Tries as often as usual, and waits for nothing.
const HASTY: Patience = Patience { first: Duration::ZERO, ..Patience::USUAL };

fn location(address: &str) -> BucketLocation {
    match StorageLocation::given(address.as_ref()).unwrap() {
        StorageLocation::Bucket(bucket) => bucket,
        StorageLocation::Path(path) => panic!("{} is a path", path.display()),
    }
}

fn environment(server: &Server) -> Vec<(String, String)> {
    [
        ("AWS_ACCESS_KEY_ID", "somebody"),
        ("AWS_SECRET_ACCESS_KEY", "confidential"),
        ("AWS_ENDPOINT_URL", &format!("http://{}", server.address)),
        ("PATH", "/usr/bin"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn open(server: &Server) -> Result<Bucket, SourceError> {
    Bucket::with(&location("s3://images"), &environment(server), HASTY)
}

fn bytes(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

/// Reads a blob from a server that answers so.
fn read(server: &Server, blob: &[u8]) -> Result<Vec<u8>, String> {
    let bucket = open(server).unwrap();
    let mut reader = bucket.open(Digest::of(blob)).map_err(|problem| problem.to_string())?;
    let mut read = Vec::new();
    reader.read_to_end(&mut read).map_err(|error| error.to_string())?;
    Ok(read)
}

#[test]
fn a_download_goes_on_where_it_was_cut() {
    let blob = bytes(1_000_000);
    let served = blob.clone();
    let server = Server::start(move |head, _| {
        is_storage(head).unwrap_or_else(|| object(head, &served, "one", 70_000))
    });
    assert!(read(&server, &blob).unwrap() == blob);
    let requests = server.requests();
    let resumed: Vec<_> = requests.iter().filter(|head| head.contains("range: bytes=")).collect();
    assert!(resumed.len() >= 14, "{}", resumed.len());
    assert!(resumed.iter().all(|head| head.contains("if-match: \"one\"")));
}

#[test]
fn a_download_that_makes_no_progress_ends() {
    let blob = bytes(100_000);
    let served = blob.clone();
    let server = Server::start(move |head, _| {
        is_storage(head).unwrap_or_else(|| object(head, &served, "one", 0))
    });
    let error = read(&server, &blob).unwrap_err();
    assert!(error.starts_with("the connection broke: "), "{error}");
    assert!(error.ends_with("; it was tried several times: try again later"), "{error}");
    let asked = server.requests().iter().filter(|head| !head.contains("list-type")).count();
    assert_eq!(asked, 7);
}

#[test]
fn what_is_changed_or_removed_meanwhile_is_not_read_on() {
    let blob = bytes(300_000);
    type Then = fn(&str, &[u8]) -> Vec<u8>;
    let cases: [(Then, &str); 3] = [
        (|head, blob| object(head, blob, "two", usize::MAX), "was changed while it was read"),
        (|_, _| error("412 Precondition Failed", "", "PreconditionFailed"), "was changed while"),
        (|_, _| error("404 Not Found", "", "NoSuchKey"), "entity not found"),
    ];
    for (then, message) in cases {
        let served = blob.clone();
        let server = Server::start(move |head, _| {
            is_storage(head).unwrap_or_else(|| match head.contains("range: bytes=") {
                true => then(head, &served),
                false => object(head, &served, "one", 70_000),
            })
        });
        let error = read(&server, &blob).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn throttling_and_illness_are_waited_out() {
    let blob = bytes(1000);
    let served = blob.clone();
    let server = Server::start(move |head, number| match number % 6 {
        0 => error("503 Slow Down", "", "SlowDown"),
        1 => answer("429 Too Many Requests", "Retry-After: 0\r\n", b"", 0),
        2 => error("500 Internal Server Error", "", "InternalError"),
        // A page that is cut, or no answer at all.
        3 => answer("200 OK", "", b"<ListBucketResult>", 1000),
        4 => Vec::new(),
        _ => is_storage(head).unwrap_or_else(|| object(head, &served, "one", usize::MAX)),
    });
    let bucket = open(&server).unwrap();
    assert_eq!(bucket.size(Digest::of(&blob)).unwrap(), 1000);
    assert_eq!(bucket.side_by_side(2), 32);
}

#[test]
fn what_never_gets_better_ends_with_a_reason() {
    for (failing, requests, message) in [
        (
            error("503 Slow Down", "", "SlowDown"),
            21,
            "the server answers 503 SlowDown: Words.; it still asked for fewer requests after many \
             waits: try again later",
        ),
        (
            error("429 Too Many Requests", "", ""),
            21,
            "the server answers 429: Words.; it still asked for fewer requests after many waits: \
             try again later",
        ),
        (
            error("500 Internal Server Error", "", "InternalError"),
            7,
            "the server answers 500 InternalError: Words.; it was tried several times: try again \
             later",
        ),
    ] {
        let server = Server::start(move |_, _| failing.clone());
        let error = open(&server).unwrap_err().to_string();
        assert_eq!(error, format!("s3://images: {message}"));
        assert_eq!(server.requests().len(), requests);
    }
}

#[test]
fn a_dead_server_is_not_asked_long() {
    let server = Server::start(|head, _| is_storage(head).unwrap_or_default());
    let bucket = open(&server).unwrap();
    let begin = server.requests().len();
    for _ in 0..20 {
        bucket.size(Digest::of(b"")).unwrap_err();
    }
    assert_eq!(server.requests().len() - begin, 8 * 7 + 12);
}

#[test]
fn refusals_say_what_to_do() {
    let elsewhere = "x-amz-bucket-region: eu-west-1\r\n";
    for (answer, message) in [
        (error("403 Forbidden", "", "AccessDenied"), "AccessDenied: Words.; access is denied: "),
        (error("404 Not Found", "", "NoSuchBucket"), "there is no such bucket"),
        (error("403 Forbidden", "", "RequestTimeTooSkewed"), "the clock of this machine is wrong"),
        (error("400 Bad Request", "", "ExpiredToken"), "no longer valid: get new ones"),
        (error("403 Forbidden", "", "InvalidAccessKeyId"), "look at AWS_ACCESS_KEY_ID and"),
        (error("403 Forbidden", "", "SignatureDoesNotMatch"), "look at AWS_ACCESS_KEY_ID and"),
        (
            error("301 Moved Permanently", elsewhere, "PermanentRedirect"),
            "the bucket is in another region: set AWS_REGION=eu-west-1",
        ),
        (error("307 Temporary Redirect", "", "Redirect"), "look at AWS_REGION and"),
        (
            error("400 Bad Request", "", "X</Code><Region>eu-2</Region><Code>"),
            "set AWS_REGION=eu-2",
        ),
    ] {
        let server = Server::start(move |_, _| answer.clone());
        let error = open(&server).unwrap_err().to_string();
        assert!(error.starts_with("s3://images: the server answers "), "{error}");
        assert!(error.contains(message), "{error}");
        assert!(!error.contains("confidential"), "{error}");
        assert_eq!(server.requests().len(), 1, "{error}");
    }
}

#[test]
fn nobody_at_the_endpoint() {
    let mut nobody = Server::start(|_, _| Vec::new());
    // A port below 1024 that nothing has on a machine of today.
    nobody.address = "127.0.0.1:9".to_owned();
    let error = open(&nobody).unwrap_err().to_string();
    assert!(error.starts_with("s3://images: 127.0.0.1:9 cannot be reached: "), "{error}");
    assert!(
        error.ends_with("; look at the endpoint (AWS_ENDPOINT_URL) and the network"),
        "{error}"
    );
}

#[test]
fn credentials_of_the_location_are_not_mixed_with_those_of_the_environment() {
    let server = Server::start(|head, _| is_storage(head).unwrap());
    let mut location = location("s3://images");
    location.settings = vec![
        ("AWS_ACCESS_KEY_ID", "registry".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "other".to_owned()),
    ];
    let mut environment = environment(&server);
    environment.push(("AWS_SESSION_TOKEN".to_owned(), "of-somebody".to_owned()));
    Bucket::with(&location, &environment, HASTY).unwrap();
    for head in server.requests() {
        assert!(head.contains("credential=registry/"), "{head}");
        assert!(!head.contains("x-amz-security-token"), "{head}");
    }
}

#[test]
fn a_bucket_that_holds_no_storage() {
    let server = Server::start(|_, _| page(""));
    let error = Bucket::with(&location("s3://images/a"), &environment(&server), HASTY);
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("s3://images/a holds no registry storage: looked for"), "{error}");
    assert!(
        error.contains("s3://images/a/docker/registry/v2, s3://images/a/registry/v2,"),
        "{error}"
    );
}

#[test]
fn a_container_of_azure_may_hold_what_cannot_be_read() {
    let page = "<EnumerationResults><Blobs></Blobs></EnumerationResults>";
    let server = Server::start(|_, _| answer("200 OK", "", page.as_bytes(), page.len()));
    let endpoint = format!("http://{}", server.address);
    let environment = [
        ("AZURE_STORAGE_ACCOUNT_NAME", "somebody"),
        ("AZURE_STORAGE_ACCOUNT_KEY", "Y29uZmlkZW50aWFs"),
        ("AZURE_STORAGE_ENDPOINT", endpoint.as_str()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let error = Bucket::with(&location("az://images"), &environment, HASTY).unwrap_err();
    let error = error.to_string();
    assert!(error.starts_with("az://images: no registry storage was found in "), "{error}");
    assert!(error.contains("`//docker`"), "{error}");
    assert!(server.requests().iter().all(|head| head.contains("authorization: sharedkey")));
}

#[test]
fn a_bucket_of_google_is_read_with_a_token() {
    let server = Server::start(|head, _| is_storage(head).unwrap());
    let endpoint = format!("http://{}", server.address);
    let environment = [("GOOGLE_BASE_URL", endpoint.as_str()), ("GOOGLE_BEARER_TOKEN", "token")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Bucket::with(&location("gs://images"), &environment, HASTY).unwrap();
    assert!(server.requests().iter().all(|head| head.contains("authorization: bearer token")));
}

#[test]
fn odd_keys_break_nothing() {
    let server = Server::start(|head, _| {
        let odd = ["docker/registry/v2/repositories//x", "docker/registry/v2/repositories/a/../b"];
        let folder =
            "<CommonPrefixes><Prefix>docker/registry/v2/repositories/%/</Prefix></CommonPrefixes>";
        match (is_storage(head), head.contains("delimiter")) {
            (Some(answer), false) => answer,
            (Some(_), true) => page(&(odd.map(entry).concat() + folder)),
            (None, _) if head.starts_with("head ") => error("404 Not Found", "", ""),
            (None, _) => page(""),
        }
    });
    let inventory = open(&server).unwrap().inventory(&Silent).unwrap();
    assert!(inventory.broken.is_empty() && inventory.repositories.is_empty());
    assert_eq!(
        inventory.passed_over,
        ["objects whose keys no registry writes are passed over, as \
             `docker/registry/v2/repositories//x`"]
    );
}
