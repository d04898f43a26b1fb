#!/bin/sh
# Puts what finished runs say into REPRODUCE.md, between its markers:
#   sh tests/publish.sh run-mini [run-study]
# No figure in that page is typed by hand.
set -eu
cd "$(dirname "$0")/.."
run=$1 study=${2:-}
fill() { # fill NAME: standard input replaces the lines between the markers of NAME
    cat >"build/publish.part"
    awk -v name="$1" -v part=build/publish.part '
        $0 == "<!-- begin " name " -->" {print; print ""; while ((getline line < part) > 0) print line; print ""; skip = 1}
        $0 == "<!-- end " name " -->" {skip = 0}
        !skip || $0 == "<!-- begin " name " -->" {if (!skip) print}' REPRODUCE.md >build/publish.page
    mv build/publish.page REPRODUCE.md
}
mkdir -p build
fill summary <"$run/summary.txt"
fill results <"$run/results.txt"
{
    echo "| digest | artefact |"
    echo "|---|---|"
    sed 's/^\([0-9a-f]*\)  \(.*\)$/| `\1` | \2 |/' "$run/SHA256SUMS"
} | fill digests
{
    echo "| digest | artefact |"
    echo "|---|---|"
    grep -v '  data/' data/weights.sha256 | sed 's/^\([0-9a-f]*\)  \(.*\)$/| `\1` | \2 |/'
} | fill family
{
    echo '```'
    ./almost kat
    echo '```'
} | fill kat
{
    echo '```'
    grep -v '^$' data/mini.recipe
    echo '```'
} | fill recipe
if [ -s build/matrix.md ]; then fill matrix <build/matrix.md; fi # of sh tests/matrix.sh --table build/matrix.md
if [ -s build/peers.md ]; then fill peers <build/peers.md; fi # of make peers LLAMA=FOLDER
if [ -s build/bench.txt ]; then # of ./almost bench --rounds 9 >build/bench.txt, on an idle machine
    { echo '```'; cat build/bench.txt; echo '```'; } | fill bench
fi
# Stages in order with what they did, if this folder's run did them all itself.
if ! grep -q '"kept": true' "$run/timing.jsonl"; then
    {
        echo "| stage | seconds | GFLOP/s | of the multiply-add peak |"
        echo "|---|---:|---:|---:|"
        sed -n 's/^{"command": "\([^"]*\)".*"seconds": \([0-9.]*\).*"gflop_per_second": \([0-9.]*\), "of_peak": \([0-9.]*\).*/\1|\2|\3|\4/p' \
            "$run/timing.jsonl" | awk -F'|' '{
                n = split($1, word, " "); name = word[1]
                for (i = 2; i <= n; i++) # where it writes to tells stages of one name apart
                    if (word[i] ~ /^(out|kind)=/) {sub(/^[a-z]*=/, "", word[i]); name = name " " word[i]}
                if ($1 == "all stages") name = $1
                printf "| %s | %.1f | %.1f | %.0f %% |\n", name, $2, $3, 100 * $4}'
    } | fill rates
fi
if [ -n "$study" ]; then
    fill bars <"$study/summary.txt"
    { # of each file of figures: digest, command
        echo "| digest | command |"
        echo "|---|---|"
        grep '  eval/' "$study/SHA256SUMS" | while read -r digest file; do
            echo "| \`$digest\` | \`$(sed -n "s,^  {\"command\": \"\(eval .* out=$file.*\)\"\,$,\1,p" "$study/manifest.json")\` |"
        done
    } | fill commands
    { echo '```'; grep -v '^$' data/study.recipe; echo '```'; } | fill study
fi
