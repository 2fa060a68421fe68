#!/bin/bash
# Speaks the interface of the official nginx image: runs /docker-entrypoint.d/*.sh and fills
# /etc/nginx/templates/*.template from the environment before nginx starts.
set -euo pipefail

fill_templates() {
  local dir=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
  local suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
  local out=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
  local template target names
  [ -d "$dir" ] || return 0
  # Only names that are set, or nginx's own $host and $uri would be emptied.
  names=$(compgen -e | sed 's/.*/${&}/' | tr '\n' ' ')
  find -L "$dir" -type f -name "*$suffix" -print | sort | while read -r template; do
    target=$out/${template#"$dir"/}
    target=${target%"$suffix"}
    mkdir -p "$(dirname "$target")"
    envsubst "$names" <"$template" >"$target"
  done
}

case ${1:-} in
  nginx | nginx-debug)
    fill_templates
    for script in /docker-entrypoint.d/*; do
      # shellcheck disable=SC1090 # whatever file the user has put there
      case $script in
        *.envsh) if [ -x "$script" ]; then . "$script"; fi ;;
        *.sh) if [ -x "$script" ]; then "$script"; fi ;;
      esac
    done
    ;;
esac
exec "$@"
