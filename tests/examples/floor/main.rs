//! The floor under a load: sends nothing but the least requests that bring a bundle into an empty
//! registry, eight at once as loader does, and leaves out all else. It asks for nothing, checks no
//! bytes, tries nothing twice, and ends at the first answer that is not the one wanted. Prints how
//! many requests these are.
//!
//! Its HTTP client is the one that loader's own is built upon, set up in the same way (HTTP/1.1,
//! connections kept, no delay). So both have the same connections, and what loader's adds is part of
//! what is measured. The threads are loader's too: one for the network, others to read the bundle. A
//! client with a single thread needs less CPU, but on a busy machine it is the slower one.
//!
//! usage: cargo run --release -p e2e --example floor -- BUNDLE http://HOST:PORT [PREFIX]
//!
//! On Harbor the account is that of `TRANSHIP_USERNAME` and `TRANSHIP_PASSWORD`, and its projects
//! have to be there. With a PREFIX every repository goes below it.

mod plan;

use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::stream::{self, FuturesUnordered, Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::spawn_blocking;
use tranship_common::bundle::BundleFile;
use tranship_common::{Digest, Repository};

use plan::{Plan, Step};

/// Steps under way at once: loader's default.
const JOBS: usize = 8;

/// Larger blobs are sent in pieces of so many bytes.
const PIECE: u64 = 1 << 20;

type Body = UnsyncBoxBody<Bytes, io::Error>;
type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let usage = "usage: floor BUNDLE http://HOST:PORT [PREFIX]";
    let mut arguments = env::args().skip(1);
    let path = arguments.next().ok_or(usage)?;
    let target = arguments.next().ok_or(usage)?;
    let prefix = arguments.next().map(|prefix| format!("{prefix}/")).unwrap_or_default();

    let bundle = BundleFile::open(Path::new(&path))?;
    let plan = Plan::new(bundle.contents());
    let requests = plan.requests();
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let floor = Floor {
        client: Client::builder(TokioExecutor::new()).build(connector),
        root: format!("{}/v2/{prefix}", target.trim_end_matches('/')),
        prefix,
        authorization: authorization()?,
        file: Arc::new(File::open(&path)?),
        bundle: &bundle,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(floor.run(plan))?;
    writeln!(io::stdout(), "{requests}")?;
    Ok(())
}

fn authorization() -> Result<Option<HeaderValue>, Error> {
    let Ok(username) = env::var("TRANSHIP_USERNAME") else { return Ok(None) };
    let credentials = format!("{username}:{}", env::var("TRANSHIP_PASSWORD")?);
    let value = format!("Basic {}", BASE64_STANDARD.encode(credentials));
    Ok(Some(HeaderValue::try_from(value)?))
}

struct Floor<'a> {
    client: Client<HttpConnector, Body>,
    /// `http://HOST:PORT/v2/` and the prefix.
    root: String,
    /// Empty, or with a slash at its end.
    prefix: String,
    authorization: Option<HeaderValue>,
    file: Arc<File>,
    bundle: &'a BundleFile,
}

impl Floor<'_> {
    /// Does all steps of a plan.
    async fn run(&self, mut plan: Plan<'_>) -> Result<(), Error> {
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < JOBS {
                let Some((number, step)) = plan.next() else { break };
                under_way.push(async move { self.carry_out(step).await.map(|()| number) });
            }
            match under_way.next().await {
                Some(done) => plan.done(done?),
                None => return Ok(()),
            }
        }
    }

    async fn carry_out(&self, step: Step<'_>) -> Result<(), Error> {
        match step {
            Step::Upload { blob, to } => {
                let begun = self.post(to, "", StatusCode::ACCEPTED).await?;
                let session: Uri = begun.get(LOCATION).ok_or("no Location")?.to_str()?.parse()?;
                let (address, body) = (self.beside(&session, blob), self.bytes(blob).await?);
                self.put(address, "application/octet-stream", blob, body).await
            }
            Step::Mount { blob, to, from } => {
                let query = format!("?mount={}&from={}{from}", encoded(blob), self.prefix);
                self.post(to, &query, StatusCode::CREATED).await.map(drop)
            }
            Step::Put { manifest, tag, to } => {
                let digest = manifest.digest;
                let reference = tag.map_or_else(|| digest.to_string(), ToString::to_string);
                let address = format!("{}{to}/manifests/{reference}", self.root);
                self.put(address, manifest.media_type.as_str(), digest, self.bytes(digest).await?)
                    .await
            }
        }
    }

    /// Opens an upload or mounts a blob.
    async fn post(
        &self,
        to: &Repository,
        query: &str,
        wanted: StatusCode,
    ) -> Result<HeaderMap, Error> {
        let address = format!("{}{to}/blobs/uploads/{query}", self.root);
        let request = Request::builder().method(Method::POST).uri(address);
        self.send(request.body(boxed(Bytes::new()))?, wanted).await
    }

    async fn put(
        &self,
        address: String,
        content_type: &str,
        digest: Digest,
        body: Body,
    ) -> Result<(), Error> {
        let size = self.bundle.entry(digest).map_or(0, |entry| entry.size);
        let request = Request::builder()
            .method(Method::PUT)
            .uri(address)
            .header(CONTENT_TYPE, content_type)
            .header(CONTENT_LENGTH, size)
            .body(body)?;
        self.send(request, StatusCode::CREATED).await.map(drop)
    }

    async fn send(
        &self,
        mut request: Request<Body>,
        wanted: StatusCode,
    ) -> Result<HeaderMap, Error> {
        if let Some(value) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        let what = format!("{} {}", request.method(), request.uri().path());
        let (head, body) = self.client.request(request).await?.into_parts();
        // Read to its end, so that the connection can be used again.
        let body = body.collect().await?.to_bytes();
        if head.status != wanted {
            let body = String::from_utf8_lossy(&body);
            return Err(format!("{what}: {}, not {wanted}: {body}", head.status).into());
        }
        Ok(head.headers)
    }

    /// The address of an upload session at the address in use, whatever the registry calls itself,
    /// with the digest that closes it.
    fn beside(&self, session: &Uri, blob: Digest) -> String {
        let host = self.root.split("/v2/").next().unwrap_or_default();
        let joint = if session.query().is_some() { '&' } else { '?' };
        let path = session.path_and_query().map_or("", |path| path.as_str());
        format!("{host}{path}{joint}digest={}", encoded(blob))
    }

    /// The bytes of a manifest or blob.
    async fn bytes(&self, digest: Digest) -> Result<Body, Error> {
        let entry = self.bundle.entry(digest).ok_or("the bundle is cut off")?;
        let file = Arc::clone(&self.file);
        if entry.size <= PIECE {
            return Ok(boxed(read(file, entry.offset, entry.size).await?));
        }
        let pieces = pieces(file, entry.offset, entry.offset + entry.size);
        Ok(UnsyncBoxBody::new(StreamBody::new(pieces)))
    }
}

fn boxed(bytes: Bytes) -> Body {
    UnsyncBoxBody::new(Full::new(bytes).map_err(|never| match never {}))
}

/// A digest in a query.
fn encoded(digest: Digest) -> String {
    digest.to_string().replace(':', "%3A")
}

async fn read(file: Arc<File>, offset: u64, size: u64) -> io::Result<Bytes> {
    let read = move || {
        let mut bytes = vec![0; size as usize];
        file.read_exact_at(&mut bytes, offset).map(|()| bytes.into())
    };
    spawn_blocking(read).await?
}

fn pieces(file: Arc<File>, from: u64, to: u64) -> impl Stream<Item = io::Result<Frame<Bytes>>> {
    stream::try_unfold(from, move |at| {
        let (file, size) = (Arc::clone(&file), PIECE.min(to - at));
        async move {
            if size == 0 {
                return Ok(None);
            }
            let bytes = read(file, at, size).await?;
            Ok(Some((Frame::data(bytes), at + size)))
        }
    })
}
