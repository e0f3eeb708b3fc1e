//! Which images are wanted. Names and times choose before a manifest is read, so that what is not
//! wanted cannot stop anything.

mod list;
mod pattern;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::num::NonZero;

use tranship_common::bundle::{RepositoryEntry, TagEntry};
use tranship_common::{Digest, PushTime, Repository, Tag};

pub use list::{ImageList, ImageListError};
pub use pattern::{Pattern, PatternError};

use crate::chosen::Chosen;
use crate::inventory::{BrokenTag, Inventory};
use crate::platforms::Platform;

/// Which images are wanted. Nothing set means all of them.
#[derive(Debug, Default)]
pub struct Selection {
    /// Images that one of these fits; all when there is none.
    pub include: Vec<Pattern>,
    /// Images that none of these fits.
    pub exclude: Vec<Pattern>,
    /// The images of this list.
    pub images: Option<ImageList>,
    /// Images pushed in this second or later.
    pub since: Option<PushTime>,
    /// Of each repository, so many of those that were pushed last.
    pub newest: Option<NonZero<usize>>,
    /// Of each image, what runs on one of these; all of it when there is none.
    pub platforms: Vec<Platform>,
    /// Whether what is about a wanted image is wanted (signatures, SBOMs).
    pub referrers: bool,
}

impl Selection {
    /// Chooses by name and time.
    pub(crate) fn choose(&self, inventory: &Inventory) -> Chosen {
        let mut chosen = Chosen::default();
        let mut used = BTreeSet::new();
        let mut not_listed = Vec::new();
        let mut tags = match &self.images {
            Some(list) => list.find(inventory, &mut not_listed),
            None => all_tags(inventory),
        };
        for (repository, tags) in &mut tags {
            let (about, mut images): (Vec<_>, Vec<_>) =
                std::mem::take(tags).into_iter().partition(|tag| subject(&tag.name).is_some());
            images.retain(|tag| self.fits(repository.as_str(), tag.name.as_str(), &mut used));
            images.retain(|tag| self.since.is_none_or(|since| tag.pushed >= since));
            images.sort_by(|a, b| (a.pushed, &a.name).cmp(&(b.pushed, &b.name)));
            if let Some(newest) = self.newest {
                images.drain(..images.len().saturating_sub(newest.get()));
            }
            let taken: HashSet<Digest> = images.iter().map(|tag| tag.digest).collect();
            images.extend(about.into_iter().filter(|tag| {
                let is_about_taken = subject(&tag.name).is_some_and(|about| taken.contains(&about));
                let fits = self.fits(repository.as_str(), tag.name.as_str(), &mut used);
                let is_recent = self.since.is_none_or(|since| tag.pushed >= since);
                let is_excluded = || self.excludes(repository.as_str(), tag.name.as_str());
                fits && is_recent && self.newest.is_none()
                    || self.referrers && is_about_taken && !is_excluded()
            }));
            images.sort_by(|a, b| (a.pushed, &a.name).cmp(&(b.pushed, &b.name)));
            *tags = images;
        }
        let with_tags = tags.into_iter().filter(|(_, tags)| !tags.is_empty());
        chosen.repositories = with_tags
            .map(|(name, tags)| RepositoryEntry { name, tags, referrers: Vec::new() })
            .collect();
        let is_wanted = |broken: &&BrokenTag| self.may_want(broken, &mut used);
        chosen.broken = inventory.broken.iter().filter(is_wanted).cloned().collect();
        chosen.broken.extend(not_listed);
        let patterns = self.include.iter().chain(&self.exclude);
        let unused = patterns.filter(|pattern| !used.contains(pattern.as_str()));
        chosen.notices = inventory.passed_over.clone();
        chosen.notices.extend(unused.map(|pattern| format!("no image fits `{pattern}`")));
        chosen
    }

    fn excludes(&self, repository: &str, tag: &str) -> bool {
        self.exclude.iter().any(|pattern| pattern.fits(repository, tag))
    }

    /// Whether an image is wanted by its name. Notes which patterns fit.
    fn fits<'a>(&'a self, repository: &str, tag: &str, used: &mut BTreeSet<&'a str>) -> bool {
        let mut any = |patterns: &'a [Pattern]| {
            let mut fits = false;
            for pattern in patterns.iter().filter(|pattern| pattern.fits(repository, tag)) {
                used.insert(pattern.as_str());
                fits = true;
            }
            fits
        };
        let (included, excluded) = (any(&self.include), any(&self.exclude));
        (included || self.include.is_empty()) && !excluded
    }

    /// Whether something broken may be, or hide, an image that is wanted.
    fn may_want<'a>(&'a self, broken: &BrokenTag, used: &mut BTreeSet<&'a str>) -> bool {
        let (place, inner) = match broken.name.split_once("/_manifests") {
            Some((repository, inner)) => (repository, Some(inner)),
            None => (broken.name.as_str(), None),
        };
        let tag = inner.and_then(|inner| inner.strip_prefix("/tags/"));
        let image = tag.map(|tag| (place, tag)).or_else(|| place.split_once(':'));
        match (image, inner) {
            (Some((repository, tag)), _) => {
                let is_listed =
                    |list: &ImageList| list.wants_tag(repository, tag) || broken.tag.is_none();
                self.images.as_ref().is_none_or(is_listed) && self.fits(repository, tag, used)
            }
            // What a repository has its tags in.
            (None, Some(_)) => {
                let may_fit = |pattern: &Pattern| pattern.fits_repository(place);
                (self.include.is_empty() || self.include.iter().any(may_fit))
                    && !self.exclude.iter().any(|pattern| pattern.fits_all_tags_of(place))
                    && self.images.as_ref().is_none_or(|list| list.has_below(place))
            }
            // A folder that holds repositories.
            (None, None) => {
                let may_fit = |pattern: &Pattern| pattern.may_fit_below(place);
                (self.include.is_empty() || self.include.iter().any(may_fit))
                    && !(self.exclude.iter().any(|pattern| pattern.fits_all_tags_of(place))
                        && self.exclude.iter().any(|pattern| pattern.fits_all_below(place)))
                    && self.images.as_ref().is_none_or(|list| list.has_below(place))
            }
        }
    }

    /// The choice in words, the same for the same options in whatever order. Empty when all is
    /// wanted.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut words = BTreeSet::new();
        let list = |patterns: &[Pattern]| {
            let patterns: BTreeSet<&str> = patterns.iter().map(Pattern::as_str).collect();
            let patterns: Vec<String> = patterns.iter().map(|text| format!("`{text}`")).collect();
            patterns.join(", ")
        };
        let mut say = |order: u8, text: String| words.insert((order, text));
        if let Some(images) = &self.images {
            say(0, format!("{} of a list", images.len()));
        }
        if !self.include.is_empty() {
            say(1, format!("what fits {}", list(&self.include)));
        }
        if !self.exclude.is_empty() {
            say(2, format!("not what fits {}", list(&self.exclude)));
        }
        if let Some(since) = self.since {
            say(3, format!("pushed since {since}"));
        }
        if let Some(newest) = self.newest {
            say(4, format!("the newest {newest} of each repository"));
        }
        if !self.platforms.is_empty() {
            let platforms: BTreeSet<String> =
                self.platforms.iter().map(ToString::to_string).collect();
            let platforms: Vec<String> = platforms.into_iter().collect();
            say(5, format!("for {}", platforms.join(", ")));
        }
        if !self.referrers {
            say(6, "without referrers".to_owned());
        }
        let words: Vec<String> = words.into_iter().map(|(_, text)| text).collect();
        words.join("; ")
    }
}

/// What a tag of the form `sha256-HEX` or `sha256-HEX.…` is about: so tools call signatures and the
/// like that they push to registries without an interface for referrers (OCI distribution
/// specification, "Referrers Tag Schema"; cosign).
fn subject(tag: &Tag) -> Option<Digest> {
    let hex = tag.as_str().strip_prefix("sha256-")?;
    let (hex, rest) = hex.split_at_checked(64)?;
    (rest.is_empty() || rest.starts_with('.')).then(|| Digest::from_hex(hex).ok())?
}

fn all_tags(inventory: &Inventory) -> BTreeMap<Repository, Vec<TagEntry>> {
    let tags = |holding: &crate::Holding| holding.tags.iter().map(TagEntry::from).collect();
    inventory.repositories.iter().map(|(name, holding)| (name.clone(), tags(holding))).collect()
}

impl From<&crate::FoundTag> for TagEntry {
    fn from(tag: &crate::FoundTag) -> Self {
        let (name, digest, pushed) = (tag.name.clone(), tag.digest, tag.pushed);
        Self { name, digest, pushed, selected_from: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{FoundTag, Holding};
    use crate::problem::Problem;
    use tranship_common::Digest;

    /// `REPOSITORY:TAG`, pushed at second 0, 1, 2 and so on.
    fn inventory(images: &[&str]) -> Inventory {
        let mut inventory = Inventory::default();
        for (second, image) in (0..).zip(images) {
            let (repository, tag) = image.split_once(':').unwrap();
            let holding: &mut Holding =
                inventory.repositories.entry(repository.parse().unwrap()).or_default();
            holding.tags.push(FoundTag {
                name: tag.parse().unwrap(),
                digest: Digest::of(image.as_bytes()),
                pushed: PushTime::from_unix(second),
            });
        }
        inventory
    }

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn names(chosen: &Chosen) -> Vec<String> {
        let of = |repository: &RepositoryEntry| {
            let name = repository.name.clone();
            let tags = repository.tags.clone().into_iter();
            tags.map(move |tag| format!("{name}:{}", tag.name)).collect::<Vec<_>>()
        };
        chosen.repositories.iter().flat_map(of).collect()
    }

    #[test]
    fn globs_then_times_then_numbers() {
        let inventory =
            inventory(&["a/x:1", "a/x:2", "a/x:dev", "a/y/z:1", "b:1", "b:2", "c:latest"]);
        let all = Selection::default();
        assert_eq!(names(&all.choose(&inventory)).len(), 7);
        let selection = Selection {
            include: patterns(&["a/**", "b"]),
            exclude: patterns(&["**:dev", "nothing"]),
            newest: NonZero::new(1),
            ..Default::default()
        };
        let chosen = selection.choose(&inventory);
        assert_eq!(names(&chosen), ["a/x:2", "a/y/z:1", "b:2"]);
        assert_eq!(chosen.notices, ["no image fits `nothing`"]);
        let text = "what fits `a/**`, `b`; not what fits `**:dev`, `nothing`; the newest 1 of each \
                    repository; without referrers";
        assert_eq!(selection.in_words(), text);
        let since = Some(PushTime::from_unix(5));
        let selection = Selection { since, ..Default::default() };
        assert_eq!(names(&selection.choose(&inventory)), ["b:2", "c:latest"]);
    }

    #[test]
    fn signatures_with_a_tag_go_with_their_images() {
        let about = |image: &str, rest: &str| {
            format!("a:sha256-{}{rest}", Digest::of(image.as_bytes()).hex())
        };
        let (old, new) = (about("a:1", ".sig"), about("a:2", ""));
        let inventory = inventory(&["a:1", &old, "a:2", &new]);
        let choose = |selection: Selection| names(&selection.choose(&inventory));
        let newest = NonZero::new(1);
        let referrers = true;
        let last = Selection { newest, referrers, ..Default::default() };
        assert_eq!(choose(last), ["a:2", &new]);
        let first = Selection { include: patterns(&["a:1"]), referrers, ..Default::default() };
        assert_eq!(choose(first), ["a:1", &old]);
        let alone = Selection { newest, ..Default::default() };
        assert_eq!(choose(alone), ["a:2"]);
        let exclude = patterns(&["**:sha256-*"]);
        assert_eq!(choose(Selection { exclude, referrers, ..Default::default() }), ["a:1", "a:2"]);
    }

    #[test]
    fn what_is_not_wanted_stops_nothing() {
        let mut inventory = inventory(&["a:1"]);
        for name in ["a:2", "b:1", "c", "a", "d/_manifests/tags", "d/_manifests/tags/1"] {
            inventory.broken.push(BrokenTag {
                name: name.to_owned(),
                tag: None,
                digest: None,
                location: String::new(),
                problem: Problem::Missing,
            });
        }
        let broken = |include: &[&str], exclude: &[&str]| -> Vec<String> {
            let (include, exclude) = (patterns(include), patterns(exclude));
            let selection = Selection { include, exclude, ..Default::default() };
            selection.choose(&inventory).broken.into_iter().map(|broken| broken.name).collect()
        };
        let (tags, tag) = ("d/_manifests/tags", "d/_manifests/tags/1");
        assert_eq!(broken(&[], &[]), ["a:2", "b:1", "c", "a", tags, tag]);
        assert_eq!(broken(&["a"], &[]), ["a:2", "a"]);
        assert_eq!(broken(&["a:1"], &[]), ["a"]);
        assert_eq!(broken(&["c/*"], &[]), ["c"]);
        assert_eq!(broken(&["d"], &[]), [tags, tag]);
        assert_eq!(broken(&["d:2"], &[]), [tags]);
        // What is called so may be a repository, and hide others.
        assert_eq!(broken(&[], &["a", "c/**", "d"]), ["b:1", "c", "a"]);
        assert_eq!(broken(&[], &["a", "a/**", "c", "c/**", "d"]), ["b:1"]);
        assert_eq!(broken(&[], &["**"]), [""; 0]);
    }
}
