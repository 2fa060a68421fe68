#!/usr/bin/env bash
# The main job end to end on this machine: a git repository, three local nodes, a commit that is
# planned and applied, an edit that is planned and applied by itself.
#
# With a terminal it stays up until Ctrl-C. Without one it exits 0 after the last check. Either way
# nothing is left running. It reads nothing from the network.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
bin=${CARGO_TARGET_DIR:-$here/target}/debug
work=$(mktemp -d "${TMPDIR:-/tmp}/devnet-demo.XXXXXX")
dev=''

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
fail() {
  printf 'demo: %s\n' "$*" >&2
  [ -f "$work/dev.log" ] && tail -n 60 "$work/dev.log" >&2
  exit 1
}

finish() {
  local code=$?
  trap - EXIT INT TERM
  if [ -n "$dev" ] && kill -0 "$dev" 2>/dev/null; then
    kill -TERM "$dev" 2>/dev/null || true
    wait "$dev" 2>/dev/null || true
  fi
  rm -rf "$work"
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# until_true SECONDS WHAT COMMAND...: tries COMMAND until it succeeds, and gives up with WHAT.
until_true() {
  local limit=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$limit" ] || fail "$what did not happen in time"
    kill -0 "$dev" 2>/dev/null || fail "devnet dev ended while waiting for: $what"
    sleep 0.1
  done
}

answers() { curl --noproxy '*' -fsS --max-time 3 "http://$1/"; }
says() { answers "$1" | grep -qF "$2"; }

# listens PORT: whether something has it already on an address of the three nodes.
listens() {
  local node
  for node in 127.0.0.1 127.0.0.2 127.0.0.3; do
    if (exec 3<>"/dev/tcp/$node/$1") 2>/dev/null; then return 0; fi
  done
  return 1
}

# free_port PORT: it, or the next ten thousand further that nothing has.
free_port() {
  local port=$1
  while listens "$port"; do
    port=$((port + 10000))
    [ "$port" -lt 65536 ] || fail "port $1 is in use on this machine, and so are those that would do instead"
  done
  echo "$port"
}

web_port=$(free_port 8080)
probe_port=$(free_port 8090)

repo=$work/repo
say "A git repository from examples/quickstart"
cp -r "$here/examples/quickstart" "$repo"
if [ "$web_port $probe_port" != "8080 8090" ]; then
  echo "Ports 8080 or 8090 are in use here: web takes $web_port, probe takes $probe_port."
  sed -i.bak "s/8080/$web_port/g; s/8090/$probe_port/g" "$repo/cluster.kdl" && rm "$repo/cluster.kdl.bak"
fi
git -C "$repo" init -q -b main
git -C "$repo" config user.name demo
git -C "$repo" config user.email demo@devnet.invalid
git -C "$repo" add .
git -C "$repo" commit -qm "Declare web and probe"
git -C "$repo" --no-pager log --oneline

say "devnet dev: a control plane and three agents"
"$bin/devnet" dev "$repo" --nodes 3 --data-dir "$work/data" >"$work/dev.log" 2>&1 &
dev=$!
export DEVNET_CONFIG=$work/data/client.yaml
until_true 30 "the control plane's start" test -s "$DEVNET_CONFIG"
until_true 60 "the first apply" grep -q '^Apply complete!' "$work/dev.log"
cat "$work/dev.log"

say "devnet status"
(cd "$repo" && "$bin/devnet" status)

say "The services answer, each on its node"
for node in 127.0.0.1 127.0.0.2 127.0.0.3; do
  until_true 20 "web on $node" says "$node:$web_port" "Hello from"
  answers "$node:$web_port"
done
probe=$("$bin/devnet" get instances --json |
  python3 -c 'import json,sys; print(next(i["address"] for i in json.load(sys.stdin) if i["id"] == "probe[0]"))')
until_true 20 "probe on $probe" says "$probe" "web says"
answers "$probe"

say "devnet plan: nothing to do"
(cd "$repo" && "$bin/devnet" plan) | tee "$work/plan.txt"
grep -qF 'No changes. Your infrastructure matches the configuration.' "$work/plan.txt" ||
  fail "the second plan was not empty"

say "An edit, committed"
sed -i.bak 's/greeting "Hello"/greeting "Good morning"/' "$repo/cluster.kdl" && rm "$repo/cluster.kdl.bak"
git -C "$repo" commit -qam "Say good morning"
git -C "$repo" --no-pager log --oneline -1
lines=$(wc -l <"$work/dev.log")
applied_again() { tail -n "+$((lines + 1))" "$work/dev.log" | grep -q '^Apply complete!'; }
until_true 60 "the apply of the edit" applied_again

say "Watch mode planned and applied it"
tail -n "+$((lines + 1))" "$work/dev.log"
for node in 127.0.0.1 127.0.0.2 127.0.0.3; do
  until_true 20 "the new page on $node" says "$node:$web_port" "Good morning from"
  answers "$node:$web_port"
done

say "Done"
printf 'The API: %s (key and CA in %s)\n' "$(sed -n 's/^addr: *//p' "$DEVNET_CONFIG")" "$DEVNET_CONFIG"
"$bin/devnet" ui
if [ -t 0 ] && [ -t 1 ]; then
  printf 'The repository: %s\nEdit cluster.kdl there and commit; Ctrl-C ends everything.\n' "$repo"
  tail -n 0 -f "$work/dev.log" --pid "$dev" || true
  wait "$dev" || true
fi
