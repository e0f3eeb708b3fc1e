#!/usr/bin/env bash
# Measures loader on the tests' double of Harbor, which lets one push at a time into a project and
# holds it for 60 ms: eight projects against one, and against skopeo.
# usage: scripts/bench.sh --harbor
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install.sh
cargo build --release --locked --quiet -p packer -p loader
cargo build --release --locked --quiet -p e2e --examples
built=$(realpath "${CARGO_TARGET_DIR:-target}")/release
packer=$built/packer
loader=$built/loader
work=$(mktemp -d)
trap 'exec 9>&- || true; rm -rf "$work"' EXIT
export TRANSHIP_USERNAME=admin TRANSHIP_PASSWORD=Harbor12345

"$built/examples/wide" "$work/storage" 400 40
# Eight projects: the names' first components are numbered anew.
repositories=$work/storage/docker/registry/v2/repositories
mkdir "$work/named"
number=0
while read -r path; do
    to=$work/named/project$((number % 8))/${path//\//-}
    mkdir -p "$(dirname "$to")"
    mv "$repositories/$path" "$to"
    number=$((number + 1))
done < <(cd "$repositories" && find . -name _manifests -printf '%h\n' | sed 's,^\./,,' | sort -r)
rm -rf "$repositories"
mv "$work/named" "$repositories"
"$packer" pack --quiet --storage "$work/storage" --output "$work/images.tar" >/dev/null
"$packer" list --storage "$work/storage" >"$work/images.list"
images=$(wc -l <"$work/images.list")
scripts/bench-subset.sh "$work/storage" "$work/images.list" "$work/subset" "$work/folders"

# Starts an empty Harbor; sets `url`.
start_harbor() {
    rm -f "$work/stdin" "$work/said"
    mkfifo "$work/stdin"
    "$built/examples/harbor" 60 <"$work/stdin" >"$work/said" &
    harbor=$!
    exec 9>"$work/stdin"
    until [ -s "$work/said" ]; do sleep 0.1; done
    url=$(head -1 "$work/said")
}
# Ends it; sets `requests` and `to_images`.
stop_harbor() {
    exec 9>&-
    wait "$harbor"
    read -r requests to_images < <(tail -1 "$work/said")
}
seconds() { local begun=$EPOCHREALTIME; "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; return 1; }; awk "BEGIN { printf \"%.2f\n\", $EPOCHREALTIME - $begun }"; }
ratio() { awk "BEGIN { printf \"%.2f\n\", $1 / $2 }"; }
row() { echo "| $1 | $2 | $(ratio "$images" "$2") | $requests | $(ratio "$requests" "$images") | $(ratio "$to_images" "$least") |"; }

start_harbor
least=$("$loader" plan "$work/images.tar" --to "$url" --json | sed -n 's/^  "requests": \([0-9]*\).*/\1/p')
stop_harbor
echo
echo "$images images, $least requests at least (2 a new blob, 1 a mount, 1 a manifest)"
echo
echo "| on the double of Harbor, 60 ms a push | wall s | images/s | requests | a image | of the least |"
echo "|---|--:|--:|--:|--:|--:|"
start_harbor
wall=$(seconds "$loader" load "$work/images.tar" --to "$url")
again=$(seconds "$loader" load "$work/images.tar" --to "$url")
stop_harbor
again_requests=$requests
start_harbor
wall=$(seconds "$loader" load "$work/images.tar" --to "$url")
stop_harbor
row "loader, 8 projects" "$wall"
eight=$wall again_requests=$((again_requests - requests))
start_harbor
wall=$(seconds "$loader" load "$work/images.tar" --to "$url" --prefix one)
stop_harbor
row "loader, 1 project" "$wall"
start_harbor
"$loader" projects "$work/images.tar" --to "$url" >/dev/null 2>&1
wall=$(seconds skopeo --insecure-policy sync --scoped --all --src dir --dest docker --dest-tls-verify=false \
    --dest-creds admin:Harbor12345 "$work/folders" "${url#http://}")
stop_harbor
row "skopeo sync, 8 projects" "$wall"
echo
echo "skopeo takes $(ratio "$wall" "$eight") times as long; a second load took $again s and $again_requests requests"
