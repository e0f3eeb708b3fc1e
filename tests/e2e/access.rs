//! Getting in: passwords from every source, tokens, certificates.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use e2e::programs::{Run, load, loader, wait};
use e2e::registry::{Options, Registry};
use e2e::tls::Certificates;
use e2e::{Bundle, Front, Tree, Verdict};
use serde_json::json;

const ARRIVED: &str = "1 image loaded, 0 already there, 0 failed";

fn with_password() -> Registry {
    Registry::with(&Options { password: true, ..Options::default() })
}

#[test]
fn passwords_from_every_source() {
    let bundle = Bundle::simple();
    let registry = with_password();
    fs::write(bundle.file("password"), "secret\n").unwrap();
    let load = || load(&bundle.path(), &registry.url());

    let mut typed = load();
    typed.args(["--username", "loader", "--password-stdin"]);
    let mut child =
        typed.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"secret\n").unwrap();
    wait(child).ok().prints(ARRIVED);

    let again =
        |command: &mut Command| command.run().ok().prints("0 images loaded, 1 already there");
    let _ = again(load().args(["-u", "loader", "--password-file"]).arg(bundle.file("password")));
    let _ = again(load().env("TRANSHIP_USERNAME", "loader").env("TRANSHIP_PASSWORD", "secret"));

    // bG9hZGVyOnNlY3JldA== is loader:secret.
    let auths =
        json!({"auths": {registry.address(): {"auth": "bG9hZGVyOnNlY3JldA=="}}}).to_string();
    fs::write(bundle.file("config.json"), &auths).unwrap();
    fs::write(bundle.file("auth.json"), &auths).unwrap();
    let _ = again(load().env("DOCKER_CONFIG", bundle.file("")));
    let _ = again(load().env("REGISTRY_AUTH_FILE", bundle.file("auth.json")));

    let helper = bundle.file("docker-credential-test");
    let script = "#!/bin/sh\nread registry\necho \"{\\\"Username\\\":\\\"loader\\\",\\\"Secret\\\":\\\"secret\\\"}\"\n";
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(bundle.file("config.json"), r#"{"credsStore":"test"}"#).unwrap();
    let path = format!("{}:{}", bundle.file("").display(), std::env::var("PATH").unwrap());
    let _ = again(load().env("DOCKER_CONFIG", bundle.file("")).env("PATH", path));
}

#[test]
fn wrong_or_missing_passwords_are_said_before_anything_is_sent() {
    let bundle = Bundle::simple();
    let registry = with_password();
    let wrong = load(&bundle.path(), &registry.url())
        .env("TRANSHIP_USERNAME", "loader")
        .env("TRANSHIP_PASSWORD", "hunter2")
        .run()
        .expect(1)
        .says("refuses the user name or password of loader");
    assert!(!wrong.stderr.contains("hunter2") && !wrong.stdout.contains("hunter2"));
    let none = load(&bundle.path(), &registry.url()).run().expect(1);
    assert!(none.stderr.contains("--username"), "{}", none.stderr);
    let half = load(&bundle.path(), &registry.url()).args(["-u", "loader"]).run().expect(1);
    assert!(half.stderr.contains("--password-stdin"), "{}", half.stderr);
    assert!(registry.requests().iter().all(|line| line.starts_with("GET /v2/ ")));
}

/// A token that was given out.
struct Token {
    scopes: String,
    uses: u32,
    expires: Instant,
}

/// How the tokens of a front are.
#[derive(Clone, Copy)]
struct Tokens {
    uses: u32,
    lifetime: Duration,
    /// Every request takes at least this long.
    delay: Duration,
}

const LASTING: Tokens =
    Tokens { uses: u32::MAX, lifetime: Duration::from_secs(300), delay: Duration::ZERO };

/// A front that lets in who has a token for the repository. Also counts refused tokens.
fn token_front(registry: &Registry, kind: Tokens) -> (Front, Arc<AtomicUsize>) {
    let tokens = Mutex::new(HashMap::<String, Token>::new());
    let refused = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refused);
    let front = Front::start(registry.address(), move |request| {
        // A slow registry, not a wait for something.
        std::thread::sleep(kind.delay);
        let mut tokens = tokens.lock().unwrap();
        let authorization = request.header("authorization").unwrap_or_default();
        if request.target.starts_with("/token") {
            if authorization != "Basic bG9hZGVyOnNlY3JldA==" {
                return Verdict::status(401);
            }
            let token = format!("token-{}", request.number);
            let expires = Instant::now() + kind.lifetime;
            let scopes = request.target.replace("%2F", "/").replace("%3A", ":");
            tokens.insert(format!("Bearer {token}"), Token { scopes, uses: kind.uses, expires });
            // As Harbor has it: `access_token` is there and empty.
            let lifetime = kind.lifetime.as_secs();
            return Verdict::json(
                200,
                &json!({"token": token, "access_token": "", "expires_in": lifetime}),
            );
        }
        let repository = repository_of(&request.target);
        if let Some(token) = tokens.get_mut(authorization) {
            let fits = repository.is_empty() || token.scopes.contains(&format!("{repository}:"));
            if fits && token.uses > 0 && token.expires > Instant::now() {
                token.uses -= 1;
                return Verdict::Forward;
            }
            count.fetch_add(1, Ordering::Relaxed);
        }
        let host = request.header("host").unwrap_or_default();
        Verdict::json(401, &json!({"errors": [{"code": "UNAUTHORIZED"}]})).with_header(
            "www-authenticate",
            &format!("Bearer realm=\"http://{host}/token\",service=\"test\""),
        )
    });
    (front, refused)
}

#[test]
fn clocks_that_are_too_far_apart() {
    let bundle = Bundle::simple();
    let front = Front::start(String::new(), |request| {
        if request.target.starts_with("/token") {
            return Verdict::json(200, &json!({"token": "from the future"}))
                .with_header("date", "Fri, 01 Jan 2038 00:00:00 GMT");
        }
        let host = request.header("host").unwrap_or_default();
        Verdict::error(401, "UNAUTHORIZED", "authentication required")
            .with_header("www-authenticate", &format!("Bearer realm=\"http://{host}/token\""))
    });
    load(&bundle.path(), &front.url())
        .env("TRANSHIP_USERNAME", "me")
        .env("TRANSHIP_PASSWORD", "x")
        .run()
        .expect(1)
        .says("the clocks of the registry and of its token service are")
        .says("set them right");
}

/// The repository in the path of a request; empty for `/v2/`.
fn repository_of(target: &str) -> &str {
    let path = target.trim_start_matches("/v2/");
    let ends = ["/manifests/", "/blobs/", "/tags/"].map(|part| path.find(part));
    ends.into_iter().flatten().min().map_or("", |end| &path[..end])
}

fn load_with_tokens(bundle: &Bundle, front: &Front) -> Command {
    let mut command = load(&bundle.path(), &front.url());
    command.env("TRANSHIP_USERNAME", "loader").env("TRANSHIP_PASSWORD", "secret");
    command
}

const ALL_ARRIVED: &str = "18 images loaded, 0 already there, 0 failed";

#[test]
fn tokens_are_for_few_repositories_and_kept() {
    let bundle = Bundle::everything(21);
    let registry = Registry::start();
    let (front, refused) = token_front(&registry, LASTING);
    load_with_tokens(&bundle, &front).run().ok().prints(ALL_ARRIVED);
    let requests = front.requests();
    let is_for_token = |request: &&e2e::Request| request.target.starts_with("/token");
    let tokens: Vec<_> = requests.iter().filter(is_for_token).collect();
    // One for the ping, one for each of 13 repositories, and one for each pair with a mount.
    assert!((14..=16).contains(&tokens.len()), "{} tokens", tokens.len());
    for token in tokens {
        assert!(token.target.matches("scope=").count() <= 2, "{}", token.target);
    }
    assert_eq!(refused.load(Ordering::Relaxed), 0);
}

#[test]
fn a_token_that_ends_too_early_is_replaced() {
    let bundle = Bundle::everything(22);
    let registry = Registry::start();
    let (front, refused) = token_front(&registry, Tokens { uses: 3, ..LASTING });
    load_with_tokens(&bundle, &front).args(["--jobs", "1"]).run().ok().prints(ALL_ARRIVED);
    assert!(refused.load(Ordering::Relaxed) > 5);
}

#[test]
fn tokens_are_renewed_before_they_expire() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 23);
        for tag in 0..10 {
            tree.simple("team/image", &tag.to_string());
        }
        tree
    });
    let registry = Registry::start();
    let lifetime = Duration::from_secs(2);
    let slow = Tokens { lifetime, delay: Duration::from_millis(60), ..LASTING };
    let (front, refused) = token_front(&registry, slow);
    let begun = Instant::now();
    load_with_tokens(&bundle, &front).args(["--jobs", "1"]).run().ok();
    assert!(begun.elapsed() > lifetime, "too fast to prove anything");
    assert_eq!(refused.load(Ordering::Relaxed), 0);
}

#[test]
fn a_certificate_of_an_own_authority() {
    let bundle = Bundle::simple();
    let certificates = Certificates::new();
    let registry =
        Registry::with(&Options { certificates: Some(&certificates), ..Options::default() });
    let load = || load(&bundle.path(), &registry.url());
    load().run().expect(1).says("--ca-file");
    load().arg("--ca-file").arg(certificates.file("ca.pem")).run().ok().prints(ARRIVED);
    load().arg("--insecure-skip-tls-verify").run().ok().says("certificate is not checked");
    load().arg("--ca-file").arg(bundle.path()).run().expect(1).says("no PEM certificates");
    load().args(["--ca-file", "/nonexistent.pem"]).run().expect(1).says("/nonexistent.pem");
    assert_eq!(registry.url(), format!("https://{}", registry.address()));
}

#[test]
fn a_registry_that_asks_for_our_certificate() {
    let bundle = Bundle::simple();
    let certificates = Certificates::new();
    let registry = Registry::with(&Options {
        certificates: Some(&certificates),
        client_certificate: true,
        ..Options::default()
    });
    let mut command = load(&bundle.path(), &registry.url());
    command.arg("--ca-file").arg(certificates.file("ca.pem"));
    assert_ne!(command.run().code, Some(0), "it does not let in those without one");
    command.arg("--client-cert").arg(certificates.file("client.pem"));
    command.arg("--client-key").arg(certificates.file("client.key"));
    command.run().ok().prints(ARRIVED);
}

#[test]
fn plain_http_is_for_this_machine() {
    let bundle = Bundle::simple();
    let load =
        |to: &str| loader().arg("load").arg(bundle.path()).args(["--to", to]).run().expect(1);
    let _ = load("http://registry.example").says("--plain-http");
    let _ = load("https://registry.example/project").says("has a path");
    let _ = load("https://me:secret@registry.example").says("--password-stdin");
}

#[test]
fn a_tls_client_at_a_plain_registry() {
    let bundle = Bundle::simple();
    let registry = Registry::start();
    let url = registry.url().replace("http://", "https://");
    load(&bundle.path(), &url).run().expect(1).says("does not answer with TLS");
}

#[test]
fn proxies_of_the_environment() {
    let bundle = Bundle::simple();
    let registry = Registry::start();
    // A proxy gets the whole address as the target of a request.
    let address = registry.address();
    let proxy = Front::start(address, |_| Verdict::Forward);
    load(&bundle.path(), "http://registry.example:5000")
        .arg("--plain-http")
        .env("HTTP_PROXY", proxy.url())
        .run()
        .ok()
        .prints(ARRIVED);
    let requests = proxy.requests();
    assert!(
        requests
            .iter()
            .all(|request| request.target.starts_with("http://registry.example:5000/v2/"))
    );
}
