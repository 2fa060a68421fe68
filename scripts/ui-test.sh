#!/usr/bin/env bash
# The web UI's own checks (types, style, unit tests, sizes), then every scenario in a real browser
# against a control plane and agents that the scenarios start: the programs that were just built.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

if [ "${DEVNET_UI:-1}" = 0 ] || [ ! -f reconciler/ui/package-lock.json ]; then
  printf '\n%s\n' "SKIPPING the web UI's tests: it was not built" >&2
  exit 0
fi
bin=${CARGO_TARGET_DIR:-$PWD/target}/debug
export DEVNET_BIN=$bin/devnet DEVNET_AGENT_BIN=$bin/devnet-agent
cd reconciler/ui
# What was built comes from the cache; its tools may not be here.
if [ ! -d node_modules ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --no-audit --no-fund >&2
fi
npm run check
npm run scenarios
