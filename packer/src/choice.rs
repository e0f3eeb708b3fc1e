//! From options to a source and a selection.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::num::NonZero;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;

use anyhow::{Context, bail};
use jiff::Timestamp;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tranship_common::{Progress, PushTime};
use tranship_storage::{
    Bucket, Folder, ImageList, Order, Selection, Source, SourceError, StorageLocation, is_file_at,
    open_archive,
};

use crate::cli::{SelectionOptions, Since, StorageOptions};

/// More threads than this serve nobody.
const MAX_JOBS: usize = 256;

/// A storage that has been found, of which nothing has been read yet that would take long.
#[derive(Debug)]
pub(crate) enum Storage {
    /// A folder or a bucket.
    Found(Box<dyn Source>),
    /// What may be an archive, and what it is called.
    File(File, String),
}

impl Storage {
    /// Finds what the options name.
    pub(crate) fn find(options: &StorageOptions) -> anyhow::Result<Self> {
        let find = |location| Self::locate(location, options.follow_links);
        match (&options.storage, &options.registry_config) {
            (Some(given), _) if given.as_os_str() == "-" => {
                let input = io::stdin().as_fd().try_clone_to_owned()?;
                Ok(Self::File(input.into(), "standard input".to_owned()))
            }
            (Some(given), _) => find(StorageLocation::given(given.as_os_str())?),
            (None, Some(config)) => {
                let location = StorageLocation::of_registry(config, environment())?;
                let named = || format!("the storage that {} names", config.display());
                find(location).with_context(named)
            }
            (None, None) => bail!("neither --storage nor --registry-config is given"),
        }
    }

    fn locate(location: StorageLocation, follow_links: bool) -> anyhow::Result<Self> {
        let is_no_folder = |path| fs::metadata(path).is_ok_and(|there| !there.is_dir());
        Ok(match location {
            StorageLocation::Path(path) if is_no_folder(&path) => {
                let name = path.display().to_string();
                let file = File::open(&path).map_err(|error| SourceError::of_io(&name, error))?;
                Self::File(file, name)
            }
            StorageLocation::Path(path) => {
                Self::Found(Box::new(Folder::locate(&path, follow_links)?))
            }
            StorageLocation::Bucket(bucket) => {
                Self::Found(Box::new(Bucket::open(&bucket, environment())?))
            }
        })
    }

    /// Whether a file is part of it, as [`Source::contains`].
    pub(crate) fn contains(&self, path: &Path) -> bool {
        match self {
            Self::Found(source) => source.contains(path),
            Self::File(file, _) => is_file_at(file, path),
        }
    }

    /// Reads what has to be read before anything can be asked of it. `order` is that in which its
    /// blobs will be wanted.
    pub(crate) fn open(
        self,
        order: Order,
        progress: &dyn Progress,
    ) -> anyhow::Result<Box<dyn Source>> {
        match self {
            Self::Found(source) => Ok(source),
            Self::File(file, name) => {
                Ok(open_archive(file, &name, order, &env::temp_dir(), progress)?)
            }
        }
    }
}

/// The environment, apart from what is no text: nothing that is wanted of it is.
fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    env::vars_os().filter_map(text)
}

/// Reads the lists that the selection is made of.
pub(crate) fn read_selection(options: &SelectionOptions) -> anyhow::Result<Selection> {
    let images = options.images_file.as_deref().map(|path| {
        let read = || anyhow::Ok(ImageList::read(BufReader::new(File::open(path)?))?);
        read().with_context(|| format!("the list of images {}", path.display()))
    });
    let since = options.since.map(|since| match since {
        Since::Time(time) => time,
        Since::Ago(seconds) => PushTime::from_unix(Timestamp::now().as_second() - seconds),
    });
    Ok(Selection {
        include: options.include.clone(),
        exclude: options.exclude.clone(),
        images: images.transpose()?,
        since,
        newest: options.newest,
        // One platform has many names.
        platforms: options.platforms.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect(),
        referrers: !options.no_referrers,
    })
}

/// The threads that read a source: one a processor, or as many as were asked for; more where the
/// source is slow to answer.
pub(crate) fn readers(
    source: &dyn Source,
    jobs: Option<NonZero<usize>>,
) -> anyhow::Result<ThreadPool> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = jobs.map_or_else(|| source.side_by_side(processors), NonZero::get);
    Ok(ThreadPoolBuilder::new().num_threads(threads.min(MAX_JOBS)).build()?)
}
