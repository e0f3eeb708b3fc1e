#!/usr/bin/env bash
# Fuzzes what parses bytes from outside: manifests, catalogs, bundles.
# usage: scripts/fuzz.sh [SECONDS]      (for each target; default 60)
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
scripts/install.sh
command -v c++ >/dev/null || { echo "install g++: the fuzzer's runtime is C++" >&2; exit 1; }
cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz

seeds=$(mktemp -d)
trap 'rm -rf "$seeds"' EXIT
mkdir "$seeds"/{manifest,catalog,bundle}
for vector in spec/vectors/*/*.tar; do
    name=$(basename "$vector" .tar)
    cp "$vector" "$seeds/bundle/"
    tar xOf "$vector" bundle.json >"$seeds/catalog/$name" 2>/dev/null || true
done
for blob in $(tar tf spec/vectors/good/index.tar | grep ^blobs/ | head -3); do
    tar xOf spec/vectors/good/index.tar "$blob" >"$seeds/manifest/$(basename "$blob")"
done

# The sanitizers need a nightly compiler; panics and failed assertions do not.
cd tests
for target in manifest catalog bundle; do
    cargo fuzz run --fuzz-dir fuzz --sanitizer none "$target" "$seeds/$target" -- \
        -max_total_time="$seconds" -max_len=65536 -print_final_stats=1 -verbosity=0
done
