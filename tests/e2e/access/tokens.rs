//! Tokens: how many, how long they last, and how they are asked for.

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use e2e::content::Family;
use e2e::programs::{Run, load};
use e2e::tree::digest_of;
use e2e::{Bundle, Front, Registry, Tree, Verdict};
use serde_json::{Value, json};

use super::{
    ARRIVED, PASSWORD, bundle_of, challenge, decoded, load_with_password, server, token_requests,
};

const ALL_ARRIVED: &str = "18 images loaded, 0 already there, 0 failed";

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

/// The repositories that a request concerns: that in its path, and the one that it mounts from.
fn repositories_of(target: &str) -> Vec<&str> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = path.trim_start_matches("/v2/");
    let ends = ["/manifests/", "/blobs/", "/tags/"].map(|part| path.find(part));
    let own = ends.into_iter().flatten().min().map(|end| &path[..end]);
    own.into_iter().chain(query.split('&').find_map(|pair| pair.strip_prefix("from="))).collect()
}

/// A front that lets in who has a token for all repositories that a request concerns. Also counts
/// refused tokens.
fn token_front(registry: &Registry, kind: Tokens) -> (Front, Arc<AtomicUsize>) {
    let tokens = Mutex::new(HashMap::<String, Token>::new());
    let refused = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refused);
    let front = Front::start(registry.address(), move |request| {
        // A slow registry, not a wait for something.
        thread::sleep(kind.delay);
        let mut tokens = tokens.lock().unwrap();
        let authorization = request.header("authorization").unwrap_or_default();
        let target = decoded(request);
        if target.starts_with("/token") {
            if authorization != PASSWORD {
                return Verdict::status(401);
            }
            let token = format!("token-{}", request.number);
            let expires = Instant::now() + kind.lifetime;
            tokens.insert(
                format!("Bearer {token}"),
                Token { scopes: target, uses: kind.uses, expires },
            );
            // As Harbor has it: `access_token` is there and empty.
            let lifetime = kind.lifetime.as_secs();
            return Verdict::json(
                200,
                &json!({"token": token, "access_token": "", "expires_in": lifetime}),
            );
        }
        if let Some(token) = tokens.get_mut(authorization) {
            let is_for = |name: &&str| token.scopes.contains(&format!("repository:{name}:"));
            let fits = repositories_of(&target).iter().all(is_for);
            if fits && token.uses > 0 && token.expires > Instant::now() {
                token.uses -= 1;
                return Verdict::Forward;
            }
            count.fetch_add(1, Ordering::Relaxed);
        }
        if !authorization.is_empty() {
            // As Harbor has it: whatever was refused, it asks for something else then.
            return challenge("Basic realm=\"test\"");
        }
        let host = request.header("host").unwrap_or_default();
        challenge(&format!("Bearer realm=\"http://{host}/token\",service=\"test\""))
    });
    (front, refused)
}

/// A front whose token endpoint answers this, and takes what it gives.
fn giving(registry: &Registry, answer: Value) -> Front {
    Front::start(registry.address(), move |request| {
        if request.target.starts_with("/token") {
            return Verdict::json(200, &answer);
        }
        let host = request.header("host").unwrap_or_default();
        match request.header("authorization") {
            Some("Bearer abc") => Verdict::Forward,
            _ => challenge(&format!("Bearer realm=\"http://{host}/token\"")),
        }
    })
}

#[test]
fn clocks_that_are_too_far_apart() {
    let bundle = Bundle::simple();
    let front = Front::start(String::new(), |request| {
        if request.target.starts_with("/token") {
            return Verdict::json(200, &json!({"token": "from-the-future"}))
                .with_header("date", "Fri, 01 Jan 2038 00:00:00 GMT");
        }
        let host = request.header("host").unwrap_or_default();
        challenge(&format!("Bearer realm=\"http://{host}/token\""))
    });
    load_with_password(&bundle, &front.url())
        .run()
        .expect(1)
        .says("the clocks of the registry and of its token service are")
        .says("set them right");
}

#[test]
fn tokens_are_for_few_repositories_and_kept() {
    let bundle = Bundle::everything(21);
    let registry = Registry::start();
    let (front, refused) = token_front(&registry, LASTING);
    load_with_password(&bundle, &front.url()).run().ok().prints(ALL_ARRIVED);
    // One for the ping, one for each of 13 repositories, and one for mounts between each two of
    // their groups of ten.
    let tokens = token_requests(&front);
    assert!((14..=18).contains(&tokens), "{tokens} tokens");
    assert_eq!(refused.load(Ordering::Relaxed), 0);
}

#[test]
fn mounts_from_everywhere_take_no_token_each() {
    const REPOSITORIES: usize = 24;
    // Each repository has a layer of its own in common with each of those before it.
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 24);
        let mut shared = Vec::new();
        for number in 0..REPOSITORIES {
            let name = format!("team/image-{number}");
            let mut layers: Vec<_> =
                shared.iter_mut().filter_map(|layers: &mut Vec<_>| layers.pop()).collect();
            let own = (number + 1..REPOSITORIES).map(|_| tree.layer(Family::Oci, 100));
            shared.push(own.collect());
            layers.extend(shared[number].iter().cloned());
            let image = tree.image(&name, Family::Oci, &name, &layers);
            tree.tag(&name, "1", digest_of(&image));
        }
        tree
    });
    let registry = Registry::start();
    let (front, refused) = token_front(&registry, LASTING);
    load_with_password(&bundle, &front.url()).run().ok().prints("24 images loaded");
    let requests = front.requests();
    let mounts: Vec<_> =
        requests.iter().filter(|request| request.target.contains("from=")).collect();
    let pairs = REPOSITORIES * (REPOSITORIES - 1) / 2;
    assert!(mounts.len() >= pairs, "{} mounts", mounts.len());
    assert_eq!(refused.load(Ordering::Relaxed), 0);
    // One for the ping, one each, and one for mounts between each two of three groups of ten.
    let tokens = token_requests(&front);
    assert!(tokens <= 1 + REPOSITORIES + 3 * 3, "{tokens} tokens for {pairs} pairs");
    for request in requests.iter().filter(|request| request.target.starts_with("/token")) {
        assert!(decoded(request).matches("repository:").count() <= 20, "{}", request.target);
    }
}

#[test]
fn a_slow_token_keeps_nobody_else_waiting() {
    // The oldest is asked for before the others.
    let bundle = bundle_of(25, &["c/oldest", "a/slow", "b/fast"]);
    let registry = Registry::start();
    let fast = (Mutex::new(false), Condvar::new());
    let front = Front::start(registry.address(), move |request| {
        let target = decoded(request);
        if target.starts_with("/token") && target.contains("a/slow") {
            // Until the other one has been let in.
            let asked = fast.0.lock().unwrap();
            drop(fast.1.wait_while(asked, |asked| !*asked).unwrap());
        }
        if target.starts_with("/token") {
            return Verdict::json(200, &json!({"token": "abc"}));
        }
        if target.starts_with("/v2/b/fast/") && request.header("authorization").is_some() {
            *fast.0.lock().unwrap() = true;
            fast.1.notify_all();
        }
        let host = request.header("host").unwrap_or_default();
        match request.header("authorization") {
            Some(_) => Verdict::Forward,
            None => challenge(&format!("Bearer realm=\"http://{host}/token\"")),
        }
    });
    load_with_password(&bundle, &front.url()).run().ok().prints("3 images loaded");
    let is_for_slow = |request: &&e2e::Request| {
        request.target.starts_with("/token") && decoded(request).contains("a/slow")
    };
    assert_eq!(front.requests().iter().filter(is_for_slow).count(), 1, "it was given up on");
}

#[test]
fn a_token_that_ends_too_early_is_replaced() {
    let bundle = Bundle::everything(22);
    let registry = Registry::start();
    let (front, refused) = token_front(&registry, Tokens { uses: 3, ..LASTING });
    load_with_password(&bundle, &front.url()).args(["--jobs", "1"]).run().ok().prints(ALL_ARRIVED);
    assert!(refused.load(Ordering::Relaxed) > 5);
    for blob in bundle.blobs() {
        assert_eq!(registry.commits(&blob), 1, "{blob}");
    }
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
    load_with_password(&bundle, &front.url()).args(["--jobs", "1"]).run().ok();
    assert!(begun.elapsed() > lifetime, "too fast to prove anything");
    assert_eq!(refused.load(Ordering::Relaxed), 0);
}

#[test]
fn a_token_that_just_came_is_not_replaced() {
    let bundle = Bundle::simple();
    // Nothing may be done here, whatever token is shown.
    let front = Front::start(String::new(), |request| {
        if request.target.starts_with("/token") {
            return Verdict::json(200, &json!({"token": "abc"}));
        }
        let host = request.header("host").unwrap_or_default();
        match request.target.as_str() {
            "/v2/" if request.header("authorization").is_some() => Verdict::status(200),
            _ => challenge(&format!("Bearer realm=\"http://{host}/token\"")),
        }
    });
    let _ = load_with_password(&bundle, &front.url()).args(["--jobs", "1"]).run().expect(1);
    let is_question = |request: &&e2e::Request| {
        request.method == "HEAD" && request.target.contains("/manifests/")
    };
    assert_eq!(front.requests().iter().filter(is_question).count(), 1);
}

#[test]
fn answers_of_a_token_endpoint() {
    let bundle = Bundle::simple();
    for answer in [
        json!({"token": null, "access_token": "abc", "expires_in": -1}),
        json!({"token": "abc", "expires_in": "300", "issued_at": null}),
        json!({"Token": "abc", "expires_in": 300.5, "refresh_token": 7}),
    ] {
        let registry = Registry::start();
        let front = giving(&registry, answer);
        load_with_password(&bundle, &front.url()).run().ok().prints(ARRIVED);
    }
    let registry = Registry::start();
    for answer in [
        json!({"token": ""}),
        json!({"token": "abc\r\nHost: elsewhere"}),
        json!(["abc"]),
        json!({"token": "abc", "more": "x".repeat(300 << 10)}),
    ] {
        let front = giving(&registry, answer);
        let refused = load_with_password(&bundle, &front.url()).run().expect(1);
        let _ = refused.says(&format!("its token endpoint {}/token answers with", front.url()));
    }
}

#[test]
fn redirects_of_a_token_endpoint() {
    let bundle = Bundle::simple();
    let registry = Registry::start();
    let redirecting = |to: &'static str| {
        Front::start(registry.address(), move |request| {
            let host = request.header("host").unwrap_or_default();
            let query = request.target.split_once('?').map_or("", |(_, query)| query);
            if request.target.starts_with("/token") {
                return Verdict::status(307).with_header("location", &format!("{to}?{query}"));
            }
            if request.target.starts_with("/elsewhere") {
                return match request.header("authorization") {
                    Some(PASSWORD) => Verdict::json(200, &json!({"token": "abc"})),
                    _ => Verdict::status(401),
                };
            }
            match request.header("authorization") {
                Some("Bearer abc") => Verdict::Forward,
                _ => challenge(&format!("Bearer realm=\"http://{host}/token\",service=\"s\"")),
            }
        })
    };
    let here = redirecting("/elsewhere");
    load_with_password(&bundle, &here.url()).run().ok().prints(ARRIVED);
    let is_whole = |request: &e2e::Request| decoded(request).contains("repository:team/image:");
    assert!(
        here.requests()
            .iter()
            .any(|request| { request.target.starts_with("/elsewhere") && is_whole(request) })
    );

    let there = Front::start(String::new(), |_| Verdict::json(200, &json!({"token": "abc"})));
    let address: &'static str = Box::leak(format!("{}/token", there.url()).into_boxed_str());
    let refused = load_with_password(&bundle, &redirecting(address).url()).run().expect(1);
    let _ = refused.says(&format!("redirects to {address}"));
    assert!(there.requests().is_empty());

    let circle = load_with_password(&bundle, &redirecting("/token").url()).run().expect(1);
    let _ = circle.says("redirects without end");
}

/// Begins an answer whose body never ends, a byte at a time, until the other side has had enough.
fn trickle(head: &'static str) -> impl Fn(&mut std::net::TcpStream) + Send + 'static {
    move |stream| {
        let mut sent = stream.write_all(head.as_bytes());
        while sent.is_ok() {
            // The pace of the server, not a wait for something.
            thread::sleep(Duration::from_millis(50));
            sent = stream.write_all(b" ");
        }
    }
}

#[test]
fn answers_that_trickle() {
    let bundle = Bundle::simple();
    let patient = ["--timeout", "3", "--max-wait", "0"];
    let endpoint = server(trickle("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"));
    let realm = format!("http://{endpoint}/token");
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let of_realm = format!("Bearer realm=\"{realm}\"");
    let front = Front::start(String::new(), move |_| {
        seen.store(true, Ordering::SeqCst);
        challenge(&of_realm)
    });
    load_with_password(&bundle, &front.url())
        .args(patient)
        .run()
        .expect(1)
        .says(&format!("{realm} has not answered for 3 s"));
    assert!(asked.load(Ordering::SeqCst));

    let errors = server(trickle("HTTP/1.1 403 Forbidden\r\nContent-Length: 100000\r\n\r\nno"));
    let refused = load(&bundle.path(), &format!("http://{errors}")).args(patient).run();
    let _ = refused.expect(1).says("GET /v2/: 403 Forbidden: no");
}
