#!/bin/sh
# A smoke run that is killed (kill -9) or interrupted (SIGINT) at random moments, each time
# resumed with another number of threads: the same SHA256SUMS, nothing half written, no
# temporary file left. Then one longer training stage that goes on from its checkpoints.
#
#   sh tests/kill.sh [TIMES] [SEED]      10 times; a seed makes the moments repeatable
cd "$(dirname "$0")/.." || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
. tests/lib.sh
a=${ALMOST:-./almost}
times=${1:-10} seed=${2:-$$}
run="$a reproduce --preset smoke --quiet"
echo "seed $seed"

began=$(date +%s)
$run --out "$tmp/whole" --threads 2 >/dev/null 2>"$tmp/err"
[ $? = 1 ] && bad "the whole run: $(tail -n 1 "$tmp/err")"
spent=$(($(date +%s) - began + 1))

# Every file under its own name is complete: equal to the whole run's. Left out: what grows
# stage by stage, and files that are allowed to be unfinished and say so in their names.
half_written() {
    (cd "$tmp/killed" && find . -type f ! -name '.almost-tmp*' ! -name '*.state' ! -name timing.jsonl \
        ! -path ./ledger.jsonl ! -path ./manifest.json ! -path ./SHA256SUMS) | while read -r file; do
        cmp -s "$tmp/killed/$file" "$tmp/whole/$file" || echo "$file"
    done
    if [ -f "$tmp/killed/manifest.json" ]; then
        $a verify "$tmp/killed" --quiet >/dev/null 2>&1 || echo manifest.json
    fi
    for file in ledger.jsonl SHA256SUMS; do # these grow at the end only
        [ -f "$tmp/killed/$file" ] || continue
        head -c "$(wc -c <"$tmp/killed/$file")" "$tmp/whole/$file" | cmp -s - "$tmp/killed/$file" || echo "$file"
    done
}

# stopped PID MOMENT SIGNAL: sends the signal then, waits, and leaves the exit code in $code.
stopped() {
    sleep "$2"
    kill -$3 $1 2>/dev/null && kills=$((kills + 1))
    wait $1 2>/dev/null
    code=$?
}

kills=0 n=0
while [ $n -lt "$times" ]; do
    n=$((n + 1))
    threads=$((n % 5 + 1))
    moment=$(awk -v seed="$seed" -v n=$n -v most="$spent" -v times="$times" \
        'BEGIN {srand(seed * 1000 + n); printf "%.2f", 0.05 + rand() * 2.2 * most / times}')
    signal=KILL
    [ $((n % 3)) = 0 ] && signal=INT
    $run --out "$tmp/killed" --resume --threads $threads >/dev/null 2>"$tmp/err" &
    stopped $! "$moment" $signal
    stages=$(wc -l 2>/dev/null <"$tmp/killed/ledger.jsonl" || echo 0)
    left=$(find "$tmp/killed" -name '.almost-tmp*' -o -name '*.state' | sed "s:$tmp/killed/::" | tr '\n' ' ')
    echo "$signal $n after $moment s with $threads threads: $stages stages done; unfinished: ${left:-nothing}"
    case $code in 0 | 1 | 3 | 137) ok ;; *) bad "run $n ended by itself with exit code $code: $(tail -n 1 "$tmp/err")" ;; esac
    if [ $signal = INT ] && [ $code != 0 ] && [ $code != 3 ]; then
        equal "interrupted: exit code $n" $code 1
        equal "interrupted: one line that says what to do $n" "$(grep -c 'stopped.*resume' "$tmp/err")/$(grep -c . "$tmp/err")" 1/1
        equal "interrupted: no temporary file $n" "$(find "$tmp/killed" -name '.almost-tmp*')" ""
    fi
    equal "nothing is half written after $signal $n" "$(half_written)" ""
done
check "most kills met a running program" test $kills -ge $((times / 2))
$run --out "$tmp/killed" --resume --threads 2 >/dev/null 2>"$tmp/err"
[ $? = 1 ] && bad "the last resume: $(tail -n 1 "$tmp/err")"
for file in SHA256SUMS manifest.json ledger.jsonl; do
    same "killed and whole runs have one $file" "$tmp/whole/$file" "$tmp/killed/$file"
done
equal "no temporary file is left" "$(find "$tmp/killed" -name '*.state' -o -name '.almost-tmp*')" ""
equal "the same files" "$(cd "$tmp/killed" && find . -type f | sort)" "$(cd "$tmp/whole" && find . -type f | sort)"
check "verify agrees" $a verify "$tmp/killed" --quiet

# ---- one stage, several checkpoints
train() { echo "$a pretrain --tokens 400000 --quiet --out $tmp/$1.gguf --metrics $tmp/$1.jsonl --ledger $tmp/$1.ledger --threads $2"; }
began=$(date +%s%N)
check "training" $(train whole 2)
spent=$((($(date +%s%N) - began) / 1000000)) # ms, with two threads
n=0
for share in 0.3 0.05 0.15; do # of that time: the machine may be busier then than now
    n=$((n + 1))
    moment=$(awk -v spent=$spent -v share=$share 'BEGIN {printf "%.2f", spent * share / 1000}')
    signal=KILL
    [ $n = 2 ] && signal=INT
    $(train cut $n) >/dev/null 2>&1 &
    stopped $! $moment $signal
    case $code in 1 | 137) ok ;; *) bad "training ended with exit code $code" ;; esac
    echo "$signal training after $moment s: $(find "$tmp" -name 'cut*.state' | wc -l) checkpoint"
    equal "no half a model" "$(find "$tmp" -name cut.gguf)" ""
done
check "training goes on to its end" $(train cut 1)
for ending in gguf jsonl ledger; do same "cut and whole training: $ending" "$tmp/whole.$ending" "$tmp/cut.$ending"; done
equal "no checkpoint is left" "$(find "$tmp" -name '*.state' -o -name '.almost-tmp*')" ""
done_testing
