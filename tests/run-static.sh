#!/usr/bin/env bash
# ansible-lint, yamllint and ansible-test sanity, the slow two at once. Exit code 0: nothing found.
set -uo pipefail
cd "$(dirname "$0")/.."

output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT
failed=0

check() { # NAME COMMAND...: run it with its output kept, and say how it ended and when
  local name=$1
  shift
  if "$@" > "$output/$name" 2>&1; then
    printf '%-14s passed after %d s\n' "$name" "$SECONDS"
  else
    printf '%-14s FAILED after %d s\n' "$name" "$SECONDS"
    # without what pip says while ansible-test makes its environments
    grep -vE '^(Installing|Using cached|Looking in|Processing|Collecting|Successfully|  Downloading|  +━|WARNING: Using locale)' "$output/$name" |
      sed "s/^/$name: /"
    return 1
  fi
}

# pslint: there is no PowerShell.
echo "ansible-lint (profile production) and ansible-test sanity (Python 3.11)"
check ansible-lint ansible-lint --nocolor &
lint=$!
check sanity tools/ansible_test.sh sanity --local --python 3.11 --color no --skip-test pslint &
sanity=$!
check yamllint yamllint --strict . || failed=1
wait "$lint" || failed=1
wait "$sanity" || failed=1
exit "$failed"
