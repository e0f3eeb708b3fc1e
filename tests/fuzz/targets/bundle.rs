//! Any bytes in the place of a bundle: never a panic, and a bundle that is read to its end without
//! an error has exactly the size that its catalog announces.

#![no_main]

use std::io;

use libfuzzer_sys::fuzz_target;
use tranship_common::bundle::Stream;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut stream) = Stream::open(bytes) else { return };
    let mut count = 0;
    loop {
        match stream.next_entry(|_, input| io::copy(input, &mut io::sink())) {
            Ok(Some(_)) => count += 1,
            Ok(None) => break,
            Err(_) => return,
        }
    }
    assert_eq!(count, stream.layout().entries().len());
    assert_eq!(bytes.len() as u64, stream.layout().size());
});
