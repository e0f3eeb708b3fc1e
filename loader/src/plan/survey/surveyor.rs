//! Asks the target what it has.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use tokio::sync::Semaphore;
use tranship_common::bundle::{BlobId, Contents};
use tranship_common::{Digest, MediaType};

use super::{Found, Projects, Standing, Survey, SurveyedImage, SurveyedRepository, parts};
use crate::failure::{About, Extent, Failure, Kind};
use crate::harbor::Harbor;
use crate::plan::mapping::{Mapped, MappedImage, TargetRepository};
use crate::registry::Registry;
use crate::transfer::retry::Patience;

/// Asks a target for images, with a bound on the requests at once.
pub(crate) struct Surveyor<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) harbor: Option<&'a Harbor>,
    pub(crate) patience: &'a Patience,
    /// Bounds the requests at once.
    pub(crate) turns: Semaphore,
    pub(crate) jobs: usize,
    /// Every manifest and blob of images that are there is asked for too.
    pub(crate) deep: bool,
    /// What was found of the image, of this age, that was asked for first.
    pub(crate) sample: OnceCell<(u32, Found)>,
}

impl Surveyor<'_> {
    /// What the target has under every tag: one request for each tag that is there, and for the
    /// others as few as the target's own lists allow.
    ///
    /// # Errors
    /// When the target itself no longer answers. What keeps a single question from being answered
    /// keeps no other from being asked.
    pub(crate) async fn survey(
        &self,
        mapped: Mapped,
        projects: &Projects,
    ) -> Result<Survey, Failure> {
        self.patience.progress.begin("asking the target", 0, mapped.images.len() as u64);
        let listed = match self.is_filled(&mapped, projects).await? {
            true => Listed::default(),
            false => self.listed(&mapped, projects).await,
        };
        let mut found = vec![Found::Missing; mapped.images.len()];
        let mut standings = vec![Standing::Filled; mapped.repositories.len()];
        {
            // In no order: one that does not answer keeps no other from being asked.
            let mut answers = stream::iter(0..mapped.repositories.len())
                .map(|at| {
                    let asking = self.repository(&mapped, at, projects, &listed);
                    asking.map(move |answer| (at, answer))
                })
                .buffer_unordered(self.jobs);
            while let Some((at, answer)) = answers.next().await {
                let (standing, images) = answer?;
                standings[at] = standing;
                for (image, what) in mapped.repositories[at].images.clone().zip(images) {
                    found[image] = what;
                }
            }
        }
        let Mapped { contents, repositories, images } = mapped;
        let repositories = repositories.into_iter().zip(standings).map(|(mapped, standing)| {
            let renamed = mapped.renamed().cloned().collect();
            SurveyedRepository { standing, images: mapped.images, name: mapped.name, renamed }
        });
        let images =
            images.into_iter().zip(found).map(|(image, found)| SurveyedImage { image, found });
        Ok(Survey { contents, repositories: repositories.collect(), images: images.collect() })
    }

    /// Whether the target has the oldest of the images that it may have: the others are probably
    /// there too, and lists would save no questions.
    async fn is_filled(&self, mapped: &Mapped, projects: &Projects) -> Result<bool, Failure> {
        let name = |image: &MappedImage| &mapped.repositories[image.repository].name;
        let may_be_there = |image: &&MappedImage| may_hold(projects, name(image).project());
        let oldest = mapped.images.iter().filter(may_be_there).min_by_key(|image| image.age);
        let Some(oldest) = oldest else { return Ok(true) };
        let (contents, name) = (&mapped.contents, name(oldest));
        // Where it is not told, others may be.
        let (reference, media_type) =
            (oldest.reference(contents), media_type(contents, oldest.root));
        let ask = self.registry.manifest_digest(name.name(), &reference, &media_type);
        let about = About::Question(name);
        let there = match self.patience.ask_once(about, ask).await {
            Ok(there) => there,
            Err(failure) if failure.kind == Kind::Stopped => return Err(failure),
            Err(failure) => {
                // A right that is missing is not asked for twice; Harbor's account may be locked.
                if failure.kind == Kind::Denied && self.harbor.is_none() {
                    self.sample.get_or_init(|| (oldest.age, Found::Unknown(failure)));
                }
                return Ok(true);
            }
        };
        let found = self.found(contents, name, oldest, there).await?;
        let is_filled = !matches!(found, Found::Missing);
        // It is asked for once.
        self.sample.get_or_init(|| (oldest.age, found));
        Ok(is_filled)
    }

    /// The repositories that the target lists, for each project that tells of its own; under the
    /// empty name those of a registry without projects.
    async fn listed(&self, mapped: &Mapped, projects: &Projects) -> Listed {
        let mut listed = Listed::default();
        let Some(harbor) = self.harbor else {
            // A list that is longer than the questions it saves is not worth its time.
            let catalog = self.registry.catalog(mapped.repositories.len());
            let names = self.patience.ask_once(About::Target, catalog).await;
            if let Ok(Some(names)) = names {
                listed.0.insert(String::new(), names.into_iter().collect());
            }
            return listed;
        };
        let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
        for repository in &mapped.repositories {
            *wanted.entry(repository.name.project()).or_default() += 1;
        }
        let there = wanted.into_iter().filter(|(name, _)| may_hold(projects, name));
        let mut answers = stream::iter(there)
            .map(|(project, wanted)| async move {
                let names = harbor.repositories(project, wanted);
                (project, self.patience.ask_once(About::Project(project), names).await)
            })
            .buffer_unordered(self.jobs);
        while let Some((project, names)) = answers.next().await {
            if let Ok(Some(names)) = names {
                listed.0.insert(project.to_owned(), names.into_iter().collect());
            }
        }
        listed
    }

    async fn repository(
        &self,
        mapped: &Mapped,
        at: usize,
        projects: &Projects,
        listed: &Listed,
    ) -> Result<(Standing, Vec<Found>), Failure> {
        let repository = &mapped.repositories[at];
        let (name, images) = (&repository.name, &mapped.images[repository.images.clone()]);
        let missing = || images.iter().map(|_| Found::Missing).collect::<Vec<_>>();
        let is_listed = listed.tells_of(name, self.harbor.is_some());
        let (standing, found) = match projects.get(name.project()) {
            Some(standing @ (Standing::New | Standing::Empty)) => (*standing, missing()),
            _ if is_listed == Some(false) => (Standing::Empty, missing()),
            _ => self.images(&mapped.contents, name, images).await?,
        };
        self.patience.progress.add_images(images.len() as u64);
        Ok((standing, found))
    }

    /// A repository that may be there: its oldest tag first, and where that is missing its list, so
    /// that a new one costs two requests, however many tags are to come.
    async fn images(
        &self,
        contents: &Contents,
        name: &TargetRepository,
        images: &[MappedImage],
    ) -> Result<(Standing, Vec<Found>), Failure> {
        let Some((oldest, others)) = images.split_first() else {
            return Ok((Standing::Filled, Vec::new()));
        };
        let oldest = self.image(contents, name, oldest).await?;
        let mut standing = Standing::Filled;
        let mut listed: Option<HashSet<String>> = None;
        if matches!(oldest, Found::Missing) && !others.is_empty() {
            let about = About::Question(name);
            // A list that is longer than the questions it saves is not worth its time.
            let tags = || self.registry.tags(name.name(), others.len());
            match self.patience.ask(about, tags).await {
                Ok(Some(tags)) => {
                    if tags.is_empty() {
                        standing = Standing::Empty;
                    }
                    listed = Some(tags.into_iter().collect());
                }
                Err(failure) if failure.extent == Extent::Target => return Err(failure),
                // Each of them is asked for, then.
                Ok(None) | Err(_) => {}
            }
        }
        // What is untagged is in no list; but where nothing is tagged, there is nothing to refer to.
        let is_absent = |image: &MappedImage| {
            listed.as_ref().is_some_and(|listed| match &image.tag {
                Some(tag) => !listed.contains(tag.as_str()),
                None => listed.is_empty(),
            })
        };
        let others: Vec<Found> = stream::iter(others)
            .map(|image| async move {
                match is_absent(image) {
                    true => Ok(Found::Missing),
                    false => self.image(contents, name, image).await,
                }
            })
            .buffered(self.jobs)
            .try_collect()
            .await?;
        Ok((standing, std::iter::once(oldest).chain(others).collect()))
    }

    /// What is there of one image.
    async fn image(
        &self,
        contents: &Contents,
        name: &TargetRepository,
        image: &MappedImage,
    ) -> Result<Found, Failure> {
        if let Some((age, found)) = self.sample.get()
            && *age == image.age
        {
            return Ok(found.clone());
        }
        match self.digest(contents, name, image).await {
            Ok(there) => self.found(contents, name, image, there).await,
            Err(failure) if failure.extent == Extent::Target => Err(failure),
            Err(failure) => Ok(Found::Unknown(failure)),
        }
    }

    /// What is found of an image under whose tag this is there.
    async fn found(
        &self,
        contents: &Contents,
        name: &TargetRepository,
        image: &MappedImage,
        there: Option<Digest>,
    ) -> Result<Found, Failure> {
        match there {
            Some(there) if there == contents.entry(image.root).digest => match self.deep {
                true => self.parts(contents, name, image).await,
                false => Ok(Found::Same),
            },
            Some(there) => Ok(Found::Different(there)),
            None => Ok(Found::Missing),
        }
    }

    /// The digest under a tag, or that of a referrer. What Harbor's registry does not tell, Harbor
    /// itself may.
    async fn digest(
        &self,
        contents: &Contents,
        name: &TargetRepository,
        image: &MappedImage,
    ) -> Result<Option<Digest>, Failure> {
        let (reference, media_type) = (image.reference(contents), media_type(contents, image.root));
        let reference = reference.as_str();
        let ask = async || {
            let _turn = self.turns.acquire().await;
            let told = self.registry.manifest_digest(name.name(), reference, &media_type).await;
            match (told, self.harbor) {
                // Harbor shows its list to nobody who may not pull.
                (Err(refusal), Some(harbor))
                    if refusal.answer().is_some() && Kind::of(&refusal) != Kind::Denied =>
                {
                    match harbor.artifact(name, reference).await {
                        Ok(there) => Ok(there),
                        // The answer to the short question has no words, and a policy is worth some.
                        Err(_) => {
                            let read =
                                self.registry.manifest_hash(name.name(), reference, &media_type);
                            read.await
                        }
                    }
                }
                (told, _) => told,
            }
        };
        self.patience.ask(About::Question(name), ask).await
    }

    /// Whether an image, whose tag is there, is whole.
    async fn parts(
        &self,
        contents: &Contents,
        name: &TargetRepository,
        image: &MappedImage,
    ) -> Result<Found, Failure> {
        let asked: FuturesUnordered<_> = parts(contents, image.root)
            .into_iter()
            .filter(|part| *part != image.root)
            .map(|part| async move {
                let digest = contents.entry(part).digest;
                let ask = async || {
                    let _turn = self.turns.acquire().await;
                    let (registry, name) = (self.registry, name.name());
                    let Some(manifest) = contents.manifest_by_id(part) else {
                        return registry.serves_blob(name, digest).await;
                    };
                    let (reference, media_type) = (digest.to_string(), &manifest.media_type);
                    let found = registry.manifest_digest(name, &reference, media_type).await;
                    found.map(|found| found.is_some())
                };
                let is_there = self.patience.ask(About::Question(name), ask).await?;
                Ok::<_, Failure>((!is_there).then_some(digest))
            })
            .collect();
        match asked.try_collect::<Vec<_>>().await {
            Ok(missing) => {
                let mut missing: Vec<Digest> = missing.into_iter().flatten().collect();
                missing.sort_unstable();
                Ok(if missing.is_empty() { Found::Same } else { Found::Broken(missing) })
            }
            Err(failure) if failure.extent == Extent::Target => Err(failure),
            Err(failure) => Ok(Found::Unknown(failure)),
        }
    }
}

/// Whether there may be images in a project.
fn may_hold(projects: &Projects, project: &str) -> bool {
    !matches!(projects.get(project), Some(Standing::New | Standing::Empty))
}

/// Names of repositories, by the project that has told them.
#[derive(Debug, Default)]
struct Listed(BTreeMap<String, HashSet<String>>);

impl Listed {
    /// Whether a repository is listed, if whoever would list it has told.
    fn tells_of(&self, name: &TargetRepository, has_projects: bool) -> Option<bool> {
        let by = if has_projects { name.project() } else { "" };
        self.0.get(by).map(|names| names.contains(name.name().as_str()))
    }
}

fn media_type(contents: &Contents, part: BlobId) -> MediaType {
    let manifest = contents.manifest_by_id(part);
    manifest.map_or_else(|| MediaType::from(""), |manifest| manifest.media_type.clone())
}
