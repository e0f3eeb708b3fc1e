//! Takes connections and does with each request what was decided.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::CONNECTION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_rustls::TlsAcceptor;

use super::busy::{Busy, UnderWay};
use super::wire::{Duplex, Ending, Wire};
use super::{Judge, Request, Verdict};

/// So soon an upstream has answered what it does not want the body for.
const PROXY_WAITS: Duration = Duration::from_millis(100);

type AnyBody = BoxBody<Bytes, io::Error>;

/// What all connections of a front share.
pub(super) struct Server {
    upstream: String,
    client: Client<HttpConnector, AnyBody>,
    judge: Arc<dyn Judge>,
    count: AtomicU64,
    requests: Mutex<Vec<Request>>,
    /// So many of the next connections are closed at once.
    away: AtomicUsize,
    /// All connections are to be closed.
    closing: Notify,
    busy: Arc<Busy>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a front before {}", self.upstream)
    }
}

/// A request that the judge has seen; when it is dropped, for whatever reason, it is over.
struct Judged {
    request: Request,
    judge: Arc<dyn Judge>,
    /// Dropped last.
    _under_way: UnderWay,
}

impl Drop for Judged {
    fn drop(&mut self) {
        self.judge.done(&self.request);
    }
}

impl Server {
    pub(super) fn new(upstream: String, judge: Arc<dyn Judge>) -> Self {
        Self {
            upstream,
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
            judge,
            count: AtomicU64::new(0),
            requests: Mutex::default(),
            away: AtomicUsize::new(0),
            closing: Notify::new(),
            busy: Arc::default(),
        }
    }

    /// Waits until this client and everybody else is gone, and all that they asked for is over.
    pub(super) fn wait_for_silence(&self, client: SocketAddr) {
        self.busy.wait(client);
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic while it was held").clone()
    }

    /// Takes connections until it is dropped, which ends them too.
    pub(super) async fn accept(self: Arc<Self>, listener: TcpListener, tls: Option<TlsAcceptor>) {
        let listener = tokio::net::TcpListener::from_std(listener).expect("within a runtime");
        let mut connections = JoinSet::new();
        loop {
            let client = tokio::select! {
                client = listener.accept() => client,
                () = self.closing.notified() => {
                    connections.abort_all();
                    continue;
                }
                Some(_) = connections.join_next() => continue,
            };
            let Ok((client, address)) = client else { continue };
            let under_way = self.busy.connection(address);
            let one_less = |away: usize| away.checked_sub(1);
            if self.away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
                continue;
            }
            let connection = Arc::clone(&self).connection(client, tls.clone());
            connections.spawn(async move {
                let _under_way = under_way;
                connection.await;
            });
        }
    }

    /// Serves a connection to its end. One that breaks is what a front is for.
    async fn connection(self: Arc<Self>, client: TcpStream, tls: Option<TlsAcceptor>) {
        let ending = Ending::new();
        let stream: Box<dyn Duplex> = match tls {
            None => Box::new(client),
            Some(tls) => match tls.accept(client).await {
                Ok(client) => Box::new(client),
                Err(_) => return,
            },
        };
        let wire = Wire { stream, ending: Arc::clone(&ending) };
        let service = service_fn(move |request| {
            let (server, ending) = (Arc::clone(&self), Arc::clone(&ending));
            async move { server.answer(request, &ending).await }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(wire), service);
        drop(connection.await);
    }

    /// An error closes the connection without an answer.
    async fn answer(
        &self,
        request: hyper::Request<Incoming>,
        ending: &Ending,
    ) -> io::Result<Response<AnyBody>> {
        let (head, mut body) = request.into_parts();
        let mut request = Request {
            number: self.count.fetch_add(1, Ordering::SeqCst),
            method: head.method.to_string(),
            target: head.uri.to_string(),
            headers: head.headers,
            body: Vec::new(),
        };
        if !request.target.contains("/blobs/uploads/") {
            request.body =
                (&mut body).collect().await.map_err(io::Error::other)?.to_bytes().to_vec();
        }
        self.requests.lock().expect("no panic while it was held").push(request.clone());
        let judge = Arc::clone(&self.judge);
        let under_way = self.busy.request();
        let judging = spawn_blocking(move || {
            let verdict = judge.judge(&mut request);
            (verdict, Judged { request, judge, _under_way: under_way })
        });
        let (verdict, judged) = judging.await?;
        match verdict {
            Verdict::Forward => self.forward(&judged.request, whole_way(body)).await,
            Verdict::ForwardAndClose => {
                let answer = self.forward(&judged.request, whole_way(body)).await;
                ending.after_answer();
                answer
            }
            Verdict::CutDown(bytes) => {
                let answer = self.forward(&judged.request, whole_way(body)).await;
                ending.after_bytes(bytes);
                answer
            }
            Verdict::StallInBody => {
                let answer = self.forward(&judged.request, whole_way(body)).await?;
                let nothing = StreamBody::new(stream::pending());
                Ok(answer.map(|_| BodyExt::boxed(nothing)))
            }
            Verdict::CutUp(bytes) => {
                let _ = self.forward(&judged.request, cut(body, bytes)).await;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Verdict::Answer { status, headers, body: text } => {
                body.collect().await.map_err(io::Error::other)?;
                Ok(response(status, headers, text))
            }
            Verdict::Endless { status, piece, pause } => {
                let pieces =
                    stream::repeat(Bytes::from(vec![b' '; piece])).then(move |bytes| async move {
                        tokio::time::sleep(pause).await;
                        Ok(Frame::data(bytes))
                    });
                let answer = response(status, HeaderMap::new(), String::new());
                Ok(answer.map(|_| BodyExt::boxed(StreamBody::new(pieces))))
            }
            Verdict::EarlyBehindProxy(answer) => {
                ending.after_answer();
                let begun = tokio::time::timeout(PROXY_WAITS, body.frame()).await.is_ok();
                let page = || Verdict::page(502, "Bad Gateway");
                given(if begun { page() } else { *answer })
            }
            Verdict::Early(answer) => {
                ending.after_answer();
                given(*answer)
            }
            // Until the client goes away.
            Verdict::Stall => std::future::pending().await,
            Verdict::Restart(connections) => {
                self.away.store(connections, Ordering::SeqCst);
                self.closing.notify_one();
                std::future::pending().await
            }
        }
    }

    /// Sends a request on and gives the answer back.
    async fn forward(&self, request: &Request, passing: AnyBody) -> io::Result<Response<AnyBody>> {
        let path = request.target.parse::<Uri>().map_err(io::Error::other)?;
        let path = path.path_and_query().map_or("/", |path| path.as_str());
        let mut onward = hyper::Request::builder()
            .method(request.method.as_str())
            .uri(format!("http://{}{path}", self.upstream));
        for (name, value) in request.headers.iter().filter(|(name, _)| *name != CONNECTION) {
            onward = onward.header(name, value);
        }
        let body = if request.body.is_empty() { passing } else { whole(request.body.clone()) };
        let onward = onward.body(body).map_err(io::Error::other)?;
        let answer = self.client.request(onward).await.map_err(io::Error::other)?;
        let (mut answer, body) = answer.into_parts();
        self.judge.answered(request, &mut answer);
        Ok(Response::from_parts(answer, whole_way(body)))
    }
}

/// An answer that does not wait for the body.
fn given(verdict: Verdict) -> io::Result<Response<AnyBody>> {
    match verdict {
        Verdict::Answer { status, headers, body } => Ok(response(status, headers, body)),
        other => Err(io::Error::other(format!("{other:?} is no answer"))),
    }
}

fn response(status: u16, headers: HeaderMap, text: String) -> Response<AnyBody> {
    let mut answer = Response::new(whole(text));
    *answer.status_mut() = StatusCode::from_u16(status).expect("a status of HTTP");
    *answer.headers_mut() = headers;
    answer
}

fn whole(bytes: impl Into<Bytes>) -> AnyBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

fn whole_way(body: Incoming) -> AnyBody {
    body.map_err(io::Error::other).boxed()
}

/// The beginning of a body, then an error in the place of its end.
fn cut(body: Incoming, bytes: u64) -> AnyBody {
    if body.is_end_stream() {
        return whole_way(body);
    }
    let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
    let beginning = body.into_data_stream().map(move |data| {
        let mut data = data.map_err(io::Error::other)?;
        if left == 0 {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        data.truncate(left);
        left -= data.len();
        Ok(Frame::data(data))
    });
    // A body that is shorter than the cut has no end either.
    let end = || async { Err(io::ErrorKind::ConnectionAborted.into()) };
    BodyExt::boxed(StreamBody::new(beginning.chain(stream::once(end()))))
}
