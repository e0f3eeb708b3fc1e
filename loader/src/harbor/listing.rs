//! Harbor's own list of the images that its registry has.

use std::collections::HashSet;

use tranship_common::Digest;

use super::Harbor;
use super::api::Artifact;
use crate::failure::{About, Failure};
use crate::plan::mapping::TargetRepository;
use crate::plan::survey::{Survey, SurveyedImage};
use crate::transfer::retry::Patience;

/// What Harbor's list says of images that are there.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Images, by their place in the survey, that Harbor does not show.
    pub(crate) unlisted: HashSet<usize>,
    /// Repositories that it does not tell of, each with the reason.
    pub(crate) unknown: Vec<String>,
}

impl Listing {
    /// Looks the images that are there up in Harbor's list of artifacts: 1 request for each hundred
    /// of a repository, and 1 for each accessory, which is in no list.
    pub(crate) async fn of(harbor: &Harbor, survey: &Survey, patience: &Patience) -> Self {
        let mut listing = Self::default();
        for repository in &survey.repositories {
            let images = repository.images.clone();
            let there: Vec<_> = images.filter(|image| survey.images[*image].is_there()).collect();
            if there.is_empty() {
                continue;
            }
            match unlisted(harbor, survey, &repository.name, &there, patience).await {
                Ok(unlisted) => listing.unlisted.extend(unlisted),
                Err(failure) => {
                    listing.unknown.push(format!("{}: {}", repository.name, failure.why()));
                }
            }
        }
        listing
    }
}

async fn unlisted(
    harbor: &Harbor,
    survey: &Survey,
    repository: &TargetRepository,
    images: &[usize],
    patience: &Patience,
) -> Result<Vec<usize>, Failure> {
    let about = About::Question(repository);
    let artifacts = patience.ask(about, || harbor.artifacts(repository)).await?;
    let listed: HashSet<(&str, Digest)> = artifacts.iter().flat_map(Artifact::tags).collect();
    let mut unlisted = Vec::new();
    for at in images {
        let image: &SurveyedImage = &survey.images[*at];
        let (digest, reference) = (survey.digest(image), image.image.reference(&survey.contents));
        if listed.contains(&(reference.as_str(), digest)) {
            continue;
        }
        let ask = || harbor.artifact(repository, &reference);
        if patience.ask(about, ask).await? != Some(digest) {
            unlisted.push(*at);
        }
    }
    Ok(unlisted)
}
