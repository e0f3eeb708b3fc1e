#!/usr/bin/env bash
# Makes moto, an S3 server for the tests, below target/ if it is not there yet, and prints its path.
# usage: scripts/moto.sh
set -euo pipefail
cd "$(dirname "$0")/.."

# Without what moto's own extra `server` brings in for services other than S3: half the size.
packages=('moto[s3]==5.2.5' flask==3.1.3 flask-cors==6.0.5)
folder=$(realpath -m "${CARGO_TARGET_DIR:-target}")/moto
mkdir -p "$folder"
# Tests that start at once wait for the first.
exec 9>"$folder/lock"
flock 9
if [ "$(cat "$folder/packages" 2>/dev/null)" != "${packages[*]}" ]; then
    # Debian has the module apart.
    python3 -c 'import ensurepip' 2>/dev/null || scripts/install.sh pyvenv:python3-venv
    python3 -m venv --clear "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}" >&2
    echo "${packages[*]}" >"$folder/packages"
fi
echo "$folder/venv/bin/moto_server"
