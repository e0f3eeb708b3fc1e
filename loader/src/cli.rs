//! The command line: declarations only.

use std::num::NonZero;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tranship_terminal::{Generate, Verbosity};

use crate::plan::rules::Rule;

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
    Plan(Plan),
    Projects(Projects),
    Check(Check),
    Verify(Verify),
    List(List),
    #[command(hide = true)]
    Generate(Generate),
}

/// Load a bundle into a registry
///
/// What the registry has already is asked, not assumed: after any interruption the same command
/// goes on and sends only what is missing. A tag appears only when its image is whole. A tag that
/// has another image there gets the bundle's; `plan` names such tags beforehand.
///
/// From standard input, blobs of more than 1 MiB are put into the folder for temporary files until
/// they have arrived, some dozen at a time; TMPDIR names another folder.
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
    #[command(flatten)]
    pub(crate) names: Names,
    #[command(flatten)]
    pub(crate) projects: NewProjects,
    /// Make no missing projects: they are an error then
    #[arg(long, help_heading = "Projects of Harbor")]
    pub(crate) no_create_projects: bool,
    /// Begin without asking first whether rights, quotas and modes allow it
    #[arg(long)]
    pub(crate) no_preflight: bool,
    /// Load what nothing stands in the way of, and leave out the projects that something keeps from
    /// being loaded into (exit code 3); without it nothing is sent then
    #[arg(long, conflicts_with = "no_preflight")]
    pub(crate) skip_blocked: bool,
    /// Ask for every manifest and blob of the images that are there too, and send what is missing
    #[arg(long)]
    pub(crate) deep: bool,
    /// Print the report as JSON instead of a summary
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a report: each image with its digest, status and reason, and totals; a page to look
    /// at when FILE ends in .html, else JSON. Until the load is over that of an earlier run is
    /// called FILE.previous
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

/// Tell what a load would do, and send nothing
///
/// For each project or repository: what is there, what would be made, uploaded, mounted and
/// stored, in bytes and requests; and what would keep the load from succeeding.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  loader plan images.tar --to https://harbor.example --username admin --password-file secret")]
pub(crate) struct Plan {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(flatten)]
    pub(crate) names: Names,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Make the projects that a load into Harbor needs, and nothing else
///
/// For an administrator to run beforehand, when the account that loads may not make projects.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  loader projects images.tar --to https://harbor.example --username admin --password-file secret")]
pub(crate) struct Projects {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(flatten)]
    pub(crate) names: Names,
    #[command(flatten)]
    pub(crate) projects: NewProjects,
}

/// Check that every tag of a bundle is in a registry, with the digest that was packed
///
/// Names each tag that is missing or has another digest; exit code 1 if there is one.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  loader check images.tar --to https://harbor.example --username admin --password-file secret")]
pub(crate) struct Check {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(flatten)]
    pub(crate) names: Names,
    /// Ask for every manifest and blob of every image too, not only for its tag
    #[arg(long)]
    pub(crate) deep: bool,
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
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Registry, as `https://HOST:PORT`; `http://` only for this machine or with --plain-http
    ///
    /// Proxies are taken from HTTPS_PROXY and HTTP_PROXY, or else ALL_PROXY (small letters do too),
    /// as `http://[NAME:PASSWORD@]HOST:PORT`. NO_PROXY names what is reached without one, parted by
    /// commas: hosts, domains with all that is below them, addresses, networks as 10.0.0.0/8, or
    /// `*`. This machine (localhost, 127.0.0.0/8, ::1) is never reached through a proxy.
    #[arg(long, value_name = "URL")]
    pub(crate) to: String,
    /// What the registry is; `auto` finds Harbor out
    #[arg(long, value_name = "KIND", default_value = "auto")]
    pub(crate) target_kind: TargetKind,
    /// Allow a connection without encryption, to the registry and to where it sends for tokens
    #[arg(long)]
    pub(crate) plain_http: bool,
    /// Trust the certificates in this file (PEM) instead of the system's: authorities, or the
    /// registry's own
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
    ///
    /// Without one, what docker, podman or skopeo have logged in with is looked up in these files:
    /// that of REGISTRY_AUTH_FILE, DOCKER_CONFIG/config.json, ~/.docker/config.json,
    /// XDG_RUNTIME_DIR/containers/auth.json (else /run/containers/UID/auth.json), and
    /// XDG_CONFIG_HOME/containers/auth.json (else ~/.config/containers/auth.json). The first that
    /// names the registry counts, and in it the most specific key: HOST/TEAM for the repositories
    /// below TEAM, HOST for the others. Credential helpers are asked.
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
    /// Try a request again for this many seconds while the registry is away or overloaded; the very
    /// first one is not repeated when nobody listens at the address
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    pub(crate) max_wait: u64,
    /// Pause before the first retry, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", hide = true)]
    pub(crate) retry_delay: Option<u64>,
}

/// What a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TargetKind {
    Auto,
    Harbor,
    Registry,
}

/// Under which names images go into the target.
///
/// Without any of these a repository keeps its name. In Harbor its first component is the project,
/// and a repository of one component goes into the project `library`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Names in the target")]
pub(crate) struct Names {
    /// Rename: FROM=TO, or FROM*=TO* for all that begin so; the first rule that fits counts
    #[arg(long = "map", value_name = "RULE")]
    pub(crate) rules: Vec<Rule>,
    /// Read rules from a file, one a line, after those of --map; `#` begins a comment
    #[arg(long, value_name = "FILE")]
    pub(crate) map_file: Option<PathBuf>,
    /// Put everything that no rule fits below this project
    #[arg(long, value_name = "PROJECT")]
    pub(crate) prefix: Option<String>,
    /// Project of repositories with one component [default: library, in Harbor]
    #[arg(long, value_name = "PROJECT")]
    pub(crate) default_project: Option<String>,
}

/// How missing projects are made.
#[derive(Debug, Args)]
#[command(next_help_heading = "Projects of Harbor")]
pub(crate) struct NewProjects {
    /// Anybody may pull from new projects
    #[arg(long)]
    pub(crate) public: bool,
    /// Storage limit of new projects, in bytes or with a unit, as 50G [default: Harbor's own]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) storage_limit: Option<u64>,
    /// Another account that makes the projects
    #[arg(long, value_name = "NAME", requires = "admin_password_file")]
    pub(crate) admin_username: Option<String>,
    /// Read its password from a file
    #[arg(long, value_name = "FILE", requires = "admin_username")]
    pub(crate) admin_password_file: Option<PathBuf>,
}

/// A number of bytes, with K, M, G or T for powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let error = || format!("`{text}` is no size: give bytes, or a number with K, M, G or T");
    let digits = text.trim_end_matches(['K', 'M', 'G', 'T']);
    let shift = match &text[digits.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(error()),
    };
    let number: u64 = digits.parse().map_err(|_| error())?;
    number.checked_mul(1 << shift).filter(|size| *size > 0).ok_or_else(error)
}
