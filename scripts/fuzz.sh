#!/usr/bin/env bash
# Runs every fuzz target for FUZZ_SECONDS (600), or those that are named as arguments. What is found
# lies in tests/fuzz/artifacts; inputs that reach new code are kept in target/fuzz, and those of the
# repository in tests/fuzz/corpus are only read.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo "fuzzing needs the nightly compiler and cargo-fuzz:" >&2
    echo "  rustup toolchain install nightly && cargo install cargo-fuzz" >&2
    exit 1
fi

targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(kdl yaml compose template)
out="${FUZZ_OUT:-$PWD/target/fuzz}"
cargo +nightly fuzz build --fuzz-dir tests/fuzz --sanitizer none
# 2 MiB, the stack of a worker thread of the control plane.
ulimit -s 2048
for target in "${targets[@]}"; do
    mkdir -p "$out/$target"
    cargo +nightly fuzz run --fuzz-dir tests/fuzz --sanitizer none "$target" \
        "$out/$target" "tests/fuzz/corpus/$target" -- \
        -max_total_time="${FUZZ_SECONDS:-600}" -rss_limit_mb=256 -timeout=1 -max_len=32768 \
        -print_final_stats=1 2>&1 | tee "$out/$target.log" | grep -Ev '^#[0-9]+[[:space:]]+(REDUCE|NEW)'
done
