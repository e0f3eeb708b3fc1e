//! Repositories and blobs that were tried in vain, while the target was well otherwise.
//!
//! Patience with each thing in a repository that never answers would keep everything else waiting
//! for hours, and so would patience with a blob that a proxy lets through to no repository.

use std::cell::RefCell;
use std::collections::HashMap;

use tranship_common::{Digest, Repository};

use crate::failure::About;

/// After so many operations in a row that were given up, the next ones are tried once.
const IN_A_ROW: u32 = 3;

/// What was given up, and how often since it went well.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    repositories: RefCell<HashMap<Repository, u32>>,
    blobs: RefCell<HashMap<Digest, u32>>,
}

impl Trouble {
    /// An operation was given up.
    pub(super) fn with(&self, about: About<'_>, blob: Option<Digest>) {
        if let Some(name) = about.repository() {
            *self.repositories.borrow_mut().entry(name.clone()).or_default() += 1;
        }
        if let Some(blob) = blob {
            *self.blobs.borrow_mut().entry(blob).or_default() += 1;
        }
    }

    /// One has gone well.
    pub(super) fn over(&self, about: About<'_>, blob: Option<Digest>) {
        if let Some(name) = about.repository() {
            self.repositories.borrow_mut().remove(name);
        }
        if let Some(blob) = blob {
            self.blobs.borrow_mut().remove(&blob);
        }
    }

    /// Whether there is little hope for another one.
    pub(super) fn is_known(&self, about: About<'_>, blob: Option<Digest>) -> bool {
        let is_many = |count: Option<&u32>| count.is_some_and(|count| *count >= IN_A_ROW);
        let of_repository =
            about.repository().is_some_and(|name| is_many(self.repositories.borrow().get(name)));
        of_repository || blob.is_some_and(|blob| is_many(self.blobs.borrow().get(&blob)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::mapping::TargetRepository;

    #[test]
    fn what_was_given_up_again_and_again_is_known_until_it_goes_well() {
        let name = |text: &str| TargetRepository::from(text.parse::<Repository>().unwrap());
        let (bad, good) = (name("team/bad"), name("team/good"));
        let blob = Some(Digest::of(b"blob"));
        let trouble = Trouble::default();
        for _ in 0..IN_A_ROW {
            assert!(!trouble.is_known(About::Question(&bad), None));
            trouble.with(About::Repository(&bad), blob);
        }
        assert!(trouble.is_known(About::Question(&bad), None));
        assert!(trouble.is_known(About::Repository(&good), blob), "the blob is known elsewhere");
        assert!(!trouble.is_known(About::Repository(&good), None));
        trouble.over(About::Question(&bad), None);
        assert!(!trouble.is_known(About::Repository(&bad), None));
        trouble.over(About::Repository(&good), blob);
        assert!(!trouble.is_known(About::Repository(&good), blob));
        trouble.with(About::Target, None);
        assert!(!trouble.is_known(About::Target, None));
    }
}
