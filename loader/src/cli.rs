//! The command line: declarations only.

use std::num::NonZero;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tranship_terminal::{Generate, Verbosity};

/// Load a bundle into Harbor or any OCI registry, and prove that every tag arrived.
#[derive(Debug, Parser)]
#[command(
    name = "loader",
    version,
    after_help = "Exit codes: 0 all done, 1 failed or something is wrong, 2 wrong usage, 3 done in part (the report names what is missing)."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) verbosity: Verbosity,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Load(Load),
    Check(Check),
    Verify(Verify),
    List(List),
    #[command(hide = true)]
    Generate(Generate),
}

/// Load a bundle into a registry
///
/// What the registry has already is asked, not assumed: after any interruption the same command
/// goes on and sends only what is missing. A tag appears only when its image is whole.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  loader load images.tar --to https://harbor.example --username admin --password-file secret
  loader load images.tar --to https://harbor.example --ca-file ca.pem --report load.json
  packer pack --storage /var/lib/registry --output - | loader load - --to http://localhost:5000")]
pub(crate) struct Load {
    /// The bundle, or `-` to read it from standard input
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Print the report as JSON instead of a summary
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a report (JSON): each image with its digest, status and reason, and totals
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

/// Check that every tag of a bundle is in a registry, with the digest that was packed
///
/// Names each tag that is missing or has another digest; exit code 1 if there is one.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  loader check images.tar --to https://harbor.example")]
pub(crate) struct Check {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check every byte of a bundle: digests, references, tags, and that nothing was added
///
/// Names all that is wrong, not only the first; exit code 1 if anything is.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  loader verify images.tar")]
pub(crate) struct Verify {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    /// Threads that read and hash [default: one per processor]
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZero<usize>>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// List the images of a bundle, one REPOSITORY:TAG a line, sorted
#[derive(Debug, Args)]
#[command(after_help = "Example:
  loader list images.tar > images.list")]
pub(crate) struct List {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    /// Print JSON, with digest, media type and size of each manifest
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where the registry is and how to get in.
///
/// Without --username, the variables TRANSHIP_USERNAME and TRANSHIP_PASSWORD are used if set, then
/// Docker's and podman's auth files. Proxies are taken from HTTPS_PROXY, HTTP_PROXY and NO_PROXY.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Registry, as `https://HOST:PORT`; `http://` only for this machine or with --plain-http
    #[arg(long, value_name = "URL")]
    pub(crate) to: String,
    /// Allow a connection without encryption
    #[arg(long)]
    pub(crate) plain_http: bool,
    /// Trust these certificate authorities (PEM) instead of the system's
    #[arg(long, value_name = "FILE", conflicts_with = "insecure_skip_tls_verify")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Do not check the registry's certificate: anybody could be answering
    #[arg(long)]
    pub(crate) insecure_skip_tls_verify: bool,
    /// Our own certificate (PEM), for a registry that asks for one
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub(crate) client_cert: Option<PathBuf>,
    /// The key (PEM) of --client-cert
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub(crate) client_key: Option<PathBuf>,
    /// Account to log in with [env: TRANSHIP_USERNAME]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) username: Option<String>,
    /// Read the password from standard input
    #[arg(long, conflicts_with = "password_file", requires = "username")]
    pub(crate) password_stdin: bool,
    /// Read the password from a file [env: TRANSHIP_PASSWORD is the password itself]
    #[arg(long, value_name = "FILE", requires = "username")]
    pub(crate) password_file: Option<PathBuf>,
    /// Requests side by side
    #[arg(short, long, value_name = "N", default_value = "8")]
    pub(crate) jobs: NonZero<usize>,
    /// Give a request up when nothing moves for this many seconds
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    pub(crate) timeout: NonZero<u64>,
    /// Pause before the first retry, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", hide = true)]
    pub(crate) retry_delay: Option<u64>,
}
