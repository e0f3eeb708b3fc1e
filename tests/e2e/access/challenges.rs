//! What a registry asks for, and how it says so.

use std::fs;
use std::time::Duration;

use e2e::programs::{Run, load, loader};
use e2e::tls::Certificates;
use e2e::{Bundle, Front, Harbor, Registry, Verdict};
use serde_json::json;

use super::{ARRIVED, PASSWORD, challenge, load_with_password, token_requests};

/// A front that gives tokens, and asks for them in these words; `REALM` in them is where.
fn asking(registry: &Registry, words: &'static str) -> Front {
    Front::start(registry.address(), move |request| {
        let authorization = request.header("authorization");
        if request.target.starts_with("/token") {
            return match authorization {
                Some(PASSWORD) => Verdict::json(200, &json!({"token": "abc"})),
                _ => Verdict::status(401),
            };
        }
        let host = request.header("host").unwrap_or_default();
        match authorization {
            Some("Bearer abc") => Verdict::Forward,
            _ => challenge(&words.replace("REALM", &format!("http://{host}/token"))),
        }
    })
}

#[test]
fn challenges_of_every_form() {
    let bundle = Bundle::simple();
    for words in [
        r#"Bearer realm="REALM",service="s",scope="repository:a:pull,push""#,
        r#"bearer service="s" , Realm = "REALM""#,
        "Bearer realm=REALM,service=s",
        r#"Negotiate YII+abc==, Bearer realm="REALM""#,
        r#"Basic realm="say \"please\", or", Bearer realm="REALM""#,
        r#"Digest realm="x", nonce="y", qop="auth,auth-int", Bearer realm="REALM",service="s""#,
    ] {
        let registry = Registry::start();
        let front = asking(&registry, words);
        load_with_password(&bundle, &front.url()).run().ok().prints(ARRIVED);
    }
}

#[test]
fn a_challenge_that_cannot_be_answered_is_shown() {
    let bundle = Bundle::simple();
    let registry = Registry::start();
    for words in [
        r#"Digest realm="x", nonce="y""#,
        r#"Bearer realm="the registry",service="s""#,
        r#"Bearer realm="unended"#,
        "Bearer",
    ] {
        let front = asking(&registry, words);
        let refused = load_with_password(&bundle, &front.url()).run().expect(1);
        let refused = refused.says(&format!("it asks for `{words}`"));
        assert!(!refused.stderr.contains("refuses the user name"), "{}", refused.stderr);
        assert!(!refused.stderr.contains("secret"), "{}", refused.stderr);
    }
}

#[test]
fn a_password_is_tried_where_nothing_is_asked_for() {
    let bundle = Bundle::simple();
    let registry = Registry::start();
    let front = Front::start(registry.address(), |request| match request.header("authorization") {
        Some(PASSWORD) => Verdict::Forward,
        _ => Verdict::status(401),
    });
    load_with_password(&bundle, &front.url()).run().ok().prints(ARRIVED);
}

#[test]
fn harbor_gets_the_password_at_once() {
    let bundle = Bundle::simple();
    let certificates = Certificates::new();
    let harbor = Harbor::with(Some(&certificates), |_, _| None);
    // Tokens are to be had over plain HTTP only, as Harbor thinks: nobody needs them.
    harbor.state().external_url = "http://harbor.internal".into();
    load(&bundle.path(), &harbor.url())
        .arg("--ca-file")
        .arg(certificates.file("ca.pem"))
        .env("TRANSHIP_USERNAME", "admin")
        .env("TRANSHIP_PASSWORD", "Harbor12345")
        .run()
        .ok()
        .prints(ARRIVED);
    let requests = harbor.requests();
    assert!(requests.iter().all(|request| !request.target.starts_with("/service/token")));
}

/// Harbor as far as its challenge goes, with this address in it.
fn harbor_at(realm: &str, certificates: Option<&Certificates>) -> Front {
    struct Asks(String);
    impl e2e::front::Judge for Asks {
        fn judge(&self, request: &mut e2e::Request) -> Verdict {
            match request.target.as_str() {
                "/api/v2.0/systeminfo" => Verdict::json(200, &json!({"harbor_version": "v2.9.5"})),
                target if target.starts_with("/api/v2.0/projects?name=") => {
                    Verdict::json(200, &json!([{"name": "team"}]))
                }
                _ => challenge(&self.0),
            }
        }
    }
    let words = format!("Bearer realm=\"{realm}\",service=\"harbor-registry\"");
    Front::with(String::new(), std::sync::Arc::new(Asks(words)), certificates)
}

#[test]
fn a_token_endpoint_at_a_wrong_address() {
    let bundle = Bundle::simple();
    let check = |to: &str| {
        let mut command = loader();
        command.arg("check").arg(bundle.path()).args(["--to", to, "--max-wait", "0"]);
        command
    };
    // Nobody listens at port 1.
    let realm = "http://127.0.0.1:1/service/token";
    let front = harbor_at(realm, None);
    let said = check(&front.url()).run().expect(1);
    let said = format!("{}{}", said.stdout, said.stderr);
    let sends = format!("cannot connect to {realm}, where {} sends for tokens", front.url());
    assert!(said.contains(&sends) && said.contains("Harbor's external_url"), "{said}");

    // An identity token is as secret as a password, and Harbor takes it nowhere else.
    let certificates = Certificates::new();
    let secured = harbor_at("http://127.0.0.1:1/service/token", Some(&certificates));
    let address = secured.url().replace("https://", "");
    let auths = json!({"auths": {address: {"identitytoken": "secret"}}});
    fs::write(bundle.file("auth.json"), auths.to_string()).unwrap();
    let _ = check(&secured.url())
        .arg("--ca-file")
        .arg(certificates.file("ca.pem"))
        .env("REGISTRY_AUTH_FILE", bundle.file("auth.json"))
        .run()
        .expect(1)
        .says(realm)
        .says("would travel unencrypted: set Harbor's external_url to an https:// address");
}

#[test]
fn an_endpoint_in_the_clear_of_a_registry_that_is_not() {
    let bundle = Bundle::simple();
    let certificates = Certificates::new();
    struct Asks;
    impl e2e::front::Judge for Asks {
        fn judge(&self, request: &mut e2e::Request) -> Verdict {
            let host = request.header("host").unwrap_or_default();
            challenge(&format!("Bearer realm=\"http://{host}/token\",service=\"s\""))
        }
    }
    let front = Front::with(String::new(), std::sync::Arc::new(Asks), Some(&certificates));
    for allowed in [&[][..], &["--plain-http"]] {
        load_with_password(&bundle, &front.url())
            .arg("--ca-file")
            .arg(certificates.file("ca.pem"))
            .args(allowed)
            .run()
            .expect(1)
            .says("would travel unencrypted")
            .says("set the realm in the registry's settings to an https:// address");
    }
    assert_eq!(token_requests(&front), 0);
}

#[test]
fn a_robot_may_lack_its_prefix() {
    let bundle = Bundle::simple();
    let harbor = Harbor::start();
    harbor.state().lock = Duration::ZERO;
    let refused = |name: &str| {
        let mut command = load(&bundle.path(), &harbor.url());
        command.env("TRANSHIP_USERNAME", name).env("TRANSHIP_PASSWORD", "x");
        command.run().expect(1).says(&format!("refuses the user name or password of {name}"))
    };
    // `svc$ci` after a shell, or `robot$ci` as people call it.
    for name in ["svc", "ci", "robotci"] {
        let _ = refused(name).says("unless Harbor is set up with another");
    }
    for name in ["admin", "robot$ci"] {
        assert!(!refused(name).stderr.contains("robot,"));
    }
}
