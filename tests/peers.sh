#!/bin/sh
# Our speed beside that of others, on this machine, in turns: a table, also in build/peers.md.
#
#   sh tests/peers.sh [FOLDER [ROUNDS]]      or: make peers LLAMA=FOLDER
#
# Products: OpenBLAS and oneDNN, from Debian's packages. FOLDER holds the programs of a llama.cpp
# built by its own instructions for this processor (llama-bench, and llama-simple for the same
# text by both); without it those rows are left out. Every figure is the median over ROUNDS (9)
# rounds, ratios and shares are medians of pairs. Wants an idle machine with two processors;
# a few minutes.
cd "$(dirname "$0")/.." || exit 1
llama=$1 rounds=${2:-9} out=build/peers
mkdir -p $out
: >$out/samples

# header FILE PACKAGE: is it there, if need be after installing the package?
header() {
    found() { echo "#include <$1>" | ${CC:-cc} -E - >/dev/null 2>&1; }
    found "$1" || [ "$(id -u)" != 0 ] || DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "$2" >/dev/null 2>&1
    found "$1"
}
header cblas.h libopenblas-dev || { echo "peers: needs libopenblas-dev" >&2; exit 1; }
onednn=
header oneapi/dnnl/dnnl.h libdnnl-dev && onednn="-DPEERS_ONEDNN -ldnnl"
# shellcheck disable=SC2086
${CC:-cc} -std=c11 -ffp-contract=off -fno-fast-math -O2 -Wno-unused-function tests/peers.c \
    -o $out/peers -lopenblas $onednn -lgomp -lpthread || exit 1

# Each chooses its kernels and threads itself, whatever the environment says.
for name in $(env | grep -oE '^(OPENBLAS|DNNL|ONEDNN|OMP|GOMP|GGML)_[A-Z0-9_]*'); do
    unset "$name"
done
$out/peers products "$rounds" >>$out/samples || exit 1

# ---- llama.cpp: one file, read by both ---------------------------------------------------

# field NAME: of llama-bench's last line of JSON.
field() { sed -n '$s/.*"'"$1"'": *"\{0,1\}\([^",}]*\).*/\1/p' $out/theirs; }

# theirs OPTION...: tokens per second of one turn of theirs, after one not counted.
theirs() {
    "$llama/llama-bench" -m $out/110m.gguf -r 1 -o jsonl "$@" >$out/theirs 2>$out/err &&
        field avg_ts || { tail -3 $out/err >&2; exit 1; }
}

text=
if [ -x "$llama/llama-bench" ]; then
    $out/peers model $out/110m.gguf || exit 1
    for round in $(seq "$rounds"); do
        for threads in 1 2; do
            prompt=$(theirs -t $threads -p 512 -n 0) && reply=$(theirs -t $threads -p 0 -n 64) &&
                $out/peers replies $out/110m.gguf $threads >$out/ours || exit 1
            who="llama.cpp b$(field build_number) ($(field build_commit))"
            awk -F '\t' -v OFS='\t' -v t="$prompt $reply" -v who="$who" '{split(t, x, " ")
                print $1, $2, $3, who, $4, x[NR], $5}' $out/ours >>$out/samples
        done
    done
fi

# The same text by both? Greedy, from the published weights.
if [ -x "$llama/llama-simple" ]; then
    prompt="Human: What is the capital of France?"
    ours=$(./almost generate weights/L.gguf --prompt "$prompt" --temperature 0 --max-new 64 \
        --quiet) || exit 1
    theirs=$("$llama/llama-simple" -m weights/L.gguf -n 64 -ngl 0 "$prompt" 2>$out/err) ||
        { tail -3 $out/err >&2; exit 1; }
    text="weights/L.gguf, greedy, 64 tokens: llama.cpp says something else"
    [ "$theirs" = "<|bos|>$prompt$ours" ] &&
        text="weights/L.gguf, greedy, 64 tokens: the same text by llama.cpp and by us"
fi

# ---- the table ---------------------------------------------------------------------------

# Medians of the samples that have the same first four fields, in the order of their coming.
awk -F '\t' '
function median(list,   n, v, i, j, t) {
    n = split(list, v, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && v[j] + 0 < v[j - 1] + 0; j--) {
            t = v[j]; v[j] = v[j - 1]; v[j - 1] = t
        }
    return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
function number(x) {return sprintf(x < 100 ? "%.1f" : "%.0f", x)}
{
    k = $1 "\t" $2 "\t" $3 "\t" $4
    if (!(k in ours)) key[++keys] = k
    ours[k] = ours[k] " " $5; theirs[k] = theirs[k] " " $6; limit[k] = limit[k] " " $7
    ratio[k] = ratio[k] " " $5 / $6; a[k] = a[k] " " 100 * $5 / $7; b[k] = b[k] " " 100 * $6 / $7
}
END {
    print "| work | threads | unit | the other | ours | theirs | ours / theirs | limit |" \
          " ours of it | theirs of it |"
    print "|---|---|---|---|---|---|---|---|---|---|"
    for (i = 1; i <= keys; i++) {
        k = key[i]
        split(k, f, "\t")
        printf "| %s | %s | %s | %s | %s | %s | **%.2f** | %s | %.0f %% | %.0f %% |\n", f[1], f[2],
            f[3], f[4], number(median(ours[k])), number(median(theirs[k])), median(ratio[k]),
            number(median(limit[k])), median(a[k]), median(b[k])
    }
}' $out/samples >build/peers.md
{
    printf '\n%s, ' "$(sed -n '/^model name/{s/.*: //p;q}' /proc/cpuinfo)"
    printf '%s; ' "$(${CC:-cc} --version | head -1)"
    printf 'medians of %s rounds, %s.\n' "$rounds" "$(date -u +%Y-%m-%d)"
    [ -z "$text" ] || printf '%s.\n' "$text"
} >>build/peers.md
cat build/peers.md
