#!/bin/sh
# The quick tests, run by `make test` from the top folder: white-box groups, damaged inputs, layout of the
# source, command line, and the smoke run against its published digests. A minute.
cd "$(dirname "$0")/.." || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
. tests/lib.sh
suite build/almost_test --dir "$tmp/files"
suite build/fuzz "$tmp/fuzz" 40
suite sh tests/layout.sh
suite sh tests/cli.sh
suite sh tests/smoke.sh
suite sh tests/study.sh
echo
done_testing
