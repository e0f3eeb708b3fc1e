//! A storage that changes between one look and the next.

use tranship_common::{PushTime, Silent};

use super::memory::Memory;
use super::*;
use crate::inventory::{FoundTag, Revision};

fn image(layer: &[u8]) -> Vec<u8> {
    let (digest, size) = (Digest::of(layer), layer.len());
    format!(r#"{{"schemaVersion":2,"layers":[{{"digest":"{digest}","size":{size}}}]}}"#)
        .into_bytes()
}

/// The tag leads to an image whose layer is missing, and then to what is given the digest of a whole
/// one.
fn changing(later: impl FnOnce(Digest) -> Result<Option<Digest>, Problem>) -> Memory {
    let mut memory = Memory::default();
    let (digest, pushed) = (memory.blob(&image(b"lost")), PushTime::from_unix(1));
    memory.tags = vec![FoundTag { name: "1".parse().unwrap(), digest, pushed }];
    memory.revisions = vec![Revision { digest, pushed }];
    memory.blob(b"layer");
    memory.later = Some(later(memory.blob(&image(b"layer"))));
    memory
}

/// The digests of the tags that are packed, and the findings.
fn look(source: &Memory) -> (Vec<Digest>, Vec<String>) {
    let selection = Selection::default();
    let mut survey = Survey::new(source, &selection, &Silent).unwrap();
    let surveyed = survey.look(&Silent).unwrap();
    let packed = surveyed.plan.contents.images().map(|(_, tag)| tag.digest).collect();
    let problems = surveyed.findings.into_iter().map(|finding| finding.problem);
    (packed, problems.collect())
}

#[test]
fn a_tag_that_was_pushed_again_is_packed_as_it_is_now() {
    let source = changing(|whole| Ok(Some(whole)));
    assert_eq!(look(&source), (vec![Digest::of(&image(b"layer"))], Vec::new()));
}

#[test]
fn a_tag_that_is_gone_is_gone() {
    assert_eq!(look(&changing(|_| Ok(None))), (Vec::new(), Vec::new()));
}

#[test]
fn a_tag_that_stays_as_it_was_is_broken() {
    let source = changing(|_| Ok(Some(Digest::of(&image(b"lost")))));
    let lost = format!("the blob is missing; it is a layer of {}", source.tags[0].digest);
    assert_eq!(look(&source), (Vec::new(), vec![lost.clone()]));
    // An archive does not change: nothing is read again.
    let source = Memory { is_frozen: true, ..changing(|_| Ok(None)) };
    assert_eq!(look(&source), (Vec::new(), vec![lost]));
}

#[test]
fn a_tag_that_cannot_be_read_any_more_is_named_once() {
    let (packed, problems) = look(&changing(|_| Err(Problem::Deleted)));
    assert!(packed.is_empty());
    assert_eq!(problems, [Problem::Deleted.to_string()]);
}
