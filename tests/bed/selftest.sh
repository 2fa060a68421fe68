#!/usr/bin/env bash
# Does the test bed do what its README says? Each line names one check and the seconds it took.
# Uses a bed of its own, and a second one beside it, and leaves nothing behind.
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/ground.sh"
become_root "$@"
readonly BED=$BED_SRC/bed.sh
WORK=$(mktemp -d /tmp/devnet-selftest.XXXXXX)
export BED_DIR=$WORK/bed BED_NET=10.78.0
failures=0

finish() {
  "$BED" down || true
  BED_DIR=$WORK/other "$BED" down || true
  rm -rf "$WORK"
}
trap finish EXIT

# check WHAT COMMAND...: the command's output is shown when it fails.
check() {
  local start=$EPOCHREALTIME verdict=ok took
  "${@:2}" >"$WORK/output" 2>&1 || { verdict=FAILED; failures=$((failures + 1)); }
  took=$((${EPOCHREALTIME/./} - ${start/./}))
  printf '%-6s %6d.%01d s  %s\n' "$verdict" $((took / 1000000)) $((took / 100000 % 10)) "$1"
  [ "$verdict" = ok ] || sed 's/^/         | /' "$WORK/output"
}

fails() { ! "$@"; }

# within SECONDS COMMAND...: until it succeeds; shows its last words when it never does.
within() {
  local deadline=$((SECONDS + $1)) last
  until last=$("${@:2}" 2>&1); do
    [ $SECONDS -lt "$deadline" ] || { echo "$last"; return 1; }
    sleep 0.1
  done
}

DOCKER=$(docker_client)
engine() { "$DOCKER" -H "unix://$("$BED" sock "$1")" "${@:2}"; }
# fetch FROM TO PORT PATTERN: host FROM reads http://TO:PORT/ and finds PATTERN in it.
fetch() { "$BED" in "$1" curl -sf --max-time 3 "http://$("$BED" addr "$2"):$3/" | grep -q "$4"; }

links() { ip -o link | cut -d' ' -f2; }
mounts() { cut -d' ' -f5 /proc/self/mountinfo | sort; }
cgroups() { find /sys/fs/cgroup -type d -name "devnet-bed-$(cksum <<<"$BED_DIR" | cut -d' ' -f1)"; }

# alive FILE: those of the processes listed in FILE (number and start time) that still run.
identify() {
  local pid
  while read -r pid; do awk '{print $1, $22}' "/proc/$pid/stat" 2>/dev/null || true; done
}
alive() { cut -d' ' -f1 "$1" | identify | grep -Fxf "$1"; }

# nothing_left: compares with what was noted before `up`, and with the bed's own list of processes.
nothing_left() {
  fails alive "$WORK/processes" && diff "$WORK/links" <(links) && diff "$WORK/mounts" <(mounts) &&
    [ -z "$(cgroups)" ] && [ -z "$("$BED" pids)" ]
}
note_processes() {
  "$BED" pids | identify >"$WORK/processes"
  [ "$(wc -l <"$WORK/processes")" -gt 8 ]
}

different_hosts() {
  [ "$("$BED" in 1 hostname)" = n1 ] && [ "$("$BED" in 2 hostname)" = n2 ] &&
    [ "$("$BED" in 1 cat /etc/machine-id)" != "$("$BED" in 2 cat /etc/machine-id)" ] &&
    [ "$(engine 1 info -f '{{.ID}}')" != "$(engine 2 info -f '{{.ID}}')" ]
}

postgres_answers() {
  "$BED" in 2 env PGPASSWORD=secret PGCONNECT_TIMEOUT=3 psql -tA \
    -h "$("$BED" addr 1)" -U app -d shop -c 'select 6 * 7' | grep -qx 42
}
redis_answers() { engine 2 exec cache redis-cli -h "$("$BED" addr 2)" ping | grep -qx PONG; }

# A command started with `in` gets the signals its caller gets, and dies with its caller.
start_sleeper() {
  "$BED" in 1 bash -c 'trap "echo got TERM; exit 7" TERM; echo ready; sleep 4242 & wait' \
    >"$WORK/sleeper" &
  sleeper=$!
  within 5 grep -q ready "$WORK/sleeper"
}
hands_on_term() {
  local status=0
  start_sleeper && kill -TERM $sleeper && { wait $sleeper || status=$?; }
  [ "$status" = 7 ] && grep -q 'got TERM' "$WORK/sleeper"
}
hands_on_kill() {
  start_sleeper && kill -KILL $sleeper && { wait $sleeper || true; } &&
    within 5 fails "$BED" in 1 pgrep -f 'echo got [T]ERM'
}
dies_with_host() {
  local status=0
  "$BED" in 1 sleep 4242 & sleeper=$!
  within 5 "$BED" in 1 pgrep -f 'sleep 424[2]' && "$BED" crash 1 && { wait $sleeper || status=$?; }
  [ "$status" -ne 0 ]
}

# The second bed has the same addresses and names; only its network is another one.
beds_apart() {
  local here there
  here=$("$BED" in 1 cat /etc/machine-id) || return
  there=$(BED_DIR=$WORK/other "$BED" in 1 cat /etc/machine-id) || return
  [ -n "$there" ] && [ "$here" != "$there" ] && fetch 2 1 8080 nginx &&
    fails env BED_DIR="$WORK/other" "$BED" in 1 \
      curl -sf --max-time 2 "http://$("$BED" addr 1):8080/"
}

# up_killed: in the middle of its work, by the signal that lets nobody clean up.
up_killed() {
  local up
  "$BED" up 2 & up=$!
  within 5 test -e "$BED_DIR/ready" && kill -KILL $up
  wait $up || [ $? = 137 ]
  [ -n "$("$BED" pids)" ]
}

docker26_runs() { engine 1 version -f '{{.Server.Version}}' | grep -q '^26\.'; }
paused_ends() {
  engine 1 run -d --name held redis:7 && engine 1 pause held && note_processes && "$BED" down &&
    nothing_left
}

lease_ends() {
  local holder
  mkfifo "$WORK/lease"
  sleep 4242 >"$WORK/lease" & holder=$!
  BED_LEASE=1 "$BED" up 1 <"$WORK/lease" && "$BED" pids | identify >"$WORK/processes"
  kill $holder
  within 5 nothing_left
}

links >"$WORK/links"
mounts >"$WORK/mounts"
check "the machine can run a bed" "$BED" check
check "the images are there" "$BED_SRC/images.sh"
check "2 hosts up" "$BED" up 2
check "hosts differ in name, machine-id and engine" different_hosts
check "docker pull nginx:1.22, unmodified" engine 1 pull -q nginx:1.22
check "an image that does not exist is refused" fails engine 1 pull -q nosuch:1
check "host 1 runs it" engine 1 run -d --restart always --name web -p 8080:80 nginx:1.22
check "host 2 fetches the page" within 10 fetch 2 1 8080 'Welcome to nginx'
check "the fabric fetches the page" "$BED" fabric \
  curl -sf -o "$WORK/page" "http://$("$BED" addr 1):8080/"
check "postgres:15 with user, password and database" engine 1 run -d --name db -p 5432:5432 \
  -e POSTGRES_USER=app -e POSTGRES_PASSWORD=secret -e POSTGRES_DB=shop postgres:15
check "host 2 queries it" within 30 postgres_answers
check "redis:7 on host 2" engine 2 run -d --name cache -p 6379:6379 redis:7
check "it answers" within 10 redis_answers
check "cut host 1" "$BED" cut 1
check "host 2 cannot reach it" fails fetch 2 1 8080 nginx
check "its containers still run" engine 1 exec web curl -sf -o /dev/null http://127.0.0.1/
check "heal host 1" "$BED" heal 1
check "host 2 reaches it again" within 5 fetch 2 1 8080 'Welcome to nginx'
check "a command in a host gets TERM" hands_on_term
check "a command in a host dies with its caller" hands_on_kill
check "power cut on host 1 ends a command there" dies_with_host
check "host 2 cannot reach it" fails fetch 2 1 8080 nginx
check "host 1 boots" "$BED" boot 1
check "its --restart container is back" within 30 fetch 2 1 8080 'Welcome to nginx'
check "a third host is added" "$BED" add 3
check "a second bed beside it" env BED_DIR="$WORK/other" "$BED" up 1
check "with the same addresses, and apart" beds_apart
check "second bed down" env BED_DIR="$WORK/other" "$BED" down
check "the processes of the bed are known" note_processes
check "bed down" "$BED" down
check "no process, mount, device or cgroup is left" nothing_left
check "a bed whose up was killed is still there" up_killed
check "is replaced by the next up" "$BED" up 1
check "bed down" "$BED" down
check "nothing is left" nothing_left
check "Docker 26 is there" "$BED_SRC/docker26.sh"
check "a bed of it" env BED_ENGINE=docker26 "$BED" up 1
check "its host runs Docker 26" docker26_runs
check "a paused container does not outlive its bed" paused_ends
check "a leased bed ends with its owner" lease_ends

[ "$failures" -eq 0 ] || die "$failures checks failed"
echo "all checks passed"
