#!/bin/sh
# Prints the figures of the source's texture; never fails.
cd "$(dirname "$0")/.." || exit 1
awk '
/^[a-zA-Z].*\) \{$/ || (/^[a-zA-Z].*\($/ ) {start = NR; name = $0}
/^\}/ && start {n = NR - start + 1; len[++count] = n; total += n; if (n > 60) {big += n; print n, name} start = 0}
/^ *(\/\*|\*|\/\/)/ {comment++}
/^ *$/ {blank++}
length($0) > 92 {wide++}
END {
    for (i = 1; i <= count; i++) for (j = i + 1; j <= count; j++) if (len[j] < len[i]) {t = len[i]; len[i] = len[j]; len[j] = t}
    printf "%d lines, %d functions: median %d, p90 %d, max %d; %d%% of function lines in functions over 60; %d%% comment lines; %d lines over 92\n",
        NR, count, len[int(count / 2) + 1], len[int(count * .9) + 1], len[count], 100 * big / total, 100 * comment / (NR - blank), wide
}' almost.c
