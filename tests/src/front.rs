//! A front: an HTTP server before a registry, that forwards what it is told to forward and
//! otherwise misbehaves as it is told.
//!
//! It keeps connections open between requests, as a proxy does, until it is told to close them.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::tls::Certificates;

mod busy;
mod query;
mod serve;
mod wire;

/// A request, as far as it is looked at.
#[derive(Debug, Clone)]
pub struct Request {
    /// Counted from 0.
    pub number: u64,
    /// `GET`, `PUT` and so on.
    pub method: String,
    /// Path and query; the whole address where the front is used as a proxy.
    pub target: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, except that of a blob's upload, which passes through.
    pub body: Vec<u8>,
}

/// The head of an answer that is passed back.
pub type Answer = hyper::http::response::Parts;

/// Who decides what becomes of requests.
pub trait Judge: Send + Sync + 'static {
    /// What to do with a request, which may be changed before it is passed on. It may block.
    fn judge(&self, request: &mut Request) -> Verdict;
    /// Sees the answer to a request that was passed on, and may change its head.
    fn answered(&self, _request: &Request, _answer: &mut Answer) {}
    /// The request is over, well or not.
    fn done(&self, _request: &Request) {}
}

struct Rewriting<F>(F);

impl<F: Fn(&mut Request) -> Verdict + Send + Sync + 'static> Judge for Rewriting<F> {
    fn judge(&self, request: &mut Request) -> Verdict {
        (self.0)(request)
    }
}

impl Request {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Size of the body in bytes, as the request announces it.
    #[must_use]
    pub fn content_length(&self) -> u64 {
        self.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// What to do with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Pass it on, and its answer back.
    Forward,
    /// The same, then close the connection without a word, as servers do with idle ones.
    ForwardAndClose,
    /// Answer it, after its body was read.
    Answer {
        /// As 503.
        status: u16,
        /// Headers.
        headers: HeaderMap,
        /// The body.
        body: String,
    },
    /// Pass on this much of its body (bytes), then close both connections.
    CutUp(u64),
    /// Pass it on whole, and this much of the answer back (bytes), then close.
    CutDown(u64),
    /// Pass it on whole, and only the head of the answer back; nothing more ever comes.
    StallInBody,
    /// Answer with a body that never ends: pieces of so many bytes, each after such a pause.
    Endless {
        /// As 200.
        status: u16,
        /// Bytes.
        piece: usize,
        /// None of the pieces comes sooner.
        pause: Duration,
    },
    /// Give this answer at once, without reading the body, and close.
    Early(Box<Self>),
    /// The same, as it looks behind a proxy: a bad gateway when the body is on its way already.
    EarlyBehindProxy(Box<Self>),
    /// Never answer.
    Stall,
    /// Close all connections, and so many of the next ones at once, as a server does that starts
    /// anew.
    Restart(usize),
}

impl Verdict {
    /// Whether the request comes to the upstream, whole or in part.
    pub(crate) fn passes_on(&self) -> bool {
        matches!(
            self,
            Self::Forward
                | Self::ForwardAndClose
                | Self::CutUp(_)
                | Self::CutDown(_)
                | Self::StallInBody
        )
    }

    /// An answer with a status and nothing else.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Answer { status, headers: HeaderMap::new(), body: String::new() }
    }

    /// An answer with a JSON body.
    #[must_use]
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::text(status, "application/json; charset=utf-8", body.to_string())
    }

    /// An answer with an error envelope, as registries give it.
    #[must_use]
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &serde_json::json!({"errors": [{"code": code, "message": message}]}))
    }

    /// An answer with a page, as proxies give it.
    #[must_use]
    pub fn page(status: u16, title: &str) -> Self {
        let body = format!("<html><head><title>{status} {title}</title></head></html>\r\n");
        Self::text(status, "text/html", body)
    }

    /// An answer with a body of this type.
    #[must_use]
    pub fn text(status: u16, content_type: &'static str, body: String) -> Self {
        let headers = HeaderMap::new();
        Self::Answer { status, headers, body }.with_header("content-type", content_type)
    }

    /// The answer of a proxy that finds nobody behind it, before the body was read.
    #[must_use]
    pub fn bad_gateway() -> Self {
        Self::Early(Box::new(Self::page(502, "Bad Gateway")))
    }

    /// The answer with one more header.
    ///
    /// # Panics
    /// When `value` is no value of a header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            let value = HeaderValue::from_str(value).expect("a legal value");
            headers.insert(HeaderName::from_static(name), value);
        }
        self
    }
}

/// A running front. It ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub struct Front {
    url: String,
    server: Arc<serve::Server>,
    task: JoinHandle<()>,
}

/// What all fronts run on.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("threads can be started"))
}

impl Front {
    /// Starts a front before `upstream` (host and port).
    pub fn start(
        upstream: String,
        judge: impl Fn(&Request) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        Self::rewriting(upstream, move |request| judge(request))
    }

    /// Starts a front that may change requests before they are passed on.
    pub fn rewriting(
        upstream: String,
        judge: impl Fn(&mut Request) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        Self::with(upstream, Arc::new(Rewriting(judge)), None)
    }

    /// Starts a front with a judge that sees answers too; with certificates it speaks TLS.
    ///
    /// # Panics
    /// When no port of this machine can be had.
    #[must_use]
    pub fn with(
        upstream: String,
        judge: Arc<dyn Judge>,
        certificates: Option<&Certificates>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
        listener.set_nonblocking(true).expect("it can be");
        let address = listener.local_addr().expect("it has an address");
        let scheme = if certificates.is_some() { "https" } else { "http" };
        let server = Arc::new(serve::Server::new(upstream, judge));
        let tls = certificates.map(Certificates::acceptor);
        let task = runtime().spawn(Arc::clone(&server).accept(listener, tls));
        Self { url: format!("{scheme}://{address}"), server, task }
    }

    /// `http://127.0.0.1:PORT`, or `https://`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Waits until all that clients have asked for is over, those too that were killed. They must
    /// have ended.
    ///
    /// # Panics
    /// When it cannot be reached.
    pub fn settle(&self) {
        let address = self.url.rsplit('/').next().unwrap_or_default();
        // Connections are taken in their order: this one comes behind all others.
        let last = TcpStream::connect(address).expect("the front listens");
        let client = last.local_addr().expect("it has an address");
        drop(last);
        self.server.wait_for_silence(client);
    }

    /// The requests that have come in.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}
