#!/bin/sh
# Everything, run by `make test-all`: the quick tests; the white-box tests and the program
# under address and undefined-behaviour sanitizers; both compilers without a warning; the
# contract again in Python integers; deliberate errors, each of which must show; runs killed
# at random moments; the matrix of compilers, kernels and machines (matrix.sh says how long that takes).
cd "$(dirname "$0")/.." || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
. tests/lib.sh
mkdir -p build
strict="-std=c11 -ffp-contract=off -fno-fast-math"
warn="-Wall -Wextra -Wpedantic -Wshadow -Werror"
show=40
suite sh tests/test.sh

echo "== no warnings"
for compiler in gcc clang; do
    command -v $compiler >/dev/null || continue
    check "$compiler: the library" $compiler $strict $warn -Wno-unused-function -Wno-unused-const-variable -O2 -c almost.c -o "$tmp/o"
    check "$compiler: the program" $compiler $strict $warn -O2 -DALMOST_MAIN -c almost.c -o "$tmp/o"
    check "$compiler: the tests" $compiler $strict $warn -Wno-unused-function -O1 -Itests -c tests/almost_test.c -o "$tmp/o"
done

echo "== sanitizers"
sanitize="-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all"
check "build" ${CC:-cc} $strict $sanitize -Itests tests/almost_test.c -o build/almost_asan -lpthread
check "build" ${CC:-cc} $strict $sanitize -DALMOST_MAIN almost.c -o build/almost_program_asan -lpthread
check "build" ${CC:-cc} $strict $sanitize -Wno-unused-function -Itests tests/fuzz.c -o build/fuzz_asan -lpthread
suite build/almost_asan --dir "$tmp/files"
suite build/fuzz_asan "$tmp/fuzz" 400 2
ALMOST=build/almost_program_asan suite sh tests/cli.sh
ALMOST=build/almost_program_asan suite sh tests/smoke.sh
if echo 'int main(void) {return 0;}' | ${CC:-cc} -fsanitize=thread -x c - -o "$tmp/tsan" 2>/dev/null && "$tmp/tsan"; then
    check "build" ${CC:-cc} $strict -g -O1 -fsanitize=thread -DALMOST_MAIN almost.c -o build/almost_program_tsan -lpthread
    check "threads without a data race: kat" build/almost_program_tsan kat --threads 4
    check "threads without a data race: corpus and training" \
        build/almost_program_tsan pretrain --tokens 12000 --threads 4 --quiet --out "$tmp/t.gguf"
fi

if command -v python3 >/dev/null; then suite python3 tests/reference.py ./almost; fi
suite sh tests/report.sh
suite sh tests/mutate.sh
suite sh tests/kill.sh
suite sh tests/matrix.sh --table build/matrix.md
echo
done_testing
