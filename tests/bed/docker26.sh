#!/usr/bin/env bash
# Fetches Docker 26 from the packages of a newer Debian suite, once, beside the Docker of this machine:
# nothing is installed. A bed with BED_ENGINE=docker26 runs it.
#
#   tests/bed/docker26.sh         fetch it unless it is there; prints the directory of its programs
#   tests/bed/docker26.sh path    print that directory, or fail when it has not been fetched
#
# It comes from where apt of this machine is told to fetch packages, with the suite's name replaced;
# BED_MIRROR names another Debian mirror. apt checks the signatures, with lists and a cache of its own.
# The programs are kept in $DEVNET_CACHE/bed/docker26-KEY, KEY being a digest of this script.
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/ground.sh"

readonly SUITE=trixie
# runc is left out: that suite's needs a newer C library. The machine's own does.
readonly PACKAGES=(docker.io docker-cli containerd)
readonly KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
# The one release of Docker that a bed with this name promises.
readonly RELEASE=26

key() { { cat "$BED_SRC/docker26.sh"; dpkg --print-architecture; } | sha256sum | cut -c1-16; }

# site: where apt fetches the packages of this machine's own Debian suite from.
site() {
  local own
  if [ -n "${BED_MIRROR:-}" ]; then echo "$BED_MIRROR/debian"; return; fi
  own=$(sed -n 's/^VERSION_CODENAME="\{0,1\}\([a-z]*\).*/\1/p' /etc/os-release)
  # shellcheck disable=SC2016 # the names in $() are apt's
  apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(SITE)' 'Created-By: Packages' |
    awk -v own="$own" '$1 == own && $2 == "main" { print $3; exit }'
}

# fetch TMP: unpacks the packages below TMP/root.
fetch() {
  local tmp=$1 site apt name
  site=$(site)
  [ -n "$site" ] || die "apt of this machine has no Debian source to take $SUITE from; set BED_MIRROR"
  mkdir -p "$tmp"/{etc/parts,lists/partial,cache/archives/partial,debs,root}
  echo "deb [signed-by=$KEYRING target=Packages] $site $SUITE main" >"$tmp/etc/sources.list"
  apt=(apt-get -q -o "Dir::Etc::sourcelist=$tmp/etc/sources.list" -o "Dir::Etc::sourceparts=$tmp/etc/parts"
    -o "Dir::State::lists=$tmp/lists" -o "Dir::Cache=$tmp/cache" -o APT::Sandbox::User=root
    -o Acquire::Languages=none -o Acquire::Retries=3)
  "${apt[@]}" update >&2 || die "the package lists of $SUITE cannot be fetched"
  (cd "$tmp/debs" && "${apt[@]}" download "${PACKAGES[@]}" >&2) ||
    die "${PACKAGES[*]} cannot be fetched from $SUITE"
  for name in "$tmp"/debs/*.deb; do dpkg -x "$name" "$tmp/root"; done
}

# gather TMP: the programs in one directory, tried.
gather() {
  local tmp=$1 bin said
  bin=$tmp/docker26/bin
  mkdir -p "$bin"
  mv "$tmp"/root/usr/bin/* "$tmp"/root/usr/sbin/* "$bin/"
  # It leads to a package that is left out; the machine's own is found behind it in PATH.
  rm -f "$bin/docker-init"
  said=$("$bin/dockerd" --version) || die "the dockerd of $SUITE does not run on this machine"
  [[ $said == "Docker version $RELEASE."* ]] || die "$SUITE has another Docker by now: $said"
  ls "$tmp/debs" >"$tmp/docker26/packages"
}

# make TMP: TMP/docker26. Its programs can be tried by root alone.
make() {
  fetch "$1"
  gather "$1"
}

[ "${1:-}" = path ] || become_root "$@"
keep docker26 "$(key)" make "$@"
echo "$KEPT/bin"
