#!/usr/bin/env bash
# The main job on real input: a real docker-registry is filled by skopeo and stopped; its storage is
# packed, the bundle checked with standard tools, loaded into another docker-registry, and every
# tag proved to be there.
# usage: scripts/demo.sh [--harbor] [FOLDER]
#   FOLDER: keeps everything there; without it, a temporary one is used
#   --harbor: loads into the tests' double of Harbor, in front of a docker-registry
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install.sh
harbor=
if [ "${1:-}" = --harbor ]; then harbor=yes; shift; fi
cargo build --release --locked -p packer -p loader
[ -z "$harbor" ] || cargo build --release --locked -p e2e --example harbor
built=$(realpath "${CARGO_TARGET_DIR:-target}")/release
packer=$built/packer
loader=$built/loader

folder=${1:-$(mktemp -d)}
mkdir -p "$folder"
trap 'kill $(jobs -p) 2>/dev/null || true; [ $# -gt 0 ] || rm -rf "$folder"' EXIT
cd "$folder"

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
run() { printf '\n$ %s\n' "$*"; "$@"; }

# Starts a docker-registry; sets `address` and `registry`.
start_registry() { # NAME
    local port=$((20000 + RANDOM % 20000))
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    address=127.0.0.1:$port
    cat >"$1.yml" <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $PWD/$1}}
http: {addr: "$address"}
YAML
    docker-registry serve "$1.yml" >"$1.log" 2>&1 &
    registry=$!
    for _ in $(seq 100); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
        kill -0 "$registry" || { cat "$1.log" >&2; return 1; }
        sleep 0.1
    done
    echo "docker-registry does not answer on $address" >&2
    return 1
}

# Starts the double of Harbor; sets `address`. It ends when this script does.
start_harbor() {
    mkfifo harbor.stdin
    "$built/examples/harbor" <harbor.stdin >harbor.address &
    exec 9>harbor.stdin
    until [ -s harbor.address ]; do sleep 0.1; done
    address=$(sed 's,http://,,' harbor.address)
    export TRANSHIP_USERNAME=admin TRANSHIP_PASSWORD=Harbor12345
}

# Makes an image of two layers in skopeo's folder format: a shared base, and this script's words.
make_image() { # NAME TEXT
    mkdir -p "$1" base
    [ -f base/layer ] || { tar -cf - -C /usr/share/common-licenses . | gzip -n >base/layer; }
    printf '%s\n' "$2" >"$1.txt"
    tar -cf - "$1.txt" | gzip -n >"$1.layer"
    local layers=() diff_ids=() file digest
    for file in base/layer "$1.layer"; do
        digest=$(sha256sum <"$file" | cut -d' ' -f1)
        cp "$file" "$1/$digest"
        diff_ids+=("\"sha256:$(gunzip <"$file" | sha256sum | cut -d' ' -f1)\"")
        layers+=("{\"mediaType\":\"application/vnd.docker.image.rootfs.diff.tar.gzip\",\"size\":$(stat -c %s "$file"),\"digest\":\"sha256:$digest\"}")
    done
    printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[%s,%s]}}' \
        "${diff_ids[@]}" >config
    digest=$(sha256sum <config | cut -d' ' -f1)
    printf '{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":%s,"digest":"sha256:%s"},"layers":[%s,%s]}' \
        "$(stat -c %s config)" "$digest" "${layers[@]}" >"$1/manifest.json"
    mv config "$1/$digest"
    printf 'Directory Transport Version: 1.1\n' >"$1/version"
}

say "A registry with images, as it has grown"
start_registry old
for name in app:1.0 app:1.1 app:latest team/web:2024.01 team/group/sub/deep_name:v1; do
    make_image "image-${name//[:\/]/-}" "this is $name"
    run skopeo --insecure-policy copy --quiet --dest-tls-verify=false \
        "dir:image-${name//[:\/]/-}" "docker://$address/$name"
done
kill "$registry" && wait "$registry" || true

say "Pack its storage; the registry is stopped"
run "$packer" pack --storage old --output images.tar

say "Check the bundle, with standard tools and with ours"
run sha256sum -c images.tar.sha256
run tar tf images.tar
mkdir unpacked && tar xf images.tar -C unpacked
(cd unpacked && run sha256sum -c --quiet SHA256SUMS)
run skopeo --insecure-policy copy --quiet oci-archive:images.tar:team/web:2024.01 dir:copied
run "$loader" verify images.tar

if [ -n "$harbor" ]; then
    say "What a load into Harbor would do"
    start_harbor
    run "$loader" plan images.tar --to "http://$address"
else
    start_registry new
fi
say "Load it, twice: the second time there is nothing to send"
run "$loader" load images.tar --to "http://$address" --report load.html
run "$loader" load images.tar --to "http://$address"

say "Every tag is there"
run "$loader" check images.tar --to "http://$address"
[ -z "$harbor" ] || exit 0
"$packer" list --storage old | while read -r name; do
    raw=$(skopeo --insecure-policy inspect --raw --tls-verify=false "docker://$address/$name" | sha256sum)
    printf '%s  %s\n' "${raw%% *}" "$name"
done
