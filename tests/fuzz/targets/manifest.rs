//! Any bytes in the place of a manifest: never a panic, and what is read describes itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tranship_common::bundle::ManifestEntry;
use tranship_common::{Digest, Manifest};

fuzz_target!(|bytes: &[u8]| {
    let Ok(manifest) = Manifest::parse(bytes) else { return };
    assert_eq!(manifest.digest(), tranship_common::Digest::of(bytes));
    assert_eq!(manifest.digest(), Digest::of(bytes));
    for elsewhere in [false, true] {
        let entry = ManifestEntry::describe(&manifest, |_| elsewhere);
        assert_eq!(entry.check(bytes), Ok(()));
    }
});
