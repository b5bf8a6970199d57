#!/usr/bin/env bash
# ansible-test with its arguments, for the files that git knows, as they are now.
# It wants the collection below a directory ansible_collections and takes no link for it, and the built tarball has no tests: so a copy.
set -euo pipefail
cd "$(dirname "$0")/.."

cache="${HARDWAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hardway}/ansible-test"
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
copy="$tree/ansible_collections/hardway/kubernetes"
mkdir -p "$copy" "$cache/.ansible/test/cache" "$cache/.config/pip"
git ls-files -z --cached --others --exclude-standard -- ':!.collections' |
  while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done |
  xargs -0 cp --no-dereference --parents --target-directory "$copy"

# ansible-test hands none of pip's variables on to the environments that it makes, but pip reads its configuration in the home directory.
pip config list | sed -nE "s/^(:env:|global|install|user)\.([a-z-]+)='(.*)'$/\2 = \3/p" | sort --unique --key=1,1 |
  { echo '[global]'; cat; } > "$cache/.config/pip/pip.conf"

# It fetches pip from a host of its own; Python brings one.
version=$(python -c 'import inspect, re; from ansible_test._internal import python_requirements as r; print(re.search(r"pip=.([\d.]+)", inspect.getsource(r))[1])')
printf 'import ensurepip\n\nensurepip.bootstrap()\n' > "$cache/.ansible/test/cache/get_pip_${version//./_}.py"

cd "$copy"
HOME="$cache" ansible-test "$@"
