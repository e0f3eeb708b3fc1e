//! The command line: declarations only.

use std::num::NonZero;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tranship_terminal::{Generate, Verbosity};

/// Pack the tagged images of a Docker Distribution registry's storage into one bundle.
///
/// The registry may be running or stopped; its storage is only read.
#[derive(Debug, Parser)]
#[command(
    name = "packer",
    version,
    after_help = "Exit codes: 0 all done, 1 failed, 2 wrong usage, 3 done in part (broken images were left out)."
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
  packer pack --storage /var/lib/registry --output - | ssh host loader load - --to https://harbor")]
pub(crate) struct Pack {
    #[command(flatten)]
    pub(crate) storage: StorageOption,
    /// The bundle to write, or `-` for standard output
    #[arg(short, long, value_name = "BUNDLE")]
    pub(crate) output: PathBuf,
    /// Pack the whole images and leave broken ones out (exit code 3), instead of stopping
    #[arg(long)]
    pub(crate) skip_broken: bool,
    /// Only tell what would be packed and how large the bundle would be
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Threads that read and hash [default: one per processor]
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZero<usize>>,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a report (JSON) with each image, its digest or why it is broken; until then that of an
    /// earlier run is called FILE.previous
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

/// List the tagged images, one REPOSITORY:TAG a line, sorted
///
/// The list is of the images that `pack` can pack. Broken ones are named on standard error with the
/// reason, and the exit code is then 3.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  packer list --storage /var/lib/registry > images.list")]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) storage: StorageOption,
    /// Print JSON, with digest, media type and size of each manifest
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StorageOption {
    /// Folder of the registry: /var/lib/registry, or its docker, or its docker/registry/v2
    #[arg(short, long = "storage", value_name = "DIR")]
    pub(crate) folder: PathBuf,
}
