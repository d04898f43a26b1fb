#!/bin/sh
# The quick tests, run by `make test` from the top folder: white-box groups, command line,
# layout of the source, and the smoke run against its published digests.
cd "$(dirname "$0")/.." || exit 1
total_passed=0
total_failed=0
run() {
    echo "== $*"
    out=$("$@") || true
    echo "$out" | tail -n 40
    line=$(echo "$out" | grep -E '^[0-9]+ passed, [0-9]+ failed$' | tail -n 1)
    if [ -z "$line" ]; then
        echo "$* printed no result"
        total_failed=$((total_failed + 1))
        return
    fi
    total_passed=$((total_passed + ${line%% passed*}))
    f=${line##*, }
    total_failed=$((total_failed + ${f%% failed}))
}
run build/almost_test
run sh tests/layout.sh
run sh tests/cli.sh
run sh tests/smoke.sh
echo
echo "$total_passed passed, $total_failed failed"
[ "$total_failed" -eq 0 ]
