/* t_report.c - the page of [38]: markup that is sound whatever the run holds. */

/* Is s a sequence of well-formed tags, properly nested, every attribute quoted, and no "<" or
 * stray "&" anywhere else? Returns NULL, or where it is not. */
static const char *report_bad(const char *s) {
    static const char *const empty[] = {"meta", "br", "!DOCTYPE"};
    struct { const char *s; size_t n; } open[64];
    size_t depth = 0;
    for (; *s; s++) {
        if (*s == '&' && s[1 + strcspn(s + 1, " <&;")] != ';') return s;
        if (*s != '<') continue;
        const char *at = s++;
        int closing = *s == '/', alone = 0;
        s += closing;
        size_t n = strcspn(s, " >/\n");
        const char *name = s;
        for (size_t k = 0; k < COUNT(empty); k++)
            alone |= strlen(empty[k]) == n && !memcmp(empty[k], name, n);
        if (!n) return at;
        for (s += n; *s != '>'; s++) {
            if (!*s || *s == '<') return at;
            if (*s == '/' && s[1] == '>') alone = 1;
            if (*s == '"') s += 1 + strcspn(s + 1, "\"<");
            if (*s == '<' || !*s) return at;
        }
        if (closing) {
            if (!depth || open[depth - 1].n != n || memcmp(open[depth - 1].s, name, n))
                return at;
            depth--;
        } else if (!alone) {
            if (depth == COUNT(open)) return at;
            open[depth].s = name;
            open[depth++].n = n;
        }
        if (n == 5 && !memcmp(name, "style", n) && !closing) s = strstr(s, "</style>") - 1;
    }
    return depth ? s : NULL;
}

static int report_sound(const char *s) {
    const char *bad = report_bad(s);
    if (bad) printf("not well-formed from here: %.80s\n", bad);
    return !bad && !strstr(s, "\"nan") && !strstr(s, "\"&ndash;") && !strstr(s, " &ndash;,");
}

static void test_report_escape(void) {
    static const struct { const char *in, *out; } row[] = {
        {"<b a='1'>&\"", "&lt;b a=&#39;1&#39;&gt;&amp;&quot;"},
        {"a\tb\x01" "c\nd\x7F", "a b c\nd\xEF\xBF\xBD"},
        {"\xC3\xA9\xFF\xC3", "\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xC2\x85 \xF0\x9F\x8C\x8D", "\xEF\xBF\xBD \xF0\x9F\x8C\x8D"}};
    almost a;
    text t;
    test_open(&a);
    text_init(&t, &a);
    for (size_t i = 0; i < COUNT(row); i++) {
        text_clear(&t);
        page_escape(&t, row[i].in, strlen(row[i].in));
        CHECK_STR(t.s, row[i].out);
    }
    text_free(&t);
    page p = {0};
    p.a = &a;
    text_init(&p.t, &a);
    page_put(&p, "%s|%r|%2|%p|%q|%x|%x|%k|%i|%z|%%|%0", "<", "<", 1.005, 0.5, 0.25, 1.5,
             f64_from_bits(UINT64_C(0x7FF8) << 48), 0.25, -3, (size_t)4,
             f64_from_bits(UINT64_C(0x7FF0) << 48));
    CHECK_STR(p.t.s, "&lt;|<|1.00|50.0%|25.0|100.00%|0.00%|250|-3|4|%|&ndash;");
    text_free(&p.t);
    test_close(&a);
}

/* Writes the files of a run, makes its page, and reads it back; NULL if it was refused. */
static char *report_make(almost *a, const char *const (*file)[2], size_t n, size_t *size) {
    char folder[512], path[CALL_PATH], *page_bytes = NULL;
    test_path(folder, "report-run");
    CHECK_OK(a, dir_make(a, folder));
    CHECK(path_join(path, sizeof path, folder, "results.json"));
    if (file_exists(path)) CHECK_OK(a, file_remove(a, path));
    for (size_t i = 0; i < n; i++) {
        CHECK(path_join(path, sizeof path, folder, file[i][0]));
        CHECK_OK(a, file_write(a, path, file[i][1], strlen(file[i][1])));
    }
    if (report_write(a, folder, "data") != ALMOST_OK) return NULL;
    CHECK(path_join(path, sizeof path, folder, "report.html"));
    CHECK_OK(a, file_read(a, path, &page_bytes, size));
    return page_bytes;
}

/* An empty run: every section is there and says what is missing; nothing is invented. */
static void test_report_empty(void) {
    static const char *const files[][2] = {{"manifest.json", "{\"stages\": []}"}};
    almost a;
    size_t n, missing = 0;
    test_open(&a);
    char *s = report_make(&a, files, 1, &n);
    if (CHECK(s != NULL)) {
        CHECK(report_sound(s));
        for (size_t i = 0; i < COUNT(PAGE_SECTIONS); i++) {
            char id[64];
            snprintf(id, sizeof id, "<section id=\"%s\">", PAGE_SECTIONS[i].id);
            if (!CHECK(!strstr(s, id) == (PAGE_SECTIONS[i].only != NULL))) printf("%s\n", id);
        }
        for (const char *p = s; (p = strstr(p, "class=\"missing\"")); p++) missing++;
        CHECK(missing >= 12);
        CHECK(!strstr(s, "polyline class") && !strstr(s, "<rect"));
        file_release(&a, s, n);
    }
    test_close(&a);
}

#define EVIL "<script>alert('1')</script>&\\u0001"

/* A run whose every string is hostile, whose figures are odd, and whose files disagree. */
static void test_report_hostile(void) {
    static const char *const files[][2] = {
        {"manifest.json",
         "{\"contract\": \"" EVIL "\", \"preset\": \"" EVIL "\", \"stages\": ["
         "{\"command\": 5, \"outputs\": [1]}, 7, null,"
         "{\"command\": \"rm metrics=m.jsonl out=<b>.gguf\", \"outputs\": {\"" EVIL "\": \""
         EVIL "\", \"x\": 3}},"
         "{\"command\": \"ppo metrics=m.jsonl policy=none rm= out=p.gguf\"},"
         "{\"command\": \"prompts counts=c.json\"}, {\"command\": \"respond raw=raw.jsonl\"},"
         "{\"command\": \"compare out=pairs.json\"}, {\"command\": \"answer out=raw.jsonl\"},"
         "{\"command\": \"bars out=bars.json\"}]}"},
        {"bars.json",
         "[5, {\"bar\": \"" EVIL "\", \"bar_met\": 3, \"what\": \"" EVIL "\", \"metric\": \"" EVIL
         "\", \"must\": \"" EVIL "\", \"mean\": 1, \"low\": -1e308, \"high\": 1e308, \"seeds\": "
         "[1, \"x\", [], -1e308]}, {\"metric\": \"win rate\", \"seeds\": 4, \"mean\": 0.5},"
         "{\"bar\": \"B\", \"what\": \"w\", \"mean\": 0, \"low\": 0, \"high\": 0, \"met\": []}]"},
        {"results.json",
         "[1, {\"metric\": \"gold\"}, {\"metric\": \"gold\", \"name\": \"" EVIL "\", \"group\": "
         "\"all\", \"figure\": {\"mean\": 1e308, \"low\": -1e308, \"high\": 1e308}},"
         "{\"metric\": \"win rate\", \"name\": \"" EVIL " over " EVIL "\", \"group\": \"all\", "
         "\"figure\": {\"mean\": 0.5, \"low\": 0.25, \"high\": 0.75}},"
         "{\"metric\": \"win rate\", \"name\": \" over \", \"group\": \"all\", \"figure\": []},"
         "{\"metric\": \"accuracy on " EVIL "\", \"name\": \"" EVIL "\", \"group\": \"" EVIL
         "\", \"figure\": {\"mean\": 0.5, \"low\": 2, \"high\": 1}},"
         "{\"metric\": \"frontier\", \"name\": \"" EVIL "\", \"group\": \"" EVIL "\", "
         "\"figure\": {\"mean\": 1e308, \"low\": -1e308, \"high\": 1e308}, \"proxy\": "
         "{\"mean\": -1e308, \"low\": 1e308, \"high\": 0}, \"sqrt_kl\": {\"mean\": -5}},"
         "{\"metric\": \"frontier\", \"figure\": 3, \"kl_is\": 7},"
         "{\"metric\": \"frontier d(a - b d)\", \"name\": \"" EVIL "\", \"group\": "
         "\"gold at 0\"},"
         "{\"metric\": \"gold difference\", \"name\": \"x\", \"group\": \"replies\", "
         "\"figure\": {\"mean\": 9, \"low\": 8, \"high\": 10}}]"},
        {"m.jsonl", "{\"loss\": 1e308, \"objective/kl\": 4, \"objective/scores\": -1e308}\n"
                    "{\"loss\": -1e308, \"objective/kl\": -4, \"objective/scores\": 1e308}\n"
                    "[]\n{\"loss\": \"" EVIL "\"}\n"},
        {"c.json", "{\"drawn\": \"many\"}"},
        {"raw.jsonl", "{\"text\": \"" EVIL "\"}\n{\"rule\": 4}\n"},
        {"pairs.json", "[]"}};
    almost a;
    size_t n, m;
    test_open(&a);
    char *s = report_make(&a, files, COUNT(files), &n);
    char *again = s ? report_make(&a, files, COUNT(files), &m) : NULL;
    if (CHECK(s && again)) {
        CHECK(report_sound(s));
        CHECK(!strstr(s, "<script") && !strstr(s, "alert('"));
        CHECK(strstr(s, "&lt;script&gt;alert(&#39;1&#39;)") != NULL);
        CHECK(n == m && !memcmp(s, again, n));
    }
    if (s) file_release(&a, s, n);
    if (again) file_release(&a, again, m);
    test_close(&a);
}

/* What is no run, or broken, is refused by name and leaves no page. */
static void test_report_refused(void) {
    static const char *const bad[][2] = {
        {"manifest.json", "{\"stages\": 3}"}, {"manifest.json", "[]"},
        {"manifest.json", "{\"stages\": ["}, {"results.json", "[{]"}};
    almost a;
    size_t n;
    test_open(&a);
    for (size_t i = 0; i < COUNT(bad); i++) {
        const char *const one[][2] = {{"manifest.json", "{\"stages\": []}"},
                                      {bad[i][0], bad[i][1]}};
        CHECK(report_make(&a, one, 2, &n) == NULL);
        CHECK_INT(a.status, ALMOST_ERR_FORMAT);
        CHECK(strstr(a.message, bad[i][0]) != NULL);
        fail_clear(&a);
    }
    CHECK_STATUS(&a, report_write(&a, "no/such/run", "data"), ALMOST_ERR_IO);
    test_close(&a);
}

#define POINT(name, kl_is, gold, proxy, d) "{\"metric\": \"frontier\", \"name\": \"" name      \
    "\", \"group\": \"x\", \"figure\": {\"mean\": " gold ", \"low\": 0.1, \"high\": 0.9}, "      \
    "\"proxy\": {\"mean\": " proxy ", \"low\": -2, \"high\": 3}, \"sqrt_kl\": {\"mean\": " d     \
    "}, \"kl_is\": \"" kl_is "\"},"
#define CURVE(group, mean, high) "{\"metric\": \"frontier d(a - b log d)\", \"name\": \"ppo\", "    \
    "\"group\": \"" group "\", \"figure\": {\"mean\": " mean ", \"low\": 0.5, \"high\": " high    \
    "}}"

/* Points of the frontier on both panels, the curve with its turn, "never" for 1000. */
static void test_report_frontier(void) {
    static const char *const files[][2] = {
        {"manifest.json", "{\"stages\": []}"},
        {"results.json", "[" POINT("ppo", "exact", "0.2", "-1", "0") POINT("ppo", "exact", "0.7",
                             "2", "4") POINT("best4", "bound", "0.5", "1", "0.8")
                             POINT("best16", "bound", "0.6", "1.5", "1.3")
                                 CURVE("gold at 0", "0.2", "0.3") "," CURVE("a", "0.5", "0.6")
                                     "," CURVE("b", "0.25", "0.3") ","
                                         CURVE("turning point", "2.7", "1000.0") "]"}};
    almost a;
    size_t n;
    test_open(&a);
    char *s = report_make(&a, files, COUNT(files), &n);
    if (CHECK(s != NULL)) {
        CHECK(report_sound(s));
        CHECK(strstr(s, "4 points with bootstrap intervals") != NULL);
        CHECK(strstr(s, "<b>best-of-n</b>") && !strstr(s, "<b>best4</b>")); // one series
        CHECK(strstr(s, "cx=\"20.00%\" cy=\"40.00%\"") != NULL); // 0.8 of 4; 1 in -2..3
        CHECK(strstr(s, "class=\"ref\" x1=\"67.50%\"") != NULL); // 2.7 of 4
        CHECK(strstr(s, "2.70<br><span class=\"soft\">0.50 to never") != NULL);
        file_release(&a, s, n);
    }
    test_close(&a);
}

static const test TESTS_REPORT[] = {
    {"report", "escape", test_report_escape},
    {"report", "empty", test_report_empty},
    {"report", "hostile", test_report_hostile},
    {"report", "refused", test_report_refused},
    {"report", "frontier", test_report_frontier},
};
