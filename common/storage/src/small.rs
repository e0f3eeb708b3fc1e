//! Reads small blobs whole: configs, and manifests whose exact bytes are needed.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};

use rayon::prelude::*;
use tranship_common::Digest;
use tranship_common::limits::MAX_MANIFEST;

use crate::source::{Source, manifest_bytes};

/// The bytes of those blobs that can be read, are not damaged, and have no more bytes than a
/// manifest may have. A storage that passes by is read once for all of them.
pub(crate) fn read_small(source: &dyn Source, wanted: HashSet<Digest>) -> HashMap<Digest, Vec<u8>> {
    if wanted.is_empty() {
        return HashMap::new();
    }
    let Some(passing) = source.as_passing() else {
        let read = |digest: Digest| {
            Some((digest, manifest_bytes(source.open(digest).ok()?, digest).ok()?))
        };
        return wanted.into_par_iter().filter_map(read).collect();
    };
    let mut found = HashMap::new();
    let take = &mut |digest: Digest, reader: &mut dyn Read| -> io::Result<()> {
        let mut bytes = Vec::new();
        reader.take(MAX_MANIFEST).read_to_end(&mut bytes)?;
        if Digest::of(&bytes) == digest {
            found.insert(digest, bytes);
        }
        Ok(())
    };
    // What was read until then is right; what else is wrong with the storage, the scan says.
    let _ = passing.pass(&|digest| wanted.contains(&digest), take);
    found
}
