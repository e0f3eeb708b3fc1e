#!/usr/bin/env bash
# Runs everything that CI runs: formatting, lints, documentation, all tests.
# usage: scripts/test.sh
set -euo pipefail
cd "$(dirname "$0")/.."

# A browser looks at the report, a proxy stands before registries, an old Debian runs what is released,
# and an S3 server is written in Python.
PATH=$PATH:/usr/sbin scripts/install.sh chromium:chromium nginx:nginx-light debootstrap:debootstrap \
    python3:python3-venv
scripts/moto.sh >/dev/null
cargo fmt --check
cargo clippy --workspace --all-targets --locked -- --deny warnings
RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --document-private-items --locked --quiet
cargo build --locked -p packer -p loader
target=$(realpath "${CARGO_TARGET_DIR:-target}")
built=$target/debug
# Here, so that what the tests find is built already: no other test has to share the machine with that.
DIST=$target/tmp/dist scripts/release.sh "$(uname -m)-unknown-linux-gnu"
PACKER_BIN=$built/packer LOADER_BIN=$built/loader \
    cargo test --workspace --locked
