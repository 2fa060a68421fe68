#!/usr/bin/env bash
# `make map`: what each file of the code is about, in its own first words. MAP=agent/src chooses a part.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

find "${MAP:-.}" -name '*.rs' -not -path '*/target/*' -not -path '*/tests/*' -print0 | sort -z |
  xargs -0 awk '
    FNR == 1 { told = 0 }
    told == 0 && /^\/\/! / {
      text = substr($0, 5)
      while (text !~ /[.]( |$)/ && (getline line) > 0 && line ~ /^\/\/! /) text = text " " substr(line, 5)
      sub(/[.] .*/, ".", text)
      path = FILENAME
      sub(/^\.\//, "", path)
      printf "%-60s %s\n", path, text
      told = 1
    }'
