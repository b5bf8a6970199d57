#!/usr/bin/env bash
# All unit tests: those of the plugins as ansible-test runs them, the others by pytest, with the collection built and installed.
# While you work on something: pytest tests/unit/plugins -k WORD
set -uo pipefail
cd "$(dirname "$0")/.."

failed=0

stage() { # NAME COMMAND...
  local name=$1 began=$SECONDS
  shift
  printf '%s\n' "--- $name"
  if "$@"; then
    printf '%s passed in %d s\n' "--- $name" "$((SECONDS - began))"
  else
    printf '%s FAILED after %d s\n' "--- $name" "$((SECONDS - began))"
    failed=1
  fi
}

# As the hosts' code sees the world: ansible-test lets modules import nothing but module_utils.
stage "ansible-test units" tools/ansible_test.sh units tests/unit/plugins/ --local --python 3.11 --color no
stage "pytest" pytest -q --numprocesses auto -p no:testinfra tests/unit tests/collection --ignore=tests/unit/plugins
exit "$failed"
