#!/bin/bash
# Speaks the interface of the official redis image: flags or a .conf file alone mean redis-server,
# root becomes the user redis, and protected mode is off unless somebody asks for it.
set -euo pipefail

case ${1:-} in -* | *.conf) set -- redis-server "$@" ;; esac

if [ "${1:-}" = redis-server ] && [ "$(id -u)" = 0 ]; then
  find . \! -user redis -exec chown redis {} +
  exec setpriv --reuid redis --regid redis --init-groups -- "$0" "$@"
fi

# mentions_protected_mode ARGS...: on the command line or in the configuration file.
mentions_protected_mode() {
  case " $* " in *' --protected-mode '*) return 0 ;; esac
  case ${1:-} in *.conf) grep -qis '^[[:space:]]*protected-mode' "$1" ;; *) return 1 ;; esac
}

if [ "${1:-}" = redis-server ]; then
  # Files that redis writes are its own, unless a umask was set on purpose.
  [ "$(umask)" != 0022 ] || umask 0077
  # The official image is compiled with protected mode off; Debian's has it on, which would refuse
  # every peer outside the container.
  mentions_protected_mode "${@:2}" || set -- "$@" --protected-mode no
fi
exec "$@"
