#!/bin/bash
# Speaks the interface of the official postgres image: POSTGRES_{USER,PASSWORD,DB,INITDB_ARGS} and
# their _FILE forms, POSTGRES_HOST_AUTH_METHOD, /docker-entrypoint-initdb.d, any --user.
# As there, the server that runs the init scripts listens on its unix socket only, so a health check
# over TCP does not answer before the database is ready.
set -euo pipefail

# file_env NAME [DEFAULT]: NAME from the environment, or from the file that NAME_FILE names.
file_env() {
  local file_var="$1_FILE" value=${2:-}
  if [ -n "${!1:-}" ] && [ -n "${!file_var:-}" ]; then
    echo "error: both $1 and $file_var are set (but are exclusive)" >&2
    exit 1
  fi
  if [ -n "${!1:-}" ]; then
    value=${!1}
  elif [ -n "${!file_var:-}" ]; then
    value=$(<"${!file_var}")
  fi
  export "$1=$value"
  unset "$file_var"
}

check_environment() {
  [ -z "$POSTGRES_PASSWORD" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ] || return 0
  cat >&2 <<'MESSAGE'
Error: Database is uninitialized and superuser password is not specified.
       You must specify POSTGRES_PASSWORD to a non-empty value for the
       superuser. For example, "-e POSTGRES_PASSWORD=password" on "docker run".

       You may also use "POSTGRES_HOST_AUTH_METHOD=trust" to allow all
       connections without a password. This is *not* recommended.
MESSAGE
  exit 1
}

# sql ARGS...: psql against the init server, stopping at the first error.
sql() {
  psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password --username "$POSTGRES_USER" "$@"
}

run_init_files() {
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    [ -e "$file" ] || continue
    echo "$0: running $file"
    # shellcheck disable=SC1090 # whatever file the user has put there
    case $file in
      *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
      *.sql) sql --dbname "$POSTGRES_DB" -f "$file" ;;
      *.sql.gz) gunzip -c "$file" | sql --dbname "$POSTGRES_DB" ;;
      *.sql.xz) xzcat "$file" | sql --dbname "$POSTGRES_DB" ;;
      *.sql.zst) zstd -dc "$file" | sql --dbname "$POSTGRES_DB" ;;
      *) echo "$0: ignoring $file" ;;
    esac
  done
}

create_database() {
  local init_args method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
  # Split on purpose: the variable holds several arguments, as in the official image.
  read -ra init_args <<<"$POSTGRES_INITDB_ARGS"
  # An empty password file is an error to initdb; with `trust` there need not be a password.
  if [ -n "$POSTGRES_PASSWORD" ]; then
    initdb --username="$POSTGRES_USER" "${init_args[@]}" \
      --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD")
  else
    initdb --username="$POSTGRES_USER" "${init_args[@]}"
  fi
  printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
  # For those who ask initdb for passwords on the unix socket as well.
  export PGPASSWORD=$POSTGRES_PASSWORD
  pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
  if [ "$POSTGRES_DB" != postgres ]; then
    sql --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db" ;'
  fi
  run_init_files
  pg_ctl -D "$PGDATA" -m fast -w stop
  unset PGPASSWORD
  printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

[ "${1:0:1}" != - ] || set -- postgres "$@"
if [ "${1:-}" = postgres ]; then
  mkdir -p "$PGDATA"
  chmod 00700 "$PGDATA" || true
  if [ "$(id -u)" = 0 ]; then
    find "$PGDATA" \! -user postgres -exec chown postgres {} +
    export HOME=/var/lib/postgresql
    exec setpriv --reuid postgres --regid postgres --init-groups -- "$0" "$@"
  fi
  if [ ! -s "$PGDATA/PG_VERSION" ]; then
    file_env POSTGRES_PASSWORD
    file_env POSTGRES_USER postgres
    file_env POSTGRES_DB "$POSTGRES_USER"
    file_env POSTGRES_INITDB_ARGS
    check_environment
    create_database
  else
    printf '\nPostgreSQL Database directory appears to contain a database; %s\n\n' \
      'Skipping initialization'
  fi
fi
exec "$@"
