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

# Runs one target for so many seconds, or on the inputs alone that are named.
run() {
    local target="$1"
    shift
    cargo +nightly fuzz run --fuzz-dir tests/fuzz --sanitizer none "$target" "$@" \
        -rss_limit_mb=256 -timeout=1 -max_len=32768 -print_final_stats=1
}

# The clock that a target is held to is the one on the wall: on a busy machine it strikes for
# inputs that take milliseconds. One that is quick when it runs alone is no finding.
false_alarm() {
    local target="$1" input
    input="$(ls -t "tests/fuzz/artifacts/$target"/timeout-* 2>/dev/null | head -n 1)"
    [ -n "$input" ] && run "$target" "$input" -- >/dev/null 2>&1 || return 1
    echo "$target: the machine was busy; $(basename "$input") is quick when it runs alone"
    rm "$input"
}

for target in "${targets[@]}"; do
    mkdir -p "$out/$target"
    end=$((SECONDS + ${FUZZ_SECONDS:-600}))
    while [ $SECONDS -lt $end ]; do
        if run "$target" "$out/$target" "tests/fuzz/corpus/$target" -- \
            -max_total_time=$((end - SECONDS)) >"$out/$target.log" 2>&1; then
            grep -E '^(Done|stat::)' "$out/$target.log" | sed "s/^/$target: /"
        elif ! false_alarm "$target"; then
            grep -Ev '^#[0-9]+[[:space:]]+(REDUCE|NEW)' "$out/$target.log" >&2
            exit 1
        fi
    done
done
