//! A front: an HTTP server before a registry, that forwards what it is told to forward and
//! otherwise misbehaves as it is told.
//!
//! Each request has its connection to itself, which keeps the front small: a body is copied by its
//! Content-Length, an answer until its end.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// The head of a request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Counted from 0.
    pub number: u64,
    /// `GET`, `PUT` and so on.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The header lines, without their ends.
    pub headers: Vec<String>,
    /// The body, except that of a blob's upload, which passes through.
    pub body: Vec<u8>,
}

/// The head of an answer that is passed back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// As 201.
    pub status: u16,
    /// The status line and the header lines, without their ends.
    pub lines: Vec<String>,
}

/// Who decides what becomes of requests.
pub trait Judge: Send + Sync + 'static {
    /// What to do with a request, which may be changed before it is passed on.
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
        self.headers.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
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
    /// Answer it, after its body was read.
    Answer {
        /// As `503 Service Unavailable`.
        status: &'static str,
        /// Header lines, each with its end.
        headers: String,
        /// The body.
        body: String,
    },
    /// Pass on this much of its body (bytes), then close both connections.
    CutUp(u64),
    /// Pass it on whole, and this much of the answer back (bytes), then close.
    CutDown(u64),
    /// Answer it at once, without reading its body, and close.
    AnswerEarly {
        /// As `502 Bad Gateway`.
        status: &'static str,
    },
    /// Never answer.
    Stall,
}

impl Verdict {
    /// An answer with a status and nothing else.
    #[must_use]
    pub fn status(status: &'static str) -> Self {
        Self::Answer { status, headers: String::new(), body: String::new() }
    }

    /// An answer with a JSON body.
    #[must_use]
    pub fn json(status: &'static str, body: &serde_json::Value) -> Self {
        let headers = "Content-Type: application/json\r\n".into();
        Self::Answer { status, headers, body: body.to_string() }
    }

    /// The answer with one more header line.
    #[must_use]
    pub fn with_header(mut self, line: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            *headers += line;
            *headers += "\r\n";
        }
        self
    }
}

/// A running front.
#[derive(Debug)]
pub struct Front {
    port: u16,
    stopped: Arc<AtomicBool>,
    requests: Arc<Mutex<Vec<Request>>>,
}

struct Shared {
    upstream: String,
    judge: Arc<dyn Judge>,
    count: AtomicU64,
    requests: Arc<Mutex<Vec<Request>>>,
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
        Self::with(upstream, Arc::new(Rewriting(judge)))
    }

    /// Starts a front with a judge that sees answers too.
    #[must_use]
    pub fn with(upstream: String, judge: Arc<dyn Judge>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
        let port = listener.local_addr().expect("it has an address").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared {
            upstream,
            judge,
            count: AtomicU64::new(0),
            requests: Arc::clone(&requests),
        });
        let stop = Arc::clone(&stopped);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&shared);
                // A connection that breaks is what a front is for.
                thread::spawn(move || drop(shared.serve(client)));
            }
        });
        Self { port, stopped, requests }
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The requests that have come in.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic while it was held").clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl Shared {
    fn serve(&self, client: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        let Some(mut request) = self.head(&mut reader)? else { return Ok(()) };
        let mut length = request.content_length();
        if !request.target.contains("/blobs/uploads/") {
            reader.by_ref().take(length).read_to_end(&mut request.body)?;
            length = 0;
        }
        self.requests.lock().expect("no panic while it was held").push(request.clone());
        let verdict = self.judge.judge(&mut request);
        let result = self.carry_out(verdict, &request, length, reader, &client);
        self.judge.done(&request);
        result
    }

    fn carry_out(
        &self,
        verdict: Verdict,
        request: &Request,
        length: u64,
        mut reader: BufReader<TcpStream>,
        client: &TcpStream,
    ) -> io::Result<()> {
        let mut client = client;
        match verdict {
            Verdict::Forward => {
                let mut body = reader.take(length);
                let upstream = self.forward(request, &mut body)?;
                if body.limit() > 0 {
                    // The client has gone away in the middle; nobody waits for an answer.
                    return upstream.shutdown(Shutdown::Both);
                }
                let mut upstream = BufReader::new(upstream);
                let lines = head_lines(&mut upstream)?;
                let status = lines.first().and_then(|line| line.split(' ').nth(1)?.parse().ok());
                let mut answer = Answer { status: status.unwrap_or(0), lines };
                self.judge.answered(request, &mut answer);
                client.write_all((answer.lines.join("\r\n") + "\r\n\r\n").as_bytes())?;
                io::copy(&mut upstream, &mut client)?;
            }
            Verdict::AnswerEarly { status } => {
                let page = format!("<html><head><title>{status}</title></head></html>");
                write!(
                    client,
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
                    page.len()
                )?;
                client.shutdown(Shutdown::Both)?;
            }
            Verdict::Answer { status, headers, body } => {
                io::copy(&mut reader.take(length), &mut io::sink())?;
                let length = body.len();
                let body = if request.method == "HEAD" { String::new() } else { body };
                write!(
                    client,
                    "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                )?;
            }
            Verdict::CutUp(bytes) => {
                let upstream = self.forward(request, &mut reader.take(bytes.min(length)))?;
                upstream.shutdown(Shutdown::Both)?;
                client.shutdown(Shutdown::Both)?;
            }
            Verdict::CutDown(bytes) => {
                let upstream = self.forward(request, &mut reader.take(length))?;
                io::copy(&mut upstream.take(bytes), &mut client)?;
                client.shutdown(Shutdown::Both)?;
            }
            Verdict::Stall => {
                // Until the client goes away.
                io::copy(&mut reader, &mut io::sink())?;
            }
        }
        Ok(())
    }

    /// Reads the head of a request; `None` at the end of the connection.
    fn head(&self, reader: &mut impl BufRead) -> io::Result<Option<Request>> {
        let mut lines = head_lines(reader)?;
        if lines.is_empty() {
            return Ok(None);
        }
        let first = lines.remove(0);
        let mut words = first.split(' ').map(str::to_owned);
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Request { number, method, target, headers: lines, body: Vec::new() }))
    }

    /// Sends a request on and returns the connection on which the answer comes.
    fn forward(&self, request: &Request, body: &mut dyn Read) -> io::Result<TcpStream> {
        let mut upstream = TcpStream::connect(&self.upstream)?;
        write!(
            upstream,
            "{} {} HTTP/1.1\r\nConnection: close\r\n",
            request.method, request.target
        )?;
        for line in &request.headers {
            if !line.to_lowercase().starts_with("connection:") {
                write!(upstream, "{line}\r\n")?;
            }
        }
        upstream.write_all(b"\r\n")?;
        upstream.write_all(&request.body)?;
        io::copy(body, &mut upstream)?;
        Ok(upstream)
    }
}

/// The lines of a head, up to the empty one; none at the end of the connection.
fn head_lines(reader: &mut impl BufRead) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(Vec::new());
        }
        match line.trim_end() {
            "" => return Ok(lines),
            line => lines.push(line.to_owned()),
        }
    }
}
