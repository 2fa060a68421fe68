#!/usr/bin/env bash
# `make test`: every check of the project, in the order in which they fail fastest.
#
# DEVNET_BED=require makes a machine that cannot run the Docker tests an error (.ci/run does so).
# Without it they are skipped there, and the reason stands in the output.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

scripts/setup.sh test

want=${DEVNET_BED:-}
unset DEVNET_BED
log=$(mktemp)
log26=$(mktemp)
images='' docker26=''
stop() { [ -z "$1" ] || kill "$1" 2>/dev/null || true; }
trap 'rm -f "$log" "$log26"; stop "$images"; stop "$docker26"' EXIT

if problem=$(tests/bed/bed.sh check 2>&1); then
  # Beside the compiler, since most of it is waiting for the network.
  tests/bed/images.sh >"$log" 2>&1 &
  images=$!
  tests/bed/docker26.sh >"$log26" 2>&1 &
  docker26=$!
elif [ "$want" = require ]; then
  echo "error: the tests on real Docker hosts are required and cannot run here: $problem" >&2
  exit 1
else
  printf '\n%s\n' "SKIPPING the tests on real Docker hosts: $problem" >&2
fi

# What devnet makes of Compose files is compared with the real program, wherever it can be had. What it
# said is on record, and compared everywhere.
if compose=$(tests/bed/compose.sh 2>&1); then
  export DEVNET_COMPOSE=${compose##*$'\n'}
else
  printf '\n%s\n%s\n' "SKIPPING the comparison with the real docker compose, not with its records: it cannot be had:" \
    "$compose" >&2
fi

# Before the first build of devnet, which takes it in.
scripts/ui.sh

cargo fmt --check
cargo clippy --workspace --all-targets -- -D warnings
# The end-to-end tests start the binaries. Built together with the tests, so that every dependency
# is compiled with one set of features and not twice.
cargo build --workspace --lib --bins --tests

if [ -n "$images" ]; then
  if ! wait "$images"; then
    cat "$log" >&2
    echo "error: building the test bed's images failed" >&2
    exit 1
  fi
  images=''
  if ! wait "$docker26"; then
    cat "$log26" >&2
    if [ "$want" = require ]; then
      echo "error: the tests on Docker 26 are required, and it cannot be fetched, see above" >&2
      exit 1
    fi
    printf '\n%s\n' "SKIPPING the tests on Docker 26: it cannot be fetched, see above" >&2
  fi
  docker26=''
  export DEVNET_BED=1
fi
cargo nextest run --workspace
scripts/ui-test.sh

# A build of the whole workspace gives every crate all features, so it cannot show what builds without
# them: everything without HiGHS, the agent without the language, each crate of the left side by itself.
# Checking compiles no code, and is kept.
cargo check --quiet --workspace --no-default-features
for alone in schema catalog planner agent; do
  cargo check --quiet --package "devnet-$alone" --no-default-features
done

# Every link of the documentation in the code leads somewhere.
RUSTDOCFLAGS='-D warnings' cargo doc --quiet --workspace --no-deps --document-private-items

# Licences, sources and versions of what is built in are tests (tests/dependencies.rs). Known weaknesses
# are in a database on the network, which few machines that build have.
if cargo deny --version >/dev/null 2>&1 && cargo deny fetch db >/dev/null 2>&1; then
  cargo deny check advisories
else
  printf '\n%s\n' "SKIPPING the known weaknesses of dependencies: no cargo-deny, or no way to its database" >&2
  printf '%s\n' "  cargo install --locked cargo-deny, and a network that lets it fetch, run this check" >&2
fi
