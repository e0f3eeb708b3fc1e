//! Proxies, and what goes unencrypted.

use e2e::programs::{Run, load, loader};
use e2e::registry::{Options, Registry};
use e2e::{Bundle, Front, Verdict};
use serde_json::json;

use super::{ARRIVED, challenge, load_with_password};

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

#[test]
fn this_machine_is_reached_without_a_proxy() {
    let bundle = Bundle::simple();
    let registry = Registry::with(&Options { password: true, ..Options::default() });
    let proxy = Front::start(registry.address(), |_| Verdict::Forward);
    let localhost = registry.url().replace("127.0.0.1", "localhost");
    for (url, words) in [(registry.url(), ARRIVED), (localhost, "0 images loaded, 1 already there")]
    {
        let mut load = load_with_password(&bundle, &url);
        for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
            load.env(variable, proxy.url());
        }
        load.env("HTTPS_PROXY", "socks5://nobody").run().ok().prints(words);
    }
    assert!(proxy.requests().is_empty(), "a password went through it");
}

#[test]
fn proxies_that_cannot_be_used_are_named() {
    let bundle = Bundle::simple();
    let load = |variable: &str, value: &str| {
        let mut command = load(&bundle.path(), "https://registry.example");
        command.env(variable, value).run().expect(1)
    };
    let _ = load("HTTPS_PROXY", "socks5://proxy.example:1080")
        .says("HTTPS_PROXY: a proxy that speaks socks5");
    let _ =
        load("all_proxy", "socks5://proxy.example").says("ALL_PROXY: a proxy that speaks socks5");
    let malformed =
        load("https_proxy", "http://me:secret@:x").says("HTTPS_PROXY: this is no address");
    assert!(!malformed.stderr.contains("secret"), "{}", malformed.stderr);
}

#[test]
fn a_password_goes_to_no_endpoint_in_the_clear() {
    let bundle = Bundle::simple();
    let registry = Registry::start();
    let target =
        Front::start(registry.address(), |request| match request.header("authorization") {
            Some("Bearer abc") => Verdict::Forward,
            _ => challenge("Bearer realm=\"http://tokens.example/token\",service=\"s\""),
        });
    // Whatever is sent to another machine comes by here.
    let proxy = Front::start(String::new(), |_| Verdict::json(200, &json!({"token": "abc"})));
    let mut load = load_with_password(&bundle, &target.url());
    load.env("HTTP_PROXY", proxy.url());
    load.run()
        .expect(1)
        .says("http://tokens.example/token for tokens, where the password would travel unencrypted")
        .says("--plain-http");
    assert!(proxy.requests().is_empty(), "the password was sent");
    load.arg("--plain-http").run().ok().prints(ARRIVED);
    assert!(proxy.requests().iter().all(|request| request.target.contains("tokens.example")));
}
