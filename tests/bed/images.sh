#!/usr/bin/env bash
# Makes the images of the test bed from Debian packages, once, and keeps them as a registry's store.
#
#   tests/bed/images.sh         build the store unless it is there; prints where it is
#   tests/bed/images.sh path    print where it is, or fail when it has not been built
#
# The store is $DEVNET_CACHE/bed/images-KEY, KEY being a digest of everything in images/ and of this
# script, so a changed Dockerfile makes a new store and an unchanged one costs a few milliseconds.
# A store appears under its name only when it is whole: a killed build leaves nothing to trust.
# BED_MIRROR names another Debian mirror than deb.debian.org.
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/ground.sh"

readonly CACHE=$DEVNET_CACHE/bed
readonly MIRROR=${BED_MIRROR:-http://deb.debian.org}
readonly SUITE=bookworm
readonly KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
readonly CGROUP=devnet-bed-images
# What each folder of images/ is called in the registry. The second tag of an image is the same
# image again, as on the public registry, so a changed tag can be tested without a second build.
declare -Ar TAGS=([postgres]="15" [redis]="7 7.0" [nginx]="1.22 1.22.1")

# Names, modes and contents, so that a lost executable bit counts as a change too.
store_key() {
  cd "$BED_SRC"
  { find images -type f -printf '%m %p\n' | sort
    find images -type f -print0 | sort -z | xargs -0 cat images.sh
    dpkg --print-architecture; } | sha256sum | cut -c1-16
}

# make_base FILE: a Debian root file system like debian:bookworm-slim. Documentation and
# translations are left out, here and in every package installed on top.
make_base() {
  local security=$MIRROR/debian-security merged=/usr/share/mmdebstrap/hooks/merged-usr hooks=()
  # Without this hook the usrmerge package comes in, and with it 45 MB of perl in every image.
  [ ! -d "$merged" ] || hooks+=("--hook-dir=$merged")
  # shellcheck disable=SC2016 # $1 is mmdebstrap's: the root being made
  mmdebstrap --quiet --mode=root --variant=apt --format=tar --keyring="$KEYRING" "${hooks[@]}" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook='printf "#!/bin/sh\nexit 101\n" >"$1/usr/sbin/policy-rc.d"' \
    --customize-hook='chmod 755 "$1/usr/sbin/policy-rc.d"' \
    --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin' \
    "$SUITE" "$1" "deb $MIRROR/debian $SUITE main" "deb $security $SUITE-security main"
}

# private_system TMP: hides what dockerd would otherwise share with the machine, and gives it the
# machine's network without letting it change that: builds fetch packages through it.
private_system() {
  cp -L /etc/resolv.conf "$1/resolv.conf" 2>/dev/null || : >"$1/resolv.conf"
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir -p /run/lock /etc/docker
  mask_file "$1/resolv.conf" /etc/resolv.conf
  mount -t tmpfs tmpfs /etc/docker
  # Layers are written once and thrown away, so they stay in memory.
  mkdir -p "$1/data"
  mount -t tmpfs -o size=6g tmpfs "$1/data"
}

# await WHAT COMMAND...: until the command succeeds, for at most thirty seconds.
await() {
  local deadline=$((SECONDS + 30)) what=$1
  until "${@:2}" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || die "$what did not come up within 30 s"
    sleep 0.05
  done
}

start_engine() {
  dockerd --data-root "$1/data" -H unix:///run/docker.sock --storage-driver overlay2 \
    --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$CGROUP" --log-level warn \
    --bridge=none --iptables=false --ip-forward=false --ip-masq=false >"$1/dockerd.log" 2>&1 &
  await dockerd "$DOCKER" version
}

# start_registry TMP: on a port that the kernel chooses, which it tells in its log.
start_registry() {
  cat >"$1/registry.yml" <<YAML
version: 0.1
log: {level: info, formatter: text, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $1/store}, redirect: {disable: true}}
http: {addr: "127.0.0.1:0", secret: only-for-this-build}
YAML
  docker-registry serve "$1/registry.yml" >"$1/registry.log" 2>&1 &
  await docker-registry grep -q 'listening on 127' "$1/registry.log"
  REGISTRY=$(sed -n 's/.*listening on \(127\.0\.0\.1:[0-9]*\).*/\1/p' "$1/registry.log" | head -n1)
}

# build_image NAME: the classic builder, because buildx is a package of its own.
build_image() {
  local name=$1 tag proxy args=()
  for proxy in http_proxy https_proxy no_proxy; do
    [ -z "${!proxy:-}" ] || args+=(--build-arg "$proxy=${!proxy}")
  done
  tag=${TAGS[$name]%% *}
  DOCKER_BUILDKIT=0 "$DOCKER" build -q --network host "${args[@]}" -t "$name:$tag" \
    "$BED_SRC/images/$name"
  for tag in ${TAGS[$name]}; do
    "$DOCKER" tag "$name:${TAGS[$name]%% *}" "$REGISTRY/library/$name:$tag"
    "$DOCKER" push -q "$REGISTRY/library/$name:$tag"
  done
}

# The part that runs in namespaces of its own: when its first process ends, or is killed, every
# daemon, build container and mount is gone with it.
build_inside() {
  local tmp=$1 base=$2 name pids=() failed=''
  private_system "$tmp"
  if [ ! -e "$base" ]; then
    echo "images: making the base file system (a minute or two, once)" >&2
    TMPDIR=$tmp/data make_base "$tmp/base.tar"
    mv "$tmp/base.tar" "$base"
  fi
  start_engine "$tmp"
  start_registry "$tmp"
  "$DOCKER" import "$base" "debian:$SUITE-slim" >/dev/null
  # At the same time, since each spends half of its time on the network.
  for name in "${!TAGS[@]}"; do
    build_image "$name" >"$tmp/$name.log" 2>&1 &
    pids+=("$name:$!")
  done
  for name in "${pids[@]}"; do
    wait "${name#*:}" || { failed=1; sed "s/^/${name%:*}: /" "$tmp/${name%:*}.log" >&2; }
  done
  if [ -n "$failed" ]; then
    tail -n 20 "$tmp/dockerd.log" >&2
    die "building the images failed, see above"
  fi
  "$DOCKER" images >&2
}

# forget_old: stores and bases that no run has used for two weeks, and what killed builds left.
forget_old() {
  find "$CACHE" -mindepth 1 -maxdepth 1 -name 'tmp.*' -exec rm -rf {} +
  find "$CACHE" -mindepth 1 -maxdepth 1 \( -name 'images-*' -o -name 'base-*' \) -mtime +14 \
    -exec rm -rf {} +
}

# build STORE: under a lock, so that two test runs started at once build once.
build() {
  local store=$1 base program
  become_root "${ARGV[@]}"
  for program in dockerd docker-registry mmdebstrap mount unshare setpriv; do
    command -v "$program" >/dev/null || die "$program is missing: run scripts/setup.sh test"
  done
  mkdir -p "$CACHE"
  exec 9>"$CACHE/lock"
  flock 9
  [ ! -d "$store" ] || return 0
  forget_old
  base=$CACHE/base-$({ declare -f make_base; echo "$SUITE $MIRROR"; } | sha256sum | cut -c1-16).tar
  tmp=$(mktemp -d "$CACHE/tmp.XXXXXX") # not local: the trap needs it
  trap 'rm -rf "$tmp"' EXIT
  # pdeathsig: a killed script takes its builder along. 9>&-: and the lock is free at that moment.
  setpriv --pdeathsig KILL unshare --mount --pid --ipc --fork --kill-child --mount-proc \
    bash "$0" _build "$tmp" "$base" 9>&- || die "the image build failed"
  remove_cgroups "$CGROUP" || true
  touch "$base"
  sync -f "$tmp/store"
  mv -T "$tmp/store" "$store"
  give_back "$DEVNET_CACHE"
}

readonly -a ARGV=("$@")
case ${1:-} in
  _build)
    DOCKER=$(docker_client)
    export DOCKER_HOST=unix:///run/docker.sock DOCKER_CONFIG=$2/config
    build_inside "$2" "$3"
    ;;
  path)
    store=$CACHE/images-$(store_key)
    [ -d "$store" ] || die "the images are not built yet: run tests/bed/images.sh"
    echo "$store"
    ;;
  '')
    store=$CACHE/images-$(store_key)
    [ -d "$store" ] || build "$store"
    # Used today: forget_old leaves it alone.
    touch "$store" 2>/dev/null || true
    echo "$store"
    ;;
  *) die "usage: tests/bed/images.sh [path]" ;;
esac
