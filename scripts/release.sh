#!/usr/bin/env bash
# Builds packer and loader for hosts older than this one into dist/, each as one file whose name tells
# version and target, and SHA256SUMS over them. The same sources and the same Rust give the same bytes,
# whatever the folder.
# usage: scripts/release.sh [TARGET...]      (default: all of them that the installed Rust has)
#   x86_64-unknown-linux-gnu, aarch64-unknown-linux-gnu: for GLIBC 2.17 (CentOS 7, 2014) or newer
#   x86_64-unknown-linux-musl, aarch64-unknown-linux-musl: need no library at all
#   DIST=... is another folder than dist/; PROGRAMS=packer builds that one alone.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install.sh pip3:python3-pip
built=$(realpath -m "${CARGO_TARGET_DIR:-target}")
dist=${DIST:-dist}

# The tools are installed beside what they build, once for each list of them.
tools=$built/release-tools-$(sha256sum <scripts/release-tools.txt | cut -c1-8)
if [ ! -d "$tools" ]; then
    rm -rf "$tools.partial"
    pip3 install --quiet --root-user-action=ignore --disable-pip-version-check --no-deps --require-hashes \
        --target "$tools.partial" --requirement scripts/release-tools.txt
    mv "$tools.partial" "$tools"
fi
export PATH=$tools/bin:$PATH CARGO_ZIGBUILD_ZIG_PATH=$tools/ziglang/zig
export CARGO_ZIGBUILD_CACHE_DIR=$tools/cache ZIG_GLOBAL_CACHE_DIR=$tools/cache/zig

# Panics name the files of their code. Those of this workspace are named as they stand in it; crates stand
# in somebody's home, and so does Rust's own code where it is installed, which elsewhere has this name.
crates=${CARGO_HOME:-$HOME/.cargo}/registry/src
library=$(rustc --print sysroot)/lib/rustlib/src/rust
commit=$(rustc --version --verbose | sed -n 's/^commit-hash: //p')
# The separator lets paths have spaces.
export CARGO_ENCODED_RUSTFLAGS=--remap-path-prefix=$crates=/crates$'\x1f'--remap-path-prefix=$library=/rustc/$commit

installed() { [ -d "$(rustc --print target-libdir --target "$1")" ]; }
targets=("$@")
if [ $# -eq 0 ]; then
    for target in {x86_64,aarch64}-unknown-linux-{gnu,musl}; do
        if installed "$target"; then
            targets+=("$target")
        else
            echo "left out $target: \`rustup target add $target\` makes it buildable" >&2
        fi
    done
fi

version=$(cargo pkgid --locked --package packer)
version=${version##*[#@]}
read -ra programs <<<"${PROGRAMS:-packer loader}"
mkdir -p "$dist"
rm -f "$dist"/{packer,loader}-* "$dist"/SHA256SUMS
for target in "${targets[@]}"; do
    case $target in
    *-gnu) oldest=.2.17 ;;
    *) oldest= ;;
    esac
    # Both packages even for one program: what one asks of a dependency changes the other's bytes.
    cargo zigbuild --release --locked --target "$target$oldest" --target-dir "$built" \
        --package packer --package loader "${programs[@]/#/--bin=}"
    for program in "${programs[@]}"; do
        cp "$built/$target/release/$program" "$dist/$program-$version-$target"
    done
done
cd "$dist"
sha256sum -- *-* | tee SHA256SUMS
