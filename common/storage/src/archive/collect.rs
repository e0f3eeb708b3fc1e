//! Goes through an archive and keeps what can be part of a storage.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Read};

use tranship_common::{Digest, PushTime};

use super::hard_links::{Found, HardLinks};
use super::input::Input;
use super::links::Links;
use super::members::{Kind, Member, Members, Tail, TarError};
use super::name::Name;
use crate::inventory::{MAX_LINK, Revision, read_link};
use crate::paths::TAG_LINK;
use crate::problem::Problem;

/// Where the bytes of a member are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// From the front of the archive, in bytes.
    pub(super) offset: u64,
    /// In bytes.
    pub(super) size: u64,
}

impl Span {
    /// The bytes of a member.
    pub(super) fn of(member: &Member) -> Self {
        Self { offset: member.offset, size: member.size }
    }
}

/// What stands in the place of a file.
#[derive(Debug, Clone)]
pub(super) enum Content<T> {
    /// The file.
    Here(T),
    /// A hard link, by its number among all.
    Linked(usize),
    /// Something that cannot be read as a file.
    Unusable(Box<Problem>),
}

/// A tag as it stands in the archive.
#[derive(Debug, Clone)]
pub(super) struct TagFile {
    /// What its link holds.
    pub(super) link: Content<Digest>,
    /// When that was written.
    pub(super) pushed: PushTime,
}

/// A folder with `_manifests` in it.
#[derive(Debug, Default)]
pub(super) struct RepositoryFolder {
    /// Its tags by name.
    pub(super) tags: BTreeMap<String, TagFile>,
    /// The manifests that it serves, in the order of the archive.
    pub(super) revisions: Vec<Revision>,
}

impl RepositoryFolder {
    /// Sorts the manifests. Of two members of one name the last one counts.
    pub(super) fn sort(&mut self) {
        self.revisions.reverse();
        self.revisions.sort_by_key(|revision| revision.digest);
        self.revisions.dedup_by_key(|revision| revision.digest);
    }
}

/// What can be part of a storage.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// Folders of blobs by their paths.
    pub(super) blobs: BTreeMap<String, HashMap<Digest, Content<Span>>>,
    /// Folders of repositories by their paths.
    pub(super) repositories: BTreeMap<String, RepositoryFolder>,
    /// Symbolic links.
    pub(super) links: Links,
    /// Folders with the mark of a database in them.
    pub(super) database_marks: BTreeSet<String>,
    /// How many members there are.
    pub(super) members: u64,
    /// The name of the first one that has any.
    pub(super) first: Option<String>,
    /// What is behind the end.
    pub(super) tail: Tail,
    hard_links: HardLinks,
}

/// Takes notice of the bytes of a blob that pass by: its digest as it is said to be, and its size.
pub(super) type Witness<'a> = dyn FnMut(Digest, u64, &mut dyn Read) -> io::Result<()> + 'a;

impl Collected {
    /// Goes through an archive from its front to its end.
    pub(super) fn read<I: Input>(
        members: &mut Members<I>,
        witness: &mut Witness<'_>,
    ) -> Result<Self, TarError> {
        let mut collected = Self::default();
        while let Some(member) = members.next()? {
            collected.take(&member, members, witness)?;
        }
        collected.tail = members.tail();
        Ok(collected)
    }

    /// Whether the archive has to be gone through once more, for [`follow_hard_links`].
    ///
    /// [`follow_hard_links`]: Self::follow_hard_links
    pub(super) fn has_hard_links(&self) -> bool {
        !self.hard_links.is_empty()
    }

    /// Finds what hard links lead to, from the front of the archive to its end.
    pub(super) fn follow_hard_links<I: Input>(
        &mut self,
        members: &mut Members<I>,
        witness: &mut Witness<'_>,
    ) -> Result<(), TarError> {
        self.hard_links.follow(members, witness)?;
        for content in self.blobs.values_mut().flat_map(HashMap::values_mut) {
            self.hard_links.replace(content, Found::bytes);
        }
        for folder in self.repositories.values_mut() {
            for tag in folder.tags.values_mut() {
                self.hard_links.replace(&mut tag.link, Found::link);
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        member: &Member,
        bytes: &mut impl Read,
        witness: &mut Witness<'_>,
    ) -> io::Result<()> {
        self.members += 1;
        if self.first.is_none() && !member.name.is_empty() {
            self.first = Some(member.name.clone());
        }
        match &member.kind {
            Kind::SymbolicLink(target) => self.links.add(&member.name, target),
            _ => self.links.forget(&member.name),
        }
        match Name::of(&member.name) {
            None => {}
            Some(Name::DatabaseMark { folder }) => {
                self.database_marks.insert(folder.to_owned());
            }
            Some(Name::Revision { repository, digest }) => {
                let pushed = PushTime::from_unix(member.modified);
                self.repository(repository).revisions.push(Revision { digest, pushed });
            }
            Some(Name::Tag { repository, tag, rest }) => {
                self.tag(repository, tag, rest, member, bytes)?;
            }
            Some(Name::Blob { folder, digest }) => {
                let here = || {
                    witness(digest, member.size, bytes)?;
                    Ok(Content::Here(Span::of(member)))
                };
                let content = self.content(member, Some(digest), here)?;
                entry(&mut self.blobs, folder).insert(digest, content);
            }
        }
        Ok(())
    }

    fn repository(&mut self, folder: &str) -> &mut RepositoryFolder {
        entry(&mut self.repositories, folder)
    }

    fn tag(
        &mut self,
        repository: &str,
        tag: &str,
        rest: &str,
        member: &Member,
        bytes: &mut impl Read,
    ) -> io::Result<()> {
        let link = match (rest, &member.kind) {
            ("" | "current", Kind::SymbolicLink(target)) => unusable(link_to(target)),
            // A file among the folders of tags.
            ("", kind) if *kind != Kind::Folder => return Ok(()),
            (TAG_LINK, _) => self.content(member, None, || tag_link(bytes))?,
            _ => {
                let link = unusable(Problem::NoCurrent);
                let absent = TagFile { link, pushed: PushTime::default() };
                let tags = &mut self.repository(repository).tags;
                if !tags.contains_key(tag) {
                    tags.insert(tag.to_owned(), absent);
                }
                return Ok(());
            }
        };
        let tags = &mut self.repository(repository).tags;
        tags.insert(tag.to_owned(), TagFile { link, pushed: PushTime::from_unix(member.modified) });
        Ok(())
    }

    /// What a member has in the place of a file.
    fn content<T>(
        &mut self,
        member: &Member,
        blob: Option<Digest>,
        here: impl FnOnce() -> io::Result<Content<T>>,
    ) -> io::Result<Content<T>> {
        Ok(match &member.kind {
            Kind::File => here()?,
            Kind::Sparse => unusable(Problem::Sparse),
            Kind::SymbolicLink(target) => unusable(link_to(target)),
            Kind::Folder | Kind::Special => {
                unusable(io::Error::other("it is not a regular file").into())
            }
            Kind::HardLink(target) => Content::Linked(self.hard_links.add(target, member.at, blob)),
        })
    }
}

fn unusable<T>(problem: Problem) -> Content<T> {
    Content::Unusable(Box::new(problem))
}

fn link_to(target: &str) -> Problem {
    Problem::LinkInArchive { target: target.to_owned() }
}

/// What a tag's link holds.
pub(super) fn tag_link(bytes: &mut impl Read) -> io::Result<Content<Digest>> {
    let mut text = Vec::new();
    bytes.take(MAX_LINK).read_to_end(&mut text)?;
    Ok(read_link(&text).map_or_else(unusable, Content::Here))
}

/// The value of a key, which is copied only where it is new.
fn entry<'m, V: Default>(map: &'m mut BTreeMap<String, V>, key: &str) -> &'m mut V {
    if !map.contains_key(key) {
        map.insert(key.to_owned(), V::default());
    }
    map.entry(key.to_owned()).or_default()
}
