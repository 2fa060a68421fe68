#!/usr/bin/env bash
# `make soak`: what `make test` tries once or a few times, tried often. It needs the same machine as
# the tests on real Docker hosts, and about an hour.
#
#   SOAK=50 make soak               each 50 times, and not as often as it says itself
#   SOAK_ONLY=logs make soak        only tests whose name holds this word
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

scripts/setup.sh test
problem=$(tests/bed/bed.sh check 2>&1) || { echo "error: soak needs the test bed: $problem" >&2; exit 1; }
tests/bed/images.sh >/dev/null
cargo build --workspace --lib --bins --tests

# Tests with `soak` in their name ask the harness how often (tests/harness/soak.rs).
export DEVNET_BED=1 DEVNET_SOAK="${SOAK:-full}"
wanted='test(soak)'
[ -z "${SOAK_ONLY:-}" ] || wanted="$wanted & test($SOAK_ONLY)"
cargo nextest run --workspace --no-fail-fast --profile soak -E "$wanted"
