#!/bin/sh
# Contracts about the source itself: contents equal banners, no forward declarations, library
# manners, exported names, two files that stand alone, only the files the design names.
cd "$(dirname "$0")/.." || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
. tests/lib.sh
cc=${CC:-cc}

# ---- sections
# The contents list of the head comment and the banners are the same numbers and titles.
sed -n 's/^ \*     \(\[[0-9][0-9]\] [A-Z][A-Z &]*[A-Z]\)  .*$/\1/p' almost.c >"$tmp/contents"
sed -n 's/^ \* \(\[[0-9][0-9]\] [A-Z][A-Z &]*[A-Z]\)$/\1/p' almost.c >"$tmp/banners"
check "contents are there" test -s "$tmp/contents"
same "contents equal banners" "$tmp/contents" "$tmp/banners"
sed 's/^\[\([0-9]*\)\].*/\1/' "$tmp/banners" >"$tmp/numbers"
awk '{printf "%02d\n", NR}' "$tmp/banners" >"$tmp/ascending"
same "sections are numbered 01, 02, ..." "$tmp/ascending" "$tmp/numbers"

# Strictly downward: a static prototype, on one line or several, ends with ");".
equal "no static forward declarations" \
    "$(awk '/^static [^={]*$/ {d = NR} d && /\{|=|^}/ {d = 0} d && /\);$/ {print d; d = 0} /;$/ {d = 0}' almost.c)" ""

# Words of unfinished work, spelled so that this file does not hold them.
equal "nothing is unfinished" "$(grep -nE 'TO''DO|FIX''ME|X''XX|HA''CK' almost.c almost.h | head -3)" ""

# ---- library manners
# The library never prints, exits, or asks the environment (the program part may).
program=$(grep -n '^#ifdef ALMOST_MAIN' almost.c | tail -1 | cut -d: -f1)
check "the program part is there" test -n "$program"
head -n "${program:-1}" almost.c | sed 's://.*$::; s:/\*.*\*/::g; s:^ *\*.*$::; s:/\*.*$::' >"$tmp/library.c"
for word in exit abort printf puts putchar fprintf vprintf perror getenv setlocale system rand srand; do
    equal "library calls no $word()" "$(grep -cE "(^|[^a-z_0-9])$word\(" "$tmp/library.c")" 0
done
for word in exp log log1p expf logf sqrt sqrtf pow sin cos fma fmaf floor; do
    equal "library calls no $word() of libm" "$(grep -cE "(^|[^a-z_0-9.])$word\(" "$tmp/library.c")" 0
done
equal "library includes no math.h" "$(grep -c '<math.h>' almost.c)" 0

# No mutable globals, and every exported name begins with almost_. Position-dependent code:
# otherwise constant tables of pointers look mutable, because a loader fills them in.
check "compiles as a library" $cc -O0 -std=c11 -fno-pie -c almost.c -o "$tmp/almost.o"
equal "exports begin with almost_" "$(nm -g --defined-only "$tmp/almost.o" | awk '{print $3}' | grep -vc '^almost_')" 0
equal "no mutable globals" "$(nm "$tmp/almost.o" | grep ' [bBdDcC] ' | head -3)" ""
equal "libc is all it needs besides threads" \
    "$(nm -u "$tmp/almost.o" | awk '{print $2}' | grep -E '^(exp|log|pow|sin|cos|sqrt|fma|floor|lround)' | head -3)" ""

# ---- two files, alone, as a stranger would compile them; the header as C++ too
mkdir "$tmp/alone" && cp almost.c almost.h "$tmp/alone"
check "two files compile alone" sh -c "cd '$tmp/alone' && $cc -O0 -DALMOST_MAIN almost.c -o almost -lpthread"
check "and run" sh -c "cd '$tmp/alone' && ./almost selftest"
check "one file compiles" sh -c "cat almost.h almost.c > '$tmp/one.c' && $cc -O0 -fsyntax-only '$tmp/one.c'"
if command -v g++ >/dev/null; then
    check "header is C++" sh -c "echo '#include \"almost.h\"' > '$tmp/h.cc' && g++ -I. -fsyntax-only '$tmp/h.cc'"
fi
# Fast-math is refused here, or (where a pragma can) undone; matrix.sh shows that one of the two holds.
if $cc -dM -E -x c /dev/null 2>/dev/null | grep -q __clang__; then
    if $cc -O2 -ffast-math -fsyntax-only almost.c 2>/dev/null; then bad "fast-math is refused"; else ok; fi
fi

# ---- text
tab=$(printf '\t')
equal "no tabs, trailing blanks or lines over 100" "$(grep -nE "$tab| \$|^.{101,}" almost.c almost.h | head -3 | cut -c1-60)" ""
equal "only printable ASCII" "$(LC_ALL=C grep -n '[^ -~]' almost.c almost.h | head -3)" ""

# ---- only the files the design names (of those that are kept, where that is known)
names='almost\.c|almost\.h|Makefile|tests|data|weights|REPRODUCE\.md|README\.md|LICENSE|\.gitignore|\.ci'
if files=$(git ls-files 2>/dev/null) && [ -n "$files" ]; then
    equal "no other files" "$(echo "$files" | cut -d/ -f1 | sort -u | grep -vxE "$names" | head -3)" ""
fi
done_testing
