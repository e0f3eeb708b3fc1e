# A docker-registry to be measured; to be sourced. Needs $work.

registry=
# Starts an empty registry; sets `address`.
start_registry() {
    rm -rf "$work/target" "$work/target.log"
    local port=$((20000 + RANDOM % 20000))
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    address=127.0.0.1:$port
    cat >"$work/target.yml" <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $work/target}}
validation: {manifests: {urls: {allow: ['^https?://']}}}
http: {addr: "$address"}
YAML
    docker-registry serve "$work/target.yml" >"$work/target.log" 2>&1 &
    registry=$!
    until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        kill -0 "$registry" || { cat "$work/target.log" >&2; return 1; }
        sleep 0.1
    done
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
registry_log() {
    local line='"[A-Z]* /v2/[^"]*" [0-9]*'
    local requests uploads
    requests=$(grep -c "$line" "$work/target.log")
    grep -o '"PUT [^"]*digest=sha256%3A[0-9a-f]* [^"]*" 201' "$work/target.log" |
        sed 's/.*sha256%3A\([0-9a-f]*\).*/\1/' >"$work/uploads"
    uploads=$(wc -l <"$work/uploads")
    local bytes
    bytes=$(while read -r hex; do
        echo "$work/target/docker/registry/v2/blobs/sha256/${hex:0:2}/$hex/data"
    done <"$work/uploads" | xargs -r stat -c %s | awk '{ sum += $1 } END { printf "%.0f", sum }')
    echo "$requests $uploads ${bytes:-0}"
}
