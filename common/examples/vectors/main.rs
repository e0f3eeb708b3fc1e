//! Writes the vectors of the specification.
//!
//! usage: cargo run -p tranship-common --example vectors -- spec/vectors

// As the test has it, so that its parts stand beside it for both.
#[path = "make.rs"]
mod make;

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = PathBuf::from(
        env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: vectors FOLDER"))?,
    );
    for (name, bytes) in make::files() {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, bytes)?;
    }
    Ok(())
}
