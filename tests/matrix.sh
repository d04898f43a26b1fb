#!/bin/sh
# The same bits everywhere: `kat` and a whole run's SHA256SUMS over compilers, optimisation
# levels, kernels, threads, build switches, C libraries and machines (emulated ones too).
# The run is smoke's, or where arithmetic is slow (scalar kernels, emulators) the same recipe
# with smaller numbers, called tiny; FULL=1 takes smoke everywhere.
#
#   sh tests/matrix.sh [NAME ...]     only the cells whose name contains a NAME
#
# One line per cell: ok, DIFFERS, FAILED, or skipped with the reason. Installs the tools it
# needs where apt-get and root are at hand. Some twenty minutes; files in build/matrix.
cd "$(dirname "$0")/.." || exit 1
out=build/matrix
mkdir -p $out
passed=0 failed=0 skipped=0
wanted="$*"
strict="-std=c11 -ffp-contract=off -fno-fast-math -DALMOST_MAIN almost.c"

# say NAME VERDICT: one line, counted.
say() {
    printf '%-44s %s\n' "$1" "$2"
    case $2 in
    ok*) passed=$((passed + 1)) ;;
    skipped*) skipped=$((skipped + 1)) ;;
    *) failed=$((failed + 1)) ;;
    esac
}

# want NAME: was this cell asked for?
want() {
    [ -z "$wanted" ] && return 0
    for w in $wanted; do case $1 in *"$w"*) return 0 ;; esac; done
    return 1
}

# need COMMAND PACKAGE...: is the command there, if need be after installing the packages?
need() {
    command -v "$1" >/dev/null 2>&1 && return 0
    tool=$1
    shift
    [ "$(id -u)" = 0 ] && DEBIAN_FRONTEND=noninteractive apt-get install -y "$@" >/dev/null 2>&1
    command -v "$tool" >/dev/null 2>&1
}

# build FILE COMMAND...: compiles out/FILE once per version of the source.
build() {
    file=$out/$1
    shift
    [ -x "$file" ] && [ "$file" -nt almost.c ] && [ "$file" -nt almost.h ] && return 0
    rm -f "$file"
    "$@" -o "$file" >"$out/log" 2>&1
}

# kat NAME COMMAND...: COMMAND kat prints what the reference prints.
kat() {
    name=$1
    shift
    want "$name" || return 0
    if ! "$@" kat >"$out/kat" 2>"$out/log"; then say "$name kat" "FAILED: $(tail -n 1 "$out/log")"
    elif cmp -s "$out/kat" "$out/kat.want"; then say "$name kat" ok
    else say "$name kat" "DIFFERS: $(diff "$out/kat" "$out/kat.want" | sed -n 's/^< *\([^ ]*\).*/\1/p' | tr '\n' ' ')"; fi
}

# whole PRESET NAME COMMAND...: COMMAND reproduce ends with the reference's SHA256SUMS.
whole() {
    preset=$1 name=$2
    shift 2
    want "$name" || return 0
    [ -n "$FULL" ] && preset=smoke
    rm -rf "$out/run"
    began=$(date +%s)
    "$@" reproduce --preset $preset --data $out/data --out "$out/run" --quiet >/dev/null 2>"$out/log"
    code=$?
    spent="$(($(date +%s) - began)) s"
    if [ $code -ne 0 ] && [ $code -ne 3 ]; then say "$name $preset" "FAILED: $(tail -n 1 "$out/log")"
    elif cmp -s "$out/run/SHA256SUMS" "$out/$preset.want"; then say "$name $preset" "ok ($spent)"
    else say "$name $preset" "DIFFERS: $(diff "$out/run/SHA256SUMS" "$out/$preset.want" | sed -n '2s/.*  //p')"; fi
}

both() {
    preset=$1
    shift
    kat "$@"
    whole $preset "$@"
}

# cell PRESET NAME COMPILER AND FLAGS: builds, then both.
cell() {
    preset=$1 name=$2
    shift 2
    want "$name" || return 0
    if build "$name" "$@"; then both $preset "$name" "$out/$name"; else say "$name" "FAILED: does not compile: $(grep -m 1 error "$out/log")"; fi
}

# ---- the reference: gcc -O2, one thread, scalar kernels
if ! build reference gcc -O2 $strict -static -lpthread; then
    say reference "FAILED: does not compile"
    exit 1
fi
a=$out/reference
$a kat --kernels scalar --threads 1 >"$out/kat.want" || exit 1
# A data folder with the recipe tiny, and without published digests.
rm -rf $out/data && cp -r data $out/data && rm -f $out/data/*.sha256
sed 's/ n=64 / n=16 /; s/ n=48 / n=6 /; s/ n=256 / n=64 /; s/ n=128 / n=16 /; s/ n=60 / n=4 /; s/ n=20 / n=2 /
    s/epochs=2/epochs=1/; s/turns=2/turns=1/; s/episodes=128 rollouts=64 minibatch=32/episodes=16 rollouts=8 minibatch=8/
    s,data/\(hhh_pairs\|mc1\|controls\),data/few_\1,g' data/smoke.recipe >$out/data/tiny.recipe
for questions in hhh_pairs mc1 controls; do # one record a line: every 16th
    awk 'NR > 1 && !/^\]/ && (NR % 16 == 2) {sub(/,$/, ""); printf "%s%s", n++ ? ",\n" : "[\n", $0} END {print "\n]"}' \
        data/$questions.json >$out/data/few_$questions.json
done
for preset in tiny smoke; do
    rm -rf "$out/run"
    $a reproduce --preset $preset --data $out/data --out "$out/run" --threads 1 --quiet >/dev/null 2>"$out/log"
    [ $? = 1 ] && cat "$out/log"
    cp "$out/run/SHA256SUMS" "$out/$preset.want" || exit 1
done
if [ -f data/smoke.sha256 ]; then
    if grep -v '  \(data\|weights\)/' data/smoke.sha256 | cmp -s - "$out/smoke.want"; then say "published digests" ok; else say "published digests" "DIFFERS"; fi
fi

# ---- kernels, threads, environment: one program
with() { a=$1; shift; command=$1; shift; "$a" "$command" $with "$@"; }
for kernels in scalar sse2 avx2 avx512 neon; do
    with="--kernels $kernels"
    preset=smoke
    case $kernels in scalar | sse2) preset=tiny ;; esac # these emulate fused multiply-adds
    if $a selftest --kernels $kernels >/dev/null 2>"$out/log"; then both $preset "kernels-$kernels" with $a
    else want "kernels-$kernels" && say "kernels-$kernels" "skipped: $(tail -n 1 "$out/log")"; fi
done
for threads in 1 2 5; do
    with="--threads $threads"
    both smoke "threads-$threads" with $a
done
kat locale env LC_ALL=de_DE.UTF-8 LANG=tr_TR.UTF-8 $a

# ---- compilers and levels
for level in O0 O2 O3; do
    preset=smoke
    [ $level = O0 ] && preset=tiny
    cell $preset gcc-$level gcc -$level $strict -static -lpthread
    if need clang clang; then cell $preset clang-$level clang -$level $strict -static -lpthread
    else say clang-$level "skipped: no clang"; fi
done
cell smoke gcc-native gcc -O3 -march=native -std=gnu17 -DALMOST_MAIN almost.c -lpthread
cell smoke openmp gcc -O2 $strict -fopenmp -DALMOST_OPENMP -static -lpthread
cell smoke no-threads gcc -O2 $strict -DALMOST_NO_THREADS -static
cell tiny no-simd gcc -O2 $strict -DALMOST_NO_SIMD -static -lpthread
cell smoke lto gcc -O2 -flto $strict -static -lpthread
if need musl-gcc musl-tools; then cell smoke musl musl-gcc -O2 $strict -static -lpthread
else say musl "skipped: no musl-gcc"; fi

# ---- flags that would change results: refused, or the same bits all the same
hostile() {
    want "hostile$1" || return 0
    name="hostile $1 $2"
    if ! build "hostile$1" $1 -O2 $2 -DALMOST_MAIN almost.c -lpthread; then
        if grep -q 'error.*almost:' "$out/log"; then say "$name" "ok (refused by the compiler)"; else say "$name" "FAILED: $(grep -m 1 error "$out/log")"; fi
    elif "$out/hostile$1" kat >"$out/kat" 2>"$out/log"; then
        if cmp -s "$out/kat" "$out/kat.want"; then say "$name" "ok (same bits)"; else say "$name" DIFFERS; fi
    elif [ "$(grep -c . "$out/log")" = 1 ] && grep -q '^almost: ' "$out/log"; then say "$name" "ok (refused: $(cut -c1-50 "$out/log")...)"
    else say "$name" "FAILED: $(tail -n 1 "$out/log")"; fi
    rm -f "$out/hostile$1"
}
for compiler in gcc clang; do
    command -v $compiler >/dev/null || continue
    for flags in -ffast-math -funsafe-math-optimizations "-ffp-contract=fast -march=native" \
        "-fassociative-math -fno-signed-zeros -fno-trapping-math"; do
        hostile $compiler "$flags"
    done
done

# ---- other machines
if need i686-linux-gnu-gcc gcc-i686-linux-gnu libc6-dev-i386-cross; then
    cell tiny i686 i686-linux-gnu-gcc -O2 -msse2 -mfpmath=sse $strict -static -lpthread
else say i686 "skipped: no i686-linux-gnu-gcc"; fi
# machine NAME COMPILER EMULATOR PACKAGES FLAGS RUNS: RUNS are kat:KERNELS or both:KERNELS.
under() {
    command=$1
    shift
    $emulator "$program" "$command" $with "$@"
}
machine() {
    machine=$1 compiler=$2 emulator=$3 packages=$4 flags=$5 runs=$6
    want "$machine" || return 0
    if ! need $compiler $packages || ! need $emulator qemu-user; then
        say "$machine" "skipped: no $compiler or $emulator"
        return
    fi
    if ! build "$machine" $compiler -O2 $flags $strict -static -lpthread; then
        say "$machine" "FAILED: does not compile: $(grep -m 1 error "$out/log")"
        return
    fi
    program=$out/$machine
    for run in $runs; do
        with="--kernels ${run#*:}"
        case $run in
        both:*) both tiny "$machine-${run#*:}" under ;;
        *) kat "$machine-${run#*:}" under ;;
        esac
    done
}
machine aarch64 aarch64-linux-gnu-gcc qemu-aarch64 "gcc-aarch64-linux-gnu libc6-dev-arm64-cross" "" "both:neon both:scalar"
machine armhf arm-linux-gnueabihf-gcc qemu-arm "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross" "" "kat:scalar"
machine s390x s390x-linux-gnu-gcc qemu-s390x "gcc-s390x-linux-gnu libc6-dev-s390x-cross" "-fexcess-precision=fast" "kat:scalar"
machine powerpc powerpc-linux-gnu-gcc qemu-ppc "gcc-powerpc-linux-gnu libc6-dev-powerpc-cross" "" "kat:scalar"
machine riscv64 riscv64-linux-gnu-gcc qemu-riscv64 "gcc-riscv64-linux-gnu libc6-dev-riscv64-cross" "" "kat:scalar"

echo "$skipped cells skipped"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
