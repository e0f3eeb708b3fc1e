//! Stores the manifests of an image, and its tag if it has one.

use std::sync::Arc;

use bytes::Bytes;
use tranship_common::bundle::{BlobId, Contents, ManifestEntry};

use super::Transfer;
use crate::failure::{About, Failure, Kind};
use crate::plan::mapping::TargetRepository;
use crate::plan::work::Work;
use crate::registry::{Answer, RequestError, whole};

/// What is to be said of a Docker image of schema 1 that is refused. Distribution 2.1 and later do not
/// compare its name for itself with the repository's; there are registries that do.
const SCHEMA1_ADVICE: &str = "this is a Docker image of schema 1, which the registry may not take \
     (docker-registry 2 does if compatibility.schema1.enabled is set), or only under the name that \
     the image gives itself: allow it there, or push the image anew with a current client and pack \
     it again";

/// So often a manifest is looked for that the registry has taken, but does not say to have stored.
const MAX_LOOKS: u32 = 5;

impl Transfer<'_> {
    /// Stores an image's manifests, children first, and the last one under its tag, if it has one.
    /// Tells which were stored.
    pub(super) fn push(
        &self,
        work: &Work,
        image: usize,
    ) -> impl Future<Output = (Vec<BlobId>, Result<(), Failure>)> + use<'_> {
        let contents = Arc::clone(work.contents());
        let repository = Arc::clone(work.repository(image));
        let reference = work.images()[image].surveyed.image.reference(&contents);
        let mut parts = work.manifests_to_push(image);
        async move {
            let mut stored = 0;
            let result =
                self.push_all(&contents, &repository, &reference, &parts, &mut stored).await;
            parts.truncate(stored);
            (parts, result)
        }
    }

    async fn push_all(
        &self,
        contents: &Contents,
        repository: &TargetRepository,
        of_last: &str,
        parts: &[BlobId],
        stored: &mut usize,
    ) -> Result<(), Failure> {
        for (position, part) in parts.iter().enumerate() {
            let Some(entry) = contents.manifest_by_id(*part) else { continue };
            let bytes = self.manifest(*part, entry).await?;
            let digest = entry.digest.to_string();
            let reference = if position + 1 == parts.len() { of_last } else { digest.as_str() };
            self.put(repository, reference, entry, &bytes).await?;
            *stored += 1;
        }
        Ok(())
    }

    /// The bytes of a manifest, which is what the catalog says of it.
    async fn manifest(&self, id: BlobId, entry: &ManifestEntry) -> Result<Bytes, Failure> {
        let of_manifest =
            |text: &str| Failure::of_bytes(&format!("manifest {}: {text}", entry.digest));
        let content = self.source.blob(id).await?;
        let bytes = whole(&content)
            .await
            .map_err(|error| of_manifest(&RequestError::Content(Arc::new(error)).in_words()))?;
        entry.check(&bytes).map_err(|error| of_manifest(&error.to_string()))?;
        Ok(bytes)
    }

    async fn put(
        &self,
        repository: &TargetRepository,
        reference: &str,
        entry: &ManifestEntry,
        bytes: &Bytes,
    ) -> Result<(), Failure> {
        let (name, media_type) = (repository.name(), &entry.media_type);
        let mut retries = self.patience.begin(About::Repository(repository));
        let mut without_words = 0;
        loop {
            let put = self.registry.put_manifest(name, reference, media_type, bytes.clone()).await;
            let error = match put {
                Ok(true) => break,
                // Taken, but perhaps not stored.
                Ok(false) => match self.is_shown(repository, reference, entry).await? {
                    Ok(true) => break,
                    Ok(false) => {
                        return Err(Failure::refused(format!(
                            "{repository}:{reference}: the registry takes the manifest, but does \
                             not show it"
                        )));
                    }
                    Err(error) if Kind::of(&error).is_overload() => error,
                    Err(error) => {
                        return Err(Failure::refused(format!(
                            "{repository}:{reference}: the registry takes the manifest, but does \
                             not tell whether it has it: {}",
                            error.in_words()
                        )));
                    }
                },
                // The answer to a push that did arrive may have been lost, and a rule now keeps the
                // tag as it is.
                Err(error) if is_refusal(&error) => {
                    match self.is_there(repository, reference, entry).await {
                        Ok(true) => break,
                        _ => error,
                    }
                }
                // The registry is well, perhaps, and takes no such manifest: then it says so again.
                Err(error)
                    if entry.is_schema1() && error.answer().is_some_and(Answer::has_no_words) =>
                {
                    if without_words > 0 {
                        let text = format!("{}; {SCHEMA1_ADVICE}", error.in_words());
                        return Err(Failure::refused(text));
                    }
                    without_words += 1;
                    self.patience.pause(0).await?;
                    continue;
                }
                Err(error) => error,
            };
            retries.after(&error).await.map_err(|failure| match failure.kind {
                Kind::Refused if entry.is_schema1() => failure.with(SCHEMA1_ADVICE),
                _ => failure,
            })?;
        }
        retries.went_well();
        Ok(())
    }

    /// Whether the registry shows a manifest that it has taken, in a while at the latest.
    async fn is_shown(
        &self,
        repository: &TargetRepository,
        reference: &str,
        entry: &ManifestEntry,
    ) -> Result<Result<bool, RequestError>, Failure> {
        for nth in 0..MAX_LOOKS {
            match self.is_there(repository, reference, entry).await {
                Ok(false) => self.patience.pause(nth).await?,
                answer => return Ok(answer),
            }
        }
        Ok(Ok(false))
    }

    /// Whether a reference has this manifest.
    async fn is_there(
        &self,
        repository: &TargetRepository,
        reference: &str,
        entry: &ManifestEntry,
    ) -> Result<bool, RequestError> {
        let (name, media_type) = (repository.name(), &entry.media_type);
        let there = self.registry.manifest_digest(name, reference, media_type).await;
        there.map(|there| there == Some(entry.digest))
    }
}

/// Whether somebody who is well does not want to do what was asked.
fn is_refusal(error: &RequestError) -> bool {
    matches!(Kind::of(error), Kind::Denied | Kind::Forbidden | Kind::Refused)
}
