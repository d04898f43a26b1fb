#!/bin/sh
# The smoke recipe: reproduces its published digests, verifies, resumes, and survives kill -9.
cd "$(dirname "$0")/.." || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
. tests/lib.sh
a=${ALMOST:-./almost}
run="$a reproduce --preset smoke --quiet"

check "smoke reproduces the published digests" $run --out "$tmp/a" --threads 2
equal "the whole run's arithmetic rate is in timing.jsonl" \
    "$(grep -c '^{"command": "all stages", "seconds": .*, "gflop": [1-9].*, "of_peak": [0-9][0-9]*[.]' "$tmp/a/timing.jsonl")" 1
check "verify agrees" $a verify "$tmp/a" --quiet
equal "no temporary file is left" "$(find "$tmp/a" -name '*.state' -o -name '.almost-tmp*' | wc -l)" 0

# An embedder's program, as C and where there is a C++ compiler as C++.
check "the library compiles" ${CC:-cc} -O1 -c almost.c -o "$tmp/almost.o"
check "an embedder compiles" ${CC:-cc} -std=c11 -Wall -Wextra -Werror tests/embed.c "$tmp/almost.o" -o "$tmp/embed" -lpthread
suite "$tmp/embed" weights/S.gguf "$tmp/a/rm.gguf"
if command -v g++ >/dev/null; then
    check "as C++ too" g++ -Wall -Wextra -Werror -x c++ tests/embed.c -x none "$tmp/almost.o" -o "$tmp/embed" -lpthread
fi

# Killed three times, each time resumed with another number of threads.
for threads in 1 3 2; do
    $run --out "$tmp/b" --resume --threads $threads >/dev/null 2>&1 &
    pid=$!
    sleep 1.$threads
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
done
check "a killed run is finished by --resume" $run --out "$tmp/b" --resume
same "killed and whole runs have one SHA256SUMS" "$tmp/a/SHA256SUMS" "$tmp/b/SHA256SUMS"
same "and one manifest" "$tmp/a/manifest.json" "$tmp/b/manifest.json"
same "and one page" "$tmp/a/report.html" "$tmp/b/report.html"
same "and one ledger" "$tmp/a/ledger.jsonl" "$tmp/b/ledger.jsonl"

# A run whose artefact was altered is found out, and repaired by --resume.
printf x >>"$tmp/b/comparison.json"
refuses "verify sees an altered file" 3 "not what the manifest says" $a verify "$tmp/b" --quiet
check "resume makes it again" $run --out "$tmp/b" --resume
same "as it was" "$tmp/a/comparison.json" "$tmp/b/comparison.json"
check "two equal runs bisect to nothing" $a bisect "$tmp/a" "$tmp/b" --quiet
refuses "a run is not overwritten" 2 "add --resume" $run --out "$tmp/a"
done_testing
