#!/bin/sh
# Opens report.html in Chromium, at the widths of a phone and of a desk, in light and dark: no
# error, no overflow, every figure drawn. RUN=folder tests that run, else a smoke run is made.
# Installs Debian's chromium where it may; without one the tests of this file are left out.
cd "$(dirname "$0")/.." || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
. tests/lib.sh
a=${ALMOST:-./almost}
if ! command -v chromium >/dev/null && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    (apt-get update && apt-get install -y chromium) >"$tmp/apt" 2>&1
fi
if ! command -v chromium >/dev/null; then
    echo "left out: no chromium here, and none could be installed"
    done_testing
    exit
fi
run=${RUN:-$tmp/run}
[ -n "${RUN:-}" ] || check "a smoke run" $a reproduce --preset smoke --quiet --out "$run"
check "its page" $a report "$run" --quiet
cp "$run/report.html" "$tmp/report.html"
check "its page again, by one thread" $a report "$run" --quiet --threads 1
same "is the same page" "$tmp/report.html" "$run/report.html"

# The page in frames of both widths inside itself; what is found becomes the text of the document.
cat "$tmp/report.html" - >"$tmp/look.html" <<'END'
<script>
const page = document.documentElement.outerHTML.replace(/<script[^]*/, ''), found = [];
function look(frame, width) {
    const d = frame.contentDocument, say = (...s) => found.push('FOUND ' + width + ' ' + s.join(' '));
    if (d.documentElement.scrollWidth > width) say('overflow of the page', d.documentElement.scrollWidth);
    for (const e of d.querySelectorAll('body *')) {
        if (e.closest('.wide')) continue;
        const r = e.getBoundingClientRect();
        if (r.right > width + 1 || r.left < -1) say('overflow of', e.tagName, e.className.baseVal ?? e.className);
    }
    for (const e of d.querySelectorAll('.strip .l, .strip .v, td, th, .ends'))
        if (e.scrollWidth > e.clientWidth + 1) say('text cut in', e.className, e.textContent);
    for (const s of d.querySelectorAll('section'))
        if (![...s.querySelectorAll('svg, table, .pair')].some(e => e.getBoundingClientRect().height > 5))
            say('no figure in', s.id);
    for (const s of d.querySelectorAll('svg')) {
        const r = s.getBoundingClientRect();
        if (!(r.width > 20 && r.height > 4)) say('empty svg in', s.closest('section').id);
    }
    const size = Math.min(...[...d.querySelectorAll('svg text, td, .v, p, code')]
        .map(e => parseFloat(d.defaultView.getComputedStyle(e).fontSize)));
    if (size < 10) say('letters of', size, 'pixels');
    found.push('SEEN ' + width + ' ' + d.querySelectorAll('section').length + ' sections '
        + getComputedStyle(d.body).backgroundColor + ' ' + d.querySelectorAll('.missing').length + ' missing');
}
document.body.innerHTML = '';
for (const width of [390, 1280]) {
    const frame = document.body.appendChild(document.createElement('iframe'));
    frame.style.cssText = 'border:0;height:900px;width:' + width + 'px';
    frame.onload = () => {
        look(frame, width);
        frame.remove();
        if (!document.querySelector('iframe')) document.body.innerHTML = '<pre>' + found.join('\n') + '\n</pre>';
    };
    frame.srcdoc = page;
}
</script>
END
for scheme in 1 0; do # light, dark
    timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
        --disable-background-networking --disable-component-update --disable-sync \
        --user-data-dir="$tmp/profile$scheme" --enable-logging=stderr --window-size=1400,1000 \
        --blink-settings=preferredColorScheme=$scheme --virtual-time-budget=20000 \
        --dump-dom "file://$tmp/look.html" >"$tmp/dom$scheme" 2>"$tmp/log$scheme"
    equal "nothing is wrong" "$(grep FOUND "$tmp/dom$scheme" | head -5)" ""
    equal "both widths were seen, with all sections" \
        "$(grep -c "SEEN [0-9]* $(grep -c '^<section ' "$run/report.html") sections" "$tmp/dom$scheme")" 2
    equal "no error on the console" "$(grep -i 'console' "$tmp/log$scheme" | head -3)" ""
done
equal "light paper" "$(grep -c 'SEEN .*rgb(252, 251, 248)' "$tmp/dom1")" 2
equal "dark paper" "$(grep -c 'SEEN .*rgb(21, 24, 28)' "$tmp/dom0")" 2
[ -n "${RUN:-}" ] || equal "a smoke run has eleven" "$(grep -c '^<section ' "$run/report.html")" 11
[ -n "${RUN:-}" ] || equal "nothing is missing from a smoke run" "$(grep -c 'SEEN .* 0 missing' "$tmp/dom1")" 2
done_testing
