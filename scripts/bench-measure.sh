# What the benchmarks share; to be sourced, from the project's folder. Measuring needs $work.
# shellcheck shell=bash disable=SC2034,SC2154  # what is set and needed here is the script's

# Builds everything; sets packer, loader, and the examples wide, floor and harbor.
build() {
    cargo build --release --locked --quiet -p packer -p loader
    cargo build --release --locked --quiet -p e2e --examples
    local built
    built=$(realpath "${CARGO_TARGET_DIR:-target}")/release
    packer=$built/packer loader=$built/loader
    wide=$built/examples/wide floor=$built/examples/floor harbor=$built/examples/harbor
}

# Runs a command; sets wall, cpu (s) and memory (MB). What it prints goes to $work/said.
measure() {
    /usr/bin/time -o "$work/time" -f '%e %U %S %M' "$@" >"$work/said" 2>&1 || { cat "$work/said" >&2; return 1; }
    read -r wall user system memory < <(tail -1 "$work/time")
    cpu=$(calc "$user + $system") memory=$(calc "$memory / 1024")
}

calc() { awk "BEGIN { printf \"%.2f\n\", $* }"; }
precise() { awk "BEGIN { printf \"%.3f\n\", $* }"; }
whole() { awk "BEGIN { printf \"%.0f\n\", $* }"; }
mib() { whole "$1 / 1048576"; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
