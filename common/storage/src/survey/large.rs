//! Storages so large that a step which takes the square of their size would not come to an end.

use tranship_common::limits::MAX_NESTING;
use tranship_common::{PushTime, Silent, kinds};

use super::memory::Memory;
use super::*;
use crate::finding::broken_images;
use crate::inventory::{FoundTag, Revision};

const PUSHED: i64 = 1_700_000_000;

impl Memory {
    fn push(&mut self, text: &str) -> Digest {
        let digest = self.blob(text.as_bytes());
        self.revisions.push(Revision { digest, pushed: PushTime::from_unix(PUSHED) });
        digest
    }

    fn point(&mut self, number: usize, digest: Digest) {
        let (name, pushed) = (format!("{number:06}"), PushTime::from_unix(PUSHED));
        self.tags.push(FoundTag { name: name.parse().unwrap(), digest, pushed });
    }

    /// Looks at it as often as it may have changed.
    fn look(mut self) -> Surveyed {
        self.revisions.sort_unstable();
        self.revisions.dedup();
        let selection = Selection { referrers: true, ..Default::default() };
        Survey::new(&self, &selection, &Silent).unwrap().look(&Silent).unwrap()
    }
}

/// An image of layers that have five bytes each; `more` are fields.
fn image(layers: &[Digest], more: &str) -> String {
    let layer = |digest| format!(r#"{{"digest":"{digest}","size":5}}"#);
    let layers: Vec<String> = layers.iter().map(layer).collect();
    format!(r#"{{"schemaVersion":2,"layers":[{}]{more}}}"#, layers.join(","))
}

fn index(child: Digest) -> String {
    let kind = kinds::OCI_INDEX;
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{kind}","manifests":[{{"digest":"{child}","size":9}}]}}"#
    )
}

#[test]
fn many_lost_layers() {
    let mut storage = Memory::default();
    let there = storage.blob(b"layer");
    for number in 0..50_000 {
        let lost = Digest::of(format!("lost {number}").as_bytes());
        let layers = if number % 10 == 0 { vec![there, lost] } else { vec![there] };
        let image = storage.push(&image(&layers, &format!(r#","x":{number}"#)));
        storage.point(number, image);
    }
    let surveyed = storage.look();
    assert_eq!(surveyed.plan.totals.tags, 45_000);
    assert_eq!(surveyed.findings.len(), 5_000);
    assert!(surveyed.findings.iter().all(|finding| finding.images.len() == 1));
}

#[test]
fn a_long_chain_of_tagged_indexes() {
    let mut storage = Memory::default();
    let there = storage.blob(b"layer");
    let mut last = storage.push(&image(&[there], ""));
    for number in 0..50_000 {
        last = storage.push(&index(last));
        storage.point(number, last);
    }
    let surveyed = storage.look();
    assert_eq!(surveyed.plan.totals.tags, MAX_NESTING as u64);
    assert_eq!(surveyed.findings.len(), 1);
    assert_eq!(broken_images(&surveyed.findings), 50_000 - MAX_NESTING);
}

#[test]
fn an_index_that_has_lost_all_its_children() {
    let mut storage = Memory::default();
    let child = |number: usize| {
        let digest = Digest::of(format!("lost {number}").as_bytes());
        format!(r#"{{"digest":"{digest}","platform":{{"os":"linux","architecture":"a{number}"}}}}"#)
    };
    let children: Vec<String> = (0..30_000).map(child).collect();
    let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, children.join(","));
    let index = storage.push(&text);
    storage.point(0, index);
    let surveyed = storage.look();
    assert_eq!(surveyed.findings.len(), 30_000);
    let last = Digest::of(b"lost 29999");
    let finding = surveyed.findings.iter().find(|finding| finding.digest == Some(last)).unwrap();
    let words = format!("it is the child for linux/a29999 of index {index}");
    assert!(finding.problem.ends_with(&words), "{}", finding.problem);
    assert_eq!(broken_images(&surveyed.findings), 1);
}

#[test]
fn a_long_chain_of_referrers() {
    for lost in [false, true] {
        let mut storage = Memory::default();
        let there = storage.blob(b"layer");
        let tagged = storage.push(&image(&[there], ""));
        storage.point(0, tagged);
        let mut about = tagged;
        for number in 0..30_000 {
            let layer = if lost && number == 0 { Digest::of(b"lost") } else { there };
            let subject = format!(r#","subject":{{"digest":"{about}"}}"#);
            about = storage.push(&image(&[layer], &subject));
        }
        let surveyed = storage.look();
        assert_eq!(surveyed.plan.totals.tags, 1);
        assert_eq!(surveyed.plan.totals.referrers, if lost { 0 } else { 30_000 });
        assert_eq!(surveyed.findings.len(), usize::from(lost));
    }
}
