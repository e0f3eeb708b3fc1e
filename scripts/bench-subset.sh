#!/usr/bin/env bash
# Takes some 500 tags out of a registry's storage: as a storage of their own, and as a folder per
# image in skopeo's `dir:` format. All blobs are hard links. Any name and lists of any depth work.
# usage: scripts/bench-subset.sh STORAGE IMAGES_LIST SUBSET FOLDERS
set -euo pipefail

storage=$1/docker/registry/v2 list=$2 subset=$3 folders=$4
every=$((($(wc -l <"$list") + 499) / 500))
rm -rf "$subset" "$folders"
mkdir -p "$subset/docker/registry/v2/repositories" "$folders"
awk -v every="$every" 'NR % every == 0' "$list" >"$subset/images.list"
cp -al "$storage/blobs" "$subset/docker/registry/v2/"

data() { echo "$storage/blobs/sha256/${1:0:2}/$1/data"; }

# Links what a manifest refers to: other manifests of the repository by HEX.manifest.json.
link_references() { # REPOSITORY HEX FOLDER
    local hex
    for hex in $(grep -o 'sha256:[0-9a-f]\{64\}' "$(data "$2")" | cut -d: -f2 | sort -u); do
        if [ -e "$storage/repositories/$1/_manifests/revisions/sha256/$hex/link" ]; then
            ln -f "$(data "$hex")" "$3/$hex.manifest.json"
            link_references "$1" "$hex" "$3"
        elif [ -e "$(data "$hex")" ]; then
            ln -f "$(data "$hex")" "$3/$hex"
        fi
    done
}

while IFS=: read -r repository tag; do
    from=$storage/repositories/$repository/_manifests
    to=$subset/docker/registry/v2/repositories/$repository/_manifests
    mkdir -p "$to/tags" "$to/revisions/sha256" "$folders/$repository:$tag"
    cp -a "$from/tags/$tag" "$to/tags/"
    hex=$(cut -d: -f2 "$from/tags/$tag/current/link")
    cp -a "$from/revisions/sha256/$hex" "$to/revisions/sha256/"
    ln "$(data "$hex")" "$folders/$repository:$tag/manifest.json"
    printf 'Directory Transport Version: 1.1\n' >"$folders/$repository:$tag/version"
    link_references "$repository" "$hex" "$folders/$repository:$tag"
done <"$subset/images.list"
