#!/usr/bin/env bash
# Installs the Debian packages that the demo and the tests need, if they are missing.
# usage: scripts/install.sh [PROGRAM:PACKAGE...]      (more that is needed)
set -euo pipefail

# program:package; gcc builds the TLS library, docker-registry and skopeo are the other side, curl and jq
# ask a Harbor as docs/from-harbor.md does.
needed=(cc:gcc docker-registry:docker-registry skopeo:skopeo openssl:openssl curl:curl jq:jq "$@")
missing=()
for pair in "${needed[@]}"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
fi
echo "installing ${missing[*]}" >&2
"${as_root[@]}" apt-get -qq update
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install --yes --no-install-recommends "${missing[@]}" >&2
