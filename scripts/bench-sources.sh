#!/usr/bin/env bash
# Measures packing the same storage from each kind of source, and prints a table with the ratio to tar
# and openssl in the same run.
# usage: scripts/bench-sources.sh STORAGE
#   ROUNDS=3 is how often each is timed; the median counts. A bucket is moto's, which is slow: its row
#   says how packer waits, not how fast a real one is. FOLDER=... keeps what was made.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install.sh time:time zstd:zstd
# shellcheck source=scripts/bench-measure.sh
. scripts/bench-measure.sh
build

storage=$(cd "$1" && pwd)
work=${FOLDER:-$(mktemp -d)}
mkdir -p "$work"
moto=
trap '[ -z "$moto" ] || kill "$moto"; [ -n "${FOLDER:-}" ] || rm -rf "$work"' EXIT

tar -cpf "$work/docker.tar" -C "$storage" docker
gzip -1 -c "$work/docker.tar" >"$work/docker.tar.gz"
zstd -q -f "$work/docker.tar" -o "$work/docker.tar.zst"

# The bucket holds what is read of it: no links of layers, of which there are most.
server=$(scripts/moto.sh)
"$server" -H 127.0.0.1 -p 0 >"$work/moto.log" 2>&1 &
moto=$!
until endpoint=$(grep -om1 'http://127.0.0.1:[0-9]*' "$work/moto.log"); do
    kill -0 "$moto" || { cat "$work/moto.log" >&2; exit 1; }
    sleep 0.1
done
export AWS_ENDPOINT_URL=$endpoint AWS_ALLOW_HTTP=true AWS_REGION=us-east-1
export AWS_ACCESS_KEY_ID=somebody AWS_SECRET_ACCESS_KEY=confidential
"$(dirname "$server")/python" - "$storage" <<'PYTHON'
import concurrent.futures, os, sys
import boto3

client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
client.create_bucket(Bucket="images")
files = []
for folder, _, names in os.walk(os.path.join(sys.argv[1], "docker")):
    if "/_layers" not in folder and "/_uploads" not in folder:
        files += [os.path.join(folder, name) for name in names]
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    put = lambda file: client.upload_file(file, "images", os.path.relpath(file, sys.argv[1]))
    list(pool.map(put, files))
PYTHON

cat "$work/docker.tar" >/dev/null
rows=
row() { # NAME COMMAND...
    local name=$1 walls='' cpus=''
    shift
    for _ in $(seq "${ROUNDS:-3}"); do
        rm -f "$work"/images.tar*
        measure "$@"
        walls+="$wall"$'\n' cpus+="$cpu"$'\n'
    done
    wall=$(printf %s "$walls" | median) cpu=$(printf %s "$cpus" | median)
    [ -n "$rows" ] || { first_wall=$wall first_cpu=$cpu; }
    rows+="| $name | $wall | $(calc "$wall / $first_wall") | $cpu | $(calc "$cpu / $first_cpu") | $(whole "$memory") |"$'\n'
}

row '`tar -cf - \| openssl dgst -sha256`' bash -c "tar -cf - -C '$storage' docker | openssl dgst -sha256"
row folder "$packer" pack -q --storage "$storage" -o "$work/images.tar"
row '`.tar`' "$packer" pack -q --storage "$work/docker.tar" -o "$work/images.tar"
row '`.tar.gz`' "$packer" pack -q --storage "$work/docker.tar.gz" -o "$work/images.tar"
row '`.tar.zst`' "$packer" pack -q --storage "$work/docker.tar.zst" -o "$work/images.tar"
row 'standard input' bash -c "'$packer' pack -q --storage - -o '$work/images.tar' <'$work/docker.tar'"
row bucket "$packer" pack -q --storage s3://images -o "$work/images.tar"

cat <<TABLE

| packing from | wall s | to tar and openssl | CPU s | to tar and openssl | memory MB |
|---|--:|--:|--:|--:|--:|
$rows
TABLE
