//! The command line: declarations only.

use std::num::NonZero;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tranship_storage::{Pattern, Platform};
use tranship_terminal::{Generate, Verbosity};

/// Pack the tagged images of a Docker Distribution registry's storage into one bundle.
///
/// The registry may be running or stopped; its storage is only read.
#[derive(Debug, Parser)]
#[command(
    name = "packer",
    version,
    after_help = "Exit codes: 0 all done, 1 failed, 2 wrong usage, 3 done in part (what is missing is named)."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) verbosity: Verbosity,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Pack(Pack),
    List(List),
    Verify(Verify),
    #[command(hide = true)]
    Generate(Generate),
}

/// Write a bundle of all tagged images
///
/// Each blob is read once, checked against its digest, and stored once. The bundle appears under
/// its name only when it is complete and synced; beside it stands NAME.sha256 for `sha256sum -c`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  packer pack --storage /var/lib/registry --output /mnt/disk/images.tar
  packer pack --storage /var/lib/registry --output /mnt/disk/images.tar --dry-run
  packer pack --storage docker.tar.gz --output images.tar --include 'team/**' --newest 3
  packer pack --storage /var/lib/registry --output - | ssh host loader load - --to https://harbor")]
pub(crate) struct Pack {
    #[command(flatten)]
    pub(crate) storage: StorageOptions,
    /// The bundle to write, or `-` for standard output
    #[arg(short, long, value_name = "BUNDLE")]
    pub(crate) output: PathBuf,
    /// Pack the whole images and leave broken ones out (exit code 3), instead of stopping
    #[arg(long)]
    pub(crate) skip_broken: bool,
    /// Only tell what would be packed and how large the bundle would be
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Threads that read and hash, at most 256 [default: one per processor; 32 for a bucket]
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZero<usize>>,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a report (JSON) with each image, its digest or why it is broken; until then that of an
    /// earlier run is called FILE.previous
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) selection: SelectionOptions,
}

/// List the tagged images, one REPOSITORY:TAG a line, sorted
///
/// The list is of the images that `pack` can pack. Broken ones are named on standard error with the
/// reason, and the exit code is then 3.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  packer list --storage /var/lib/registry > images.list
  packer list --storage docker.tar --exclude '**:*-dev'
  packer list --storage /var/lib/registry --report picture.html > images.list")]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) storage: StorageOptions,
    /// Print JSON, with digest, media type and size of each manifest
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a picture to choose by, a page (FILE.html) or JSON (FILE.json): what each project,
    /// repository and tag takes, and what leaving it out would save
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) selection: SelectionOptions,
}

/// Read and hash everything that would be packed, without writing anything
///
/// What is damaged is named with the images that it breaks, and the exit code is then 3.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  packer verify --storage /var/lib/registry")]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) storage: StorageOptions,
    /// Threads that read and hash, at most 256 [default: one per processor; 32 for a bucket]
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZero<usize>>,
    #[command(flatten)]
    pub(crate) selection: SelectionOptions,
}

/// Where the registry's images are.
#[derive(Debug, Args)]
pub(crate) struct StorageOptions {
    /// Folder, archive or bucket of the registry
    ///
    /// The folder is /var/lib/registry, or its docker, or its docker/registry/v2. An archive of it is
    /// a file that tar has made, plain or compressed with gzip or Zstandard, or `-` for one on
    /// standard input, which is kept in TMPDIR meanwhile. A bucket is s3://BUCKET/ROOTDIRECTORY,
    /// gs://… or az://…, with credentials and endpoint in the usual environment variables
    /// (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL;
    /// GOOGLE_APPLICATION_CREDENTIALS; AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY).
    #[arg(
        short,
        long,
        value_name = "SOURCE",
        required_unless_present = "registry_config",
        conflicts_with = "registry_config"
    )]
    pub(crate) storage: Option<PathBuf>,
    /// The configuration of the registry, /etc/docker/registry/config.yml, that says where its
    /// storage is; REGISTRY_STORAGE_… of the environment go before what it says
    #[arg(long, value_name = "FILE")]
    pub(crate) registry_config: Option<PathBuf>,
    /// Follow symbolic links out of the storage
    #[arg(long)]
    pub(crate) follow_links: bool,
}

impl StorageOptions {
    /// What was given, for a person.
    pub(crate) fn in_words(&self) -> String {
        let given = self.storage.as_ref().or(self.registry_config.as_ref());
        given.map(|given| given.display().to_string()).unwrap_or_default()
    }
}

/// Which images.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection")]
pub(crate) struct SelectionOptions {
    /// Take the images that this pattern fits, REPOSITORY:TAG or REPOSITORY; `*` stays within one
    /// part of the name, `**` crosses slashes (repeatable)
    #[arg(long, value_name = "PATTERN")]
    pub(crate) include: Vec<Pattern>,
    /// Leave the images out that this pattern fits, even if --include fits them (repeatable)
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<Pattern>,
    /// Take the images that a file lists, one REPOSITORY:TAG or REPOSITORY:TAG@DIGEST a line
    #[arg(long, value_name = "FILE")]
    pub(crate) images_file: Option<PathBuf>,
    /// Take what was pushed since this time, 2024-05-06T07:08:09Z, or in the last days, 30d
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Since>,
    /// Take of each repository the N images that were pushed last
    #[arg(long, value_name = "N")]
    pub(crate) newest: Option<NonZero<usize>>,
    /// Take of each image what runs on this platform, as linux/amd64 (repeatable)
    #[arg(long = "platform", value_name = "PLATFORM")]
    pub(crate) platforms: Vec<Platform>,
    /// Leave untagged signatures, SBOMs and the like of the images out
    #[arg(long)]
    pub(crate) no_referrers: bool,
}

/// A time, or how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// A moment.
    Time(tranship_common::PushTime),
    /// Seconds before now.
    Ago(i64),
}

impl std::str::FromStr for Since {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::Time(time.into()));
        }
        let form = "a time is 2024-05-06T07:08:09Z or how long ago, as 30d, 12h or 90m";
        let unit = match text.chars().last() {
            Some('d') => 86_400,
            Some('h') => 3_600,
            Some('m') => 60,
            _ => return Err(form),
        };
        let count: u32 = text[..text.len() - 1].parse().map_err(|_| form)?;
        Ok(Self::Ago(i64::from(count) * unit))
    }
}
