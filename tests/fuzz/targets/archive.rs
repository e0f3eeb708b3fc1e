//! Any bytes in the place of an archive: never a panic, and what is said to be in it can be read.

#![no_main]

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tranship_common::Silent;
use tranship_storage::{Order, open_archive};

static FILE: LazyLock<File> = LazyLock::new(|| tempfile::tempfile().expect("a file"));

fuzz_target!(|bytes: &[u8]| {
    let mut file = &*FILE;
    file.set_len(0).expect("a file can be emptied");
    file.rewind().expect("a file has a front");
    file.write_all(bytes).expect("there is room");
    file.rewind().expect("a file has a front");
    let file = file.try_clone().expect("a file has many handles");
    let Ok(source) =
        open_archive(file, "archive", Order::AsTheyPass, Path::new("/nowhere"), &Silent)
    else {
        return;
    };
    source.inventory(&Silent).expect("all is known");
    let blobs = source.blobs().expect("all is known");
    for blob in &blobs {
        let mut data = Vec::new();
        let mut reader = source.open(blob.digest).expect("it is there");
        reader.read_to_end(&mut data).expect("it can be read");
        assert_eq!(data.len() as u64, blob.size);
        let _ = source.manifest(blob.digest);
    }
    let Some(passing) = source.as_passing() else { return };
    let mut count = 0;
    let mut take = |_, reader: &mut dyn Read| {
        count += 1;
        io::copy(reader, &mut io::sink()).map(drop)
    };
    passing.pass(&|_| true, &mut take).expect("it can be read again");
    assert_eq!(count, blobs.len());
});
