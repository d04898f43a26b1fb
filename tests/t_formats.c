/* t_formats.c - [15] tokenizer and [17] checkpoints: what goes into files and comes out. */

/* ---- [15] tokenizer ---- */

static const char PROSE[] =
    "The cook asked the baker for bread, and the baker asked the miller for flour. "
    "\"There isn't any,\" said the miller; \"it's the third dry year.\" They'd wait.\n\n"
    "So the cook, the baker and the miller sat by the river, and the river said nothing: "
    "1 boat, 22 ducks and 333 reeds. We'll see, I'm sure, you've heard that he'd left.\n";

static tokenizer *prose_tokenizer(almost *a, int vocab) {
    tokenizer *t = NULL;
    CHECK_OK(a, tok_train(a, PROSE, sizeof PROSE - 1, vocab, &t));
    return t;
}

static void test_tok_kinds(void) {
    static unsigned char kind[TOK_CODES];
    size_t count[4] = {0};
    tok_kinds(kind);
    for (size_t c = 0; c < TOK_CODES; c++) count[kind[c]]++;
    CHECK_INT(count[TOK_LETTER], 131756); // Unicode 14.0, general category L
    CHECK_INT(count[TOK_NUMBER], 1791);   // N
    CHECK_INT(count[TOK_SPACE], 25);      // White_Space
    const struct { uint32_t code; int kind; } known[] = {
        {'a', 1}, {'Z', 1}, {'_', 0}, {'0', 2}, {0xAA, 1}, {0xB2, 2}, {0xD7, 0}, {0xE9, 1},
        {0x301, 0}, {0x3B1, 1}, {0x410, 1}, {0x660, 2}, {0x5D0, 1}, {0x2160, 2},
        {0x3007, 2},
        {0x4E00, 1}, {0x9FFF, 1}, {0xAC00, 1}, {0xD7A3, 1}, {0xFFFD, 0}, {0x1F600, 0},
        {0x1D400, 1}, {0x1D7CE, 2}, {0x20000, 1}, {0x3134A, 1}, {0x200B, 0}, {0x1C, 0},
        {'\n', 3}, {0x85, 3}, {0xA0, 3}, {0x180E, 0}, {0x2029, 3}, {0x3000, 3}};
    for (size_t i = 0; i < COUNT(known); i++) CHECK_INT(kind[known[i].code], known[i].kind);
}

/* Each text, and its pre-tokens with '|' between them. */
static void test_tok_split(void) {
    static const char *const split[][2] = {
        {"Hello world", "Hello| world"},
        {"Hello  world", "Hello| | world"},
        {"a   b", "a|  | b"},
        {"a \n b", "a| \n| b"},
        {"a\n\nb", "a|\n|\n|b"},
        {"a \t", "a| \t"},
        {" ", " "},
        {"  ", "  "},
        {"\n", "\n"},
        {"it's we're I'm you'll he'd", "it|'s| we|'re| I|'m| you|'ll| he|'d"},
        {"a 've 't", "a| '|ve| '|t"},
        {"IT'S", "IT|'|S"},
        {"'sx", "'s|x"},
        {"'l", "'|l"},
        {"'r", "'|r"},
        {"''s", "''|s"},
        {"?'s", "?'|s"},
        {"abc123def", "abc|123|def"},
        {"x = 3.14;", "x| =| 3|.|14|;"},
        {"...!? ok", "...!?| ok"},
        {"a_b", "a|_|b"},
        {"na\xC3\xAFve caf\xC3\xA9s", "na\xC3\xAFve| caf\xC3\xA9s"},
        {"\xE4\xBD\xA0\xE5\xA5\xBD\xE3\x80\x82 \xE2\x85\xA3",
         "\xE4\xBD\xA0\xE5\xA5\xBD|\xE3\x80\x82| \xE2\x85\xA3"},
        {"a\xC2\xA0\xC2\xA0 b", "a|\xC2\xA0\xC2\xA0| b"},
        {"a\xC2\xA0\xC2\xA0z", "a|\xC2\xA0|\xC2\xA0|z"},
        {"e\xCC\x81", "e|\xCC\x81"},
        {"\xF0\x9F\x98\x80\xF0\x9F\x98\x80 \xF0\x9F\x98\x80",
         "\xF0\x9F\x98\x80\xF0\x9F\x98\x80| \xF0\x9F\x98\x80"},
        {"a\xFF\xC3(b", "a|\xFF\xC3(|b"},
        {" \xFF", " \xFF"}};
    almost a;
    test_open(&a);
    tokenizer *t = prose_tokenizer(&a, 258);
    for (size_t i = 0; t && i < COUNT(split); i++) {
        const char *s = split[i][0];
        size_t n = strlen(s);
        text got;
        text_init(&got, &a);
        for (size_t at = 0, end; at < n; at = end) {
            end = tok_split(t, (const unsigned char *)s, n, at);
            if (at) text_char(&got, '|');
            text_put(&got, s + at, end - at);
        }
        CHECK_STR(got.s, split[i][1]);
        text_free(&got);
    }
    tok_free(t);
    test_close(&a);
}

/* Training by the definition: count every pair, take the best, start over. */
static size_t naive_train(const tokenizer *plain, const char *s, size_t n, size_t limit,
                          tok_merge *out) {
    static int32_t sym[4096];
    static size_t word[4096];
    const unsigned char *p = (const unsigned char *)s;
    size_t made = 0;
    for (size_t at = 0, end, w = 0; at < n; at = end, w++) {
        end = tok_split(plain, p, n, at);
        for (size_t i = at; i < end; i++) {
            sym[i] = 2 + p[i];
            word[i] = w;
        }
    }
    for (; made < limit; made++) {
        tok_merge best = {-1, -1, (int32_t)(258 + made)};
        size_t most = 1;
        for (size_t i = 0; i + 1 < n; i++) {
            size_t count = 0;
            if (word[i] != word[i + 1]) continue;
            for (size_t k = 0; k + 1 < n; k++)
                count += word[k] == word[k + 1] && sym[k] == sym[i] &&
                         sym[k + 1] == sym[i + 1];
            if (count > most || (count == most && best.left >= 0 &&
                                 (sym[i] < best.left ||
                                  (sym[i] == best.left && sym[i + 1] < best.right)))) {
                most = count;
                best.left = sym[i];
                best.right = sym[i + 1];
            }
        }
        if (best.left < 0) break;
        size_t to = 0;
        for (size_t i = 0; i < n; i++, to++) {
            int here = i + 1 < n && word[i] == word[i + 1] && sym[i] == best.left &&
                       sym[i + 1] == best.right;
            word[to] = word[i];
            sym[to] = here ? best.made : sym[i];
            i += (size_t)here;
        }
        n = to;
        out[made] = best;
    }
    return made;
}

static void check_training(const char *s, size_t n, int vocab) {
    static tok_merge want[1024];
    almost a;
    tokenizer *plain, *t;
    test_open(&a);
    if (CHECK_OK(&a, tok_train(&a, s, n, 258, &plain))) {
        size_t made = naive_train(plain, s, n, (size_t)vocab - 258, want);
        if (CHECK_OK(&a, tok_train(&a, s, n, vocab, &t))) {
            CHECK_INT(t->merges, made);
            CHECK_INT(tok_vocab(t), 258 + made);
            CHECK(!memcmp(t->merge, want, MIN(made, t->merges) * sizeof *want));
            tok_free(t);
        }
        tok_free(plain);
    }
    test_close(&a);
}

static void test_tok_train(void) {
    static const char AA[] = "aaaaaaaaaaaaa aaaa aaa abab ababab";
    char s[1500];
    check_training(PROSE, sizeof PROSE - 1, 600);
    check_training(AA, sizeof AA - 1, 300);
    check_training("", 0, 300);
    check_training("ab", 2, 300);
    for (uint64_t item = 0; item < 4; item++) { // few letters: many ties and overlaps
        rng r = test_rng(item);
        for (size_t i = 0; i < sizeof s; i++) s[i] = "ab c'1"[rng_below(&r, 3 + item)];
        check_training(s, sizeof s, 330);
    }
    almost a;
    tokenizer *t;
    test_open(&a);
    CHECK_STATUS(&a, tok_train(&a, PROSE, sizeof PROSE, 257, &t), ALMOST_ERR_ARGUMENT);
    CHECK(t == NULL);
    test_close(&a);
}

/* Encoding one pre-token by the definition: best pair, all its places, start over. */
static size_t naive_merge(const tokenizer *t, const unsigned char *s, size_t n,
                          int32_t *sym) {
    for (size_t i = 0; i < n; i++) sym[i] = 2 + s[i];
    for (size_t m = 0; m < t->merges; m++) {
        size_t to = 0;
        for (size_t i = 0; i < n; i++) {
            tok_merge x = t->merge[m];
            int here = i + 1 < n && sym[i] == x.left && sym[i + 1] == x.right;
            sym[to++] = here ? x.made : sym[i];
            i += (size_t)here;
        }
        n = to;
    }
    return n;
}

/* Random text that pre-tokenizes into long and short runs. */
static void random_text(rng *r, char *s, size_t n, int flavour) {
    static const char *const letters[] = {"aeht", " aeht", " the,cook'\n",
                                          "\xC3\xA9\xE2\x82 a"};
    for (size_t i = 0; i < n; i++) {
        const char *from = letters[flavour % 4];
        s[i] = flavour < 4 ? from[rng_below(r, strlen(from))] : (char)rng_below(r, 256);
    }
}

static void test_tok_encode(void) {
    static char s[3000];
    static int32_t want[3000];
    almost a;
    test_open(&a);
    tokenizer *t = prose_tokenizer(&a, 400);
    ids got;
    text back;
    ids_init(&got, &a);
    text_init(&back, &a);
    for (uint64_t item = 0; t && item < 200; item++) {
        rng r = test_rng(item);
        size_t n = (size_t)rng_below(&r, item % 10 ? 200 : sizeof s), count = 0;
        random_text(&r, s, n, (int)(item % 5));
        ids_clear(&got);
        text_clear(&back);
        CHECK_OK(&a, tok_encode(t, s, n, &got));
        for (size_t at = 0, end; at < n; at = end) {
            end = tok_split(t, (const unsigned char *)s, n, at);
            count += naive_merge(t, (const unsigned char *)s + at, end - at, want + count);
        }
        CHECK_INT(got.n, count);
        CHECK(!n || !memcmp(got.v, want, MIN(count, got.n) * sizeof *want));
        CHECK_OK(&a, tok_decode(t, got.v, got.n, &back));
        CHECK_INT(back.n, n);
        CHECK(!n || !memcmp(back.s, s, n));
    }
    for (size_t n = 1; t && n <= TOK_SHORT; n++) { // the two ways to merge agree
        int32_t sym[TOK_SHORT];
        rng r = test_rng(1000 + n);
        random_text(&r, s, n, 0);
        ids_clear(&got);
        CHECK_OK(&a, tok_merge_long(t, (const unsigned char *)s, n, &got));
        CHECK_INT(got.n, tok_merge_short(t, (const unsigned char *)s, n, sym));
        CHECK(!memcmp(got.v, sym, got.n * sizeof *sym));
    }
    ids_free(&got);
    text_free(&back);
    tok_free(t);
    test_close(&a);
}

static void test_tok_special(void) {
    static const char s[] = "<|bos|>the<|eos|> cook<|bos|>";
    almost a;
    test_open(&a);
    tokenizer *t = prose_tokenizer(&a, 400);
    ids got;
    text back;
    size_t n;
    ids_init(&got, &a);
    text_init(&back, &a);
    ids_push(&got, tok_bos(t));
    CHECK_OK(&a, tok_encode(t, s, sizeof s - 1, &got));
    ids_push(&got, tok_eos(t));
    for (size_t i = 1; i + 1 < got.n; i++) CHECK(got.v[i] >= 2);
    CHECK_INT(got.v[0], 0);
    CHECK_INT(got.v[got.n - 1], 1);
    CHECK_OK(&a, tok_decode(t, got.v, got.n, &back));
    CHECK_STR(back.s, s);
    CHECK_STR(tok_piece(t, 0, &n), "<|bos|>");
    CHECK_INT(n, 7);
    int32_t bad[] = {3, tok_vocab(t)};
    CHECK_STATUS(&a, tok_decode(t, bad, 2, &back), ALMOST_ERR_ARGUMENT);
    CHECK(strstr(a.message, "token 1: expected an id below ") == a.message);
    fail_clear(&a);
    bad[0] = -1;
    CHECK_STATUS(&a, tok_decode(t, bad, 1, &back), ALMOST_ERR_ARGUMENT);
    ids_free(&got);
    text_free(&back);
    tok_free(t);
    test_close(&a);
}

/* A megabyte without a break must not take quadratic time. */
static void test_tok_long(void) {
    enum { N = 1 << 20 };
    almost a;
    test_open(&a);
    char *s = malloc(N);
    tokenizer *t = NULL;
    if (!CHECK(s != NULL)) return;
    memset(s, 'a', N);
    CHECK_OK(&a, tok_train(&a, s, N, 300, &t));
    CHECK_INT(tok_vocab(t), 258 + 19); // a2, a4, ... a2^19: the next would occur once
    ids got;
    ids_init(&got, &a);
    CHECK_OK(&a, tok_encode(t, s, N, &got));
    CHECK_INT(got.n, 2);
    ids_clear(&got);
    CHECK_OK(&a, tok_encode(t, s, N - 1, &got));
    CHECK_INT(got.n, 20);
    ids_free(&got);
    tok_free(t);
    free(s);
    test_close(&a);
}

static almost_status tok_all(almost *a, void *ctx) {
    tokenizer *t = NULL;
    ids x;
    text back;
    char run[200];
    memset(run, 'a', sizeof run);
    (void)ctx;
    ids_init(&x, a);
    text_init(&back, a);
    almost_status st = tok_train(a, PROSE, sizeof PROSE, 300, &t);
    if (st == ALMOST_OK) st = tok_encode(t, PROSE, sizeof PROSE, &x);
    if (st == ALMOST_OK) st = tok_encode(t, run, sizeof run, &x);
    if (st == ALMOST_OK) st = tok_decode(t, x.v, x.n, &back);
    ids_free(&x);
    text_free(&back);
    tok_free(t);
    return st;
}
static void test_tok_memory(void) { test_each_allocation(tok_all, NULL); }

/* The source of a file's vocabulary, made from a tokenizer; strings live in `all`. */
typedef struct {
    text all;
    tok_span token[1024], merge[1024];
    int32_t type[1024];
    tok_source src;
} vocabulary;

static void vocabulary_of(vocabulary *v, const tokenizer *t) {
    size_t at[2049], k = 0;
    tok_source src = {"test.gguf", v->token, v->type, (size_t)t->vocab, v->merge, t->merges,
                      t->bos, t->eos, t->add_bos};
    text_init(&v->all, t->a);
    for (int32_t i = 0; i < t->vocab; i++) {
        at[k++] = v->all.n;
        tok_text(t, i, &v->all);
        v->type[i] = t->type[i];
    }
    for (size_t i = 0; i < t->merges; i++) {
        at[k++] = v->all.n;
        tok_text(t, t->merge[i].left, &v->all);
        text_char(&v->all, ' ');
        tok_text(t, t->merge[i].right, &v->all);
    }
    at[k] = v->all.n;
    for (size_t i = 0; i < k; i++) {
        tok_span s = {(const unsigned char *)v->all.s + at[i], at[i + 1] - at[i]};
        if (i < src.tokens) v->token[i] = s;
        else v->merge[i - src.tokens] = s;
    }
    v->src = src;
}

static tok_span span_of(const char *s) {
    tok_span p = {(const unsigned char *)s, strlen(s)};
    return p;
}

static void test_tok_file_form(void) {
    static vocabulary v;
    almost a;
    tokenizer *same = NULL;
    ids x, y;
    text one;
    test_open(&a);
    tokenizer *t = prose_tokenizer(&a, 400);
    ids_init(&x, &a);
    ids_init(&y, &a);
    text_init(&one, &a);
    tok_text(t, 2 + ' ', &one);
    CHECK_STR(one.s, "\xC4\xA0"); // GPT-2's mark of a space, U+0120
    text_clear(&one);
    tok_text(t, 2 + 0xAD, &one);
    CHECK_STR(one.s, "\xC5\x83"); // the last of them, U+0143
    vocabulary_of(&v, t);
    if (CHECK_OK(&a, tok_load(&a, &v.src, &same))) {
        CHECK_INT(same->vocab, t->vocab);
        CHECK(!memcmp(same->merge, t->merge, t->merges * sizeof *t->merge));
        CHECK(!memcmp(same->whole, t->whole, (size_t)t->vocab));
        CHECK_OK(&a, tok_encode(t, PROSE, sizeof PROSE, &x));
        CHECK_OK(&a, tok_encode(same, PROSE, sizeof PROSE, &y));
        CHECK(x.n == y.n && !memcmp(x.v, y.v, x.n * sizeof *x.v));
        tok_free(same);
    }
    ids_free(&x);
    ids_free(&y);
    text_free(&one);
    text_free(&v.all);
    tok_free(t);
    test_close(&a);
}

static void check_refused(almost *a, const vocabulary *v, const char *message) {
    tokenizer *t;
    fail_clear(a);
    CHECK(tok_load(a, &v->src, &t) != ALMOST_OK);
    CHECK(t == NULL);
    CHECK_STR(a->message, message);
}

static void test_tok_refused(void) {
    static vocabulary v;
    almost a;
    test_open(&a);
    tokenizer *t = prose_tokenizer(&a, 300);
    vocabulary_of(&v, t);
    tok_span kept = v.token[70];
    v.token[70] = span_of("zzz");
    check_refused(&a, &v, "test.gguf: tokenizer.ggml.tokens: expected a token for each of "
                          "the 256 bytes, found none for 68");
    v.token[70] = span_of("\xE2\x82\xAC");
    check_refused(&a, &v, "test.gguf: tokenizer.ggml.tokens: expected token 70 in GPT-2's "
                          "byte characters, found '\xE2\x82\xAC'");
    v.token[70] = kept;
    kept = v.merge[3];
    static const char *const bad[] = {"",   " ",    "a",     "a ",    " a",
                                      "ab", "q zq", "a b c", "\xFF a"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        char want[200];
        v.merge[3] = span_of(bad[i]);
        snprintf(want, sizeof want, "test.gguf: tokenizer.ggml.merges: expected line 3 to "
                 "join two tokens to a third, found '%s'", bad[i]);
        check_refused(&a, &v, want);
    }
    v.merge[3] = kept;
    v.type[5] = 7;
    check_refused(&a, &v, "test.gguf: tokenizer.ggml.token_type: expected 1 to 6 for token "
                          "5, found 7");
    v.type[5] = 1;
    v.src.eos = 300;
    check_refused(&a, &v, "test.gguf: tokenizer: expected bos and eos below 300, found 0 "
                          "and 300");
    text_free(&v.all);
    tok_free(t);
    test_close(&a);
}

/* ---- [17] numbers ---- */

/* f16 by its definition, in exact double arithmetic. */
static double half_value(uint32_t h) {
    int e = (int)(h >> 10 & 31);
    double v = e ? 1024 + (h & 1023) : h & 1023;
    for (int i = MAX(e, 1); i < 25; i++) v *= 0.5;
    for (int i = 25; i < e; i++) v *= 2;
    return h & 0x8000 ? -v : v;
}

/* The nearest f16 to a finite x: of the 2 neighbours the nearer one, of equals the even. */
static uint32_t half_nearest(float x) {
    uint32_t sign = f32_bits(x) >> 16 & 0x8000, lo = 0, hi = 0x7C00;
    double v = x < 0 ? -(double)x : (double)x;
    while (hi - lo > 1) {
        uint32_t mid = (lo + hi) / 2;
        if (half_value(mid) <= v) lo = mid;
        else hi = mid;
    }
    double under = v - half_value(lo), over = (hi == 0x7C00 ? 65536 : half_value(hi)) - v;
    return sign | (under < over || (under == over && !(lo & 1)) ? lo : hi);
}

static void test_gguf_f16(void) {
    for (uint32_t h = 0; h < 0x10000; h++) {
        float x = f16_to_f32(h);
        if ((h & 0x7C00) == 0x7C00) {
            CHECK_INT(f32_to_f16(x), (h & 0x3FF) ? h | 0x200 : h);
            continue;
        }
        if ((double)x != half_value(h)) CHECK_BITS32(x, (float)half_value(h));
        if (f32_to_f16(x) != h) CHECK_INT(f32_to_f16(x), h);
        float next = f16_to_f32(h + 1), mid = (x + next) * 0.5f; // ties, their neighbours
        if ((h & 0x7FFF) == 0x7BFF) mid = h & 0x8000 ? -65520.0f : 65520.0f;
        for (int d = -1; d <= 1; d++) {
            float y = f32_from_bits(f32_bits(mid) + (uint32_t)d);
            if (mid != 0 && f32_to_f16(y) != half_nearest(y))
                CHECK_INT(f32_to_f16(y), half_nearest(y));
        }
    }
    rng r = test_rng(0);
    for (int i = 0; i < 20000; i++) {
        float x = f32_from_bits((uint32_t)rng_u64(&r));
        if (f32_finite(x) && f32_to_f16(x) != half_nearest(x))
            CHECK_INT(f32_to_f16(x), half_nearest(x));
    }
    CHECK_INT(f32_to_f16(1e30f), 0x7C00);
    CHECK_INT(f32_to_f16(-0.0f), 0x8000);
}

static void test_gguf_bf16(void) {
    for (uint32_t h = 0; h < 0x10000; h++) {
        int nan = (h & 0x7F80) == 0x7F80 && (h & 0x7F);
        CHECK_INT(f32_to_bf16(bf16_to_f32(h)), nan ? h | 64 : h);
    }
    CHECK_INT(f32_to_bf16(f32_from_bits(0x3F808000)), 0x3F80); // ties go to even
    CHECK_INT(f32_to_bf16(f32_from_bits(0x3F818000)), 0x3F82);
    CHECK_INT(f32_to_bf16(f32_from_bits(0x3F808001)), 0x3F81);
    CHECK_INT(f32_to_bf16(f32_from_bits(0x7F7FFFFF)), 0x7F80);
}

static void test_gguf_q8_0(void) {
    float x[32] = {0}, y[32];
    unsigned char p[34], again[34];
    for (int i = 0; i < 32; i++) x[i] = (float)(i - 16) * 0.25f; // max 4: d = 4/127
    CHECK(q8_0_write(x, p));
    CHECK_INT(le16(p), f32_to_f16(4.0f / 127));
    CHECK_INT((signed char)p[2], -127);
    CHECK_INT((signed char)p[2 + 16], 0);
    CHECK_INT((signed char)p[2 + 18], 16); // 0.5 * 31.75 = 15.875
    CHECK_INT((signed char)p[2 + 20], 32); // 31.75
    for (uint64_t item = 0; item < 2000; item++) {
        rng r = test_rng(item);
        float scale = f32_from_bits((uint32_t)(127 - 20 + rng_below(&r, 34)) << 23);
        float most = 0;
        for (int i = 0; i < 32; i++) {
            x[i] = (float)(rng_unit(&r) * 2 - 1) * scale;
            most = MAX(most, x[i] < 0 ? -x[i] : x[i]);
        }
        if (!CHECK(q8_0_write(x, p))) break;
        q8_0_read(p, y);
        CHECK(q8_0_write(y, again));
        CHECK(!memcmp(p, again, 34)); // a second generation changes nothing
        float d = f16_to_f32(le16(p)), off = d * 0.502f + most * 0x1p-11f + 0x1p-18f;
        for (int i = 0; i < 32; i++) CHECK(x[i] - y[i] < off && y[i] - x[i] < off);
    }
    x[7] = f32_from_bits(0x7F800000);
    CHECK(!q8_0_write(x, p));
    x[7] = 1e9f;
    CHECK(!q8_0_write(x, p));
    memset(x, 0, sizeof x);
    x[3] = -1e-9f;
    memset(again, 0, sizeof again);
    CHECK(q8_0_write(x, p));
    CHECK(!memcmp(p, again, 34));
}

/* ---- [17] container ---- */

/* The smallest file there is to check: one key, one tensor, byte by byte. */
static void test_gguf_bytes(void) {
    static const unsigned char want[] =
        "GGUF\3\0\0\0" "\1\0\0\0\0\0\0\0" "\1\0\0\0\0\0\0\0"
        "\3\0\0\0\0\0\0\0key" "\4\0\0\0" "\x78\x56\x34\x12"
        "\1\0\0\0\0\0\0\0t" "\2\0\0\0" "\3\0\0\0\0\0\0\0" "\2\0\0\0\0\0\0\0" "\0\0\0\0"
        "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0\0\0\0\0"
        "\0\0\x80\x3F\0\0\0\x40\0\0\x40\x40\0\0\x80\x40\0\0\xA0\x40\0\0\xC0\x40"
        "\0\0\0\0\0\0\0\0";
    static const float x[6] = {1, 2, 3, 4, 5, 6};
    almost a;
    arena r;
    gguf g;
    gguf_out o;
    float back[6];
    test_open(&a);
    gguf_out_init(&o, &a, 1);
    gguf_key_u32(&o, "key", 0x12345678);
    gguf_out_tensor(&o, "t", GGUF_F32, 2, 3);
    CHECK_OK(&a, gguf_out_layout(&o));
    CHECK_OK(&a, gguf_out_values(&o, 0, GGUF_F32, span_of("t"), x, 6));
    CHECK_INT(o.size, sizeof want - 1);
    CHECK(!memcmp(o.file, want, MIN(o.size, sizeof want - 1)));
    arena_init(&r, &a);
    if (CHECK_OK(&a, gguf_open(&g, &a, &r, "bytes", o.file, o.size))) {
        const gguf_tensor *t = gguf_find_tensor(&g, "t");
        int32_t v = 0;
        CHECK_OK(&a, gguf_get_i32(&g, "key", 1, &v));
        CHECK_INT(v, 0x12345678);
        if (CHECK(t != NULL)) {
            CHECK_INT(t->ne[0], 3);
            CHECK_INT(t->ne[1], 2);
            CHECK_OK(&a, gguf_read(&g, t, back));
            CHECK(!memcmp(back, x, sizeof x));
        }
    }
    arena_free(&r);
    gguf_out_free(&o);
    test_close(&a);
}

/* Integers of every width, signed and not. */
static void test_gguf_integers(void) {
    const struct { uint32_t type; uint64_t bits; int64_t value; } known[] = {
        {GGUF_U8, 255, 255}, {GGUF_I8, 127, 127}, {GGUF_I8, 0xFF, -1},
        {GGUF_U16, 65535, 65535}, {GGUF_I16, 0x8000, -32768},
        {GGUF_U32, 0xFFFFFFFF, 4294967295}, {GGUF_I32, 0x80000000, INT32_MIN},
        {GGUF_U64, UINT64_MAX, INT64_MAX}, {GGUF_I64, UINT64_MAX, -1},
        {GGUF_I64, (uint64_t)1 << 63, INT64_MIN}, {GGUF_BOOL, 1, 1},
        {GGUF_I64, INT64_MAX, INT64_MAX}};
    almost a;
    test_open(&a);
    for (size_t i = 0; i < COUNT(known); i++) {
        arena r;
        gguf g;
        gguf_out o;
        int64_t v = 77;
        gguf_out_init(&o, &a, 0);
        gguf_key_begin(&o, "n", known[i].type);
        gguf_put_le(&o.keys, known[i].bits, GGUF_VALUES[known[i].type].bytes);
        CHECK_OK(&a, gguf_out_layout(&o));
        arena_init(&r, &a);
        CHECK_OK(&a, gguf_open(&g, &a, &r, "n", o.file, o.size));
        CHECK_INT(gguf_int_of(gguf_find(&g, "n")), known[i].value);
        almost_status st = gguf_get_int(&g, "n", 1, INT64_MAX, &v);
        CHECK_INT(st, known[i].value < 0 ? ALMOST_ERR_FORMAT : ALMOST_OK);
        CHECK_INT(v, known[i].value < 0 ? 77 : known[i].value);
        fail_clear(&a);
        arena_free(&r);
        gguf_out_free(&o);
    }
    test_close(&a);
}

/* A small model with every feature: shared heads, a vocabulary, rows that are no multiple
 * of 32, optionally a scalar head and an output matrix of its own. */
static model *small_model(almost *a, int tied, int head) {
    shape s = {32, 40, 2, 4, 2, 0, 64, 1e-5f, 10000.0f, tied, head};
    model *m = NULL;
    tokenizer *t = prose_tokenizer(a, 300);
    s.vocab = tok_vocab(t);
    if (!CHECK_OK(a, model_new(a, &s, &m))) {
        tok_free(t);
        return NULL;
    }
    model_init(m, 7);
    m->tok = t;
    m->kind = head ? MODEL_REWARD : MODEL_POLICY;
    m->reward_shift = head ? 0.1f : 0;
    m->reward_scale = head ? 3 : 1;
    return m;
}

static int same_model(const model *x, const model *y) {
    unsigned char hx[32], hy[32];
    model_hash(x, hx);
    model_hash(y, hy);
    return !memcmp(hx, hy, 32) && x->kind == y->kind &&
           x->reward_shift == y->reward_shift && x->reward_scale == y->reward_scale &&
           x->s.context == y->s.context &&
           x->s.norm_eps == y->s.norm_eps && x->s.rope_theta == y->s.rope_theta &&
           !x->tok == !y->tok;
}

static int same_file(almost *a, const char *p, const char *q) {
    char *x = NULL, *y = NULL;
    size_t n = 0, k = 1;
    int same = file_read(a, p, &x, &n) == ALMOST_OK &&
               file_read(a, q, &y, &k) == ALMOST_OK && n == k && !memcmp(x, y, n);
    if (x) file_release(a, x, n);
    if (y) file_release(a, y, k);
    return same;
}

static void test_model_round_trip(void) {
    static const int types[] = {GGUF_F32, GGUF_F16, GGUF_BF16, GGUF_Q8_0};
    char p[512], q[512];
    almost a;
    test_open(&a);
    for (int variant = 0; variant < 16; variant++) {
        int type = types[variant & 3];
        model *m = small_model(&a, variant >> 2 & 1, variant >> 3 & 1);
        model *k = NULL, *k2 = NULL;
        test_path(p, "first.gguf");
        test_path(q, "second.gguf");
        CHECK_OK(&a, model_save(m, p, type));
        CHECK_OK(&a, model_save(m, q, type));
        CHECK(same_file(&a, p, q));
        if (CHECK_OK(&a, model_load(&a, p, &k))) {
            if (type == GGUF_F32) CHECK(same_model(m, k));
            CHECK_OK(&a, model_save(k, q, type)); // what was rounded once stays
            CHECK(same_file(&a, p, q));
            CHECK_OK(&a, model_load(&a, q, &k2));
            CHECK(same_model(k, k2));
            if (m->s.head) CHECK(!memcmp(m->head.data, k->head.data, 32 * sizeof(float)));
            CHECK_INT(k->tok->bos, 0);
            CHECK_INT(k->tok->eos, 1);
            CHECK_INT(k->tok->add_bos, 1);
        }
        model_free(m);
        model_free(k);
        model_free(k2);
        file_remove(&a, p);
        file_remove(&a, q);
    }
    test_close(&a);
}

static int write_nothing(void *user, const char *bytes, size_t n) {
    (void)bytes;
    *(size_t *)user += n;
    return 0;
}

/* A model file need not hold a tokenizer: such a model has logits, but texts are refused.
 * And where the tokenizer begins no text by itself, an empty prompt is refused. */
static void test_model_without_words(void) {
    almost a;
    test_open(&a);
    CHECK_OK(&a, kernels_select(&a, ALMOST_KERNELS_AUTO));
    model *rm = small_model(&a, 1, 1), *m = small_model(&a, 1, 0);
    float x = 0;
    int32_t one = 3;
    size_t written = 0;
    float *y = malloc(m->s.vocab * sizeof *y);
    CHECK_OK(&a, almost_score(rm, "Hi!", "Hello.", &x));
    CHECK(x != 0);
    CHECK_OK(&a, almost_generate(m, "", 0, NULL, write_nothing, &written));
    CHECK(written > 0);
    m->tok->add_bos = 0;
    CHECK_INT(almost_generate(m, "", 0, NULL, write_nothing, &written), ALMOST_ERR_ARGUMENT);
    CHECK_OK(&a, almost_generate(m, "a", 1, NULL, write_nothing, &written));
    tok_free(rm->tok);
    tok_free(m->tok);
    rm->tok = m->tok = NULL;
    CHECK_INT(almost_score(rm, "Hi!", "Hello.", &x), ALMOST_ERR_FORMAT);
    CHECK_INT(almost_generate(m, "a", 1, NULL, write_nothing, &written), ALMOST_ERR_FORMAT);
    CHECK_OK(&a, almost_logits(m, &one, 1, y));
    free(y);
    model_free(rm);
    model_free(m);
    test_close(&a);
}

/* Converting a file gives the bytes that saving the model in that type would have. */
static void test_gguf_convert(void) {
    static const int types[] = {GGUF_F32, GGUF_F16, GGUF_BF16, GGUF_Q8_0};
    char f32[512], p[512], q[512];
    almost a;
    test_open(&a);
    model *m = small_model(&a, 0, 1);
    test_path(f32, "from.gguf");
    test_path(p, "saved.gguf");
    test_path(q, "converted.gguf");
    CHECK_OK(&a, model_save(m, f32, GGUF_F32));
    for (size_t i = 0; i < COUNT(types); i++) {
        CHECK_OK(&a, model_save(m, p, types[i]));
        CHECK_OK(&a, gguf_convert(&a, f32, q, types[i]));
        CHECK(same_file(&a, p, q));
        CHECK_OK(&a, gguf_convert(&a, p, q, types[i]));
        CHECK(same_file(&a, p, q));
    }
    file_remove(&a, f32);
    file_remove(&a, p);
    file_remove(&a, q);
    model_free(m);
    test_close(&a);
}

/* The description of a file is JSON and says what is in it. */
static void test_gguf_json(void) {
    almost a;
    arena r;
    gguf g;
    text t;
    size_t n;
    json *j;
    test_open(&a);
    arena_init(&r, &a);
    text_init(&t, &a);
    model *m = small_model(&a, 1, 1);
    char p[512], *s;
    CHECK_OK(&a, model_save(m, test_path(p, "info.gguf"), GGUF_Q8_0));
    CHECK_OK(&a, file_read(&a, p, &s, &n));
    if (CHECK_OK(&a, gguf_open(&g, &a, &r, p, s, n))) {
        gguf_json(&g, &t);
        CHECK_OK(&a, text_status(&t));
        if (CHECK_OK(&a, json_parse(&a, &r, "info", t.s, t.n, &j))) {
            const json *keys = json_get(j, "keys"), *tensors = json_get(j, "tensors");
            CHECK_INT(json_get(keys, "llama.block_count")->i64, 2);
            CHECK_INT(json_get(json_get(keys, "almost.head"), "count")->i64, 32);
            CHECK_INT(json_get(keys, "almost.bytes")->i64, n);
            CHECK_INT(tensors->n, g.n_tensors);
            CHECK_INT(json_at(json_get(json_at(tensors, 0), "shape"), 0)->i64, 32);
        }
    }
    text_free(&t);
    arena_free(&r);
    file_release(&a, s, n);
    file_remove(&a, p);
    model_free(m);
    test_close(&a);
}

/* Reading what bytes there are, whatever they are, must not crash, leak or be silent. */
static void load_hostile(const char *s, size_t n, void *ctx) {
    almost a;
    model *m;
    test_open(&a);
    a.options.max_bytes = 64u << 20;
    almost_status st = model_load_bytes(&a, "hostile.gguf", s, n, &m);
    if (st != ALMOST_OK) {
        CHECK(m == NULL && a.status == st && !strncmp(a.message, "hostile.gguf", 12));
        ++*(int *)ctx;
    }
    model_free(m);
    test_close(&a);
}

/* The bytes of a small model's file; sealed or not. The caller releases them. */
static char *small_file(almost *a, size_t *n, int sealed) {
    char p[512], *s = NULL;
    model *m = small_model(a, 1, 1);
    CHECK_OK(a, model_save(m, test_path(p, "hostile.gguf"), GGUF_Q8_0));
    CHECK_OK(a, file_read(a, p, &s, n));
    CHECK_OK(a, file_remove(a, p));
    for (size_t i = 0; s && !sealed && i + 12 < *n; i++)
        if (!memcmp(s + i, "almost.bytes", 12)) s[i + 11] = 'z';
    model_free(m);
    return s;
}

static void test_gguf_hostile(void) {
    almost a;
    size_t n;
    int refused = 0;
    test_open(&a);
    char *s = small_file(&a, &n, 0);
    test_hostile(s, n, 1500, load_hostile, &refused);
    CHECK(refused > 1500); // every cut, and the changes that mattered
    refused = 0;
    for (size_t cut = 0; cut < 600; cut++) load_hostile(s, cut, &refused);
    CHECK_INT(refused, 600);
    model *m;
    CHECK_STATUS(&a, model_load_bytes(&a, "m", s, n - 32, &m), ALMOST_ERR_FORMAT);
    CHECK(strstr(a.message, "tensor output_norm.weight: expected 32 values of type F32"));
    file_release(&a, s, n);
    test_close(&a);
}

/* With its seal a file that differs in any bit is refused, or means the same. */
static void test_gguf_seal(void) {
    almost a;
    size_t n;
    model *m, *k;
    test_open(&a);
    char *s = small_file(&a, &n, 1);
    CHECK_OK(&a, model_load_bytes(&a, "s", s, n, &m));
    for (size_t i = 0; i < n; i += i < 20000 ? 61 : 997) {
        s[i] ^= (char)(1 << i % 8);
        fail_clear(&a);
        if (model_load_bytes(&a, "s", s, n, &k) == ALMOST_OK) {
            CHECK(same_model(m, k));
            model_free(k);
        }
        s[i] ^= (char)(1 << i % 8);
    }
    fail_clear(&a);
    s[n - 1000] ^= 1;
    CHECK_STATUS(&a, model_load_bytes(&a, "s", s, n, &k), ALMOST_ERR_FORMAT);
    CHECK(strstr(a.message, "s: almost.sha256: expected ") == a.message);
    model_free(m);
    file_release(&a, s, n);
    test_close(&a);
}

/* One change to a good file and the message it must get. */
static void check_edit(char *s, size_t n, const char *find, size_t skip, const char *put,
                       size_t len, const char *message) {
    almost a;
    model *m;
    size_t at = 0;
    char kept[64];
    test_open(&a);
    while (at + strlen(find) < n && memcmp(s + at, find, strlen(find))) at++;
    if (!CHECK(at + strlen(find) < n)) return;
    at += skip;
    memcpy(kept, s + at, len);
    memcpy(s + at, put, len);
    CHECK(model_load_bytes(&a, "m", s, n, &m) != ALMOST_OK);
    if (message[0] != '*') CHECK_STR(a.message, message);
    else if (!CHECK(!strncmp(a.message, message + 1, strlen(message + 1)))) puts(a.message);
    model_free(m);
    memcpy(s + at, kept, len);
    test_close(&a);
}

static void test_gguf_messages(void) {
    static const struct {
        const char *find;    /* the first place with these bytes            */
        size_t skip;         /* this much later ...                         */
        const char *put;     /* ... these `len` bytes                       */
        size_t len;
        const char *message; /* what is said then; '*': what it starts with */
    } edits[] = {
        {"GGUF", 0, "GGML", 4,
         "m: expected a GGUF file, found the first bytes 47 47 4d 4c"},
        {"GGUF", 4, "\1", 1, "m: expected GGUF version 2 or 3, found 1"},
        {"GGUF", 4, "\0\0\0\3", 4,
         "m: expected GGUF version 2 or 3, found 50331648, a big-endian file"},
        {"GGUF", 15, "\1", 1, "*m: number of tensors: expected at most "},
        {"GGUF", 23, "\1", 1, "*m: number of keys: expected at most "},
        {"general.architecture", 20, "\15", 1,
         "m: key general.architecture: expected a value type of 0 to 12 (and no array of "
         "arrays), found 13"},
        {"general.architecture", 32, "gemma", 5,
         "m: general.architecture: expected llama, found gemma"},
        {"llama.block_count", 17, "\6", 1,
         "m: key llama.block_count: expected an integer, found f32"},
        {"llama.block_count", 0, "x", 1,
         "m: expected the key llama.block_count, found none"},
        {"llama.block_count", 21, "\3", 1,
         "m: expected the tensor blk.2.attn_norm.weight, found none"},
        {"llama.block_count", 21, "\1", 1,
         "m: expected the 11 tensors of a plain llama, found 20; such models are not "
         "supported"},
        {"llama.block_count", 21, "\0", 1, "m: block count: expected 1 to 1024, found 0"},
        {"llama.embedding_length", 26, "\x40", 1,
         "m: expected rotary, key and value sizes equal to the head size 16, found 8, 16 "
         "and 16"},
        {"llama.feed_forward_length", 29, "\x29", 1,
         "m: tensor blk.0.ffn_gate.weight: expected shape 32 x 41, found 32 x 40 (1280 "
         "values)"},
        {"llama.context_length", 24, "\0\0\0\xFF", 4,
         "m: key llama.context_length: expected 0 to 2147483647, found 4278190080"},
        {"llama.rope.freq_base", 0, "llama.context_length", 20,
         "m: keys: expected distinct names, found llama.context_length twice"},
        {"almost.kind", 23, "nothin", 6,
         "m: almost.kind: expected vanilla, policy, reward or value, found nothin"},
        {"almost.head", 11, "\4", 1, "*m: "},
        {"tokenizer.ggml.tokens", 36, "\1", 1, "*m: array length: expected at most "},
        {"tokenizer.ggml.tokens", 25, "\11", 1,
         "m: key tokenizer.ggml.tokens: expected a value type of 0 to 12 (and no array "
         "of arrays), found 9"},
        {"tokenizer.ggml.tokens", 0, "x", 1,
         "m: expected the key tokenizer.ggml.tokens, found none"},
        {"blk.0.attn_q.weight", 4, "1", 1,
         "m: tensors: expected distinct names, found blk.1.attn_q.weight twice"},
        {"blk.0.attn_q.weight", 19, "\5", 1,
         "m: tensor blk.0.attn_q.weight: expected 1 to 4 dimensions, found 5"},
        {"blk.0.attn_q.weight", 23, "\0", 1,
         "m: tensor blk.0.attn_q.weight: dimension 0: expected a size that fits in "
         "memory, found 0"},
        {"blk.0.attn_q.weight", 39, "\x63", 1,
         "m: tensor blk.0.attn_q.weight: found the unknown weight type 99"},
        {"blk.0.attn_q.weight", 39, "\14", 1,
         "m: tensor blk.0.attn_q.weight: expected rows of a multiple of 256 values for "
         "Q4_K, found 32"},
        {"blk.0.attn_q.weight", 39, "\2", 1,
         "m: tensor blk.0.attn_q.weight: expected type F32, F16, BF16 or Q8_0, found "
         "Q4_0; convert the file to one of them"},
        {"blk.0.attn_q.weight", 43, "\1", 1,
         "*m: tensor blk.0.attn_q.weight: expected an offset that is a multiple of 32, "
         "found "},
        {"blk.0.attn_q.weight", 50, "\1", 1,
         "*m: tensor blk.0.attn_q.weight: expected data inside the file of "},
    };
    almost a;
    size_t n;
    test_open(&a);
    char *s = small_file(&a, &n, 0);
    for (size_t i = 0; i < COUNT(edits); i++)
        check_edit(s, n, edits[i].find, edits[i].skip, edits[i].put, edits[i].len,
                   edits[i].message);
    file_release(&a, s, n);
    test_close(&a);
}

static almost_status model_all(almost *a, void *ctx) {
    model *m = NULL;
    const tok_span *file = ctx;
    char p[512];
    almost_status st = model_load_bytes(a, "m", file->s, file->n, &m);
    if (st == ALMOST_OK) st = model_save(m, test_path(p, "memory.gguf"), GGUF_F16);
    model_free(m);
    return st;
}
static void test_model_memory(void) {
    char p[512];
    almost a;
    tok_span file;
    test_open(&a);
    char *s = small_file(&a, &file.n, 1);
    file.s = (const unsigned char *)s;
    test_each_allocation(model_all, &file);
    file_remove(&a, test_path(p, "memory.gguf"));
    file_release(&a, s, file.n);
    test_close(&a);
}

/* Vocabularies of another kind: the model loads, and has no tokenizer. */
static void test_model_no_tokenizer(void) {
    static const struct { const char *find; size_t skip; const char *put; size_t len; }
    edits[] = {
        {"tokenizer.ggml.model", 32, "gpt3", 4},
        {"tokenizer.ggml.pre", 30, "qwen2", 5},
        {"tokenizer.ggml.token_type", 41, "\4", 1}};
    almost a;
    size_t n;
    test_open(&a);
    char *s = small_file(&a, &n, 0);
    for (size_t i = 0; i < COUNT(edits); i++) {
        size_t at = 0, len = strlen(edits[i].find);
        char kept[8];
        model *m;
        while (at + len < n && memcmp(s + at, edits[i].find, len)) at++;
        memcpy(kept, s + at + edits[i].skip, edits[i].len);
        memcpy(s + at + edits[i].skip, edits[i].put, edits[i].len);
        if (CHECK_OK(&a, model_load_bytes(&a, "m", s, n, &m))) CHECK(m->tok == NULL);
        model_free(m);
        memcpy(s + at + edits[i].skip, kept, edits[i].len);
    }
    file_release(&a, s, n);
    test_close(&a);
}

static void test_model_unfit(void) {
    char p[512];
    almost a;
    test_open(&a);
    model *m = small_model(&a, 0, 0), *k;
    test_path(p, "unfit.gguf");
    *weight_at(&m->out, 3, 5) = 1e6f;
    CHECK_STATUS(&a, model_save(m, p, GGUF_F16), ALMOST_ERR_NUMERIC);
    CHECK_STR(a.message, "tensor output.weight: a value does not fit type F16; write the "
                         "file as f32");
    CHECK(!file_exists(p));
    fail_clear(&a);
    CHECK_STATUS(&a, model_save(m, p, 12), ALMOST_ERR_ARGUMENT);
    fail_clear(&a);
    *weight_at(&m->out, 3, 5) = f32_from_bits(0x7FC00000);
    CHECK_OK(&a, model_save(m, p, GGUF_F32));
    CHECK_STATUS(&a, model_load(&a, p, &k), ALMOST_ERR_FORMAT);
    file_remove(&a, p);
    model_free(m);
    test_close(&a);
}

/* A context of 2^20 costs what is used of it; a head too large is refused; tensors that share
 * bytes are refused, since a small file could then ask for any amount of memory. */
static void test_model_bounds(void) {
    shape s = {8, 12, 2, 2, 1, 11, 1 << 20, 1e-5f, 10000.0f, 0, 0}, big = s;
    const int32_t id[] = {1, 2, 3};
    float x[11];
    char p[512], *bytes;
    size_t n;
    almost a;
    model *m, *k = NULL;
    decoder *d = NULL;
    kv c;
    test_open(&a);
    kernels_select(&a, ALMOST_KERNELS_SCALAR);
    big.dim = 4096;
    CHECK_STATUS(&a, model_new(&a, &big, &k), ALMOST_ERR_LIMIT);
    CHECK_STR(a.message, "model: head size: expected at most 1024, found 2048");
    fail_clear(&a);
    CHECK_OK(&a, model_new(&a, &s, &m));
    model_init(m, 1);
    CHECK_OK(&a, decoder_open(m, &d));
    CHECK_OK(&a, kv_open(&c, m, 3));
    kv_seq q = {NULL, &c, id, 3, 1};
    CHECK_OK(&a, decode(d, &q, 1, x, NULL));
    CHECK(a.peak < 4u << 20);
    kv_close(&c);
    decoder_close(d);
    CHECK_OK(&a, model_save(m, test_path(p, "bounds.gguf"), GGUF_F32));
    CHECK_OK(&a, file_read(&a, p, &bytes, &n));
    for (size_t i = 0; i + 60 < n; i++) { // the offset follows name, dims, sizes and type
        if (!memcmp(bytes + i, "almost.bytes", 12)) bytes[i] = 'x';
        // the last tensor lies on the first, and its place at the end is gone
        if (!memcmp(bytes + i, "output.weight", 13) && bytes[i - 1] == 0)
            le64_put((unsigned char *)bytes + i + 13 + 4 + 16 + 4, 0);
    }
    CHECK_STATUS(&a, model_load_bytes(&a, "m", bytes, n - 11 * 32, &k), ALMOST_ERR_FORMAT);
    CHECK(strstr(a.message, "found that they overlap") != NULL);
    file_release(&a, bytes, n);
    file_remove(&a, p);
    model_free(m);
    products_close(&a);
    test_close(&a);
}

/* ---- [17] state ---- */

static void test_state_round_trip(void) {
    static const uint32_t words[3] = {1, 0x80000000, 0xFFFFFFFF};
    static const int64_t longs[2] = {-5, INT64_MAX};
    static const float reals[2] = {1.5f, -0.0f};
    const state_blob b[] = {{"text", "some\0text", 9, 1}, {"words", words, 3, 4},
                            {"longs", longs, 2, 8},      {"reals", reals, 2, 4},
                            {"empty", NULL, 0, 1}};
    char p[512];
    uint32_t w[3];
    int64_t l[2];
    float x[2];
    state s;
    text t;
    almost a;
    test_open(&a);
    text_init(&t, &a);
    CHECK_OK(&a, state_save(&a, test_path(p, "run.state"), b, COUNT(b)));
    if (CHECK_OK(&a, state_load(&a, p, &s))) {
        CHECK_INT(s.items, 5);
        CHECK_OK(&a, state_get_text(&s, "text", &t));
        CHECK(t.n == 9 && !memcmp(t.s, "some\0text", 9));
        CHECK_OK(&a, state_get(&s, "words", w, 3, 4));
        CHECK_OK(&a, state_get(&s, "longs", l, 2, 8));
        CHECK_OK(&a, state_get(&s, "reals", x, 2, 4));
        CHECK_OK(&a, state_get(&s, "empty", x, 0, 1));
        CHECK(!memcmp(w, words, sizeof w) && !memcmp(l, longs, sizeof l));
        CHECK_BITS32(x[0], 1.5f);
        CHECK_BITS32(x[1], -0.0f);
        CHECK_STATUS(&a, state_get(&s, "words", w, 2, 4), ALMOST_ERR_FORMAT);
        CHECK(strstr(a.message, "array words: expected 2 items of 4 bytes, found 3 of 4"));
        fail_clear(&a);
        CHECK_STATUS(&a, state_get(&s, "other", w, 2, 4), ALMOST_ERR_FORMAT);
        fail_clear(&a);
        CHECK_STATUS(&a, state_get_text(&s, "words", &t), ALMOST_ERR_FORMAT);
        state_close(&s);
    }
    text_free(&t);
    file_remove(&a, p);
    test_close(&a);
}

/* Is refused; with ctx its digest is made right again first, and it may be well formed. */
static void state_hostile(const char *bytes, size_t n, void *ctx) {
    almost a;
    state s;
    test_open(&a);
    char *copy = malloc(n + 1);
    if (!copy) return;
    memcpy(copy, bytes, n);
    if (ctx && n >= 48) {
        sha256 h;
        sha256_init(&h);
        sha256_add(&h, copy, n - 32);
        sha256_end(&h, (unsigned char *)copy + n - 32);
    }
    memset(&s, 0, sizeof s);
    s.a = &a;
    s.path = "hostile";
    s.bytes = copy;
    s.n = n;
    arena_init(&s.r, &a);
    almost_status st = state_check(&s);
    if (!ctx) CHECK(st != ALMOST_OK);
    if (st != ALMOST_OK) CHECK(!strncmp(a.message, "hostile: expected ", 18));
    arena_free(&s.r);
    free(copy);
    test_close(&a);
}

static void test_state_hostile(void) {
    static const float reals[64] = {1, 2, 3};
    const state_blob b[] = {{"reals", reals, 64, 4}, {"note", "hello", 5, 1}};
    char p[512], *bytes;
    size_t n;
    int valid = 1;
    almost a;
    test_open(&a);
    CHECK_OK(&a, state_save(&a, test_path(p, "hostile.state"), b, COUNT(b)));
    CHECK_OK(&a, file_read(&a, p, &bytes, &n));
    CHECK_INT(n, 16 + (16 + 5 + 256) + (16 + 4 + 5) + 32);
    test_hostile(bytes, n, 400, state_hostile, NULL);
    test_hostile(bytes, n, 2000, state_hostile, &valid);
    bytes[40] ^= 1;
    CHECK_OK(&a, file_write(&a, p, bytes, n));
    state s;
    CHECK_STATUS(&a, state_load(&a, p, &s), ALMOST_ERR_FORMAT);
    CHECK(strstr(a.message, "expected the digest in its last 32 bytes to match") != NULL);
    file_release(&a, bytes, n);
    file_remove(&a, p);
    test_close(&a);
}

static const test TESTS_FORMATS[] = {
    {"tokenizer", "kinds", test_tok_kinds},
    {"tokenizer", "split", test_tok_split},
    {"tokenizer", "train", test_tok_train},
    {"tokenizer", "encode", test_tok_encode},
    {"tokenizer", "special", test_tok_special},
    {"tokenizer", "long", test_tok_long},
    {"tokenizer", "memory", test_tok_memory},
    {"tokenizer", "file_form", test_tok_file_form},
    {"tokenizer", "refused", test_tok_refused},
    {"gguf", "f16", test_gguf_f16},
    {"gguf", "bf16", test_gguf_bf16},
    {"gguf", "q8_0", test_gguf_q8_0},
    {"gguf", "bytes", test_gguf_bytes},
    {"gguf", "integers", test_gguf_integers},
    {"gguf", "convert", test_gguf_convert},
    {"gguf", "json", test_gguf_json},
    {"gguf", "hostile", test_gguf_hostile},
    {"gguf", "seal", test_gguf_seal},
    {"gguf", "messages", test_gguf_messages},
    {"model", "round_trip", test_model_round_trip},
    {"model", "without_words", test_model_without_words},
    {"model", "memory", test_model_memory},
    {"model", "no_tokenizer", test_model_no_tokenizer},
    {"model", "unfit", test_model_unfit},
    {"model", "bounds", test_model_bounds},
    {"state", "round_trip", test_state_round_trip},
    {"state", "hostile", test_state_hostile},
};
