//! Runs the double of Harbor until standard input ends, to try loader on: account `admin`, password
//! `Harbor12345`. Prints its address, and at the end how many requests of which kind it has seen.
//!
//! usage: cargo run -p e2e --example harbor -- [MILLISECONDS that a push holds its project]

use std::env;
use std::io::{self, Write};
use std::time::Duration;

use e2e::Harbor;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let push_time = env::args().nth(1).map_or(Ok(0), |text| text.parse())?;
    let harbor = Harbor::start();
    let url = harbor.url();
    harbor.state().push_time = Duration::from_millis(push_time);
    harbor.state().external_url.clone_from(&url);
    writeln!(io::stdout(), "{url}")?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    let images = harbor.requests().into_iter().filter(|request| {
        request.target.contains("/blobs/") || request.target.contains("/manifests/")
    });
    writeln!(io::stdout(), "{} {}", harbor.requests().len(), images.count())?;
    Ok(())
}
