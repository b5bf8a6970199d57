#!/usr/bin/env bash
# All that needs no run: the formatters and linters (seconds), and the two slow ones at once. Exit code 0: nothing found.
# Checks can be named: tests/run-static.sh ruff mypy. `make lint` runs all but sanity.
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

run() {
  case $1 in
    ruff) check ruff ruff check --output-format concise . ;;
    format) check format ruff format --check . ;;
    mypy) check mypy mypy -p ansible_collections.hardway.kubernetes.plugins ;;
    yamllint) check yamllint yamllint --strict . ;;
    changelog) check changelog tools/changelog.sh --check ;;
    ansible-lint) check ansible-lint ansible-lint --nocolor ;;
    # pslint: there is no PowerShell.
    sanity) check sanity tools/ansible_test.sh sanity --local --python 3.11 --color no --skip-test pslint ;;
    *) echo "no such check: $1; there are ruff format mypy yamllint changelog ansible-lint sanity" >&2; return 2 ;;
  esac
}

declare -a slow=()
for name in ${*:-ansible-lint sanity ruff format mypy yamllint changelog}; do
  case $name in
    ansible-lint | sanity) run "$name" & slow+=($!) ;;
    *) run "$name" || failed=1 ;;
  esac
done
for job in "${slow[@]}"; do
  wait "$job" || failed=1
done
exit "$failed"
