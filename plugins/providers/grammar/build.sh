#!/bin/sh
# Builds the grammar recogniser's plugin folder: build.sh OUT_DIR CACHE_DIR
# Needs clang-14, lld-14, wasi-libc, libclang-rt-14-dev-wasm32 and python3-pip (installed with apt when root).
set -eu
cd "$(dirname "$0")/pack"
exec cargo run --quiet --locked --bin grammar-pack -- build "$1" "$2"
