#!/usr/bin/env bash
# Measures loader on the tests' double of Harbor, which lets one push at a time into a project and
# holds it for 60 ms: eight projects against one, beside the floor (a bare client that sends nothing
# but the least requests) and skopeo.
# usage: scripts/bench.sh --harbor
#   ROUNDS=3 is how often all but skopeo are timed.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install.sh time:time
# shellcheck source=scripts/bench-measure.sh
. scripts/bench-measure.sh
build

rounds=${ROUNDS:-3}
work=$(mktemp -d)
# The double ends with the script: its standard input does.
trap 'rm -rf "$work"' EXIT
export TRANSHIP_USERNAME=admin TRANSHIP_PASSWORD=Harbor12345

"$wide" "$work/storage" 400 40
# Eight projects: the names' first components are numbered anew.
repositories=$work/storage/docker/registry/v2/repositories
mkdir "$work/named" "$work/results"
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
projects=(project0 project1 project2 project3 project4 project5 project6 project7)

# Starts a Harbor without images; sets `url`.
start_harbor() { # PROJECT...
    coproc double { "$harbor" 60 "$@"; }
    read -r url <&"${double[0]}"
}

stop_harbor() {
    local input=${double[1]} process=$double_PID
    exec {input}>&-
    wait "$process"
}

# Sets `requests`: all so far.
count_requests() {
    echo >&"${double[1]}"
    read -r requests <&"${double[0]}"
}

# Measures a load into the Harbor that runs.
load_with() { # NAME COMMAND...
    local name=$1
    measure "${@:2}"
    count_requests
    echo "$wall $requests" >>"$work/results/$name"
    echo "$name took $wall s" >&2
}

field() { cut -d' ' -f"$1" "$2" | median; }

row() { # NAME FLOOR'S_NAME WORDS
    local results=$work/results/$1 base=$work/results/$2 over
    # Each run over the floor's of the same round.
    over=$(paste -d' ' "$results" "$base" | awk 'NF == 4 { printf "%.2f\n", $1 / $3 }' | median)
    wall=$(field 1 "$results") requests=$(field 2 "$results")
    echo "| $3 | $wall | $over | $(calc "$images / $wall") | $requests |" \
        "$(calc "$requests / $images") | $(precise "$requests / $(field 2 "$base")") |"
}

for _ in $(seq "$rounds"); do
    start_harbor "${projects[@]}"
    load_with floor-8 "$floor" "$work/images.tar" "$url"
    "$loader" check --quiet "$work/images.tar" --to "$url" >/dev/null
    stop_harbor
    start_harbor "${projects[@]}"
    load_with loader-8 "$loader" load "$work/images.tar" --to "$url"
    load_with again "$loader" load "$work/images.tar" --to "$url"
    stop_harbor
    start_harbor
    load_with loader-new "$loader" load "$work/images.tar" --to "$url"
    stop_harbor
    start_harbor one
    load_with floor-1 "$floor" "$work/images.tar" "$url" one
    "$loader" check --quiet "$work/images.tar" --to "$url" --prefix one >/dev/null
    stop_harbor
    start_harbor one
    load_with loader-1 "$loader" load "$work/images.tar" --to "$url" --prefix one
    stop_harbor
done
start_harbor "${projects[@]}"
load_with skopeo skopeo --insecure-policy sync --scoped --all --src dir --dest docker \
    --dest-tls-verify=false --dest-creds admin:Harbor12345 "$work/folders" "${url#http://}"
stop_harbor

cat <<TABLE

$images images; the floor sends the least requests: 2 a new blob, 1 a mount, 1 a manifest

| on the double of Harbor, 60 ms a push, median of $rounds | wall s | times the floor | images/s | requests | a image | of the least |
|---|--:|--:|--:|--:|--:|--:|
TABLE
row floor-8 floor-8 'the floor, 8 projects'
row loader-8 floor-8 'loader, 8 projects'
row loader-new floor-8 'loader, 8 projects that it makes'
row floor-1 floor-1 'the floor, 1 project'
row loader-1 floor-1 'loader, 1 project'
row skopeo floor-8 'skopeo sync, 8 projects, once'
again=$(($(field 2 "$work/results/again") - $(field 2 "$work/results/loader-8")))
echo
echo "a second load took $(field 1 "$work/results/again") s and $again requests"
