#!/usr/bin/env bash
# The compiler for `cargo xtask test`, between cargo and rustc for the crates of the workspace: those of the product
# are compiled with counters for their lines. Build scripts and macros run while compiling and are left alone.
# Bash, because other shells drop variables such as CARGO_BIN_EXE_a-b, whose names they could not write themselves.
# The dependencies do not pass here, so that they are the same ones every other build uses.
case " $TRUNKLINE_COUNTED " in
*" $CARGO_PKG_NAME "*) ;;
*) exec "$@" ;;
esac
case " $* " in
*" build_script_build "* | *" proc-macro "*) exec "$@" ;;
esac
exec "$@" -C instrument-coverage
