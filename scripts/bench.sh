#!/usr/bin/env bash
# Measures packer against tar, and loader against the floor and skopeo, in one run, and prints tables
# of ratios.
# usage: scripts/bench.sh [STORAGE], or scripts/bench.sh --harbor
#   STORAGE: a registry's storage; without it, one with 5,000 tags is made (some minutes).
#   --harbor: measures loading into the tests' double of Harbor instead.
#   FOLDER=... keeps what was made. ROUNDS=3 is how often packing is timed, and loading twice as
#   often; MEMORY=/dev/shm is a folder in memory. scripts/bench-floor.sh measures loading alone.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "${1:-}" != --harbor ] || exec scripts/bench-harbor.sh

scripts/install.sh time:time
# shellcheck source=scripts/bench-measure.sh
. scripts/bench-measure.sh
# shellcheck source=scripts/bench-registry.sh
. scripts/bench-registry.sh
build

work=${FOLDER:-$(mktemp -d)}
mkdir -p "$work"
trap 'stop_registry; [ -n "${FOLDER:-}" ] || rm -rf "$work"' EXIT
storage=${1:-$work/storage}
if [ ! -d "$storage" ]; then
    "$wide" "$storage"
fi
storage=$(cd "$storage" && pwd)
v2=$storage/docker/registry/v2

"$packer" pack --storage "$storage" --output "$work/images.tar" --dry-run
"$packer" list --storage "$storage" >"$work/images.list"

# --- packing: bytes from the page cache, so that the work is compared and not the disk
find "$v2" -name data -exec cat {} + >/dev/null
for round in $(seq "${ROUNDS:-3}"); do
    rm -f "$work"/all.tar "$work"/images.tar*
    measure tar -cpf "$work/all.tar" -C "$storage" docker
    tar_wall=$wall
    measure openssl dgst -sha256 "$work/all.tar"
    calc "$tar_wall + $wall" >>"$work/tar-openssl"
    measure sha256sum "$work/all.tar"
    calc "$tar_wall + $wall" >>"$work/tar-sha256sum"
    measure "$packer" pack --storage "$storage" --output "$work/images.tar"
    echo "$wall" >>"$work/packer"
    echo "$memory" >>"$work/packer-memory"
    echo "round $round: tar and openssl $(tail -1 "$work/tar-openssl") s, packer $wall s" >&2
done
all_bytes=$(stat -c %s "$work/all.tar") bundle_bytes=$(stat -c %s "$work/images.tar")
tar_openssl=$(median <"$work/tar-openssl") tar_sha256sum=$(median <"$work/tar-sha256sum")
packer_wall=$(median <"$work/packer") packer_memory=$(sort -n "$work/packer-memory" | tail -1)
rm -f "$work"/tar-* "$work"/packer "$work"/packer-memory "$work/all.tar"
measure "$loader" verify "$work/images.tar"
verify_wall=$wall

# --- packing from other sources
scripts/bench-sources.sh "$storage"

# --- loading everything
rm -rf "$work/target"
start_registry "$work/target"
measure "$loader" load "$work/images.tar" --to "http://$address"
all_wall=$wall all_cpu=$cpu all_memory=$memory all_registry_cpu=$(registry_cpu)
read -r all_requests all_uploads all_uploaded < <(registry_counts)
before=$(registry_counts | cut -d' ' -f1)
measure "$loader" load "$work/images.tar" --to "http://$address"
again_wall=$wall again_requests=$(($(registry_counts | cut -d' ' -f1) - before))
measure "$loader" check "$work/images.tar" --to "http://$address"
unique_blobs=$("$packer" pack --storage "$storage" --output "$work/unused" --dry-run --json |
    sed -n 's/.*"blobs": \([0-9]*\).*/\1/p' | head -1)
stop_registry

rm -rf "$work/target"

cat <<TABLE

$(wc -l <"$work/images.list") tags, $(nproc) processors, $(docker-registry --version | cut -d' ' -f3) as target

| packing, median of ${ROUNDS:-3} | wall s | times packer | output MiB | memory MB |
|---|--:|--:|--:|--:|
| packer pack | $packer_wall | 1.00 | $(mib "$bundle_bytes") | $(whole "$packer_memory") |
| tar -cpf, openssl dgst -sha256 | $tar_openssl | $(calc "$tar_openssl / $packer_wall") | $(mib "$all_bytes") | |
| tar -cpf, sha256sum | $tar_sha256sum | $(calc "$tar_sha256sum / $packer_wall") | $(mib "$all_bytes") | |
| loader verify | $verify_wall | $(calc "$verify_wall / $packer_wall") | | |

| loading all tags | wall s | loader's CPU s | registry's CPU s | memory MB | requests | blobs uploaded |
|---|--:|--:|--:|--:|--:|--:|
| into an empty registry | $all_wall | $all_cpu | $all_registry_cpu | $(whole "$all_memory") | $all_requests | $all_uploads of $unique_blobs, $(mib "$all_uploaded") MiB |
| again | $again_wall | | | | $again_requests | 0 |

loader's CPU is $(whole "100 * $all_cpu / $all_registry_cpu") % of the registry's; the registry took \
$(whole "1000 * $all_registry_cpu / $all_uploads") ms of CPU for each uploaded blob
TABLE

# --- loading some 500 tags, by several clients
scripts/bench-subset.sh "$storage" "$work/images.list" "$work/subset" "$work/folders"
"$packer" pack --quiet --storage "$work/subset" --output "$work/subset.tar" >/dev/null
FOLDER=$work/clients scripts/bench-floor.sh "$work/subset.tar" "$work/folders" "$storage"
