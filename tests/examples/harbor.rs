//! Runs the double of Harbor until standard input ends, to try loader on: account `admin`, password
//! `Harbor12345`. Prints its address, and for each line that it reads how many requests it has seen.
//!
//! usage: cargo run -p e2e --example harbor -- [MILLISECONDS [PROJECT...]]
//!
//! A push holds its project for so many milliseconds; these projects are there from the beginning.

use std::env;
use std::io::{self, Write};
use std::time::Duration;

use e2e::Harbor;
use e2e::harbor::Project;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let push_time = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let harbor = Harbor::start();
    let url = harbor.url();
    harbor.state().push_time = Duration::from_millis(push_time);
    harbor.state().external_url.clone_from(&url);
    // Whoever is tried on it may make Harbor count too much.
    harbor.state().miscounts = true;
    harbor.state().projects.extend(arguments.map(|name| (name, Project::public())));
    writeln!(io::stdout(), "{url}")?;
    for line in io::stdin().lines() {
        line?;
        writeln!(io::stdout(), "{}", harbor.requests().len())?;
    }
    Ok(())
}
