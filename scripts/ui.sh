#!/usr/bin/env bash
# Builds the web UI into reconciler/ui/dist, which the next build of devnet takes in.
#
# DEVNET_UI=0 leaves it out: devnet is built without its UI, and says so at /. What was built once of
# the same files is taken from the cache, $DEVNET_CACHE/ui-KEY, KEY being a digest of those files and of
# Node's version; so one `npm ci` serves every checkout.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

if [ "${DEVNET_UI:-1}" = 0 ]; then
  echo "ui: left out, as DEVNET_UI=0 says; devnet answers at / how to get it" >&2
  exit 0
fi
if [ ! -f reconciler/ui/package-lock.json ]; then
  echo "ui: there is no reconciler/ui/package-lock.json, so devnet is built without its web UI" >&2
  exit 0
fi
scripts/setup.sh ui
cd reconciler/ui

cache=${DEVNET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/devnet}
# What the build reads; tests and scenarios change nothing of it.
key=$({
  node --version
  find . \( -name node_modules -o -name dist -o -name scenarios -o -name '.*' -a ! -name . -a ! -name .npmrc \) \
    -prune -o -type f -print | LC_ALL=C sort | xargs sha256sum
} | sha256sum | cut -c1-16)
home=$cache/ui-$key

if [ "$(cat dist/.key 2>/dev/null)" = "$key" ]; then exit 0; fi
mkdir -p "$cache"
exec 9>"$cache/ui.lock"
flock 9
if [ ! -d "$home" ]; then
  find "$cache" -mindepth 1 -maxdepth 1 \( -name 'ui.tmp.*' -o -name 'ui-*' -mtime +14 \) -exec rm -rf {} +
  npm ci --no-audit --no-fund >&2
  npm run build >&2
  echo "$key" >dist/.key
  tmp=$(mktemp -d "$cache/ui.tmp.XXXXXX")
  trap 'rm -rf "$tmp"' EXIT
  cp -a dist "$tmp/dist"
  mv -T "$tmp/dist" "$home"
fi
touch "$home"
# Anew and not over the old one: what is no longer built must not stay.
rm -rf dist
cp -a "$home" dist
