//! Reads again what is broken, since a registry that runs rewrites links while they are read.
//!
//! Distribution empties the link of a tag before it writes the digest into it, and deletes a tag and
//! what it leads to one after the other. So only what is broken when it is read again, a moment
//! later, is broken; what has gone by then is gone.

use std::thread;
use std::time::Duration;

use rayon::prelude::*;
use tranship_common::{Repository, Tag};

use crate::inventory::{BrokenTag, FoundTag, Inventory};
use crate::source::Source;

/// How long to wait before each time of reading again: long for a write, short for a person.
const WAITS: [Duration; 3] =
    [Duration::from_millis(10), Duration::from_millis(100), Duration::from_millis(500)];

impl Inventory {
    /// Reads the broken tags again.
    pub fn settle(&mut self, source: &dyn Source) {
        for wait in WAITS {
            if !source.may_change() || self.broken.iter().all(|broken| broken.tag.is_none()) {
                return;
            }
            thread::sleep(wait);
            let again = |broken: BrokenTag| {
                let read = broken.tag.as_ref().map(|(name, tag)| source.tag(name, tag));
                (broken, read)
            };
            let read: Vec<_> =
                std::mem::take(&mut self.broken).into_par_iter().map(again).collect();
            for (mut broken, read) in read {
                match (read, &broken.tag) {
                    (Some(Ok(Some(found))), Some((repository, _))) => self.put(repository, found),
                    (Some(Ok(_)), _) => {}
                    (Some(Err(problem)), _) => {
                        broken.problem = problem;
                        self.broken.push(broken);
                    }
                    (None, _) => self.broken.push(broken),
                }
            }
        }
    }

    /// Reads tags again whose images turned out to be broken, and returns whether any of them has
    /// changed or gone, so that it is worth to look once more.
    pub fn refresh(&mut self, source: &dyn Source, tags: Vec<(Repository, Tag)>) -> bool {
        let again = |(repository, tag): (Repository, Tag)| {
            let read = source.tag(&repository, &tag);
            (repository, tag, read)
        };
        let read: Vec<_> = tags.into_par_iter().map(again).collect();
        let mut changed = false;
        for (repository, tag, now) in read {
            let Some(holding) = self.repositories.get(&repository) else { continue };
            let at = holding.tags.binary_search_by(|known| known.name.cmp(&tag));
            let Some(known) = at.ok().map(|at| holding.tags[at].clone()) else { continue };
            match now {
                Ok(Some(found)) if found.digest == known.digest => {}
                Ok(Some(found)) => {
                    self.put(&repository, found);
                    changed = true;
                }
                Ok(None) => {
                    self.remove(&repository, &tag);
                    changed = true;
                }
                Err(problem) => {
                    self.remove(&repository, &tag);
                    self.broken.push(BrokenTag {
                        name: format!("{repository}:{tag}"),
                        digest: Some(known.digest),
                        location: source.tag_location(&repository, &tag),
                        tag: Some((repository, tag)),
                        problem,
                    });
                    changed = true;
                }
            }
        }
        if changed {
            self.settle(source);
        }
        changed
    }

    fn put(&mut self, repository: &Repository, found: FoundTag) {
        let holding = self.repositories.entry(repository.clone()).or_default();
        match holding.tags.binary_search_by(|known| known.name.cmp(&found.name)) {
            Ok(at) => holding.tags[at] = found,
            Err(at) => holding.tags.insert(at, found),
        }
    }

    fn remove(&mut self, repository: &Repository, tag: &Tag) {
        if let Some(holding) = self.repositories.get_mut(repository)
            && let Ok(at) = holding.tags.binary_search_by(|known| known.name.cmp(tag))
        {
            holding.tags.remove(at);
        }
    }
}
