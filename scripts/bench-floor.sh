#!/usr/bin/env bash
# Measures loader against the floor, a bare client that sends nothing but the least requests, in turns
# on the same registry: with its storage on disk, and in memory. Beside them skopeo, and regsync and
# oras where they are installed, once each. Prints a table for each kind of storage.
# usage: scripts/bench-floor.sh BUNDLE [FOLDERS STORAGE]
#   FOLDERS: what scripts/bench-subset.sh has made of the bundle's images, for skopeo.
#   STORAGE: a registry's storage that has the bundle's images, for regsync and oras; only read.
#   FOLDER=... keeps what was made; what is on disk is there. ROUNDS=3: each times loader and the floor
#   twice. MEMORY=/dev/shm is a folder in memory.
set -euo pipefail
bundle=$(realpath "$1") folders=${2:+$(realpath "$2")} storage=${3:+$(realpath "$3")}
cd "$(dirname "$0")/.."

scripts/install.sh time:time
# shellcheck source=scripts/bench-measure.sh
. scripts/bench-measure.sh
# shellcheck source=scripts/bench-registry.sh
. scripts/bench-registry.sh
build

rounds=${ROUNDS:-3} memory_folder=${MEMORY:-/dev/shm}
work=${FOLDER:-$(mktemp -d)}
mkdir -p "$work/results"
source_registry='' in_memory=''
trap 'stop_registry; [ -z "$source_registry" ] || kill "$source_registry"; rm -rf "$in_memory"
    [ -n "${FOLDER:-}" ] || rm -rf "$work"' EXIT
rm -f "$work"/results/*
"$loader" list "$bundle" >"$work/images.list"

others=()
if [ -n "$folders" ]; then others+=(skopeo); fi
if [ -n "$storage" ]; then
    for other in regsync oras; do
        if command -v "$other" >/dev/null; then others+=("$other"); fi
    done
fi
if [[ " ${others[*]} " = *" regsync "* || " ${others[*]} " = *" oras "* ]]; then
    start_registry "$storage" true
    source_registry=$registry source_address=$address
fi

# Measures a client while it loads everything into the registry at $address.
load_with() { # CLIENT
    case $1 in
        floor) measure "$floor" "$bundle" "http://$address" ;;
        loader) measure "$loader" load "$bundle" --to "http://$address" ;;
        skopeo)
            measure skopeo --insecure-policy sync --scoped --all --src dir --dest docker \
                --dest-tls-verify=false "$folders" "$address"
            ;;
        regsync)
            {
                printf 'version: 1\ncreds:\n'
                printf '  - {registry: "%s", tls: disabled}\n' "$source_address" "$address"
                printf 'defaults: {parallel: 8}\nsync:\n'
                sed "s,.*,  - {source: \"$source_address/&\"\, target: \"$address/&\"\, type: image}," \
                    "$work/images.list"
            } >"$work/regsync.yml"
            measure regsync once -c "$work/regsync.yml"
            ;;
        oras)
            sed "s,.*,$source_address/& $address/&," "$work/images.list" >"$work/oras.list"
            measure xargs -a "$work/oras.list" -n 2 \
                oras cp --from-plain-http --to-plain-http --concurrency 8
            ;;
    esac
}

# One load into an empty registry, and the first time the proof that everything arrived.
try() { # CLIENT MEDIUM STORAGE ROUND
    local results=$work/results/$2-$1
    rm -rf "$3"
    # What others have left to be written is not this client's.
    sync -f "$work"
    start_registry "$3"
    load_with "$1"
    local registry_took requests uploads _
    registry_took=$(registry_cpu)
    stop_registry
    read -r requests uploads _ < <(registry_counts)
    echo "$4 $wall $cpu $registry_took $memory $requests $uploads" >>"$results"
    echo "round $4, $2: $1 took $wall s" >&2
    if [ "$(wc -l <"$results")" -eq 1 ]; then
        start_registry "$3"
        measure "$loader" check "$bundle" --to "http://$address"
        stop_registry
    fi
    rm -rf "$3"
}

field() { cut -d' ' -f"$1" "$2" | median; }

# The mean time of each round over the floor's in the same round.
over_floor() { # RESULTS RESULTS_OF_THE_FLOOR
    awk 'FNR == NR { floor[$1] += $2; floors[$1]++; next }
        { time[$1] += $2; times[$1]++ }
        END { for (round in time)
            printf "%.2f\n", time[round] / times[round] / (floor[round] / floors[round]) }' "$2" "$1"
}

row() { # MEDIUM CLIENT WORDS
    local results=$work/results/$1-$2 base=$work/results/$1-floor
    [ -e "$results" ] || return 0
    echo "| $3 | $(field 2 "$results") | $(cut -d' ' -f2 "$results" | sort -n | head -1) |" \
        "$(over_floor "$results" "$base" | median) | $(field 6 "$results") |" \
        "$(precise "$(field 6 "$results") / $(field 6 "$base")") | $(field 3 "$results") |" \
        "$(field 4 "$results") | $(whole "$(field 5 "$results")") | $(field 7 "$results") |"
}

table() { # MEDIUM WHERE
    cat <<TABLE

| loading $(wc -l <"$work/images.list") tags, storage $2, median of $rounds rounds | wall s | the best | times the floor | requests | of the least | client's CPU s | registry's CPU s | memory MB | blobs uploaded |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
TABLE
    row "$1" floor 'the floor'
    row "$1" loader 'loader load'
    row "$1" skopeo 'skopeo sync --src dir, once'
    row "$1" regsync 'regsync once, from a registry, once'
    row "$1" oras 'oras cp, from a registry, once'
}

# A load takes the bundle's size, and every file a block or two of its own.
needed=$(($(stat -c %s "$bundle") * 5 / 4 / 1024 + 65536))
free=0
if [ -d "$memory_folder" ] && [ "$(stat -f -c %T "$memory_folder")" = tmpfs ]; then
    free=$(df --output=avail -k "$memory_folder" | tail -1)
fi
media=(disk)
if [ "$free" -gt "$needed" ]; then
    in_memory=$(mktemp -d -p "$memory_folder")
    media+=(memory)
fi

for round in $(seq "$rounds"); do
    # Who comes later finds the disk, and perhaps its budget, used by who came before.
    clients=(floor loader loader floor)
    if [ $((round % 2)) -eq 0 ]; then clients=(loader floor floor loader); fi
    if [ "$round" -eq 1 ]; then clients+=("${others[@]}"); fi
    for medium in "${media[@]}"; do
        target=$work/target
        if [ "$medium" = memory ]; then target=$in_memory/target; fi
        for client in "${clients[@]}"; do
            try "$client" "$medium" "$target" "$round"
        done
    done
done

on_disk="on disk ($(stat -f -c %T "$work"))"
if [ "$(stat -f -c %T "$work")" = tmpfs ]; then on_disk='in memory (tmpfs): no disk was given by FOLDER'; fi
table disk "$on_disk"
if [ -n "$in_memory" ]; then
    table memory "in memory (tmpfs)"
else
    echo
    echo "Not measured: storage in memory. $memory_folder is no tmpfs with $((needed / 1024)) MiB free."
fi
