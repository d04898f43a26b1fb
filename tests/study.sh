#!/bin/sh
# The study's recipe with small numbers: every command of it, and the table of its bars.
cd "$(dirname "$0")/.." || exit 1
tmp=$(mktemp -d)
trap '[ -n "${KEEP:-}" ] || rm -rf "$tmp"' EXIT
. tests/lib.sh
a=${ALMOST:-./almost}
cp -r data "$tmp/data"
rm -f "$tmp"/data/*.sha256
sed 's/^let seeds=.*/let seeds=1,2/; s/^let prompts=.*/let prompts=48/; s/^let ppo-prompts=.*/let ppo-prompts=3/
    s/^let votes=.*/let votes=32/; s/^let \(people\|lessons\)=.*/let \1=8/; s/^let questions=.*/let questions=8/
    s/^let turns=.*/let turns=1/; s/^let \(rm-\)*epochs=.*/let \1epochs=0.1/; s/^let budget=.*/let budget=100/; s/^let \(episodes\|far\)=.*/let \1=8/
    s/^let \(rollouts\|minibatch\|steps\)=.*/let \1=4/; s/^let L=.*/let L=weights\/M.gguf/; s/^let M=.*/let M=weights\/S.gguf/' \
    data/study.recipe >"$tmp/data/study.recipe"
# few NAME: every 40th record of data/NAME.json, one record a line there.
few() {
    awk 'NR > 1 && !/^\]/ && (NR % 40 == 2) {sub(/,$/, ""); printf "%s%s", n++ ? ",\n" : "[\n", $0} END {print "\n]"}' \
        "data/$1.json"
}
for questions in hhh_pairs controls mc1; do few $questions >"$tmp/data/$questions.json"; done
check "the study, small" $a reproduce --preset study --data "$tmp/data" --out "$tmp/run" --quiet
equal "every claim has its row, every bar its verdict" \
    "$(grep -c '`eval' "$tmp/run/summary.txt") $(grep -c '^| \*\*[1-7]' "$tmp/run/summary.txt")" \
    "$(grep '^| ' data/study.bars | grep -vc '| must |$') $(grep -c '^## [1-7]' data/study.bars)"
equal "two seeds meet no claim that needs five" "$(grep -c '| [0-9.-]* [0-9.-]* |.*| yes |' "$tmp/run/summary.txt")" 0
equal "the page draws every seed" "$(grep -o 'class="seed"' "$tmp/run/report.html" | wc -l)" \
    "$(grep '`eval' "$tmp/run/summary.txt" | cut -d'|' -f6 | wc -w)"
check "with two asked for" $a bars "$tmp/data/study.bars" --files "$(ls "$tmp"/run/eval/*.json | paste -sd, -)" --seeds 2
done_testing
