#!/usr/bin/env bash
# Everything that proves the project and fits into an hour on a cold machine. `make test` calls it.
# Stages can be named: tests/run.sh static unit default drills
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

declare -a rows=()
failed=0
output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT

stage() { # NAME COMMAND...: run it, with its time, and go on to the next even when it fails
  local name=$1 began=$SECONDS result=passed
  shift
  printf '\n=== %s: %s\n' "$name" "$*"
  if ! "$@" 2>&1 | tee "$output/all"; then
    result=FAILED
    failed=$((failed + 1))
    tail -n 20 "$output/all" | cut -c -200 | sed "s/^/$name: /" >> "$output/failed"
  fi
  rows+=("$(printf '%-14s %s  %d s' "$name" "$result" $((SECONDS - began)))")
  printf '=== %s: %s after %d s (%d s in all)\n' "$name" "$result" $((SECONDS - began)) "$SECONDS"
}

# Forget that the scenario's machines were made, so that they are made fresh.
scenario() { # NAME
  molecule reset --scenario-name "$1"
  stage "$1" molecule test --scenario-name "$1" --destroy never
}

run() {
  case $1 in
    static) stage static tests/run-static.sh ;;
    unit) stage unit tests/run-unit.sh ;;
    machines) stage machines make --no-print-directory machines ;;
    api) stage api pytest -q -p no:testinfra tests/api ;;
    interop) stage interop pytest -q -p no:testinfra tests/interop ;;
    etcd) stage etcd pytest -q -p no:testinfra tests/etcd ;;
    sandbox) stage sandbox pytest -q tests/sandbox ;;
    default) scenario default ;;
    drills) stage drills python tests/e2e/run.py --short check-live refusals ill-member two-runs rolling-change add-node-reset \
      add-node-new failover-haproxy failover-power vrrp-forged renew restore-fresh kill ;;
    # After the scenarios that build the other versions: none may be missing.
    versions) stage versions env HARDWAY_EVERY_VERSION=1 pytest -q -p no:testinfra tests/api/test_versions.py ;;
    # Not by themselves, but by make test-all: other clusters, each with its drills.
    docker)
      scenario docker
      stage docker-drills python tests/e2e/run.py --markdown docs/drills.md --inventory sandbox/eras/1.20 add-node-reset failover-haproxy ;;
    kubeadm)
      scenario kubeadm
      stage kubeadm-drills python tests/e2e/run.py --markdown docs/drills.md --inventory inventory --inventory sandbox/kubeadm.yml \
        --only master add-node-reset failover-haproxy day2 upgrade reset ;;
    *) echo "no such stage: $1; there are static unit machines api interop etcd sandbox default drills docker kubeadm versions" >&2; exit 2 ;;
  esac
}

for name in ${*:-static unit machines api interop etcd sandbox default drills}; do
  run "$name"
done

# Why a stage failed stands far above; its last words are said again.
[ "$failed" -eq 0 ] || { printf '\n'; cat "$output/failed"; }
printf '\n'
printf '%s\n' "${rows[@]}"
printf '%d passed, %d failed\n' $((${#rows[@]} - failed)) "$failed"
[ "$failed" -eq 0 ]
