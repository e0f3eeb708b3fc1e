//! Getting in.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use e2e::programs::load;
use e2e::{Bundle, Front, Request, Tree, Verdict};

mod certificates; // whom we trust, and what we show
mod challenges; // what a registry asks for, and how it says so
mod passwords; // from every source, and none
mod tokens; // how many, how long, and from whom
mod ways; // proxies, and what goes unencrypted

const ARRIVED: &str = "1 image loaded, 0 already there, 0 failed";

/// `loader:secret` for Basic authentication.
const PASSWORD: &str = "Basic bG9hZGVyOnNlY3JldA==";

/// A load by an account that the registries of the tests know.
fn load_with_password(bundle: &Bundle, url: &str) -> Command {
    let mut command = load(&bundle.path(), url);
    command.env("TRANSHIP_USERNAME", "loader").env("TRANSHIP_PASSWORD", "secret");
    command
}

/// A bundle with a small image in each of these repositories.
fn bundle_of(seed: u64, repositories: &[&str]) -> Bundle {
    Bundle::of(|root| {
        let mut tree = Tree::new(root, seed);
        for repository in repositories {
            tree.simple(repository, "1");
        }
        tree
    })
}

/// Refuses a request that has not logged in.
fn challenge(text: &str) -> Verdict {
    Verdict::error(401, "UNAUTHORIZED", "authentication required")
        .with_header("www-authenticate", text)
}

/// The path of a request with its query, decoded as far as scopes need it.
fn decoded(request: &Request) -> String {
    request.target.replace("%2F", "/").replace("%3A", ":").replace("%2C", ",")
}

/// How many requests a front has had for tokens.
fn token_requests(front: &Front) -> usize {
    front.requests().iter().filter(|request| request.target.starts_with("/token")).count()
}

/// A server that is none: each connection is given to `serve` once a request has begun to come in.
/// It lasts as long as the tests do. Returns its host and port.
fn server(serve: impl Fn(&mut TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if stream.read(&mut [0; 4096]).is_ok() {
                serve(&mut stream);
            }
        }
    });
    address
}
