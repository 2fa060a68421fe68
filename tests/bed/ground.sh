# shellcheck shell=bash
# What every script of the test bed stands on: where the cache is, how to become root, how to fail.
# It is sourced, never run, and it changes nothing on the machine.
set -euo pipefail

# Used by the scripts that source this file.
# shellcheck disable=SC2034
BED_SRC=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
# Fixed before sudo, which may change HOME, so that root and the user mean the same cache.
export DEVNET_CACHE="${DEVNET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/devnet}"

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# keep NAME KEY MAKE [path]: sets KEPT to the directory $DEVNET_CACHE/bed/NAME-KEY, which `MAKE TMP` has made
# as TMP/NAME, once. It appears under its name only when it is whole. Each NAME has a lock of its own, so
# that several are made at the same time, and what was not used for two weeks is forgotten. With `path`,
# nothing is made: it fails where there is none yet.
keep() {
  local name=$1 make=$3 cache=$DEVNET_CACHE/bed home=$DEVNET_CACHE/bed/$1-$2
  case ${4:-} in
    path) [ -d "$home" ] || die "there is none yet: run tests/bed/${0##*/}" ;;
    '') [ -d "$home" ] || make_kept "$name" "$cache" "$home" "$make" ;;
    *) die "usage: tests/bed/${0##*/} [path]" ;;
  esac
  # Used today: it is not forgotten.
  touch "$home" 2>/dev/null || true
  # Not printed: in a command substitution, bash would go on after an error of MAKE.
  # shellcheck disable=SC2034
  KEPT=$home
}

# make_kept NAME CACHE HOME MAKE: what `keep` does when there is none yet, in a shell of its own, which
# holds the lock and removes what it did not finish.
make_kept() (
  local name=$1 cache=$2 home=$3 make=$4
  mkdir -p "$cache"
  exec 9>"$cache/$name.lock"
  flock 9
  [ ! -d "$home" ] || return 0
  find "$cache" -mindepth 1 -maxdepth 1 -name "$name.tmp.*" -exec rm -rf {} +
  find "$cache" -mindepth 1 -maxdepth 1 -name "$name-*" -mtime +14 -exec rm -rf {} +
  tmp=$(mktemp -d "$cache/$name.tmp.XXXXXX") # not local: the trap needs it
  trap 'rm -rf "$tmp"' EXIT
  "$make" "$tmp"
  mv -T "$tmp/$name" "$home"
  give_back "$DEVNET_CACHE"
)

# become_root "$@": namespaces, mounts and dockerd need root. Starts again as root where sudo is.
become_root() {
  [ "$(id -u)" -ne 0 ] || return 0
  command -v sudo >/dev/null || die "needs root: run it as root, or install sudo"
  exec sudo --preserve-env=DEVNET_CACHE,BED_DIR,BED_NET,BED_LEASE,BED_ENGINE,BED_MIRROR,PATH -- "$0" "$@"
}

# give_back PATH...: files made under sudo belong to the person who called it.
give_back() {
  [ -z "${SUDO_UID:-}" ] || chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$@"
}

# docker_client: the docker command that came with the daemon. Another one in PATH may be too new:
# since 29 the client refuses an engine as old as Debian 12's.
docker_client() {
  local daemon
  daemon=$(command -v dockerd) || die "dockerd is missing: run scripts/setup.sh test"
  if [ -x "${daemon%/*}/docker" ]; then echo "${daemon%/*}/docker"; return; fi
  if [ -x /usr/bin/docker ]; then echo /usr/bin/docker; return; fi
  command -v docker || die "the docker command is missing: run scripts/setup.sh test"
}

# remove_cgroups NAME: the empty cgroups that containers left, in every v1 hierarchy or in v2.
# A cgroup stays busy for a moment after its last process died, so it tries for two seconds.
remove_cgroups() {
  local dirs dir attempt
  for attempt in $(seq 100); do
    dirs=()
    for dir in "/sys/fs/cgroup/$1" /sys/fs/cgroup/*/"$1"; do
      [ ! -d "$dir" ] || dirs+=("$dir")
    done
    [ ${#dirs[@]} -gt 0 ] || return 0
    find "${dirs[@]}" -depth -type d -exec rmdir {} + 2>/dev/null || true
    [ "$attempt" -eq 1 ] || sleep 0.02
  done
  echo "${0##*/}: cgroups are still in use: ${dirs[*]}" >&2
  return 1
}

# thaw: lets the processes whose numbers are read go on that a paused container has frozen. In cgroup
# v1 a frozen process does not even die, and a bed that waits for its end would wait for ever.
thaw() {
  local pid group
  while read -r pid; do
    group=$(sed -n 's/^[0-9]*:freezer://p' "/proc/$pid/cgroup" 2>/dev/null) || continue
    group=/sys/fs/cgroup/freezer$group/freezer.state
    [ "$(cat "$group" 2>/dev/null)" != FROZEN ] || echo THAWED >"$group"
  done
}

# mask_file FROM TO: FROM's content at TO, in this mount namespace alone. TO may be a symbolic link
# into /run (systemd-resolved's resolv.conf is), where a fresh tmpfs has nothing yet.
mask_file() {
  local target
  target=$(readlink -m "$2")
  mkdir -p "$(dirname "$target")"
  [ -e "$target" ] || : >"$target"
  mount --bind "$1" "$target"
}
