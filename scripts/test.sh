#!/usr/bin/env bash
# Runs everything that CI runs: formatting, lints, documentation, all tests.
# usage: scripts/test.sh
set -euo pipefail
cd "$(dirname "$0")/.."

# A browser looks at the report, a proxy stands before registries.
PATH=$PATH:/usr/sbin scripts/install.sh chromium:chromium nginx:nginx-light
cargo fmt --check
cargo clippy --workspace --all-targets --locked -- --deny warnings
RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --document-private-items --locked --quiet
cargo build --locked -p packer -p loader
built=$(realpath "${CARGO_TARGET_DIR:-target}")/debug
PACKER_BIN=$built/packer LOADER_BIN=$built/loader \
    cargo test --workspace --locked
