#!/bin/sh
# The command line: commands, exit codes, and one clear line for every kind of bad input.
cd "$(dirname "$0")/.." || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
. tests/lib.sh
a=./almost

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
check "numbers that go round: kat" sh -c "$a kat > $tmp/kat && test \$(wc -l < $tmp/kat) -ge 20"
for kernels in scalar auto; do
    $a kat --kernels $kernels --threads 3 >"$tmp/kat2" 2>/dev/null
    same "kat with $kernels kernels" "$tmp/kat" "$tmp/kat2"
done

# ---- files that are missing, damaged, or not what they should be
refuses "a missing model" 1 "nowhere.gguf" $a info nowhere.gguf
refuses "a folder for a model" 1 "data" $a info data
head -c 1000 weights/S.gguf >"$tmp/short.gguf"
refuses "a truncated model" 1 "short.gguf" $a generate "$tmp/short.gguf" --prompt x
cp weights/S.gguf "$tmp/flipped.gguf"
printf '\377' | dd of="$tmp/flipped.gguf" bs=1 seek=200000 conv=notrunc 2>/dev/null
refuses "one byte flipped in a model" 1 "flipped.gguf" $a generate "$tmp/flipped.gguf" --prompt x
refuses "text for a model" 1 "README.md" $a info README.md
cp -r data "$tmp/data" && rm "$tmp/data/facts.txt"
refuses "a missing world file" 1 "facts.txt" $a corpus --data "$tmp/data"
printf 'row' >"$tmp/data/facts.txt"
refuses "a damaged world file" 1 "facts.txt" $a corpus --data "$tmp/data"
printf '{"prompt": "x"' >"$tmp/pairs.json"
refuses "broken JSON" 1 "pairs.json:1" $a rm --init weights/S.gguf --pairs "$tmp/pairs.json" --out "$tmp/rm.gguf"
printf '[{"prompt": "x", "chosen": 3}]' >"$tmp/pairs.json"
refuses "a field of the wrong kind" 1 "field 'chosen'" $a rm --init weights/S.gguf --pairs "$tmp/pairs.json" --out "$tmp/rm.gguf"
printf 'caf\303\n' >"$tmp/latin.txt"
refuses "prompts that are not UTF-8" 1 "latin.txt" $a respond weights/S.gguf --prompts "$tmp/latin.txt" --out "$tmp/r.json"
refuses "an output folder that is not there" 1 "no such" $a corpus --out "$tmp/none/c.txt"
refuses "a device that is full" 1 "full\|No space\|no space" $a corpus --out /dev/full
refuses "a context that overflows" 1 "context" $a logits weights/S.gguf --ids "$(seq -s ' ' 1 600)" --out "$tmp/l"
refuses "an id beyond the vocabulary" 2 "token ids from 0" $a logits weights/S.gguf --ids "1 99999999" --out "$tmp/l"
equal "nothing was left behind" "$(ls "$tmp" | grep -c 'almost-tmp\|^rm.gguf\|^r.json\|^l$')" 0

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
check "chat" sh -c "echo 'What is the capital of France?' | $a chat weights/S.gguf --max-new 20 | grep -q ."
check "generate" sh -c "$a generate weights/S.gguf --prompt 'Human:' --max-new 8 | grep -q ."
done_testing
