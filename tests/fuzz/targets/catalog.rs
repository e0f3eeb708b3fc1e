//! Any bytes in the place of a catalog: never a panic, and what is read is read again from its own
//! serialisation.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tranship_common::bundle::{Contents, Layout};

fuzz_target!(|bytes: &[u8]| {
    let Ok(contents) = Contents::parse(bytes) else { return };
    let mut json = Vec::new();
    contents.catalog().write_json(&mut json).expect("memory takes all");
    let again = Contents::parse(&json).expect("what was read is sound");
    assert_eq!(again.catalog(), contents.catalog());
    let layout = Layout::new(&contents);
    assert_eq!(layout.entries().len(), contents.entries().count());
    for (_, tag) in contents.images() {
        assert!(contents.closure(tag.digest).last().is_some_and(|last| last.digest == tag.digest));
    }
});
