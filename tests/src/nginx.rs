//! A real nginx before a registry or the double of Harbor, set up as Harbor sets up its own: bodies
//! pass through without being kept.

use std::fs;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::registry::{answers, free_port};

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Nginx {
    /// Starts one before `upstream` (an address with its scheme), with these lines more in its
    /// configuration of the server.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(upstream: &str, more: &str) -> Self {
        // Between finding a free port and taking it somebody else may take it.
        for _ in 0..20 {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let port = free_port();
            let name = folder.path().display();
            let config = format!(
                "daemon off; master_process off; pid {name}/pid; error_log {name}/errors;\n\
                 events {{}}\n\
                 http {{\n\
                 access_log off; client_body_temp_path {name}/body; proxy_temp_path {name}/proxy;\n\
                 fastcgi_temp_path {name}/f; uwsgi_temp_path {name}/u; scgi_temp_path {name}/s;\n\
                 server {{\n\
                 listen 127.0.0.1:{port};\n\
                 {more}\n\
                 location / {{\n\
                 proxy_pass {upstream}; proxy_http_version 1.1; proxy_set_header Host $http_host;\n\
                 proxy_buffering off; proxy_request_buffering off;\n\
                 }} }} }}\n"
            );
            fs::write(folder.path().join("nginx.conf"), config).expect("it can be written");
            let mut process = Command::new("/usr/sbin/nginx")
                .arg("-c")
                .arg(folder.path().join("nginx.conf"))
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("nginx is installed: run scripts/test.sh");
            if answers(&mut process, port) {
                return Self { process, port, _folder: folder };
            }
        }
        panic!("no free port was found");
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
