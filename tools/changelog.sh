#!/usr/bin/env bash
# CHANGELOG.md from changelogs/: what is released, and the fragments of what is not released yet under the version of galaxy.yml.
#   tools/changelog.sh             write it
#   tools/changelog.sh --check     check the fragments, and that it is as written; write nothing
#   tools/changelog.sh --release   the version of galaxy.yml is released: move its fragments into changelogs/changelog.yaml
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
  --release)
    antsibull-changelog release
    exit ;;
  --check)
    antsibull-changelog lint
    antsibull-changelog lint-changelog-yaml changelogs/changelog.yaml ;;
esac

# A copy is released, today; no date stands in what is written.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r galaxy.yml changelogs "$copy"
if compgen -G 'changelogs/fragments/*.yml' > /dev/null; then
  (cd "$copy" && antsibull-changelog release --update-existing)
else
  (cd "$copy" && antsibull-changelog generate)
fi

if [ "${1:-}" != --check ]; then
  cp "$copy/CHANGELOG.md" .
elif ! diff -u CHANGELOG.md "$copy/CHANGELOG.md"; then
  echo 'CHANGELOG.md is not as its fragments say. Fix: make changelog'
  exit 1
fi
