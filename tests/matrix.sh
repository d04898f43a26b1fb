#!/bin/sh
# One hash on every machine: `kat`, and a whole run's SHA256SUMS, over compilers, levels,
# kernels, threads, C libraries, machines, hostile flags and hostile callers. Every cell must
# give what REPRODUCE.md publishes; a hostile one may instead refuse, naming the probe.
#
#   sh tests/matrix.sh [--table FILE] [NAME ...]   only the cells whose name contains a NAME
#
# One line per cell: same, refused, DIFFERS, FAILED, or skipped with the reason. --table writes
# all cells so far, of this call and of earlier ones on the same source, as Markdown. With
# KAT_ONLY=1 no cell makes a whole run.
# `tiny` is the smoke recipe on the smallest model with small numbers; it and `smoke` compare
# every file of the run. Installs what it needs with apt-get where it may. 48 minutes on two cores
# that had other work besides, nearly all of it compiling; files in build/matrix.
cd "$(dirname "$0")/.." || exit 1
out=build/matrix
table=
if [ "$1" = --table ]; then table=$2 && shift 2; fi
wanted="$*"
passed=0 failed=0 skipped=0
strict="-std=c11 -ffp-contract=off -fno-fast-math"
mkdir -p $out

# ---- what a cell is ----------------------------------------------------------------------

# part TITLE: the cells that follow belong together.
part() { part=$1; echo "== $1"; }

# say CELL TOOL VERDICT: one line, kept for the table and counted.
say() {
    printf '%-40s %s\n' "$1" "$3"
    printf '%s\t%s\t%s\t%s\n' "$part" "$1" "$2" "$3" >>$out/cells
    case $3 in
    same* | refused*) passed=$((passed + 1)) ;;
    skipped*) skipped=$((skipped + 1)) ;;
    *) failed=$((failed + 1)) ;;
    esac
}

# want CELL: was it asked for?
want() {
    [ -z "$wanted" ] && return 0
    for w in $wanted; do case $1 in *"$w"*) return 0 ;; esac; done
    return 1
}

# need COMMAND PACKAGE...: is the command there, if need be after installing the packages?
need() {
    command -v "$1" >/dev/null && return 0
    tool=$1
    shift
    [ "$(id -u)" = 0 ] && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "$@" >/dev/null 2>&1
    command -v "$tool" >/dev/null
}

# tools COMMAND...: the packages they come from, with versions.
tools() {
    for tool in "$@"; do
        file=$(readlink -f "$(command -v "$tool")")
        name=$(dpkg-query -S "$file" 2>/dev/null | sed 's/:.*//;q')
        if [ -n "$name" ]; then dpkg-query -W -f '${Package} ${Version}\n' "$name" | sed 1q
        else "$tool" --version 2>&1 | sed 1q; fi
    done | paste -sd ';' | sed 's/;/, /g'
}

# build FILE COMMAND...: compiles $out/FILE once per version of the source.
build() {
    file=$out/$1
    shift
    [ -x "$file" ] && [ "$file" -nt almost.c ] && [ "$file" -nt almost.h ] && return 0
    rm -f "$file"
    "$@" -o "$file" >$out/log 2>&1
}

# once RUN COMMAND...: is it the same as published? Otherwise verdict says what it is.
once() {
    run=$1
    shift
    if [ "$run" = kat ]; then
        result=$out/kat
        timeout 900 "$@" kat $with >$result 2>$out/log
    else
        result=$out/run/SHA256SUMS
        rm -rf $out/run
        timeout 1800 "$@" reproduce --preset "$run" --data $out/data --out $out/run --quiet \
            $with >/dev/null 2>$out/log
    fi
    code=$?
    tr -d '\r' <$result 2>/dev/null | diff - $out/$run.want >$out/diff && [ $code -eq 0 ] && return 0
    verdict="DIFFERS: $run: $(sed -n 's/^[<>] //p' $out/diff | sed 1q | cut -c1-90)"
    [ $code -ne 0 ] && verdict="FAILED: $run: exit $code: $(sed '$!d' $out/log | cut -c1-90)"
    probe=$(sed -n "s/^almost: self-test: probe '\([^']*\)' failed.*/\1/p" $out/log)
    [ -n "$probe" ] && [ -n "$hostile" ] && [ "$(grep -c . $out/log)" = 1 ] && \
        verdict="refused at start: probe '$probe'"
    return 1
}

# try CELL TOOL RUNS COMMAND...: COMMAND is the program, with what it runs under.
try() {
    cell=$1 tool=$2 runs=$3
    shift 3
    want "$cell" || return 0
    [ -n "$KAT_ONLY" ] && runs=kat
    for run in $runs; do
        if ! once "$run" "$@"; then
            say "$cell" "$tool" "$verdict"
            return
        fi
    done
    say "$cell" "$tool" "same: $runs"
}

# cell CELL RUNS COMPILER FLAGS...: builds the program and tries it, under $under if set.
cell() {
    cell=$1 runs=$2 compiler=$3
    shift 3
    want "$cell" || return 0
    binary=$(echo "$cell" | tr -c 'a-zA-Z0-9\n' -)
    if ! command -v "$compiler" >/dev/null; then say "$cell" "$compiler" "skipped: not here"
    elif build "$binary" "$compiler" "$@" -DALMOST_MAIN almost.c $libs; then
        [ -e "$out/$binary.exe" ] && binary=$binary.exe # as compilers for Windows name it
        try "$cell" "$(tools "$compiler" ${under%% *})" "$runs" $under $out/$binary
        [ -n "$hostile" ] && rm -f "$out/$binary"
    elif [ -n "$hostile" ] && grep -q 'error.*almost:' $out/log; then
        say "$cell" "$(tools "$compiler")" "refused by the compiler: $(sed -n \
            's/.*error.*"almost: \([^;"]*\).*/\1/p' $out/log | sed 1q)"
    else say "$cell" "$(tools "$compiler")" "FAILED: $(grep -m 1 -i error $out/log)"; fi
}

# ---- the reference: what is published, and gcc -O2 -----------------------------------------

libs=-lpthread with= under='' hostile=''
if ! build reference gcc -O2 $strict -static -DALMOST_MAIN almost.c $libs; then
    echo "gcc does not compile almost.c: $(grep -m 1 error $out/log)"
    exit 1
fi
a=$out/reference
sed -n '/begin kat/,/end kat/{/^[a-z]/p}' REPRODUCE.md >$out/kat.want
grep -v '  \(data\|weights\)/' data/smoke.sha256 >$out/smoke.want
# A data folder with the recipe tiny, and without published digests.
rm -rf $out/data && cp -r data $out/data && rm -f $out/data/*.sha256
sed 's/ n=64 / n=12 /; s/ n=48 / n=3 /; s/ n=256 / n=32 /; s/ n=128 / n=8 /; s/ n=60 / n=2 /
    s/ n=20 / n=2 /; s/ n=4 turns=2/ n=2 turns=1/; s/epochs=2/epochs=1/; s/turns=2/turns=1/
    s/episodes=128 rollouts=64 minibatch=32/episodes=8 rollouts=4 minibatch=4/
    s,data/\(hhh_pairs\|mc1\|controls\),data/few_\1,g; s,weights/[ML],weights/S,g
    s,models=weights/S.gguf\,weights/S.gguf,models=weights/S.gguf,' data/smoke.recipe >$out/data/tiny.recipe
for questions in hhh_pairs mc1 controls; do # one record a line: every 40th
    awk 'NR > 1 && !/^\]/ && (NR % 40 == 2) {sub(/,$/, ""); printf "%s%s", n++ ? ",\n" : "[\n", $0} END {print "\n]"}' \
        data/$questions.json >$out/data/few_$questions.json
done
rm -rf $out/run
$a reproduce --preset tiny --data $out/data --out $out/run $with --quiet >/dev/null 2>$out/log
[ $? = 1 ] && cat $out/log
cp $out/run/SHA256SUMS $out/tiny.want || exit 1
source=$(cat almost.c almost.h $out/*.want | cksum)
[ "$source" = "$(cat $out/source 2>/dev/null)" ] || rm -f $out/cells
[ -z "$wanted" ] && rm -f $out/cells
echo "$source" >$out/source
part "Published"
try published "$(tools gcc)" "kat smoke" $a

# ---- one program ---------------------------------------------------------------------------

part "One program: kernels and threads"
for kernels in scalar sse2 avx2 avx512; do
    with="--kernels $kernels"
    if $a selftest $with >/dev/null 2>$out/log; then try kernels-$kernels "$(tools gcc)" "kat tiny" $a
    else want kernels-$kernels && say kernels-$kernels "" "skipped: $(sed '$!d' $out/log)"; fi
done
for threads in 1 2 3 5 8 16; do
    with="--threads $threads"
    try threads-$threads "$(tools gcc)" "kat tiny" $a
done
with=
need qemu-x86_64 qemu-user
for cpu in Haswell Nehalem; do # multiply-adds in software, and a processor without
    try emulated-$cpu "$(tools gcc qemu-x86_64)" kat qemu-x86_64 -cpu $cpu $a 2>/dev/null
done

# ---- compilers, levels, switches, C libraries ------------------------------------------------

part "Compilers and levels"
need gcc-11 gcc-11
need clang clang
need clang-16 clang-16
need clang-19 clang-19
need tcc tcc
static="$strict -static"
cell gcc-11-O2 "kat tiny" gcc-11 -O2 $static
for level in O0 O1 O2 O3 Os; do
    cell gcc-12-$level "kat tiny" gcc-12 -$level $static
    cell clang-14-$level "kat tiny" clang-14 -$level $static
done
cell clang-16-O2 "kat tiny" clang-16 -O2 $static
cell clang-16-O3-native "kat tiny" clang-16 -O3 -march=native
cell clang-19-O2 "kat tiny" clang-19 -O2 $static
cell clang-19-O3-native "kat tiny" clang-19 -O3 -march=native
cell tcc kat tcc -std=c11
cell gcc-native-gnu17 "kat tiny" gcc -O3 -march=native -std=gnu17
cell gcc-fma-gnu17 "kat tiny" gcc -O2 -mfma -mavx2 -std=gnu17
cell gcc-lto "kat tiny" gcc -O2 -flto $static
cell gcc-unsigned-char "kat tiny" gcc -O2 -funsigned-char -fshort-enums $static

part "Build switches and C libraries"
cell openmp "kat tiny" gcc -O2 $static -fopenmp -DALMOST_OPENMP
cell no-threads "kat tiny" gcc -O2 $static -DALMOST_NO_THREADS
cell no-simd "kat tiny" gcc -O2 $static -DALMOST_NO_SIMD
cell glibc-dynamic "kat tiny" gcc -O2 $strict
need musl-gcc musl-tools
cell musl-static "kat tiny" musl-gcc -O2 $static
if want one-file; then
    make -s build/one.c && cp build/one.c $out/one.c
    if build one gcc -O2 $static -DALMOST_MAIN $out/one.c $libs; then try one-file "$(tools gcc)" kat $out/one
    else say one-file "" "FAILED: $(grep -m 1 error $out/log)"; fi
fi
build library.o gcc -O2 $strict -c almost.c
for compiler in g++ clang++; do
    want header-$compiler || continue
    need $compiler g++ clang
    if build header-$compiler $compiler -x c++ -I. tests/caller.c -x none $out/library.o $libs; then
        verdict=same
        if $out/header-$compiler 0 0 C >$out/kat 2>$out/log && cmp -s $out/kat $out/kat.want; then
            say header-$compiler "$(tools $compiler)" "same: kat"
        else say header-$compiler "$(tools $compiler)" "DIFFERS"; fi
    else say header-$compiler "$(tools $compiler)" "FAILED: $(grep -m 1 error $out/log)"; fi
done

# ---- sanitizers ------------------------------------------------------------------------------

part "Sanitizers and valgrind"
sanitize="-g -O1 $strict -fno-sanitize-recover=all"
cell asan-ubsan "kat tiny" gcc $sanitize -fsanitize=address,undefined,float-cast-overflow
cell tsan "kat tiny" gcc $sanitize -fsanitize=thread
[ -e "$(clang-19 -print-resource-dir 2>/dev/null)/lib/linux/libclang_rt.msan-x86_64.a" ] ||
    need nothing libclang-rt-19-dev # clang 14 does not know stat64 of this C library
cell msan "kat tiny" clang-19 $sanitize -fsanitize=memory
need valgrind valgrind
under="valgrind -q --error-exitcode=9" # dynamic: it must see malloc
cell valgrind kat gcc -O1 -g $strict
under=

# ---- other machines --------------------------------------------------------------------------

part "Other machines, emulated"
# machine NAME COMPILER PACKAGES EMULATOR FLAGS RUNS
machine() {
    want "$1" || return 0
    need "$2" $3
    under=$4
    need ${4%% *} qemu-user
    cell "$1" "$6" "$2" -O2 $5 $static
    under=
}
need i686-linux-gnu-gcc gcc-i686-linux-gnu libc6-dev-i386-cross
cell i686-sse2 "kat tiny" i686-linux-gnu-gcc -O2 -msse2 -mfpmath=sse $static
machine aarch64-neon aarch64-linux-gnu-gcc "gcc-aarch64-linux-gnu libc6-dev-arm64-cross" qemu-aarch64 "" "kat tiny"
with="--kernels scalar"
try aarch64-scalar "$(tools aarch64-linux-gnu-gcc)" kat qemu-aarch64 $out/aarch64-neon
with=
for cpu in max cortex-a53; do # with and without the dot product
    try aarch64-$cpu "$(tools aarch64-linux-gnu-gcc)" kat qemu-aarch64 -cpu $cpu $out/aarch64-neon
done
machine armhf arm-linux-gnueabihf-gcc "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross" qemu-arm "" kat
machine armel-no-fpu arm-linux-gnueabi-gcc "gcc-arm-linux-gnueabi libc6-dev-armel-cross" qemu-arm "" kat
machine riscv64 riscv64-linux-gnu-gcc "gcc-riscv64-linux-gnu libc6-dev-riscv64-cross" qemu-riscv64 "" kat
machine ppc64le powerpc64le-linux-gnu-gcc "gcc-powerpc64le-linux-gnu libc6-dev-ppc64el-cross" qemu-ppc64le "" kat
machine s390x-big-endian s390x-linux-gnu-gcc "gcc-s390x-linux-gnu libc6-dev-s390x-cross" qemu-s390x -fexcess-precision=fast "kat tiny"
machine ppc64-big-endian powerpc64-linux-gnu-gcc "gcc-powerpc64-linux-gnu libc6-dev-ppc64-cross" qemu-ppc64 "" kat
machine powerpc-big-endian powerpc-linux-gnu-gcc "gcc-powerpc-linux-gnu libc6-dev-powerpc-cross" qemu-ppc "" kat
machine mips-big-endian mips-linux-gnu-gcc "gcc-mips-linux-gnu libc6-dev-mips-cross" qemu-mips "" kat

part "Other systems"
need wasm-ld-14 lld-14 wasi-libc libclang-rt-14-dev-wasm32
cat >$out/wasi.mjs <<'END'
import { readFileSync } from 'node:fs';
import { WASI } from 'node:wasi';
const [file, ...words] = process.argv.slice(2);
const wasi = new WASI({ version: 'preview1', args: ['almost', ...words], preopens: { '.': '.' } });
const module = await WebAssembly.compile(readFileSync(file));
process.exit(wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject())));
END
wasi="--target=wasm32-wasi -DALMOST_NO_THREADS -D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_GETPID -fuse-ld=/usr/bin/wasm-ld-14"
libs="-lwasi-emulated-signal -lwasi-emulated-getpid" under="node --no-warnings $out/wasi.mjs"
if command -v node >/dev/null; then
    cell wasm32 kat clang-14 -O2 $strict $wasi
    cell wasm32-simd128 kat clang-14 -O3 -msimd128 $strict $wasi
else say wasm32 "" "skipped: no node"; fi
libs=
need x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64-win32
PATH=$PATH:/usr/lib/wine need wine64 wine64
under=$(PATH=$PATH:/usr/lib/wine command -v wine64)
export WINEDEBUG=-all WINEPREFIX="$PWD/$out/wine"
if [ -n "$under" ]; then cell windows-x64 "kat tiny" x86_64-w64-mingw32-gcc -O2 $static
else want windows-x64 && say windows-x64 "" "skipped: no wine64"; fi
libs=-lpthread under=

# ---- hostile -----------------------------------------------------------------------------------

part "Hostile flags"
hostile=yes
for compiler in gcc clang-14; do
    while read -r flags; do
        case $flags in '' | \#*) continue ;; esac
        cell "hostile $compiler $flags" kat $compiler -O2 $flags
    done <<END
-ffast-math
-Ofast
-funsafe-math-optimizations
-fassociative-math -fno-signed-zeros -fno-trapping-math
-freciprocal-math
-fno-signed-zeros
-ffinite-math-only
-fno-trapping-math
-frounding-math
-ffp-contract=fast -march=native
-mrecip -march=native
$([ $compiler = gcc ] && echo "-fcx-limited-range
-fno-math-errno
-fsingle-precision-constant
-fexcess-precision=fast
-mfpmath=387
-mfpmath=both
-mpc32
-mpc64" || echo "-fassociative-math
-fno-honor-nans
-fno-honor-infinities
-fapprox-func
-ffp-model=fast
-ffp-exception-behavior=strict
-fdenormal-fp-math=positive-zero
-fdenormal-fp-math=preserve-sign
-mrecip=all -freciprocal-math")
END
done
for flags in -freciprocal-math -funsafe-math-optimizations "-ffp-contract=fast -march=native"; do
    cell "hostile clang-19 $flags" kat clang-19 -O2 $flags
done
cell "hostile i686 -mfpmath=387" kat i686-linux-gnu-gcc -O2 -mfpmath=387
cell "hostile i686 defaults" kat i686-linux-gnu-gcc -O2
under=qemu-aarch64
for flags in -freciprocal-math -funsafe-math-optimizations -ffp-contract=fast; do
    cell "hostile clang-14 aarch64 $flags" kat clang-14 --target=aarch64-linux-gnu -static -O2 $flags
done
under=

part "Hostile callers"
# caller CELL CONTROL X87 LOCALE PROGRAM...
caller() {
    cell=$1 control=$2 x87=$3 locale=$4
    shift 4
    want "$cell" || return 0
    if "$@" $control $x87 "$locale" >$out/kat 2>$out/log && cmp -s $out/kat $out/kat.want; then
        say "$cell" "$(tools gcc)" "same: kat, and the caller keeps its settings"
    else say "$cell" "$(tools gcc)" "FAILED: $(sed '$!d' $out/log)"; fi
}
if want caller; then
    need localedef locales
    [ "$(id -u)" = 0 ] && localedef -i de_DE -f UTF-8 de_DE.UTF-8 2>/dev/null
    build caller gcc -O1 -I. tests/caller.c $out/library.o $libs || say caller "" "FAILED: $(cat $out/log)"
    build caller-arm aarch64-linux-gnu-gcc -static -O1 -I. tests/caller.c almost.c $libs ||
        say caller-arm "" "FAILED: $(cat $out/log)"
    caller "caller: comma-decimal locale" 0 0 de_DE.UTF-8 $out/caller
    caller "caller: flush to zero" 8000 0 C $out/caller
    caller "caller: denormals are zero" 40 0 C $out/caller
    caller "caller: both" 8040 0 C $out/caller
    caller "caller: round down" 2000 0 C $out/caller
    caller "caller: round up" 4000 0 C $out/caller
    caller "caller: round to zero" 6000 0 C $out/caller
    caller "caller: traps on" 1F80 0 C $out/caller
    caller "caller: x87 to 24 bits" 0 300 C $out/caller
    caller "caller: x87 to 53 bits, up" 0 900 C $out/caller
    caller "caller: everything" E040 F00 de_DE.UTF-8 $out/caller
    caller "caller: AArch64 flush to zero" 1000000 0 C qemu-aarch64 $out/caller-arm
    caller "caller: AArch64 round up" 400000 0 C qemu-aarch64 $out/caller-arm
    caller "caller: AArch64 round to zero" C00000 0 C qemu-aarch64 $out/caller-arm
fi
# Linking with -ffast-math alone adds start code that flushes subnormals.
if want crtfastmath; then
    build library-main.o gcc -O2 $strict -DALMOST_MAIN -c almost.c
    build crtfastmath gcc -ffast-math $out/library-main.o $libs
    try crtfastmath "$(tools gcc)" "kat tiny" $out/crtfastmath
fi

# ---- the table -----------------------------------------------------------------------------------

if [ -n "$table" ]; then
    awk -F '\t' '
        {key = $1 FS $2; if (!(key in row)) {order[++n] = key; of[key] = $1}
         row[key] = "| " $2 " | " $3 " | " $4 " |"; split($4, word, ":"); first[key] = word[1]}
        END {
            for (i = 1; i <= n; i++) count[first[order[i]]]++
            printf "%d cells", n
            for (w in count) list[++k] = count[w] " " w
            for (i = 1; i <= k; i++) printf "%s %s", (i > 1 ? "," : ":"), list[i]
            printf ".\n"
            for (i = 1; i <= n; i++) {
                if (of[order[i]] != last) printf "\n**%s**\n\n| cell | with | result |\n|---|---|---|\n", last = of[order[i]]
                print row[order[i]]
            }
        }' $out/cells >"$table.part"
    { date -u '+%-d %B %Y, '; sed -n 's/^PRETTY_NAME="\(.*\)"/\1, /p' /etc/os-release; uname -m; echo ': '; } | tr -d '\n' >"$table"
    cat "$table.part" >>"$table" && rm "$table.part"
fi
echo "$skipped cells skipped"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
