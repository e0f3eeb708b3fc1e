//! A storage in a bucket: that of Distribution's drivers for S3, Google Cloud Storage and Azure.

mod client;
mod connect;
mod download;
mod failure;
mod odd_keys;
mod patience;
mod request;
mod transport;
mod tree;
mod walk;

use std::path::Path;

use object_store::ObjectStoreExt;
use tokio::runtime::{Builder, Runtime};
use tranship_common::bundle::BlobEntry;
use tranship_common::{Digest, Progress, Repository, Tag};

use crate::inventory::{FoundTag, Inventory};
use crate::location::{BucketLocation, Provider};
use crate::paths::{self, BLOBS, Place, REPOSITORIES, TAG_LINK};
use crate::problem::{Problem, SourceError};
use crate::source::{BlobReader, Source};
use download::ObjectReader;
use failure::{explained, problem};
use odd_keys::OddKeys;
use patience::Patience;
use transport::Transport;
use tree::Tree;
use walk::side_by_side;

/// So many requests are on their way at once: most of the time of each is waiting.
const SIDE_BY_SIDE: usize = 32;

/// Threads that carry the bytes of all connections.
const CARRIERS: usize = 2;

/// A storage in a bucket.
#[derive(Debug)]
pub struct Bucket {
    location: BucketLocation,
    tree: Tree,
    odd_keys: OddKeys,
    runtime: Runtime,
}

impl Bucket {
    /// Finds the storage in a bucket. The environment says what the location does not: credentials,
    /// region and endpoint, by the variables that other programs know (`AWS_…`, `GOOGLE_…`,
    /// `AZURE_…`), authorities and proxies.
    ///
    /// # Errors
    /// [`SourceError`] when there is none, or the bucket cannot be read.
    pub fn open(
        location: &BucketLocation,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SourceError> {
        let environment: Vec<_> = environment.into_iter().collect();
        Self::with(location, &environment, Patience::USUAL)
    }

    fn with(
        location: &BucketLocation,
        environment: &[(String, String)],
        patience: Patience,
    ) -> Result<Self, SourceError> {
        let refused = |what| SourceError::Refused { path: location.to_string(), what };
        let runtime = Builder::new_multi_thread().worker_threads(CARRIERS).enable_all().build();
        let runtime = runtime.map_err(|error| SourceError::of_io(location, error))?;
        let client = client::client(environment, location.skip_verify).map_err(refused)?;
        let odd_keys = OddKeys::default();
        let transport = Transport::new(client, patience, odd_keys.clone());
        let store = connect::connect(location, environment, transport);
        let store = store.map_err(|error| refused(explained(&error)))?;
        let mut tree = Tree { store, root: location.prefix.clone(), patience };
        let candidates = paths::TREES.map(|below| {
            let root = format!("{}/{below}", location.prefix);
            root.trim_matches('/').to_owned()
        });
        for root in &candidates {
            let is_tree = async {
                tree.root = object_store::path::Path::parse(root)?;
                Ok(tree.is_folder(REPOSITORIES).await? && tree.is_folder(BLOBS).await?)
            };
            if runtime.block_on(is_tree).map_err(|error| refused(explained(&error)))? {
                return Ok(Self { location: location.clone(), tree, odd_keys, runtime });
            }
        }
        let looked_for = candidates.map(|root| location.url(&root)).join(", ");
        Err(match location.provider {
            Provider::Azure => refused(format!(
                "no registry storage was found in {looked_for}; Distribution before 3.0 and GitLab \
                 write below a folder without a name, `//docker`, which cannot be read here: copy \
                 the container into a folder, as with `azcopy`, and give that"
            )),
            _ => SourceError::NotStorage { given: location.to_string(), looked_for },
        })
    }

    /// The address of a path below the tree.
    fn url(&self, path: &str) -> String {
        self.location.url(format!("{}/{path}", self.tree.root).trim_start_matches('/'))
    }

    fn failed(&self, error: &object_store::Error) -> SourceError {
        SourceError::Refused { path: self.location.to_string(), what: explained(error) }
    }
}

impl Source for Bucket {
    fn inventory(&self, progress: &dyn Progress) -> Result<Inventory, SourceError> {
        progress.begin("scanning", 0, 0);
        let found = async {
            let mut found = walk::walk(&self.tree, |path| self.url(path)).await?;
            if self.tree.has_beside(paths::DATABASE_MARK).await? {
                found.database_mark();
            }
            Ok(found)
        };
        let mut found = self.runtime.block_on(found).map_err(|error| self.failed(&error))?;
        if let Some(sentence) = self.odd_keys.sentence() {
            found.passed_over(sentence);
        }
        Ok(found.finish(|repository, digest| {
            self.url(&format!("{REPOSITORIES}/{}", paths::revision_link(repository, digest)))
        }))
    }

    fn tag(&self, repository: &Repository, tag: &Tag) -> Result<Option<FoundTag>, Problem> {
        let folder = format!("{REPOSITORIES}/{}", paths::tag_folder(repository, tag));
        let look = async {
            let (digest, pushed) = match self.tree.link(&format!("{folder}/{TAG_LINK}")).await? {
                Ok(link) => link,
                Err(Problem::Missing) => {
                    return Ok(match self.tree.is_folder(&folder).await? {
                        true => Err(Problem::NoCurrent),
                        false => Ok(None),
                    });
                }
                Err(problem) => return Ok(Err(problem)),
            };
            let revision = paths::revision_link(repository, digest);
            Ok(match self.tree.is_object(&format!("{REPOSITORIES}/{revision}")).await? {
                true => Ok(Some(FoundTag { name: tag.clone(), digest, pushed })),
                false => Err(Problem::Deleted),
            })
        };
        self.runtime.block_on(look).unwrap_or_else(|error| Err(problem(&error)))
    }

    fn size(&self, blob: Digest) -> Result<u64, Problem> {
        let look = async { self.tree.store.head(&self.tree.key(&blob_path(blob))?).await };
        Ok(self.runtime.block_on(look).map_err(|error| problem(&error))?.size)
    }

    fn open(&self, blob: Digest) -> Result<BlobReader<'_>, Problem> {
        let path = blob_path(blob);
        let download = self.runtime.block_on(self.tree.download(&path));
        let download = download.map_err(|error| problem(&error))?;
        Ok(Box::new(ObjectReader::new(&self.runtime, download)))
    }

    fn location(&self, blob: Digest) -> String {
        self.url(&blob_path(blob))
    }

    fn tag_location(&self, repository: &Repository, tag: &Tag) -> String {
        self.url(&format!("{REPOSITORIES}/{}/{TAG_LINK}", paths::tag_folder(repository, tag)))
    }

    fn blobs(&self) -> Result<Vec<BlobEntry>, SourceError> {
        let list = async {
            let parts = self.tree.folders(BLOBS).await?;
            side_by_side(parts, async |part: String| {
                self.tree.objects(&format!("{BLOBS}/{part}")).await
            })
            .await
        };
        let listed = self.runtime.block_on(list).map_err(|error| self.failed(&error))?;
        let entry = |object: object_store::ObjectMeta| match Place::of(
            self.tree.below(&object.location)?,
        ) {
            Some(Place::Blob(digest)) => Some(BlobEntry { digest, size: object.size }),
            _ => None,
        };
        Ok(listed.into_iter().flatten().filter_map(entry).collect())
    }

    fn side_by_side(&self, processors: usize) -> usize {
        SIDE_BY_SIDE.max(processors)
    }

    fn may_change(&self) -> bool {
        true
    }

    fn contains(&self, _: &Path) -> bool {
        false
    }
}

/// The bytes of a blob, below the tree.
fn blob_path(blob: Digest) -> String {
    format!("{BLOBS}/{}", paths::blob(blob))
}

#[cfg(test)]
mod tests;
