#!/usr/bin/env bash
# Makes sure that this machine can build devnet, and can run its Docker tests.
#
#   scripts/setup.sh build  what `make demo` needs: Rust, C, C++, cmake, libclang, git, curl, python
#   scripts/setup.sh ui     what `make ui` needs: Node and npm
#   scripts/setup.sh test   all of the above, and the test bed: dockerd, a registry, mmdebstrap, nft, ...
#
# It runs before the first crate compiles, so that a missing tool is named in a second and not
# after ten minutes. What is there already is left alone; nothing is upgraded. Debian and Ubuntu.
set -euo pipefail

readonly MIN_RUST=1.95
readonly MIN_NODE=20.19
# Tools such as nft and dockerd live in sbin, which is not in everybody's PATH.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
# Marks a policy-rc.d that is ours, so that one left by a killed run is recognised and removed.
readonly POLICY=/usr/sbin/policy-rc.d
readonly POLICY_MARK='written by devnet scripts/setup.sh'

missing=() # Debian packages to install
absent=()  # the commands they are for, to name in messages

have() { command -v "$1" >/dev/null 2>&1; }

# need COMMAND PACKAGE: note PACKAGE for installation when COMMAND is not there.
need() {
  have "$1" || { missing+=("$2"); absent+=("$1"); }
}

need_build() {
  need gcc gcc
  need g++ g++
  need make make
  need cmake cmake
  need git git
  need curl curl
  need python3 python3
  # bindgen loads libclang at run time and wants its own headers; the -dev package brings both.
  local lib found=''
  # libclang-cpp.so, which LLVM's own packages bring, is another library and will not do.
  local dir libs=()
  for dir in /usr/lib/llvm-*/lib /usr/lib/*-linux-* /usr/lib64 /usr/local/lib; do
    libs+=("$dir"/libclang.so* "$dir"/libclang-[0-9]*.so*)
  done
  for lib in "${libs[@]}" "${LIBCLANG_PATH:-}"; do [ -e "$lib" ] && found=1; done
  [ -n "$found" ] || { missing+=(libclang-dev); absent+=(libclang.so); }
  # A C compiler without the C library's headers is what `gcc` alone gives on a slim image.
  [ -e /usr/include/stdio.h ] || { missing+=(libc6-dev); absent+=(stdio.h); }
}

# What builds the web UI. DEVNET_UI=0 leaves it out.
need_ui() {
  [ "${DEVNET_UI:-1}" != 0 ] || return 0
  need node nodejs
  need npm npm
}

need_test() {
  # The docker command is a client only; the hosts of the bed need the daemon.
  need dockerd docker.io
  need containerd containerd
  need runc runc
  need docker docker.io
  need docker-registry docker-registry
  need podman podman
  # What Podman's packages only recommend: networks with names, and an init for containers.
  [ -e /usr/lib/podman/netavark ] || { missing+=(netavark aardvark-dns); absent+=(netavark); }
  need catatonit catatonit
  need mmdebstrap mmdebstrap
  [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] ||
    { missing+=(debian-archive-keyring); absent+=(debian-archive-keyring.gpg); }
  need nft nftables
  need iptables iptables
  need ip iproute2
  need unshare util-linux
  need setpriv util-linux
  need mount mount
  need psql postgresql-client
  need openssl openssl
  need pgrep procps
  need hostname hostname
  # The web UI is tested in a real browser.
  [ "${DEVNET_UI:-1}" = 0 ] || need chromium chromium
  # One test gives an agent another clock.
  local clock found=''
  for clock in /usr/lib/faketime /usr/lib/*/faketime; do
    [ -e "$clock/libfaketimeMT.so.1" ] && found=1
  done
  [ -n "$found" ] || { missing+=(libfaketime); absent+=(libfaketime); }
}

check_node() {
  [ "${DEVNET_UI:-1}" != 0 ] || return 0
  local version
  version=$(node --version 2>/dev/null || true)
  version=${version#v}
  if [ "$(printf '%s\n' "$MIN_NODE" "${version:-0}" | sort -V | head -n1)" != "$MIN_NODE" ]; then
    echo "error: node is ${version:-not installed}; the web UI is built with Node $MIN_NODE or newer." >&2
    echo "  Install one (https://nodejs.org), or leave the UI out: DEVNET_UI=0" >&2
    return 1
  fi
}

check_rust() {
  if ! have cargo || ! have rustc; then
    cat >&2 <<MESSAGE
error: Rust is not installed. devnet needs Rust $MIN_RUST or newer, which Debian does not ship.
  Install it with rustup (https://rustup.rs), open a new shell and run this again:
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh
MESSAGE
    return 1
  fi
  local version
  version=$(rustc --version | cut -d' ' -f2)
  if [ "$(printf '%s\n' "$MIN_RUST" "$version" | sort -V | head -n1)" != "$MIN_RUST" ]; then
    echo "error: rustc is $version; devnet needs $MIN_RUST or newer. Run: rustup update stable" >&2
    return 1
  fi
}

# A Rust of the minimal profile has neither, and `make test` begins with both.
check_rust_tools() {
  local tool
  for tool in fmt clippy; do
    cargo "$tool" --version >/dev/null 2>&1 || {
      echo "error: cargo $tool is missing. Run: rustup component add rustfmt clippy" >&2
      return 1
    }
  done
}

# A daemon that a package starts by itself would be a surprise (docker-registry opens a port);
# the bed starts its own. Debian's way to say so is a policy-rc.d that answers 101.
deny_service_starts() {
  [ ! -e "$POLICY" ] || return 0
  printf '#!/bin/sh\n# %s\nexit 101\n' "$POLICY_MARK" | "${AS_ROOT[@]}" tee "$POLICY" >/dev/null
  "${AS_ROOT[@]}" chmod 755 "$POLICY"
}

allow_service_starts() {
  if grep -qsF "$POLICY_MARK" "$POLICY"; then "${AS_ROOT[@]}" rm -f "$POLICY"; fi
}

# say_how WHY: when we may not install, the person at the keyboard must be able to.
say_how() {
  echo "error: ${absent[*]} not found, and $1." >&2
  echo "  Install these as root, then run this again:" >&2
  echo "    apt-get update && apt-get install --no-install-recommends -y ${missing[*]}" >&2
  exit 1
}

install_missing() {
  [ ${#missing[@]} -gt 0 ] || return 0
  local unique
  mapfile -t unique < <(printf '%s\n' "${missing[@]}" | sort -u)
  missing=("${unique[@]}")
  have apt-get || say_how "this is not Debian or Ubuntu (your system's names may differ)"
  AS_ROOT=()
  if [ "$(id -u)" -ne 0 ]; then
    have sudo || say_how "you are not root and there is no sudo"
    AS_ROOT=(sudo)
  fi
  echo "setup: installing ${missing[*]} (for ${absent[*]})" >&2
  trap allow_service_starts EXIT
  deny_service_starts
  # DPkg::Lock::Timeout: on a fresh machine unattended-upgrades often holds the lock.
  local apt=("${AS_ROOT[@]}" env DEBIAN_FRONTEND=noninteractive
    apt-get -q -o DPkg::Lock::Timeout=300)
  # One broken third-party source must not stop us; whether the packages are there shows below.
  "${apt[@]}" update >&2 || echo "setup: apt-get update had errors, going on" >&2
  # Since Debian 13 the docker command is a package of its own. Known only after the update.
  case " ${absent[*]} " in
    *' docker '*) ! apt-cache show docker-cli >/dev/null 2>&1 || missing+=(docker-cli) ;;
  esac
  "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >&2 ||
    say_how "apt-get install failed"
}

install_nextest() {
  have cargo-nextest && return 0
  echo "setup: installing cargo-nextest (a few minutes, once)" >&2
  cargo install --locked cargo-nextest >&2 && return 0
  echo "error: cargo install --locked cargo-nextest failed; see above." >&2
  echo "  A ready binary will do too: https://nexte.st/docs/installation/pre-built-binaries/" >&2
  return 1
}

main() {
  case ${1:-} in
    build) need_build ;;
    ui) need_ui; install_missing; check_node; return ;;
    test) need_build; need_ui; need_test ;;
    *) echo "usage: scripts/setup.sh build|ui|test" >&2; exit 2 ;;
  esac
  # Rust first: it is the one thing that this script cannot put right, so say so before any work.
  check_rust || exit 1
  [ "$1" != test ] || check_rust_tools || exit 1
  install_missing
  [ "$1" != test ] || install_nextest
}

AS_ROOT=()
[ ! -e "$POLICY" ] || [ "$(id -u)" -ne 0 ] || allow_service_starts
main "$@"
