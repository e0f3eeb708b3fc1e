//! Finds repositories, tags and revisions of a bucket, folder by folder and many side by side.
//! What is in `_layers` and `_uploads` is never listed.

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::Result;
use tranship_common::limits::MAX_REPOSITORY;
use tranship_common::{PushTime, Repository};

use super::SIDE_BY_SIDE;
use super::tree::Tree;
use crate::inventory::{BrokenTag, InventoryBuilder, Revision};
use crate::paths::{Place, REPOSITORIES, TAG_LINK};
use crate::problem::Problem;

/// Works on many things at once.
pub(super) async fn side_by_side<T, R, F>(
    things: impl IntoIterator<Item = T>,
    work: impl FnMut(T) -> F,
) -> Result<Vec<R>>
where
    F: Future<Output = Result<R>>,
{
    stream::iter(things).map(work).buffer_unordered(SIDE_BY_SIDE).try_collect().await
}

/// Walks the repositories of a tree. `url` makes the address of a path below it.
pub(super) async fn walk(tree: &Tree, url: impl Fn(&str) -> String) -> Result<InventoryBuilder> {
    let mut found = InventoryBuilder::default();
    let repositories = repositories(tree, &mut found, &url).await?;
    let listed = side_by_side(repositories, async |name: String| {
        let folder = format!("{REPOSITORIES}/{name}/_manifests");
        let tags = tree.folders(&format!("{folder}/tags")).await?;
        let revisions = tree.objects(&format!("{folder}/revisions/sha256")).await?;
        Ok((name, tags, revisions))
    })
    .await?;
    let mut tags = Vec::new();
    for (name, names, revisions) in listed {
        if let Ok(repository) = name.parse::<Repository>() {
            // A deleted one leaves no link.
            for link in revisions {
                if let Some(Place::Revision { digest, .. }) =
                    tree.below(&link.location).and_then(Place::of)
                {
                    let pushed = PushTime::from_unix(link.last_modified.timestamp());
                    found.revision(&repository, Revision { digest, pushed });
                }
            }
        }
        tags.extend(names.into_iter().map(|tag| (name.clone(), tag)));
    }
    let links = side_by_side(tags, async |(repository, tag): (String, String)| {
        let path = format!("{REPOSITORIES}/{repository}/_manifests/tags/{tag}/{TAG_LINK}");
        let link = match tree.link(&path).await? {
            Err(Problem::Missing) => Err(Problem::NoCurrent),
            link => link,
        };
        Ok((repository, tag, path, link))
    })
    .await?;
    for (repository, tag, path, link) in links {
        found.tag(&repository, &tag, link, || url(&path));
    }
    Ok(found)
}

/// The names of the folders that have a `_manifests`.
async fn repositories(
    tree: &Tree,
    found: &mut InventoryBuilder,
    url: impl Fn(&str) -> String,
) -> Result<Vec<String>> {
    let mut repositories = Vec::new();
    let mut level = vec![String::new()];
    while !level.is_empty() {
        let listed = side_by_side(level, async |name: String| {
            let folders = tree.folders(&format!("{REPOSITORIES}/{name}")).await?;
            Ok((name, folders))
        })
        .await?;
        level = Vec::new();
        for (name, folders) in listed {
            for folder in folders {
                if folder == "_manifests" {
                    repositories.push(name.clone());
                } else if !folder.starts_with('_') {
                    // Distribution's own folders begin so, and no component of a name does.
                    let inner = format!("{name}/{folder}");
                    level.push(inner.trim_start_matches('/').to_owned());
                }
            }
        }
        level.retain(|name| {
            let is_possible = name.len() <= MAX_REPOSITORY;
            if !is_possible {
                found.broken(BrokenTag {
                    name: name.clone(),
                    tag: None,
                    digest: None,
                    location: url(&format!("{REPOSITORIES}/{name}")),
                    problem: Problem::TooDeep,
                });
            }
            is_possible
        });
    }
    Ok(repositories)
}
