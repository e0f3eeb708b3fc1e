//! Writes the storage tree that the benchmark runs on.
//!
//! usage: cargo run --release -p e2e --example wide -- FOLDER [TAGS] [REPOSITORIES]

use std::env;
use std::path::PathBuf;

use e2e::Tree;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: wide FOLDER [TAGS] [REPOSITORIES]")?);
    let mut number = |default| arguments.next().map_or(Ok(default), |text| text.parse());
    let (tags, repositories) = (number(5000)?, number(300)?);
    let _ = Tree::wide(&folder, 1, tags, repositories);
    Ok(())
}
