//! A server that says what it is told to say, byte by byte, and closes the connection.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use tranship_common::Digest;

/// A server with a bucket `images`.
pub(super) struct Server {
    /// `127.0.0.1:PORT`.
    pub(super) address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers each request, given by its head and how many there were before it.
    pub(super) fn start(answer: impl Fn(&str, usize) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                thread::spawn(move || serve(connection.unwrap(), &seen, &*answer));
            }
        });
        Self { address, requests }
    }

    /// The heads of all requests so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(
    mut connection: TcpStream,
    requests: &Mutex<Vec<String>>,
    answer: &(impl Fn(&str, usize) -> Vec<u8> + ?Sized),
) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if connection.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let number = {
        let mut requests = requests.lock().unwrap();
        requests.push(head.clone());
        requests.len() - 1
    };
    // The client may have gone.
    let _ = connection.write_all(&answer(&head, number));
}

/// An answer that says that its body has so many bytes.
pub(super) fn answer(status: &str, headers: &str, body: &[u8], length: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\
         Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A page of a listing.
pub(super) fn page(entries: &str) -> Vec<u8> {
    let body = format!("<ListBucketResult>{entries}</ListBucketResult>");
    answer("200 OK", "", body.as_bytes(), body.len())
}

/// The entry of an object in a listing.
pub(super) fn entry(key: &str) -> String {
    format!(
        "<Contents><Key>{key}</Key><LastModified>2023-11-14T22:13:20.000Z</LastModified>\
         <ETag>x</ETag><Size>71</Size></Contents>"
    )
}

/// An error.
pub(super) fn error(status: &str, headers: &str, code: &str) -> Vec<u8> {
    let body = format!("<Error><Code>{code}</Code><Message>Words.</Message></Error>");
    answer(status, headers, body.as_bytes(), body.len())
}

/// An object, or the rest of it that is asked for, of which only so many bytes come.
pub(super) fn object(head: &str, bytes: &[u8], etag: &str, most: usize) -> Vec<u8> {
    let begin = head.split("range: bytes=").nth(1).map(|rest| {
        let (begin, _) = rest.split_once('-').unwrap();
        begin.parse::<usize>().unwrap()
    });
    let rest = &bytes[begin.unwrap_or(0)..];
    let sent = &rest[..rest.len().min(most)];
    let etag = format!("ETag: \"{etag}\"\r\n");
    match begin {
        None => answer("200 OK", &etag, sent, rest.len()),
        Some(begin) => {
            let (last, all) = (bytes.len() - 1, bytes.len());
            let headers = format!("{etag}Content-Range: bytes {begin}-{last}/{all}\r\n");
            answer("206 Partial Content", &headers, sent, rest.len())
        }
    }
}

/// The answers by which a bucket is known for a storage.
pub(super) fn is_storage(head: &str) -> Option<Vec<u8>> {
    let asked =
        |folder: &str| head.contains(&format!("prefix=docker%2fregistry%2fv2%2f{folder}%2f "));
    let found = |key: &str| page(&entry(&format!("docker/registry/v2/{key}")));
    let hex = Digest::of(b"").hex().to_owned();
    if asked("repositories") {
        Some(found(&format!("repositories/a/_layers/sha256/{hex}/link")))
    } else if asked("blobs%2fsha256") {
        Some(found(&format!("blobs/sha256/{}/{hex}/data", &hex[..2])))
    } else {
        None
    }
}
