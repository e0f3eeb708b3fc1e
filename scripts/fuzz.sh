#!/usr/bin/env bash
# Fuzzes what parses bytes from outside: manifests, catalogs, bundles, archives of a storage.
# usage: scripts/fuzz.sh [SECONDS]      (for each target; default 60)
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
scripts/install.sh
command -v c++ >/dev/null || { echo "install g++: the fuzzer's runtime is C++" >&2; exit 1; }
cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz

seeds=$(mktemp -d)
trap 'rm -rf "$seeds"' EXIT
mkdir "$seeds"/{manifest,catalog,bundle,archive}
for vector in spec/vectors/*/*.tar; do
    name=$(basename "$vector" .tar)
    cp "$vector" "$seeds/bundle/"
    tar xOf "$vector" bundle.json >"$seeds/catalog/$name" 2>/dev/null || true
done
for blob in $(tar tf spec/vectors/good/index.tar | grep ^blobs/ | head -3); do
    tar xOf spec/vectors/good/index.tar "$blob" >"$seeds/manifest/$(basename "$blob")"
done

# A storage with one tag and one blob, in every format of tar and compressed.
manifest='{"schemaVersion":2,"config":{"digest":"sha256:'$(printf '{}' | sha256sum | cut -c-64)'"}}'
hex=$(printf '%s' "$manifest" | sha256sum | cut -c-64)
tree=$seeds/storage/docker/registry/v2
mkdir -p "$tree"/repositories/a/_manifests/{tags/1/current,revisions/sha256/"$hex"} "$tree/blobs/sha256/${hex:0:2}/$hex"
printf '%s' "$manifest" >"$tree/blobs/sha256/${hex:0:2}/$hex/data"
printf 'sha256:%s' "$hex" | tee "$tree/repositories/a/_manifests/revisions/sha256/$hex/link" \
    >"$tree/repositories/a/_manifests/tags/1/current/link"
ln "$tree/blobs/sha256/${hex:0:2}/$hex/data" "$seeds/storage/a-link"
for format in gnu oldgnu ustar posix; do
    tar -C "$seeds/storage" --format=$format -cf "$seeds/archive/$format.tar" a-link docker
done
gzip -k "$seeds/archive/gnu.tar"

# The sanitizers need a nightly compiler; panics and failed assertions do not.
cd tests
for target in manifest catalog bundle archive; do
    cargo fuzz run --fuzz-dir fuzz --sanitizer none "$target" "$seeds/$target" -- \
        -max_total_time="$seconds" -max_len=65536 -print_final_stats=1 -verbosity=0
done
