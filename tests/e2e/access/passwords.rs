//! Passwords from every source, and none.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use e2e::harbor::{Account, Kind, Project};
use e2e::programs::{Run, load, loader, wait};
use e2e::registry::{Options, Registry};
use e2e::{Bundle, Front, Harbor, Verdict};
use serde_json::json;

use super::{ARRIVED, bundle_of, challenge};

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
    for (folder, name) in [
        (".docker", "config.json"),
        (".config/containers", "auth.json"),
        ("runtime/containers", "auth.json"),
        ("own/containers", "auth.json"),
    ] {
        fs::create_dir_all(bundle.file(folder)).unwrap();
        fs::write(bundle.file(folder).join(name), &auths).unwrap();
        match folder.split_once('/').map(|(first, _)| first) {
            Some("runtime") => again(load().env("XDG_RUNTIME_DIR", bundle.file("runtime"))),
            Some("own") => again(load().env("XDG_CONFIG_HOME", bundle.file("own"))),
            _ => again(load().env("HOME", bundle.file(""))),
        };
        fs::remove_file(bundle.file(folder).join(name)).unwrap();
    }

    let helper = bundle.file("docker-credential-test");
    let script = "#!/bin/sh\nread registry\necho \"{\\\"Username\\\":\\\"loader\\\",\\\"Secret\\\":\\\"secret\\\"}\"\n";
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(bundle.file("config.json"), r#"{"credsStore":"test"}"#).unwrap();
    let path = format!("{}:{}", bundle.file("").display(), std::env::var("PATH").unwrap());
    let _ = again(load().env("DOCKER_CONFIG", bundle.file("")).env("PATH", path));
}

#[test]
fn help_names_all_places() {
    let help = loader().args(["load", "--help"]).run().ok().stdout;
    let words: Vec<_> = help.split_whitespace().collect();
    let help = words.join(" ");
    for place in [
        "TRANSHIP_USERNAME",
        "TRANSHIP_PASSWORD",
        "REGISTRY_AUTH_FILE",
        "DOCKER_CONFIG/config.json",
        "~/.docker/config.json",
        "XDG_RUNTIME_DIR/containers/auth.json (else /run/containers/UID/auth.json)",
        "XDG_CONFIG_HOME/containers/auth.json (else ~/.config/containers/auth.json)",
        "HOST/TEAM for the repositories below TEAM",
        "HTTPS_PROXY and HTTP_PROXY, or else ALL_PROXY",
        "NO_PROXY names what is reached without one",
        "is never reached through a proxy",
    ] {
        assert!(help.contains(place), "no `{place}` in {help}");
    }
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

#[test]
fn the_most_specific_key_of_an_auth_file_counts() {
    let bundle = bundle_of(141, &["one/image", "two/image"]);
    let harbor = Harbor::start();
    for project in ["one", "two"] {
        let account = Account::new("secret", Kind::ProjectRobot(project.into()));
        let mut state = harbor.state();
        state.accounts.insert(format!("robot${project}"), account);
        state.projects.insert(project.into(), Project::default());
    }
    let address = harbor.url().replace("http://", "");
    // robot$one:secret, robot$two:secret and, to be left alone, nobody:x.
    let auths = json!({"auths": {
        format!("{address}/one"): {"auth": "cm9ib3Qkb25lOnNlY3JldA=="},
        format!("{address}/two"): {"auth": "cm9ib3QkdHdvOnNlY3JldA=="},
        "elsewhere/one/image": {"auth": "bm9ib2R5Ong="},
    }});
    fs::write(bundle.file("auth.json"), auths.to_string()).unwrap();
    load(&bundle.path(), &harbor.url())
        .env("REGISTRY_AUTH_FILE", bundle.file("auth.json"))
        .run()
        .ok()
        .prints("2 images loaded");
}

#[test]
fn public_projects_are_checked_without_an_account() {
    let bundle = Bundle::simple();
    let harbor = Harbor::start();
    harbor.state().projects.insert("team".into(), Project::public());
    let command = |name: &str| {
        let mut command = loader();
        command.arg(name).arg(bundle.path()).args(["--to", &harbor.url(), "--retry-delay", "10"]);
        command
    };
    let mut load = command("load");
    load.env("TRANSHIP_USERNAME", "admin").env("TRANSHIP_PASSWORD", "Harbor12345").run().ok();
    command("check").run().ok().prints("1 tag checked, all in");

    harbor.state().projects.insert("team".into(), Project::default());
    let private = command("check").run().expect(1);
    let _ = private.prints("unknown: team/image:1").prints("give credentials with --username");
}

#[test]
fn a_push_without_an_account_says_what_is_missing() {
    let bundle = Bundle::simple();
    let harbor = Harbor::start();
    harbor.state().projects.insert("team".into(), Project::public());
    let refused = load(&bundle.path(), &harbor.url()).run().expect(1);
    let _ = refused.says("anonymous may not push to team/image").says("--username");

    // A registry with tokens, that lets everybody pull.
    let registry = Registry::start();
    let front = Front::start(registry.address(), |request| {
        if request.target.starts_with("/token") {
            let verdict = Verdict::json(200, &json!({"token": "for-pulls"}));
            return if request.target.contains("scope=") { verdict } else { Verdict::status(401) };
        }
        let may_pull = request.header("authorization") == Some("Bearer for-pulls");
        let is_pull = matches!(request.method.as_str(), "GET" | "HEAD");
        let host = request.header("host").unwrap_or_default();
        match may_pull && is_pull {
            true => Verdict::Forward,
            false => challenge(&format!("Bearer realm=\"http://{host}/token\"")),
        }
    });
    load(&bundle.path(), &front.url()).run().expect(1).says("--username");
    load(&bundle.path(), &registry.url()).run().ok();
    let mut check = loader();
    check.arg("check").arg(bundle.path()).args(["--to", &front.url()]);
    check.run().ok().prints("1 tag checked, all in");
}
