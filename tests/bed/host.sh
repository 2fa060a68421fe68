#!/usr/bin/env bash
# The inside of the test bed: what runs in its namespaces. bed.sh calls it; people do not.
#
#   host.sh fabric       PID 1 of the bed: the bridge, and the registry that stands in for docker.io
#   host.sh plug I       connect host I to the bridge, then start it
#   host.sh init I       PID 1 of host I: what is private to a machine, and its container engine
#   host.sh crash I      power cut: kill PID 1 of host I, and with it everything that runs there
#
# Everything hangs on the PID namespace of `fabric`: when that process dies, so do all hosts,
# daemons and containers, and every mount and network device goes with their namespaces.
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/ground.sh"
: "${BED_DIR:?set by bed.sh}" "${BED_NET:?set by bed.sh}" "${BED_CGROUP:?set by bed.sh}"
readonly SELF=$BED_SRC/host.sh

# Both the bridge and the hosts have fixed hardware addresses. With fresh ones, a rebooted host
# would be unreachable for about a minute, until its peers' ARP entries have gone stale.
mac() { printf '02:de:76:00:00:%02x' "$1"; }

host_dir() { echo "$BED_DIR/n$1"; }

# sleep_forever as PID 1: bash reaps what is orphaned to it.
sleep_forever() {
  while :; do
    sleep infinity &
    wait $! || true
  done
}

fabric() {
  mount -t tmpfs -o mode=755 tmpfs /run
  # The hosts' disks, in memory: ten times as fast to make and to throw away. They live as long as
  # the bed, so a host that crashed finds its disk again; nothing of them is seen from outside.
  mkdir -p "$BED_DIR/disk"
  mount -t tmpfs -o mode=755 tmpfs "$BED_DIR/disk"
  ip link set lo up
  ip link add dv0 address "$(mac 1)" type bridge forward_delay 0 stp_state 0
  ip addr add "$BED_NET.1/24" dev dv0
  ip link set dv0 up
  docker-registry serve "$BED_DIR/registry.yml" >"$BED_DIR/registry.log" 2>&1 </dev/null &
  echo up >"$BED_DIR/ready.tmp"
  mv "$BED_DIR/ready.tmp" "$BED_DIR/ready"
  [ -n "${BED_LEASE:-}" ] || sleep_forever
  # The lease is a pipe whose other end the owner of the bed holds. It reads as ended when the owner
  # is gone, however it went, and then the bed goes too.
  while read -r _; do :; done
  kill -9 -1 || true
  wait || true
  remove_cgroups "$BED_CGROUP" || true
}

plug() {
  local i=$1 dir
  dir=$(host_dir "$i")
  # PID 1 is the bed's: the other end of the cable goes to its network namespace. The end of a host
  # that crashed a moment ago may still be there.
  nsenter -t 1 -n -- ip link del "v$i" 2>/dev/null || true
  ip link add eth0 address "$(mac $((10 + i)))" type veth peer name "v$i" netns 1
  nsenter -t 1 -n -- ip link set "v$i" master dv0 up
  ip link set lo up
  ip addr add "$BED_NET.$((10 + i))/24" dev eth0
  ip link set eth0 up
  ip route add default via "$BED_NET.1"
  exec unshare --mount --uts --ipc --pid --fork --kill-child --mount-proc \
    bash "$SELF" init "$i" >>"$dir/host.log" 2>&1 </dev/null
}

# The files that tell one machine from another. Kept on the host's disk: a reboot keeps them.
make_identity() {
  local i=$1 disk=$2
  [ ! -e "$disk/etc/machine-id" ] || return 0
  mkdir -p "$disk/etc/docker"
  printf '127.0.0.1 localhost n%s\n%s.1 registry-1.docker.io auth.docker.io index.docker.io\n' \
    "$i" "$BED_NET" >"$disk/etc/hosts"
  # Nobody answers there, which is said at once; an address without a route would be waited for.
  echo "nameserver $BED_NET.1" >"$disk/etc/resolv.conf"
  od -An -N16 -tx1 /dev/urandom | tr -d ' ' >"$disk/etc/machine-id"
}

# private_sys: /sys of this host's network namespace, so that an agent sees this host's devices. The
# cgroups are mounted below /sys and have to be carried over.
private_sys() {
  mkdir -p /run/cgroup
  mount --rbind /sys/fs/cgroup /run/cgroup
  mount -t sysfs sysfs /sys
  mount --rbind /run/cgroup /sys/fs/cgroup
  umount -R /run/cgroup
  rmdir /run/cgroup
}

# run_dockerd I DISK: becomes the engine of host I. The one authority that this host trusts is the
# bed's, so `docker pull` of an official image goes to the bed's registry as if it were the public
# one. There is no exit from the bed anyhow.
run_dockerd() {
  local dir
  dir=$(host_dir "$1")
  exec dockerd --data-root "$2/docker" --storage-driver overlay2 \
    -H unix:///run/docker.sock -H "unix://$dir/docker.sock" \
    --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$BED_CGROUP/n$1" \
    --bip 172.31.0.1/24 --default-address-pool base=172.30.0.0/16,size=24 --log-level warn
}

# run_podman I DISK: the same with Podman, which has no daemon, behind its Docker-compatible API.
run_podman() {
  local dir
  dir=$(host_dir "$1")
  mkdir -p /run/podman /run/bed-podman "$2/podman"
  ln -s "$dir/docker.sock" /run/podman/podman.sock
  cat >/run/bed-podman/containers.conf <<TOML
[containers]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "limited"
[network]
network_config_dir = "$2/podman/networks"
[engine.runtimes]
limited = ["$BED_SRC/runc-as-limited"]
TOML
  echo 'unqualified-search-registries = ["docker.io"]' >/run/bed-podman/registries.conf
  export CONTAINERS_CONF=/run/bed-podman/containers.conf
  export CONTAINERS_REGISTRIES_CONF=/run/bed-podman/registries.conf
  exec podman --root "$2/podman" --runroot /run/bed-podman/run --cgroup-manager cgroupfs \
    system service --time=0 "unix://$dir/docker.sock"
}

init() {
  local i=$1 disk=$BED_DIR/disk/n$1 dir file engine
  dir=$(host_dir "$i")
  hostname "n$i"
  mkdir -p "$disk/docker"
  make_identity "$i" "$disk"
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir -p /run/lock
  for file in hosts resolv.conf machine-id; do mask_file "$disk/etc/$file" "/etc/$file"; done
  # Docker before 23 keeps the engine's identity in /etc/docker; shared, all hosts would be one.
  mkdir -p /etc/docker
  mount --bind "$disk/etc/docker" /etc/docker
  private_sys
  rm -f "$dir/docker.sock"
  case ${BED_ENGINE:-docker} in
    docker) SSL_CERT_FILE=$BED_DIR/ca.pem run_dockerd "$i" "$disk" >>"$dir/dockerd.log" 2>&1 & ;;
    docker26)
      PATH=$("$BED_SRC/docker26.sh" path):$PATH
      SSL_CERT_FILE=$BED_DIR/ca.pem run_dockerd "$i" "$disk" >>"$dir/dockerd.log" 2>&1 &
      ;;
    podman) SSL_CERT_FILE=$BED_DIR/ca.pem run_podman "$i" "$disk" >>"$dir/dockerd.log" 2>&1 & ;;
    *) die "BED_ENGINE is docker, docker26 or podman, not $BED_ENGINE" ;;
  esac
  engine=$!
  trap 'kill -TERM "$engine" 2>/dev/null; wait "$engine"; exit 0' TERM
  sleep_forever
}

# start I: in the background, and note which process is PID 1 of the host, as the bed numbers it.
start() {
  local i=$1 dir pid child
  dir=$(host_dir "$i")
  mkdir -p "$dir"
  setsid unshare --net bash "$SELF" plug "$i" >"$dir/host.log" 2>&1 </dev/null &
  pid=$!
  # `setsid`, `unshare` and `plug` replace one another; only PID 1 of the host is ever a child that
  # runs `init`.
  until child=$(pgrep -P "$pid" -f "host.sh init $i\$"); do
    [ -d "/proc/$pid" ] || { cat "$dir/host.log" >&2; die "host $i did not start"; }
    sleep 0.01
  done
  echo "$child" >"$dir/pid.tmp"
  mv "$dir/pid.tmp" "$dir/pid"
}

# running I: prints the PID of host I's PID 1, or fails. The command line is checked, because the
# number may by now belong to another process.
running() {
  local pid
  pid=$(cat "$(host_dir "$1")/pid" 2>/dev/null) || return 1
  [ "$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")" = "bash $SELF init $1 " ] || return 1
  echo "$pid"
}

crash() {
  local i=$1 pid
  pid=$(running "$i") || die "host $i is not running"
  kill -9 "$pid"
  while running "$i" >/dev/null; do sleep 0.01; done
  nsenter -t 1 -n -- ip link del "v$i" 2>/dev/null || true
  rm -f "$(host_dir "$i")/docker.sock" "$(host_dir "$i")/pid"
  remove_cgroups "$BED_CGROUP/n$i"
}

# enter I COMMAND...: what bed.sh `in` ends in.
enter() {
  local i=$1 pid
  pid=$(running "$i") || die "host $i is not running"
  export BED_DISK=$BED_DIR/disk/n$i
  # pdeathsig: when the caller is killed, its command in the host is killed too.
  exec nsenter -t "$pid" -n -m -u -i -p -- setpriv --pdeathsig KILL \
    env -C "${BED_CWD:-/}" -- "${@:2}"
}

case ${1:-} in
  fabric | plug | init | crash | start | enter) "$@" ;;
  running) running "$2" >/dev/null ;;
  *) die "is called by bed.sh" ;;
esac
