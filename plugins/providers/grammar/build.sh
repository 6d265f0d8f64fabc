#!/bin/sh
# Builds the grammar recogniser's plugin folder: build.sh OUT_DIR CACHE_DIR
# Needs clang-14, lld-14, wasi-libc, libclang-rt-14-dev-wasm32 and python3-pip (installed with apt when root).
set -eu
cd "$(dirname "$0")/pack"
# The step is a program of this machine: a compiler chosen for wasm guests is not for it.
unset RUSTC RUSTFLAGS
exec cargo run --quiet --locked --bin grammar-pack -- "$1" "$2"
