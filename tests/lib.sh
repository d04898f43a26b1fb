# Shared by the shell tests: counting checks. Source it, then `done_testing`.
passed=0
failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED: $*" >&2; }

# check NAME COMMAND...: the command must succeed.
check() {
    name=$1
    shift
    if "$@" >/dev/null 2>"$tmp/err"; then ok; else bad "$name: $* ($(tail -1 "$tmp/err"))"; fi
}

# refuses NAME CODE PATTERN COMMAND...: exit code CODE, one line on stderr matching PATTERN.
refuses() {
    name=$1 code=$2 pattern=$3
    shift 3
    "$@" >"$tmp/out" 2>"$tmp/err"
    got=$?
    lines=$(grep -c . "$tmp/err")
    if [ "$got" -ne "$code" ]; then bad "$name: exit $got, expected $code: $(head -1 "$tmp/err")"
    elif [ "$lines" -ne 1 ]; then bad "$name: $lines lines on stderr, expected 1"
    elif ! grep -q "$pattern" "$tmp/err"; then bad "$name: '$(cat "$tmp/err")' does not say '$pattern'"
    else ok; fi
}

# same NAME FILE FILE: equal bytes.
same() { if cmp -s "$2" "$3"; then ok; else bad "$1: $2 and $3 differ"; fi; }

# equal NAME A B: equal texts.
equal() { if [ "$2" = "$3" ]; then ok; else bad "$1: '$2', expected '$3'"; fi; }

done_testing() { echo "$passed passed, $failed failed"; [ "$failed" -eq 0 ]; }

# suite COMMAND...: runs one test program that ends with "N passed, N failed" and adds its
# counts; shows its last lines. A program that prints no result, or exits otherwise than its
# counts say, is a failure.
suite() {
    echo "== $*"
    began=$(date +%s)
    "$@" >"$tmp/suite" 2>&1
    code=$?
    tail -n "${show:-20}" "$tmp/suite"
    echo "   $(($(date +%s) - began)) s"
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$tmp/suite" | tail -n 1)
    f=${line##*, }
    f=${f%% failed}
    if [ -z "$line" ]; then bad "$* printed no result (exit code $code)"
    else
        passed=$((passed + ${line%% passed*}))
        failed=$((failed + f))
        if [ "$f" -eq 0 ] && [ $code -ne 0 ]; then bad "$* ended with exit code $code"; fi
    fi
}
