//! A registry's tree in a bucket: keys for paths, and what is below a folder.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt};
use tranship_common::{Digest, PushTime};

use super::download::Download;
use super::failure;
use super::patience::Patience;
use crate::inventory::{MAX_LINK, read_link};
use crate::problem::Problem;

/// A registry's tree.
#[derive(Debug)]
pub(super) struct Tree {
    /// The bucket.
    pub(super) store: Arc<dyn ObjectStore>,
    /// The key of `docker/registry/v2`.
    pub(super) root: Path,
    /// How often a read is tried again.
    pub(super) patience: Patience,
}

impl Tree {
    /// The key of a path below the tree.
    pub(super) fn key(&self, path: &str) -> object_store::Result<Path> {
        Ok(Path::parse(format!("{}/{path}", self.root))?)
    }

    /// The path of a key below the tree.
    pub(super) fn below<'a>(&self, key: &'a Path) -> Option<&'a str> {
        let below = key.as_ref().strip_prefix(self.root.as_ref())?;
        Some(below.strip_prefix('/').unwrap_or(below))
    }

    /// The names of the folders in a folder.
    pub(super) async fn folders(&self, path: &str) -> object_store::Result<Vec<String>> {
        let listed = self.store.list_with_delimiter(Some(&self.key(path)?)).await?;
        let names = listed.common_prefixes.iter().filter_map(Path::filename);
        Ok(names.map(str::to_owned).collect())
    }

    /// Everything below a folder.
    pub(super) async fn objects(&self, path: &str) -> object_store::Result<Vec<ObjectMeta>> {
        self.store.list(Some(&self.key(path)?)).try_collect().await
    }

    /// Whether there is anything below a folder.
    pub(super) async fn is_folder(&self, path: &str) -> object_store::Result<bool> {
        Ok(self.store.list(Some(&self.key(path)?)).next().await.transpose()?.is_some())
    }

    /// Whether there is an object.
    pub(super) async fn is_object(&self, path: &str) -> object_store::Result<bool> {
        self.has(&self.key(path)?).await
    }

    /// Whether there is an object of this path in the folder that the tree is in.
    pub(super) async fn has_beside(&self, path: &str) -> object_store::Result<bool> {
        let folder = self.root.as_ref().rsplit_once('/').map_or("", |(folder, _)| folder);
        let key = format!("{folder}/{path}");
        self.has(&Path::parse(key.trim_start_matches('/'))?).await
    }

    async fn has(&self, key: &Path) -> object_store::Result<bool> {
        match self.store.head(key).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Asks for an object.
    pub(super) async fn download(&self, path: &str) -> object_store::Result<Download> {
        Download::begin(&self.store, &self.key(path)?, self.patience).await
    }

    /// What a tag's link holds, and when it was written. The outer error is the bucket's, the inner
    /// one the link's.
    pub(super) async fn link(
        &self,
        path: &str,
    ) -> object_store::Result<Result<(Digest, PushTime), Problem>> {
        let mut download = match self.download(path).await {
            Ok(download) => download,
            Err(error) if failure::is_of_one_object(&error) => {
                return Ok(Err(failure::problem(&error)));
            }
            Err(error) => return Err(error),
        };
        let written = PushTime::from_unix(download.object().last_modified.timestamp());
        let mut text = Vec::new();
        while (text.len() as u64) < MAX_LINK {
            match download.piece().await {
                Ok(piece) if piece.is_empty() => break,
                Ok(piece) => text.extend_from_slice(&piece),
                Err(error) => return Ok(Err(error.into())),
            }
        }
        Ok(read_link(&text).map(|digest| (digest, written)))
    }
}
