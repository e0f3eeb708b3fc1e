# A docker-registry to be measured; to be sourced. Needs $work.
# shellcheck shell=bash disable=SC2034,SC2154  # what is set and needed here is the script's

registry=
# Starts a registry on a storage; sets `registry` (the process), `address` and `registry_log`.
start_registry() { # STORAGE [READ_ONLY: true or false]
    registry_storage=$1
    registry_log=$(mktemp -p "$work" registry.XXXXXX.log)
    cat >"$work/registry.yml" <<YAML
version: 0.1
storage:
  filesystem: {rootdirectory: $registry_storage}
  maintenance: {uploadpurging: {enabled: false}, readonly: {enabled: ${2:-false}}}
validation: {manifests: {urls: {allow: ['^https?://']}}}
http: {addr: "127.0.0.1:0"}
YAML
    docker-registry serve "$work/registry.yml" >"$registry_log" 2>&1 &
    registry=$!
    # It takes a port that is free, and says which.
    until address=$(grep -om1 'listening on [0-9.:]*' "$registry_log"); do
        kill -0 "$registry" || { cat "$registry_log" >&2; return 1; }
        sleep 0.1
    done
    address=${address##* }
}

stop_registry() {
    [ -n "$registry" ] || return 0
    kill "$registry" && wait "$registry" || true
    registry=
}

# Seconds of CPU that the registry has used.
registry_cpu() {
    awk -v hertz="$(getconf CLK_TCK)" '{ printf "%.2f", ($14 + $15) / hertz }' "/proc/$registry/stat"
}

# Requests, uploads of blobs, and their bytes, from the access log.
registry_counts() {
    local line='"[A-Z]* /v2/[^"]*" [0-9]*'
    local requests uploads
    requests=$(grep -c "$line" "$registry_log")
    grep -o '"PUT [^"]*digest=sha256%3A[0-9a-f]* [^"]*" 201' "$registry_log" |
        sed 's/.*sha256%3A\([0-9a-f]*\).*/\1/' >"$work/uploads"
    uploads=$(wc -l <"$work/uploads")
    local bytes
    bytes=$(while read -r hex; do
        echo "$registry_storage/docker/registry/v2/blobs/sha256/${hex:0:2}/$hex/data"
    done <"$work/uploads" | xargs -r stat -c %s | awk '{ sum += $1 } END { printf "%.0f", sum }')
    echo "$requests $uploads ${bytes:-0}"
}
