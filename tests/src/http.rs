//! Requests as a test writes them by hand, one connection each.

use std::io::{Read, Write};
use std::net::TcpStream;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

/// A request.
#[derive(Debug, Clone)]
pub struct Ask {
    host: String,
    head: String,
    body: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// As 404.
    pub status: u16,
    head: String,
    /// The body as text.
    pub body: String,
    /// The body.
    pub bytes: Vec<u8>,
}

impl Ask {
    /// A request to `http://HOST`, whose target may be a whole address too, as in a `Location`.
    ///
    /// # Panics
    /// When it is another kind of address.
    #[must_use]
    pub fn new(url: &str, method: &str, target: &str) -> Self {
        let host = url.strip_prefix("http://").expect("an address without TLS").to_owned();
        let path = target
            .split_once("://")
            .map_or(target, |(_, rest)| rest.find('/').map_or("/", |slash| &rest[slash..]));
        // Version 1.0, so that the end of the answer is the end of the connection.
        let head = format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\n");
        Self { host, head, body: Vec::new() }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.head += &format!("{name}: {value}\r\n");
        self
    }

    /// By this user.
    #[must_use]
    pub fn by(self, name: &str, password: &str) -> Self {
        let text = BASE64_STANDARD.encode(format!("{name}:{password}"));
        self.with("Authorization", &format!("Basic {text}"))
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_owned();
        self.with("Content-Length", &body.len().to_string())
    }

    /// Sends it.
    ///
    /// # Panics
    /// When there is no answer.
    #[must_use]
    pub fn send(self) -> Reply {
        let mut stream = TcpStream::connect(&self.host).expect("somebody listens");
        stream.write_all(format!("{}\r\n", self.head).as_bytes()).expect("the head is taken");
        stream.write_all(&self.body).expect("the body is taken");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("there is an answer");
        let ends = |end: &[u8]| end == b"\r\n\r\n";
        let end = bytes.windows(4).position(ends).expect("an answer has a head");
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let bytes = bytes.split_off(end + 4);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Reply { status: status.expect("a status"), head, body, bytes }
    }
}

impl Reply {
    /// The value of a header; empty when it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let fits = |line: &&str| {
            line.split_once(':').is_some_and(|(named, _)| named.eq_ignore_ascii_case(name))
        };
        let line = self.head.lines().skip(1).find(fits);
        line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
    }

    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}
