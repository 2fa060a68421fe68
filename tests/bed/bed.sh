#!/usr/bin/env bash
# N real Docker hosts on one machine, for tests. See README.md beside this file.
#
#   bed.sh up N             a fresh bed with hosts 1..N (N may be 0); replaces what BED_DIR held
#   bed.sh down             end everything; leaves no process, mount, network device or cgroup
#   bed.sh add I            one more host, with an empty disk
#   bed.sh crash I          power cut: kill host I and all that runs on it at once; its disk is kept
#   bed.sh boot I           switch a crashed host on again
#   bed.sh cut I | heal I   pull the network cable of host I, or put it back
#   bed.sh in I COMMAND...  run a command on host I
#   bed.sh fabric COMMAND...   run a command beside the hosts, where a control plane would be
#   bed.sh addr I           address of host I; `addr 0` is the fabric's
#   bed.sh sock I           Docker socket of host I, to be used from outside: docker -H unix://...
#   bed.sh wait I           until dockerd on host I answers
#   bed.sh pids             every process of the bed, as this machine numbers them
#   bed.sh check            can this machine run a bed? says what is missing
#
# BED_DIR (default /tmp/devnet-bed) is the bed's directory and its identity; BED_NET (default
# 10.77.0) the first three numbers of its addresses. Two beds with two directories do not meet.
# BED_ENGINE=podman: hosts run Podman, behind its Docker API, instead of dockerd.
# BED_ENGINE=docker26: hosts run the newer Docker that docker26.sh fetches.
# BED_LEASE=1: the bed ends by itself when the standard input of `up` does.
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/ground.sh"
readonly SELF=$BED_SRC/bed.sh HOST=$BED_SRC/host.sh

export BED_DIR=${BED_DIR:-/tmp/devnet-bed} BED_NET=${BED_NET:-10.77.0} BED_CGROUP
BED_DIR=$(readlink -m "$BED_DIR")
BED_CGROUP=devnet-bed-$(cksum <<<"$BED_DIR" | cut -d' ' -f1)

# command_line PID: of a process, or nothing when there is none.
command_line() { tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" || true; }

# holder: the process that holds the bed. The command line is compared, so a number that was left in
# a file by an earlier boot of the machine, and now is somebody else's, is not taken for the bed.
holder() {
  local pid
  pid=$(cat "$BED_DIR/holder" 2>/dev/null) || return 1
  case $(command_line "$pid") in
    "unshare "*" bash $HOST fabric $BED_DIR ") echo "$pid" ;;
    *) return 1 ;;
  esac
}

# root_pid: PID 1 of the bed.
root_pid() {
  local pid
  pid=$(cat "$BED_DIR/root" 2>/dev/null) || die "no bed is up in $BED_DIR"
  [ "$(command_line "$pid")" = "bash $HOST fabric $BED_DIR " ] || die "no bed is up in $BED_DIR"
  echo "$pid"
}

# inside COMMAND...: in the bed's namespaces. A command that outlives its caller would spoil the
# next test, so it is killed when the caller is.
inside() {
  local root
  root=$(root_pid)
  nsenter -t "$root" -p -m -n -i -- setpriv --pdeathsig KILL "$@"
}

check_index() {
  [[ "${1:-}" =~ ^([1-9][0-9]?|1[0-9][0-9]|200)$ ]] ||
    die "a host is a number from 1 to 200, not '${1:-}'"
}

check_directory() {
  # A longer path than 107 bytes does not fit into a socket's address.
  [ ${#BED_DIR} -le 85 ] || die "BED_DIR is too long for a socket's path: $BED_DIR"
  case $BED_DIR/ in
    /run/* | /proc/* | /sys/* | /dev/*) die "BED_DIR must not be in /run, /proc, /sys or /dev" ;;
  esac
  [ ! -e "$BED_DIR" ] || [ -e "$BED_DIR/.devnet-bed" ] || [ -z "$(ls -A "$BED_DIR")" ] ||
    die "$BED_DIR is not empty and not a bed; choose another BED_DIR"
}

# make_authority: a certificate authority for this bed alone, and the registry's certificate.
make_authority() {
  local key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30)
  (
    cd "$BED_DIR"
    openssl req -x509 "${key[@]}" -subj '/CN=devnet test bed' -keyout ca.key -out ca.pem
    openssl req "${key[@]}" -subj '/CN=registry-1.docker.io' -keyout registry.key -out registry.csr
    printf 'subjectAltName=DNS:registry-1.docker.io,DNS:index.docker.io,IP:%s.1\n' "$BED_NET" >san
    openssl x509 -req -in registry.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
      -extfile san -out registry.pem
    rm -f registry.csr san ca.srl
  ) >"$BED_DIR/openssl.log" 2>&1 || {
    cat "$BED_DIR/openssl.log" >&2
    die "making certificates failed"
  }
  rm -f "$BED_DIR/openssl.log"
}

# configure_registry STORE: read-only, since several beds serve from the same store.
configure_registry() {
  cat >"$BED_DIR/registry.yml" <<YAML
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: "$1"}
  redirect: {disable: true}
  maintenance: {readonly: {enabled: true}, uploadpurging: {enabled: false}}
http:
  addr: "$BED_NET.1:443"
  secret: not-used-by-a-read-only-registry
  tls: {certificate: "$BED_DIR/registry.pem", key: "$BED_DIR/registry.key"}
YAML
}

start_fabric() {
  local input=/dev/null deadline=$((SECONDS + 10)) holder
  [ -z "${BED_LEASE:-}" ] || input=/dev/stdin
  # The holder notes its own number before it makes anything: killed at any point, this script
  # leaves nothing behind that `down` would not find.
  # shellcheck disable=SC2016 # expanded by the inner bash
  setsid bash -c 'echo $$ >"$1/holder"; exec "${@:2}"' - "$BED_DIR" \
    unshare --pid --mount --net --ipc --fork --kill-child --mount-proc \
    bash "$HOST" fabric "$BED_DIR" >"$BED_DIR/fabric.log" 2>&1 <"$input" &
  holder=$!
  until [ -e "$BED_DIR/ready" ]; do
    if [ ! -d "/proc/$holder" ] || [ $SECONDS -ge $deadline ]; then
      cat "$BED_DIR/fabric.log" >&2
      die "the bed did not start"
    fi
    sleep 0.01
  done
  pgrep -P "$holder" >"$BED_DIR/root"
}

up() {
  local n=${1:-} i store starts=()
  case $n in '' | *[!0-9]*) die "usage: bed.sh up N" ;; esac
  [ "$n" -le 200 ] || die "at most 200 hosts"
  check_directory
  [ "${BED_ENGINE:-}" != docker26 ] || "$BED_SRC/docker26.sh" path >/dev/null
  store=$("$BED_SRC/images.sh" path)
  # A store that is in use is not old (images.sh removes old ones).
  touch "$store"
  down
  rm -rf "$BED_DIR"
  # Docker's sockets are in here: whoever may use them is root on this machine.
  mkdir -p "$BED_DIR"
  chmod 700 "$BED_DIR"
  touch "$BED_DIR/.devnet-bed"
  give_back "$BED_DIR"
  make_authority
  configure_registry "$store"
  start_fabric
  for ((i = 1; i <= n; i++)); do
    inside bash "$HOST" start "$i" &
    starts+=($!)
  done
  # By number, since the bed itself is a job of this shell too, and does not end.
  for i in "${starts[@]}"; do wait "$i"; done
  for ((i = 1; i <= n; i++)); do wait_for "$i"; done
}

down() {
  local pid root
  if pid=$(holder); then
    root=$(pgrep -P "$pid" || true)
    pids | thaw
    kill -9 "$pid"
    # The holder's death kills PID 1 of the bed, which is gone only after all others are.
    while [ -d "/proc/$pid" ] || [ -d "/proc/${root:-none}" ]; do sleep 0.01; done
  fi
  rm -rf "$BED_DIR"/{holder,root,ready,disk} "$BED_DIR"/n*/{docker.sock,pid}
  remove_cgroups "$BED_CGROUP"
}

boot() {
  check_index "${1:-}"
  ! inside bash "$HOST" running "$1" || die "host $1 is running"
  inside bash "$HOST" start "$1"
  wait_for "$1"
}

add() {
  check_index "${1:-}"
  [ ! -e "$BED_DIR/n$1" ] || die "there is a host $1 already; boot it"
  boot "$1"
}

addr() {
  if [ "${1:-}" = 0 ]; then echo "$BED_NET.1"; return; fi
  check_index "${1:-}"
  echo "$BED_NET.$((10 + $1))"
}

sock() {
  check_index "${1:-}"
  echo "$BED_DIR/n$1/docker.sock"
}

wait_for() {
  local deadline=$((SECONDS + 60)) socket
  socket=$(sock "$1")
  until curl -sf -o /dev/null --max-time 5 --unix-socket "$socket" http://docker/_ping; do
    if [ $SECONDS -ge $deadline ]; then
      tail "$BED_DIR/n$1/dockerd.log" >&2
      die "dockerd on host $1 is not up"
    fi
    sleep 0.05
  done
  give_back "$socket"
}

# supervise DEPTH COMMAND...: runs the command DEPTH processes below us, hands TERM, INT and HUP on
# to it and ends as it ends. The nsenters between do not hand signals on by themselves.
supervise() {
  local depth=$1 child status
  setpriv --pdeathsig KILL "${@:2}" <&0 &
  child=$!
  # pass SIGNAL: expanded when it comes, with `depth` and `child` in scope.
  pass() {
    local pid=$child level
    for ((level = 0; level < depth; level++)); do pid=$(pgrep -P "$pid") || return 0; done
    kill "-$1" "$pid" 2>/dev/null || true
  }
  trap 'pass TERM' TERM
  trap 'pass INT' INT
  trap 'pass HUP' HUP
  while :; do
    status=0
    wait "$child" || status=$?
    # A wait that a signal interrupted has no verdict yet.
    kill -0 "$child" 2>/dev/null || exit "$status"
  done
}

in_fabric() {
  local root
  [ $# -ge 1 ] || die "usage: bed.sh fabric COMMAND..."
  root=$(root_pid)
  supervise 1 nsenter -t "$root" -p -m -n -i -- setpriv --pdeathsig KILL env -C "$PWD" -- "$@"
}

in_host() {
  local root
  check_index "${1:-}"
  [ $# -ge 2 ] || die "usage: bed.sh in I COMMAND..."
  root=$(root_pid)
  # Entering a mount namespace loses the working directory; the command gets it back at the end.
  export BED_CWD=$PWD
  supervise 2 nsenter -t "$root" -p -m -n -i -- setpriv --pdeathsig KILL bash "$HOST" enter "$@"
}

# pids: those that hang on the holder, and those that entered the bed's PID namespaces from outside.
pids() {
  local top
  top=$(holder) || return 0
  {
    ps -eo pid=,ppid= | sed 's/^/tree /'
    stat -L -c 'space %n %i' /proc/[0-9]*/ns/pid 2>/dev/null | sed 's:/proc/::; s:/ns/pid::' || true
  } | awk -v top="$top" -v own="$(stat -L -c %i /proc/self/ns/pid)" '
    $1 == "tree" { parent[$2] = $3 }
    $1 == "space" { space[$2] = $3 }
    function below(p) { while (p in parent) { if (p == top) return 1; p = parent[p] } return 0 }
    END {
      for (p in parent) if (below(p) && space[p] != own) mine[space[p]] = 1
      for (p in parent) if (p == top || below(p) || (space[p] in mine)) print p
    }' | sort -n
}

# try_fabric: everything a bed is made of, once, in namespaces that end with it.
try_fabric() {
  local dir
  mount -t tmpfs tmpfs /mnt || return
  cd /mnt || return
  mkdir lower upper work merged
  mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged || return
  ip link add b0 type bridge || return
  ip link add p0 type veth peer name p1 || return
  iptables -t nat -L -n >/dev/null || return
  for dir in /sys/fs/cgroup/memory /sys/fs/cgroup; do
    if [ -e "$dir/cgroup.procs" ]; then
      mkdir "$dir/$BED_CGROUP-check" && rmdir "$dir/$BED_CGROUP-check"
      return
    fi
  done
  echo "cgroups are not mounted in /sys/fs/cgroup"
  return 1
}

check() {
  local program problem lacking=()
  for program in dockerd containerd runc docker podman docker-registry nft iptables ip unshare nsenter \
    setpriv mount openssl pgrep curl hostname; do
    command -v "$program" >/dev/null || lacking+=("$program")
  done
  [ ${#lacking[@]} -eq 0 ] || die "not found: ${lacking[*]}. Run scripts/setup.sh test."
  problem=$(unshare --pid --mount --net --ipc --fork --kill-child --mount-proc \
    bash "$SELF" _try 2>&1) ||
    die "this machine does not let us make Docker hosts (an unprivileged container?): $problem"
}

usage() {
  sed -n '2,/^\. /p' "$SELF" | sed '$d; s/^# \{0,1\}//' >&2
  exit 2
}

main() {
  local verb=${1:-}
  case $verb in
    up | down | add | crash | boot | cut | heal | in | fabric | wait | pids | check | _try)
      become_root "$@" ;;
    addr | sock) ;;
    *) usage ;;
  esac
  shift
  case $verb in
    wait) check_index "${1:-}"; wait_for "$1" ;;
    in) in_host "$@" ;;
    fabric) in_fabric "$@" ;;
    crash) check_index "${1:-}"; pids | thaw; inside bash "$HOST" crash "$1" ;;
    cut) check_index "${1:-}"; inside ip link set "v$1" down ;;
    heal) check_index "${1:-}"; inside ip link set "v$1" up ;;
    _try) try_fabric ;;
    up | down | add | boot | addr | sock | pids | check) "$verb" "$@" ;;
  esac
}

main "$@"
