//! Hard links in an archive: a file with several names is stored under the first that `tar` meets,
//! and all others lead to that. The first can be any name, outside the storage too.

use std::collections::HashMap;
use std::io::Read;

use tranship_common::Digest;

use super::collect::{Content, Span, Witness, tag_link};
use super::input::Input;
use super::members::{Kind, Member, Members, TarError};
use super::name::Name;
use crate::problem::Problem;

/// The hard links in the places of files that matter.
#[derive(Debug, Default)]
pub(super) struct HardLinks(Vec<HardLink>);

#[derive(Debug)]
struct HardLink {
    target: Box<str>,
    /// Where the link stands: a later member of the target's name is another file.
    at: u64,
    /// The blob that it is the data of; none for the link of a tag.
    blob: Option<Digest>,
    found: Found,
}

/// What a hard link leads to.
#[derive(Debug, Clone)]
pub(super) enum Found {
    Nothing,
    Bytes(Span),
    Link(Content<Digest>),
    Sparse,
    /// The bytes of another blob.
    Shared,
}

impl Found {
    /// A blob.
    pub(super) fn bytes(&self) -> Option<Content<Span>> {
        if let Self::Bytes(span) = self { Some(Content::Here(*span)) } else { None }
    }

    /// What a tag's link holds.
    pub(super) fn link(&self) -> Option<Content<Digest>> {
        if let Self::Link(link) = self { Some(link.clone()) } else { None }
    }
}

impl HardLinks {
    /// Remembers a link, and returns its number.
    pub(super) fn add(&mut self, target: &str, at: u64, blob: Option<Digest>) -> usize {
        self.0.push(HardLink { target: target.into(), at, blob, found: Found::Nothing });
        self.0.len() - 1
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Finds what they lead to.
    pub(super) fn follow<I: Input>(
        &mut self,
        members: &mut Members<I>,
        witness: &mut Witness<'_>,
    ) -> Result<(), TarError> {
        let mut by_target = HashMap::<_, Vec<usize>>::new();
        for (number, link) in self.0.iter().enumerate() {
            by_target.entry(link.target.clone()).or_default().push(number);
        }
        while let Some(member) = members.next()? {
            if let Some(numbers) = by_target.get(&*member.name) {
                self.found(&member, numbers, members, witness)?;
            }
        }
        Ok(())
    }

    /// Gives a member's file to the links behind it that lead to its name.
    fn found(
        &mut self,
        member: &Member,
        numbers: &[usize],
        bytes: &mut impl Read,
        witness: &mut Witness<'_>,
    ) -> Result<(), TarError> {
        let known = match &member.kind {
            Kind::File => None,
            Kind::Sparse => Some(Found::Sparse),
            _ => Some(Found::Nothing),
        };
        let owner = match Name::of(&member.name) {
            Some(Name::Blob { digest, .. }) => Some(digest),
            _ => None,
        };
        let mut link = None;
        let mut is_taken = false;
        for number in numbers {
            let hard_link = &mut self.0[*number];
            if hard_link.at < member.at {
                continue;
            }
            hard_link.found = match (&known, hard_link.blob) {
                (Some(found), _) => found.clone(),
                (None, None) => {
                    if link.is_none() {
                        link = Some(tag_link(bytes)?);
                    }
                    link.clone().map_or(Found::Nothing, Found::Link)
                }
                // Two blobs cannot have the same bytes.
                (None, Some(blob)) if is_taken || owner.is_some_and(|owner| owner != blob) => {
                    Found::Shared
                }
                (None, Some(blob)) => {
                    is_taken = true;
                    witness(blob, member.size, bytes)?;
                    Found::Bytes(Span::of(member))
                }
            };
        }
        Ok(())
    }

    /// Puts what a link leads to in its place.
    pub(super) fn replace<T>(
        &self,
        content: &mut Content<T>,
        wanted: impl Fn(&Found) -> Option<Content<T>>,
    ) {
        let Content::Linked(number) = content else { return };
        let HardLink { target, found, .. } = &self.0[*number];
        let target = target.to_string();
        *content = match (wanted(found), found) {
            (Some(content), _) => content,
            (None, Found::Sparse) => Content::Unusable(Box::new(Problem::Sparse)),
            (None, Found::Shared) => Content::Unusable(Box::new(Problem::SharedBytes { target })),
            (None, _) => Content::Unusable(Box::new(Problem::HardLink { target })),
        };
    }
}
