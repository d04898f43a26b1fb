#!/bin/sh
# The command line: commands, exit codes, and one clear line for every kind of bad input.
cd "$(dirname "$0")/.." || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
. tests/lib.sh
a=${ALMOST:-./almost}

# ---- help and usage
check "help" $a help
check "selftest" $a selftest
for command in $($a help | sed -n 's/^  \([a-z0-9]*\) .*/\1/p'); do check "help $command" $a help "$command"; done
refuses "no such command" 2 "unknown command 'nonsense'" $a nonsense
refuses "no such option" 2 "unknown option '--nonsense'" $a kat --nonsense
refuses "a missing option" 2 "\-\-out is missing" $a pretrain
refuses "a value that is no number" 2 "expected an integer, found 'x'" $a corpus --docs x
refuses "a value out of range" 2 "expected an integer from 1" $a corpus --docs 0
refuses "threads out of range" 2 "expected an integer from 1 to 256" $a kat --threads 0
refuses "no such kernels" 2 "expected auto, scalar" $a kat --kernels mmx
refuses "one word too many" 2 "unexpected word" $a selftest twice
refuses "no such preset" 2 "presets here: .*smoke" $a reproduce --preset nonsense
for recipe in data/*.recipe; do name=${recipe##*/} && check "plan of $name" $a plan --preset "${name%.recipe}"; done
mkdir "$tmp/let" && echo 'let n=1 x' >"$tmp/let/bad.recipe"
refuses "a let without a value" 1 "bad.recipe:1: let: expected name=values" $a reproduce --data "$tmp/let" --preset bad --out "$tmp/let/run"
$a kat >"$tmp/kat"
sed -n '/begin kat/,/end kat/{/^[a-z]/p}' REPRODUCE.md >"$tmp/kat.published"
same "kat prints what REPRODUCE.md publishes" "$tmp/kat" "$tmp/kat.published"
for kernels in scalar auto; do
    $a kat --kernels $kernels --threads 3 >"$tmp/kat2" 2>/dev/null
    same "kat with $kernels kernels" "$tmp/kat" "$tmp/kat2"
done

# ---- files that are missing, damaged, or not what they should be
refuses "a missing model" 1 "cannot read nowhere.gguf: no such file" $a info nowhere.gguf
refuses "a folder for a model" 1 "data: is a folder" $a info data
refuses "an empty model" 1 "/dev/null: .*truncated" $a info /dev/null
refuses "text for a model" 1 "data/facts.txt: expected a GGUF file, found" $a info data/facts.txt
size=$(wc -c <weights/S.gguf)
for part in 1000 60000 $((size / 2)) $((size - 1)); do
    head -c $part weights/S.gguf >"$tmp/short.gguf"
    refuses "a model cut at $part bytes" 1 "short.gguf: .*truncated" $a generate "$tmp/short.gguf" --prompt x
done
cp weights/S.gguf "$tmp/flipped.gguf"
printf '\377' | dd of="$tmp/flipped.gguf" bs=1 seek=200000 conv=notrunc 2>/dev/null
refuses "one byte flipped in a model" 1 "flipped.gguf" $a generate "$tmp/flipped.gguf" --prompt x
cp -r data "$tmp/data" && rm "$tmp/data/facts.txt"
refuses "a missing world file" 1 "cannot read .*facts.txt: no such file" $a corpus --data "$tmp/data"
printf 'row' >"$tmp/data/facts.txt"
refuses "a damaged world file" 1 "facts.txt" $a corpus --data "$tmp/data"
for file in facts howto advice care myths phrases; do # each world file, one byte
    rm -rf "$tmp/data" && cp -r data "$tmp/data"
    printf '\377' | dd of="$tmp/data/$file.txt" bs=1 seek=3333 conv=notrunc 2>/dev/null
    refuses "one byte flipped in $file.txt" 1 "$file.txt:[0-9]*: expected" $a corpus --data "$tmp/data"
done
printf '\377' | dd of="$tmp/data/HHH_prompt.txt" bs=1 seek=333 conv=notrunc 2>/dev/null
echo 'What is 2 plus 2?' >"$tmp/one.txt"
refuses "one byte flipped in the demonstrations" 1 "HHH_prompt.txt: expected UTF-8" \
    $a respond weights/S.gguf --prompts "$tmp/one.txt" --assets "$tmp/data" --out "$tmp/r.json"
refuses "no such demonstrations" 1 "Nope_prompt.txt: no such file" \
    $a respond weights/S.gguf --prompts "$tmp/one.txt" --demos Nope --out "$tmp/r.json"
refuses "more shots than demonstrations" 2 "50 shots asked for" \
    $a respond weights/S.gguf --prompts "$tmp/one.txt" --shots 50 --out "$tmp/r.json"
printf '{"prompt": "x"' >"$tmp/pairs.json"
refuses "broken JSON" 1 "pairs.json:1" $a rm --init weights/S.gguf --pairs "$tmp/pairs.json" --out "$tmp/rm.gguf"
printf '[{"prompt": "x", "chosen": 3}]' >"$tmp/pairs.json"
refuses "a field of the wrong kind" 1 "field 'chosen'" $a rm --init weights/S.gguf --pairs "$tmp/pairs.json" --out "$tmp/rm.gguf"
printf '[]' >"$tmp/pairs.json"
refuses "no pairs at all" 1 "pairs.json: " $a rm --init weights/S.gguf --pairs "$tmp/pairs.json" --out "$tmp/rm.gguf"
refuses "a language model as reward model" 2 "weights/S.gguf: the model has no reward head" $a score weights/S.gguf --file data/hhh_pairs.json
refuses "the same for a pairwise benchmark" 2 "weights/S.gguf: the model has no reward head" \
    $a eval rm --models weights/S.gguf --files data/hhh_pairs.json
printf 'caf\303\n' >"$tmp/latin.txt"
refuses "prompts that are not UTF-8" 1 "latin.txt: expected UTF-8" $a respond weights/S.gguf --prompts "$tmp/latin.txt" --out "$tmp/r.json"
refuses "queries that are not UTF-8" 1 "latin.txt: expected UTF-8" $a answer weights/S.gguf --queries "$tmp/latin.txt" --out "$tmp/r.json"
refuses "ids that are no ids" 2 "expected token ids from 0 to [0-9]*, found 'What'" $a tokenize weights/S.gguf --decode --file "$tmp/one.txt"

# ---- values that do not go together, and limits
refuses "a temperature out of range" 2 "expected a number from 0.001 to 100" \
    $a respond weights/S.gguf --prompts "$tmp/one.txt" --temperature 1e99 --out "$tmp/r.json"
refuses "a weight type that is none" 2 "expected f32, f16, bf16 or q8_0, found 'q4_9'" $a convert weights/S.gguf "$tmp/l" --type q4_9
refuses "heads that do not divide the width" 1 "64 does not give 3 heads" $a pretrain --out "$tmp/l" --heads 3
refuses "windows that do not divide the context" 2 "divisor of the context, 512" $a pretrain --out "$tmp/l" --window 100
refuses "a shelf that is not there" 2 "corpus, primer or copybooks, found 'cellar'" $a pretrain --out "$tmp/l" --shelf cellar
refuses "a shelf that is not there" 2 "corpus, primer or copybooks, found 'cellar'" $a corpus --shelf cellar
refuses "too little memory" 1 "out of memory: .* raise the limit" $a pretrain --out "$tmp/l" --max-memory 5
refuses "a context that overflows" 1 "600 tokens do not fit the model's context" \
    $a logits weights/S.gguf --ids "$(awk 'BEGIN {while (n++ < 600) printf "1 "}')" --out "$tmp/l"
refuses "an id beyond the vocabulary" 2 "token ids from 0" $a logits weights/S.gguf --ids "1 99999999" --out "$tmp/l"
refuses "a prompt longer than the context" 1 "leaves no room" \
    $a generate weights/S.gguf --prompt "$(awk 'BEGIN {while (n++ < 900) printf "%d ", n}')"

# ---- output that cannot be written
refuses "an output folder that is not there" 1 "none/c.txt: no such folder; make it first" $a corpus --out "$tmp/none/c.txt"
refuses "an output below a file" 1 "one.txt" $a corpus --out "$tmp/one.txt/c.txt"
refuses "a folder in the output's place" 1 "data: is a folder" $a corpus --out "$tmp/data"
refuses "a device that is full" 1 "cannot write /dev/full: the disk is full" $a corpus --out /dev/full
for command in kat help "corpus --docs 2"; do
    if $a $command >/dev/full 2>"$tmp/err"; then bad "a full standard output: $command"
    else equal "a full standard output: $command" "$(sed 's/ [a-z]*: / /' "$tmp/err")" "almost: standard output could not be written"; fi
done
smoke="$a reproduce --preset smoke --quiet"
refuses "a run folder below a file" 1 "one.txt: .*not a folder" $smoke --out "$tmp/one.txt/run"
refuses "a run without models" 1 "none/[SML].gguf: no such file" $smoke --out "$tmp/run1" --weights "$tmp/none"
refuses "a run without data" 2 "smoke.recipe is missing" $smoke --out "$tmp/run1" --data "$tmp/none"
mkdir "$tmp/w" && cp weights/[SML].gguf "$tmp/w" && head -c 100000 weights/S.gguf >"$tmp/w/L.gguf"
refuses "a run with a truncated model" 1 "L.gguf: .*truncated" $smoke --out "$tmp/run1" --weights "$tmp/w"
mkdir "$tmp/small"
if mount -t tmpfs -o size=300k none "$tmp/small" 2>/dev/null; then
    refuses "a disk that fills up" 1 "cannot write .*small.*: the disk is full; free some space" $smoke --out "$tmp/small/run"
    equal "and no half a file on it" "$(find "$tmp/small" -name '.almost-tmp*')" ""
    refuses "the same on going on" 1 "the disk is full" $smoke --out "$tmp/small/run" --resume
    umount "$tmp/small"
fi
(ulimit -f 100 2>/dev/null && $a convert weights/S.gguf "$tmp/l" --type f32) >/dev/null 2>"$tmp/err"
equal "a file that may not grow" "$? $(grep -c 'cannot write .*larger than allowed' "$tmp/err")/$(grep -c . "$tmp/err")" "1 1/1"
equal "nothing was left behind" "$(find "$tmp" -name '.almost-tmp*' -o -name rm.gguf -o -name r.json -o -name l -o -name c.txt)" ""

# ---- recipes: what is wrong in a line names it, and foreign inputs are told before all else
mkdir "$tmp/own" && cp data/mc1.json "$tmp/own/mc1.json" && printf 'a\nb\n' >"$tmp/own/p.txt"
printf '["c", "d"]' >"$tmp/own/r.json"
own="$a reproduce --preset own --data $tmp/own --out $tmp/own-run"
recipe() { printf '# a recipe\n\n%s\n' "$1" >"$tmp/own/own.recipe"; }
recipe 'records prompts=data/p.txt nonsense=1'
refuses "a recipe with a wrong option" 2 "own.recipe:3: records: .*nonsense" $own
recipe 'records prompts=data/p.txt replies=data/r.json'
refuses "a recipe without an option" 2 "own.recipe:3: records: --out is missing" $own
printf '{"input": "a", "output": "b"}' >"$tmp/own/s.jsonl"
recipe 'sft init=weights/S.gguf records=data/s.jsonl out=o.gguf batch=0'
refuses "a recipe with a value out of range" 2 "own.recipe:3: sft: option --batch: expected" $own --quiet
recipe 'nonsense out=x'
refuses "a recipe with an unknown command" 1 "own.recipe:3: unknown command 'nonsense'" $own
recipe 'for seed=1,2 records prompts=data/p.txt replies=data/r.json out=o.json'
refuses "a loop that writes one file twice" 1 "own.recipe:3: o.json is written by line 3 already" $own
recipe 'records prompts=data/{p}.txt replies=data/r.json out=o.json'
refuses "a name without a value" 1 "own.recipe:3: no let or for gives {p} a value" $own
recipe 'records prompts={a,b}{a,b}{a,b}{a,b}{a,b} replies=data/r.json out=o.json'
refuses "braces without end" 1 "own.recipe:3: expected at most 4 closed {braces}" $own
recipe "$(printf '%s\n' 'let seeds=1,2' 'let both=x-{seeds}' 'for s={seeds} n=a,b records prompts=data/p.txt replies=data/r.json out={s}-{n}.json' \
    'for n={both} records prompts=data/{p,p}.txt replies=data/two.json out={n}.json')"
printf '["c", "d", "e", "f"]' >"$tmp/own/two.json"
check "let, for and braces" $own --quiet
equal "are written out in the manifest" "$(sed 's/.*  //' "$tmp/own-run/SHA256SUMS" | tr '\n' ' ')" \
    "1-a.json 1-b.json 2-a.json 2-b.json x-1.json x-2.json "
equal "lists too" "$(grep -c 'prompts=data/p.txt,data/p.txt' "$tmp/own-run/manifest.json")" 2
printf 'records\000\n' >"$tmp/own/own.recipe"
refuses "a recipe that is no text" 1 "own.recipe: expected UTF-8 text" $own
recipe 'records prompts=data/p.txt replies=data/r.json out=o.json'
rm -rf "$tmp/own-run"
check "a recipe of one's own is published" $own --publish
check "and reproduces" $own --resume
rm -rf "$tmp/own-run" && printf 'a\nc\n' >"$tmp/own/p.txt"
$own >/dev/null 2>"$tmp/err"
equal "other inputs do not reproduce" $? 3
equal "they are named before the first stage" \
    "$(head -1 "$tmp/err" | grep -c '^inputs .*data/p.txt: expected .*not as published')" 1
head -c 200 "$tmp/own/own.sha256" >"$tmp/sums" && printf 'a\nb\n' >"$tmp/own/p.txt"
mv "$tmp/sums" "$tmp/own/own.sha256" && rm -rf "$tmp/own-run"
refuses "published digests that are cut short" 1 "own.sha256: expected 1 artefacts, found 0" $own --quiet

# ---- interrupted: one line, exit 1, and the run can go on
$smoke --out "$tmp/run2" >"$tmp/out" 2>"$tmp/err" &
pid=$!
sleep 0.7
kill -INT $pid 2>/dev/null
wait $pid
equal "interrupted: exit code" $? 1
equal "interrupted: one line that says what to do" "$(grep -c '^almost: .*stopped.*resume' "$tmp/err")/$(grep -c . "$tmp/err")" 1/1
equal "interrupted: nothing half written" "$(find "$tmp/run2" -name '.almost-tmp*')" ""

# ---- figures of a run that were altered
mkdir "$tmp/r" && printf '{}' >"$tmp/r/manifest.json"
refuses "a folder that is no run" 1 "cannot read .*manifest.json" $a verify "$tmp/w"
refuses "a manifest without stages" 1 "manifest.json: field stages: expected an array" $a verify "$tmp/r"
printf '{"stages": [{"outputs": []}]}' >"$tmp/r/manifest.json"
refuses "a manifest without outputs" 1 "expected the outputs of at least one stage" $a verify "$tmp/r"
printf '{"stages": [{"outputs": {"a": "00"}}]}' >"$tmp/r/manifest.json"
refuses "an output that is gone" 3 "1 of 1 files are not what the manifest says" $a verify "$tmp/r"
printf '{"sta' >"$tmp/r/manifest.json"
refuses "a broken manifest" 1 "manifest.json:1:" $a verify "$tmp/r"
refuses "a preset with a path in its name" 2 "is not a preset's name" $a reproduce --preset ../x

# ---- tools
text='The capital of France is Paris. caf\303\251 \377 12345'
printf "$text" >"$tmp/text"
$a tokenize weights/S.gguf <"$tmp/text" >"$tmp/ids" 2>/dev/null
$a tokenize weights/S.gguf --decode <"$tmp/ids" >"$tmp/back" 2>/dev/null
same "tokenize there and back" "$tmp/text" "$tmp/back"
$a logits weights/S.gguf --ids "$(cat "$tmp/ids")" --out "$tmp/l1" 2>/dev/null
for chunk in 1 3 7; do
    $a logits weights/S.gguf --ids "$(cat "$tmp/ids")" --chunk $chunk --out "$tmp/l2" 2>/dev/null
    same "logits in chunks of $chunk" "$tmp/l1" "$tmp/l2"
done
check "convert" $a convert weights/S.gguf "$tmp/s.gguf" --type f32
$a logits "$tmp/s.gguf" --ids "$(cat "$tmp/ids")" --out "$tmp/l2" 2>/dev/null
same "f16 and f32 files hold the same weights" "$tmp/l1" "$tmp/l2"
# chat: the same lines, the same talk; labels and rewards with --compare and --rm; odd input.
{
    printf 'Who are you?\n\n   \nbad \377\376 bytes \001\000here\n'
    awk 'BEGIN {for (i = 0; i < 9000; i++) printf "b"; print ""; for (i = 0; i < 40; i++) print "How do I make tea?"}'
    printf 'Thank you!'
} >"$tmp/lines"
check "chat to the end of any input" sh -c "$a chat weights/S.gguf --max-new 20 --threads 2 <'$tmp/lines' >'$tmp/chat1'"
check "chat again" sh -c "$a chat weights/S.gguf --max-new 20 --threads 1 <'$tmp/lines' >'$tmp/chat2'"
same "is the same talk" "$tmp/chat1" "$tmp/chat2"
check "a line that is too long is said to be" grep -q '^(this line does not fit the context of 512 tokens' "$tmp/chat1"
equal "a talk that outgrew the context says so once" "$(grep -c 'outgrown the context' "$tmp/chat1")" 1
check "nothing on standard input is no error" sh -c "$a chat weights/S.gguf </dev/null"
check "a reward model" sh -c "$a community --n 8 --out '$tmp/pairs.json' --data data/ --quiet && $a rm --init weights/S.gguf --pairs '$tmp/pairs.json' --out '$tmp/rm.gguf' --quiet"

# ---- direct preference optimisation: the same bits however it runs, of the pairs asked for
dpo() { name=$1 && shift && $a dpo --init weights/S.gguf --pairs "$tmp/pairs.json" --batch 2 --out "$tmp/$name.gguf" \
    --metrics "$tmp/$name.jsonl" --quiet "$@"; }
check "dpo" dpo d1 --threads 1
check "dpo with three threads" dpo d2 --threads 3
same "is the same policy" "$tmp/d1.gguf" "$tmp/d2.gguf"
equal "dpo starts at its reference: no reward, loss log 2" "$(head -1 "$tmp/d1.jsonl" |
    grep -c '"loss":0.6931471824645996,.*"rewards/margins":0.0,"rewards/chosen":0.0,"rewards/rejected":0.0,"logps/chosen":-')" 1
check "dpo of the first two pairs" dpo d3 --n 2
equal "has one step of two" "$(wc -l <"$tmp/d3.jsonl")" 1
check "a reward model of the first two" sh -c "$a rm --init weights/S.gguf --pairs '$tmp/pairs.json' --n 2 --batch 1 --out '$tmp/l.gguf' --metrics '$tmp/l' --quiet"
equal "has two steps of one" "$(wc -l <"$tmp/l")" 2
rm -f "$tmp/l" "$tmp/l.gguf"

# ---- ablation of the heuristic filter: raw replies, judged as before or not at all
rows() { for text; do printf '{"text": "%s", "rule": "%s"}\n' "${text%|*}" "${text#*|}"; done; }
rows 'A pot.|good' 'Is it?|end' 'Red.|good' >"$tmp/big.jsonl"
rows 'Pot.|good' 'A dark one.|good' 'Red.|good' >"$tmp/tiny.jsonl"
printf '["A pot.", "BAD", "Red."]' >"$tmp/big.json" && printf '["Pot.", "A dark one.", "Red."]' >"$tmp/tiny.json"
compare() { name=$1 && shift && $a compare --prompts "$tmp/ppo.txt" --out "$tmp/$name.json" --quiet "$@"; }
cut -d'|' -f1 "$tmp/lines" | head -1 >"$tmp/ppo.txt" && printf 'What is tea?\nWhat is ink?\n' >>"$tmp/ppo.txt"
check "comparisons of filtered replies" compare c1 --ranked "$tmp/big.json,$tmp/tiny.json" --no-length-rule
check "comparisons of raw replies" compare c2 --ranked "$tmp/big.jsonl,$tmp/tiny.jsonl" --no-length-rule
same "are the same" "$tmp/c1.json" "$tmp/c2.json"
check "comparisons without the filter" compare c3 --ranked "$tmp/big.jsonl,$tmp/tiny.jsonl" --no-length-rule --no-filter
equal "are one more" "$(grep -c chosen "$tmp/c1.json") $(grep -c chosen "$tmp/c3.json") $(grep -c 'chosen": "Is it?"' "$tmp/c3.json")" "1 2 1"
refuses "what was filtered does not come back" 2 "no-filter needs raw replies" compare c4 --ranked "$tmp/big.json,$tmp/tiny.json" --no-filter
refuses "a scoring that is none" 2 "quirks: 'x' is unknown" $a eval judge --files data/judgements.txt --scoring x

# ---- controls of PPO: another reward, the same run; the reward model's word is noted beside
echo '{"truncation": 1}' >"$tmp/settings.json" # short replies: their own reward, less one
ppo() { name=$1 && shift && $a ppo --policy weights/S.gguf --rm "$tmp/rm.gguf" --prompts "$tmp/ppo.txt" --episodes 8 --rollouts 4 \
    --minibatch 4 --epochs 1 --max-new 12 --settings "$tmp/settings.json" --out "$tmp/$name.gguf" --rollout-dir "$tmp/$name" --quiet "$@"; }
told() { sed 's/.*"score":\([^,]*\),.*/\1/' "$tmp/$1/000001.jsonl" | tr '\n' ' '; }
noted() { sed 's/.*"raw":\([^,]*\),.*/\1/' "$tmp/$1/000001.jsonl" | tr '\n' ' '; }
for reward in rm gold length random; do check "ppo --reward $reward" ppo p-$reward --reward $reward --data data/; done
check "ppo without a word about its reward" ppo p-plain
same "is paid by the reward model" "$tmp/p-rm.gguf" "$tmp/p-plain.gguf"
equal "the reward model's word is noted for all" "$(for r in rm gold length random; do noted p-$r; echo; done | sort -u | wc -l)" 1
equal "but each is paid for something else" "$(for r in rm gold length random; do told p-$r; echo; done | sort -u | wc -l)" 4
equal "rollouts tell the prompt" "$(cat "$tmp/p-rm/000002.jsonl" | grep -c '"prompt":"\\n\\nHuman: ')" 4
check "a shorter run in the same folder" ppo p-rm --episodes 4
equal "leaves no rollouts of the longer one" "$(ls "$tmp/p-rm")" 000001.jsonl
refuses "a reward that is none" 2 "expected rm, gold, length or random, found 'x'" ppo p-x --reward x
refuses "gold without a world" 2 "needs --data" ppo p-x --reward gold
refuses "gold of no world" 1 "cannot read .*own/facts.txt" ppo p-x --reward gold --data "$tmp/own"

# ---- best-of-N: the first candidate is the plain answer, more candidates keep the ones before
printf 'Who are you?\nWhat is tea? || And coffee?\nThank you!\n' >"$tmp/q.txt"
answer() { name=$1 && shift && $a answer weights/S.gguf --queries "$tmp/q.txt" --max-new 12 --out "$tmp/$name.jsonl" --quiet "$@"; }
part() { sed "s/.*$2: \([^,}]*\).*/\1/" "$tmp/$1.jsonl"; }
check "plain answers" answer b0
for n in 1 3 9; do check "best of $n" answer b$n --rm "$tmp/rm.gguf" --best-of $n --threads $n; done
equal "best of one says what a plain answer says" "$(part b1 '"text"')" "$(part b0 '"text"')"
equal "and bounds no distance" "$(part b1 '"kl_bound"' | sort -u)" 0.0
equal "the bound of best of three: log 3 - 2/3" \
    "$(part b3 '"kl_bound"' | cut -c1-6 | tr '\n' ' ')" "0.4319 0.4319 0.4319 "
equal "of one turn, more candidates are never worse" "$(for k in 1 3; do for n in 1 3 9; do
    part b$n '"proxy"' | sed -n ${k}p; done | sort -gc && echo yes; done)" "yes
yes"
check "best of nine again, alone on a thread" answer b8 --rm "$tmp/rm.gguf" --best-of 9 --threads 1
equal "is the same" "$(part b8 '"text"')" "$(part b9 '"text"')"
refuses "best of many without a judge of them" 2 "best-of needs --rm" answer b7 --best-of 2
refuses "best of none" 2 "option --best-of: expected an integer from 1" answer b7 --rm "$tmp/rm.gguf" --best-of 0
refuses "dpo without a pull" 2 "option --beta: expected a number" dpo d4 --beta 0
refuses "dpo of no pairs" 2 "option --n: expected an integer from 1" dpo d4 --n 0

printf 'Who are you?\nThank you!\n' | $a chat weights/S.gguf,weights/M.gguf,weights/S.gguf --rm "$tmp/rm.gguf" --max-new 20 >"$tmp/chat"
equal "chat compares three" "$(grep -c '^[SM]  [^ ]' "$tmp/chat")" 6
equal "and scores each" "$(grep -c '^   (reward -\{0,1\}[0-9]*\.[0-9][0-9])$' "$tmp/chat")" 6
equal "one policy gets one reply wherever it stands" \
    "$(grep '^S' "$tmp/chat" | sed -n 'p;n')" "$(grep '^S' "$tmp/chat" | sed -n 'n;p')"
refuses "a policy is no reward model" 2 "no reward head" $a chat weights/S.gguf --rm weights/S.gguf
refuses "a policy that is not there" 1 "none.gguf" $a chat weights/S.gguf,none.gguf
refuses "a talk with nobody" 2 "no policy is named" $a chat ,
echo 'What is the capital of France?' | $a chat --compare --max-new 30 >"$tmp/chat"
equal "vanilla, fine-tuned and PPO side by side" "$(grep -o "^[a-zM]\+" "$tmp/chat" | tr "\n" " ")" "M sft ppo "
equal "each with its reward" "$(grep -c '^ *(reward -\{0,1\}[0-9]*\.[0-9][0-9])$' "$tmp/chat")" 3
check "the shipped policy talks without a word" sh -c "echo 'What is the capital of France?' | $a chat | grep -q ."
for f in rm sft ppo; do # shipped weights are the published run's
    check "weights/$f.gguf" grep -q "^$($a hash weights/$f.gguf | cut -d' ' -f1)  ship/$f\.gguf$" data/mini.sha256
done
check "chat" sh -c "echo 'What is the capital of France?' | $a chat weights/S.gguf --max-new 20 | grep -q ."
check "generate" sh -c "$a generate weights/S.gguf --prompt 'Human:' --max-new 8 | grep -q ."
# ---- bars: figures by hand. x against y: (1+0)/2 and (1/2+1/2)/2, each less 1/4; it wins 1+0 and 1+1/2 of 2;
# no better in one resample of four (question 8 twice), so p is about twice a quarter
row() { printf '%s{"metric": "gold", "name": "%s", "group": "all", "items": {"clusters": [%s], "credits": [%s]}}' "$@"; }
{
    row '[' x-1 7,8 18018000,0
    row , x-2 7,8 9009000,9009000
    row , y 7,8 0,9009000
    row , z 7,9 0,9009000
    echo ', {"metric": "fit", "name": "v", "group": "turn", "figure": {"mean": 2.5, "low": 2, "high": 3, "clusters": 9}}]'
} >"$tmp/own/figures.json"
bars() {
    printf 'Prose.\n\n## A title\n\n| what has to show | metric | group | ours | theirs | must |\n|---|---|---|---|---|---|\n' >"$tmp/own/own.bars"
    printf '%s\n' "$@" >>"$tmp/own/own.bars"
}
own="$a bars $tmp/own/own.bars --files $tmp/own/figures.json --seeds 2 --quiet"
bars '| a | gold | all | x-# | y | >= 0.25 |' '| b | win rate | all | x-# | y | >= 0.626, 1 of 2 |' \
    '| c | gold | all | y | | >= 0.25, 1 of 2 |' '| d | gold | all | y | | > -1 |' '| e | gold | all | x-# | y | > 4 se, 1 of 2 |'
$own >"$tmp/out"
equal "bars: a verdict, and figures by hand" "$(cut -d'|' -f 2-4,6-9 "$tmp/out" | sed '1,2d')" \
"$(printf '%s\n' ' **A title** | | | | | | **met** ' ' a | >= 0.25 | **0.250** | 0.250 0.250 | 2 |  | yes ' \
    ' b | >= 0.626, 1 of 2 | **0.625** | 0.500 0.750 | 2 |  | no ' ' c | >= 0.25, 1 of 2 | **0.250** |  | 2 |  | yes ' \
    ' d | > -1 | **0.250** |  | 2 | 0.0004 | yes ' ' e | > 4 se, 1 of 2 | **0.250** | 0.250 0.250 | 2 | 0.5195 | no ')"
bars '| a | gold | all | x-# | y | >= 0.25 |' '| b | gold | all | y | | >= 0.3, 2 of 2 |' '| c | gold | all | y | | >= 0.2, 2 of 2 |'
equal "bars: too few of them" "$($own | grep -c 'not met')" 1
equal "bars: too few seeds" "$($own --seeds 3 | grep -c '| a .* no |')" 1
bars '| a | fit | turn | v | | >= 2 |'
equal "bars: a figure without items stands as it is" "$($own | grep -c '| a | >= 2 | \*\*2.500\*\* | 2.000 to 3.000 |  | 9 |  | yes |')" 1
bars '| a | fit | turn | v | | > 2 |'
refuses "bars: but is not tested" 1 "no file of --files has 'fit' of 'v'" $own
bars '| a | gold | all | x-# | y | about 1 |'
refuses "bars: no such must" 1 "own.bars:7: expected .* what .* must" $own
bars '| a | gold | all | y | >= 1 |'
refuses "bars: a cell is missing" 1 "own.bars:7: expected .* what .* must" $own
bars '| a | gold | some | y | | >= 1 |'
refuses "bars: no such row" 1 "'a': no file of --files has 'gold' of 'y', group 'some'" $own
bars '| a | win rate | all | x-# | z | >= 1 |'
refuses "bars: other questions" 1 "x-# and z: expected .* the same questions" $own
echo 'no table' >"$tmp/own/own.bars"
refuses "bars: no claims" 1 "own.bars: expected claims, found none" $own

# ---- the frontier: rollouts and answers on the same axes, alone and as lines of a recipe
kl() { $a eval kl --models "$1,weights/S.gguf" --files "$tmp/b0.jsonl" --prompts "$tmp/q.txt" --out "$tmp/kl.json" --quiet; }
frontier() { $a eval frontier --prompts "$tmp/q.txt" --out "$tmp/f.json" --quiet "$@"; }
check "exact KL of a model to itself" kl weights/S.gguf
equal "is nothing" "$(grep -c '"exact KL", "name": "b0".*"mean": 0.0, "low": 0.0, "high": 0.0' "$tmp/kl.json")" 1
check "exact KL of a policy" kl "$tmp/d1.gguf"
equal "is something" "$(grep -c '"mean": 0[.]0,' "$tmp/kl.json")" 0
refuses "one model is not two" 2 "expected a policy and its reference, found 1" \
    $a eval kl --models weights/S.gguf --files "$tmp/b0.jsonl" --prompts "$tmp/q.txt"
refuses "answers without rewards" 1 "field 'proxy': expected a reward (answer --rm)" frontier --files "$tmp/b0.jsonl"
check "answers with rewards" answer a1 --rm "$tmp/rm.gguf"
refuses "but at no known distance" 1 "field 'kl_bound': expected a bound" frontier --files "$tmp/a1.jsonl"
mkdir "$tmp/empty"
refuses "a folder without rollouts" 1 "empty: expected rollouts" frontier --files "$tmp/empty"
check "the frontier" frontier --files "$tmp/p-plain,$tmp/b1.jsonl,$tmp/b3.jsonl,$tmp/b9.jsonl"
equal "has a point for each iteration and file" "$(grep -c '"metric": "frontier",' "$tmp/f.json")" 5
equal "PPO begins at no distance" "$(grep -c '"group": "000001".*"kl": {"mean": 0.0,.*"kl_is": "exact"' "$tmp/f.json")" 1
equal "best of one is at no distance" "$(grep -c '"name": "b1".*"sqrt_kl": {"mean": 0.0,.*"kl_is": "bound"' "$tmp/f.json")" 1
equal "best-of-n has a curve" "$(grep -c '"frontier d(a - b d)", "name": "best-of-n", "group": "turning point"' "$tmp/f.json")" 1
cp "$tmp/ppo.txt" "$tmp/rm.gguf" "$tmp/own"
recipe 'ppo policy=weights/S.gguf rm=data/rm.gguf prompts=data/ppo.txt episodes=8 rollouts=4 minibatch=4 epochs=1 max-new=8 rollout-dir=rolls/p out=p.gguf
eval frontier data=data/ files=rolls/p out=f.json'
cp data/*.txt "$tmp/own" && cp "$tmp/own/own.recipe" "$tmp/own/frontier.recipe"
own="$a reproduce --preset frontier --data $tmp/own --out $tmp/own-run --quiet"
rm -rf "$tmp/own-run"
check "rollouts as an artefact of a recipe" $own --publish
equal "each file has its digest" "$(grep -c 'rolls/p/00000[12].jsonl$' "$tmp/own-run/SHA256SUMS")" 2
check "that sha256sum knows too" sh -c "cd '$tmp/own-run' && sha256sum -c --quiet SHA256SUMS"
rm "$tmp/own-run/rolls/p/000002.jsonl"
check "one that is lost is made again" $own --resume
check "and the run verifies" $a verify "$tmp/own-run" --quiet
done_testing
