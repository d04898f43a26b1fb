#!/bin/sh
# Contracts about the source itself: contents equal banners, no forward declarations, library
# manners, exported names, only the files the design names.
cd "$(dirname "$0")/.." || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
. tests/lib.sh

# The contents list of the head comment and the banners are the same numbers and titles.
sed -n 's/^ \*   \(\[[0-9][0-9]\] [A-Z].*[^ ]\) *$/\1/p' almost.c | sed 's/  .*//' >"$tmp/contents"
sed -n 's/^ \* \(\[[0-9][0-9]\] [A-Z][^:]*\)$/\1/p' almost.c >"$tmp/banners"
check "contents are there" test -s "$tmp/contents"
same "contents equal banners" "$tmp/contents" "$tmp/banners"

# Strictly downward: a static prototype ends with ");" at the start-of-line declaration.
equal "no static forward declarations" "$(grep -cE '^static [^=({]*\([^{]*\);$' almost.c)" 0

# The library never prints, exits, or asks the environment (the program part may).
program=$(grep -n '^#ifdef ALMOST_MAIN' almost.c | head -1 | cut -d: -f1)
head -n "$program" almost.c | sed 's://.*$::; s:^ \*.*$::; s:^/\*.*$::' >"$tmp/library.c"
for word in exit abort printf puts fprintf getenv setlocale system; do
    equal "library calls no $word()" "$(grep -cE "(^|[^a-z_0-9])$word\(" "$tmp/library.c")" 0
done

# No mutable globals, and every exported name begins with almost_.
${CC:-cc} -O1 -std=c11 -c almost.c -o "$tmp/almost.o" 2>/dev/null
equal "exports begin with almost_" "$(nm -g --defined-only "$tmp/almost.o" | awk '{print $3}' | grep -vc '^almost_')" 0
equal "no mutable globals" "$(nm "$tmp/almost.o" | grep -c ' [bBdDcC] ' )" 0

# Two files, alone, as a stranger would compile them; the header as C++ too.
mkdir "$tmp/alone" && cp almost.c almost.h "$tmp/alone"
check "two files compile alone" sh -c "cd '$tmp/alone' && cc -O1 -DALMOST_MAIN almost.c -o almost -lpthread"
check "one file compiles" sh -c "cat almost.h almost.c > '$tmp/one.c' && cc -O0 -fsyntax-only '$tmp/one.c'"
if command -v g++ >/dev/null; then
    check "header is C++" sh -c "echo '#include \"almost.h\"' > '$tmp/h.cc' && g++ -I. -fsyntax-only '$tmp/h.cc'"
fi
equal "no tabs, trailing blanks or lines over 100" "$(grep -nP '\t| $|^.{101,}' almost.c almost.h | head -3)" ""
done_testing
