//! From options to a source and a selection.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::BufReader;
use std::num::NonZero;
use std::thread;

use anyhow::{Context, bail};
use jiff::Timestamp;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tranship_common::PushTime;
use tranship_storage::{Bucket, Folder, ImageList, Selection, Source, StorageLocation};

use crate::cli::{SelectionOptions, Since, StorageOptions};

/// More threads than this serve nobody.
const MAX_JOBS: usize = 256;

/// Finds the storage.
pub(crate) fn open_source(options: &StorageOptions) -> anyhow::Result<Box<dyn Source>> {
    match (&options.storage, &options.registry_config) {
        (Some(given), _) => open(StorageLocation::given(given.as_os_str())?, options.follow_links),
        (None, Some(config)) => {
            let location = StorageLocation::of_registry(config, environment())?;
            open(location, options.follow_links)
                .with_context(|| format!("the storage that {} names", config.display()))
        }
        (None, None) => bail!("neither --storage nor --registry-config is given"),
    }
}

fn open(location: StorageLocation, follow_links: bool) -> anyhow::Result<Box<dyn Source>> {
    Ok(match location {
        StorageLocation::Path(path) => Box::new(Folder::locate(&path, follow_links)?),
        StorageLocation::Bucket(bucket) => Box::new(Bucket::open(&bucket, environment())?),
    })
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
        platforms: options.platforms.clone(),
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
