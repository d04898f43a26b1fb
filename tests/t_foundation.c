/* t_foundation.c - sections [02] to [10], in that order. */

/* ---- [02] basics, [03] errors, [04] memory --------------------------- */

static void test_sizes(void) {
    size_t v = 7;
    CHECK(size_mul(0, SIZE_MAX, &v) && v == 0);
    CHECK(size_mul(SIZE_MAX, 1, &v) && v == SIZE_MAX);
    CHECK(!size_mul(SIZE_MAX / 2 + 1, 2, &v));
    CHECK(size_add(SIZE_MAX, 0, &v) && v == SIZE_MAX);
    CHECK(!size_add(SIZE_MAX, 1, &v));
    unsigned char b[9] = {0};
    le64_put(b + 1, 0x0123456789ABCDEFu); // no alignment is promised
    CHECK(b[1] == 0xEF && b[8] == 0x01);
    CHECK(le64(b + 1) == 0x0123456789ABCDEFu);
    le32_put(b + 1, 0xFEDCBA98u);
    CHECK(le32(b + 1) == 0xFEDCBA98u);
}

static void test_errors(void) {
    almost a;
    test_open(&a);
    CHECK_STATUS(&a, fail(&a, ALMOST_ERR_IO, "first %d\n%s", 1, "\x7f"), ALMOST_ERR_IO);
    CHECK_STR(a.message, "first 1??");
    fail(&a, ALMOST_ERR_FORMAT, "second");
    CHECK_INT(a.status, ALMOST_ERR_IO); // the first one stays
    fail_clear(&a);
    CHECK_STR(a.message, "");
    test_close(&a);
}

static void test_arena(void) {
    almost a;
    arena r;
    test_open(&a);
    arena_init(&r, &a);
    size_t most = 0;
    arena_mark empty = arena_here(&r);
    for (size_t i = 0; i < 2000; i++) {
        size_t n = (size_t)rng_draw(T.seed, RNG_TEST, i, 0) % 1000;
        unsigned char *p = arena_take(&r, n, 1), sum = 0;
        if (!CHECK(p != NULL)) break;
        CHECK((uintptr_t)p % ARENA_ALIGN == 0);
        for (size_t j = 0; j < n; j++) sum |= p[j];
        CHECK(sum == 0);
        memset(p, 0xAA, n);
        most = a.bytes;
    }
    arena_mark here = arena_here(&r);
    CHECK(arena_take(&r, 1 << 20, 3) != NULL); // larger than a block
    arena_reset(&r, here);
    CHECK_INT(a.bytes, most);
    CHECK(arena_take(&r, SIZE_MAX / 2, 3) == NULL);
    CHECK_INT(a.status, ALMOST_ERR_LIMIT);
    arena_reset(&r, empty);
    CHECK_INT(a.bytes, 0);
    arena_free(&r);
    test_close(&a);
}

static void test_memory_limit(void) {
    almost a;
    test_open(&a);
    a.options.max_bytes = 1000;
    char *p = mem_resize(&a, NULL, 0, 600);
    CHECK(p != NULL);
    CHECK(mem_resize(&a, NULL, 0, 401) == NULL);
    CHECK_INT(a.status, ALMOST_ERR_MEMORY);
    p = mem_resize(&a, p, 600, 1000);
    CHECK(p && a.bytes == 1000 && a.peak == 1000);
    mem_resize(&a, p, 1000, 0);
    test_close(&a);
}

/* ---- [05] text -------------------------------------------------------- */

static void test_text(void) {
    almost a;
    text t;
    test_open(&a);
    text_init(&t, &a);
    text_str(&t, "");
    CHECK_STR(t.s, "");
    text_fmt(&t, "%s-%d", "x", -5);
    text_char(&t, ';');
    text_i64(&t, INT64_MIN);
    text_char(&t, ';');
    text_i64(&t, 0);
    text_char(&t, ';');
    text_u64(&t, UINT64_MAX);
    CHECK_STR(t.s, "x--5;-9223372036854775808;0;18446744073709551615");
    CHECK_INT(t.n, strlen(t.s));
    text_clear(&t);
    for (int i = 0; i < 5000; i++) text_put(&t, "abc", 3);
    CHECK(t.n == 15000 && t.s[15000] == 0 && t.s[14999] == 'c');
    CHECK_OK(&a, text_status(&t));
    text_free(&t);
    CHECK(t.s == NULL);
    char hex[9];
    text_hex(hex, (const unsigned char *)"\x00\xff\x1a\xa1", 4);
    CHECK_STR(hex, "00ff1aa1");
    const char *s = " \t\r\n a b \v\f ";
    CHECK_INT(text_trim(&s, strlen(s)), 3);
    CHECK(!strncmp(s, "a b", 3));
    s = "   ";
    CHECK_INT(text_trim(&s, 3), 0);
    CHECK(text_lower('Q') == 'q' && text_lower('q') == 'q' && text_lower('@') == '@' &&
          text_lower('[') == '[' && text_lower(0xC4) == 0xC4);
    test_close(&a);
}

static almost_status text_body(almost *a, void *ctx) {
    text t;
    (void)ctx;
    text_init(&t, a);
    for (int i = 0; i < 500; i++) text_fmt(&t, "%d ", i);
    text_f64(&t, 0.1);
    almost_status s = text_status(&t);
    text_free(&t);
    return s;
}

static void test_text_memory(void) { test_each_allocation(text_body, NULL); }

/* Every code point there and back; every wrong form reads as one U+FFFD per byte. */
static void test_utf8(void) {
    static const char *const BAD[] = {
        "\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xC3(",
        "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF", "\xED\xA0\x80", "\xED\xBF\xBF", "\xE2\x82",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFE", "\xFF", "\xC3", "\xE2(\xA1",
        "\xF0\x9F\x98", "\xF8\x88\x80\x80"};
    long wrong = 0;
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        char s[4];
        uint32_t back;
        if (cp == 0xD800) cp = 0xE000;
        size_t n = utf8_put(s, cp), m = utf8_next((const unsigned char *)s, n, &back);
        wrong +=
            n != m || back != cp || !utf8_valid(s, n) || utf8_valid(s, n - 1) == (n > 1);
    }
    CHECK_INT(wrong, 0);
    for (size_t i = 0; i < COUNT(BAD); i++) {
        uint32_t cp;
        size_t n = utf8_next((const unsigned char *)BAD[i], strlen(BAD[i]), &cp);
        CHECK(n == 1 && cp == 0xFFFD);
        CHECK(!utf8_valid(BAD[i], strlen(BAD[i])));
    }
    CHECK(utf8_valid("\xEF\xBF\xBD", 3)); // a U+FFFD that is there
    CHECK(utf8_valid("a\0b", 3));
}

static void test_parse_integers(void) {
    static const char *const BAD_U[] = {"", "+", "-", "-1", " 1", "1 ", "0x1", "1.", "a",
                                        "18446744073709551616", "99999999999999999999",
                                        "+-1"};
    static const char *const BAD_I[] = {"", "+", "-", "--1", "-+1", "+-1", "1e1",
                                        "9223372036854775808", "-9223372036854775809"};
    uint64_t u;
    int64_t i;
    for (size_t k = 0; k < COUNT(BAD_U); k++)
        CHECK(!text_parse_u64(BAD_U[k], strlen(BAD_U[k]), &u));
    for (size_t k = 0; k < COUNT(BAD_I); k++)
        CHECK(!text_parse_i64(BAD_I[k], strlen(BAD_I[k]), &i));
    CHECK(text_parse_u64("18446744073709551615", 20, &u) && u == UINT64_MAX);
    CHECK(text_parse_u64("+007", 4, &u) && u == 7);
    CHECK(text_parse_i64("-9223372036854775808", 20, &i) && i == INT64_MIN);
    CHECK(text_parse_i64("9223372036854775807", 19, &i) && i == INT64_MAX);
    CHECK(text_parse_i64("-0", 2, &i) && i == 0);
    CHECK(text_parse_i64("-1", 2, &i) && i == -1);
    CHECK(text_parse_i64("123", 2, &i) && i == 12); // n counts, not the NUL
}

static double parsed(const char *s) {
    double v = 0;
    return text_parse_f64(s, strlen(s), &v) ? v : f64_from_bits(0x7FF8000000000000u);
}

static void test_parse_reals(void) {
    static const struct { const char *s; uint64_t bits; } CASES[] = {
        {"0", 0}, {"-0", 0x8000000000000000u},
        {"-0e99999999999999999999", 0x8000000000000000u},
        {"1", 0x3FF0000000000000u}, {"1.", 0x3FF0000000000000u},
        {".5", 0x3FE0000000000000u},
        {"+1e0", 0x3FF0000000000000u}, {"10000000000000000000000e-22", 0x3FF0000000000000u},
        {"0.1", 0x3FB999999999999Au}, {"1e23", 0x44B52D02C7E14AF6u},
        {"8.5e22", 0x44B1FFDBF6B2B2EBu},
        {"9007199254740993", 0x4340000000000000u},  // a tie, to even
        {"9007199254740993.00000000000000000000000000000001", 0x4340000000000001u},
        {"9007199254740995", 0x4340000000000002u},
        {"1.7976931348623157e308", 0x7FEFFFFFFFFFFFFFu},
        {"1.7976931348623158e308", 0x7FEFFFFFFFFFFFFFu},
        {"179769313486231580793e288", 0x7FEFFFFFFFFFFFFFu},
        {"2.2250738585072014e-308", 0x0010000000000000u},
        {"2.2250738585072012e-308", 0x0010000000000000u}, // once infamous
        {"2.2250738585072011e-308", 0x000FFFFFFFFFFFFFu},
        {"4.9e-324", 1}, {"2.4703282292062328e-324", 1}, {"2.4703282292062327e-324", 0},
        {"1e-400", 0}, {"1e-99999999999999999999999", 0}, {"0e99999999999", 0},
    };
    static const char *const BAD[] = {
        "", "-", "+", ".", "e5", "1e", "1e+", "1e-", "--1", "1..2", "1.2.3", " 1", "1 ",
        "1,5", "0x10", "inf", "nan", "1e5.0", "1.8e308", "1e309", "1e99999999999999999999",
        "1f", "-.e1"};
    for (size_t i = 0; i < COUNT(CASES); i++)
        if (!CHECK_BITS64(parsed(CASES[i].s), f64_from_bits(CASES[i].bits)))
            puts(CASES[i].s);
    for (size_t i = 0; i < COUNT(BAD); i++) {
        double v;
        if (!CHECK(!text_parse_f64(BAD[i], strlen(BAD[i]), &v))) puts(BAD[i]);
    }
    CHECK_BITS64(parsed("179769313486231580793728971405301e276"), DBL_MAX);
    float f;
    CHECK(!text_parse_f32("340282356779733661637539395458142568448", 39, &f)); // a tie
    CHECK(text_parse_f32("340282356779733661637539395458142568447", 39, &f));
    CHECK_BITS32(f, FLT_MAX);
    // once to binary64 and then to binary32 would round up twice
    CHECK(text_parse_f32("1.00000005960464477539062499999999999", 37, &f));
    CHECK_BITS32(f, 1.0f);
    CHECK(text_parse_f32("7.0064923216240853546186479164495e-46", 37, &f));
    CHECK_BITS32(f, 0.0f);
    CHECK(text_parse_f32("7.0064923216240853546186479164496e-46", 37, &f));
    CHECK_BITS32(f, f32_from_bits(1));
}

/* Numbers of any length: the exact midpoint of two neighbours goes to the even one,
 * and one more nonzero digit, however far behind, decides. */
static void test_parse_long(void) {
    almost a;
    text t;
    decimal d;
    test_open(&a);
    text_init(&t, &a);
    for (uint32_t i = 0; i < 300; i++) {
        uint64_t bits = rng_draw(T.seed, RNG_TEST, 1, i) % 0x7FE0000000000000u;
        if (i % 3 == 0) bits >>= 12 + i % 40; // among the subnormals too
        uint64_t m = bits & 0xFFFFFFFFFFFFFu, e = bits >> 52;
        if (e) m |= (uint64_t)1 << 52;
        dec_set(&d, 2 * m + 1);
        dec_scale(&d, (int)MAX(e, 1u) - 1076); // the midpoint above
        CHECK(!d.more);
        text_clear(&t);
        for (int k = 0; k < d.n; k++) text_char(&t, (char)('0' + d.d[k]));
        size_t n = t.n;
        text_fmt(&t, "e%d", d.point - d.n);
        CHECK_BITS64(parsed(t.s), f64_from_bits(bits + (bits & 1)));
        t.n = n;
        for (int k = 0; k < 2000; k++) text_char(&t, '0');
        text_fmt(&t, "1e%d", d.point - d.n - 2001);
        CHECK_BITS64(parsed(t.s), f64_from_bits(bits + 1));
        t.n = n;
        t.s[n - 1]--; // not a zero: now the midpoint minus one in its last digit ...
        for (int k = 0; k < 2000; k++) text_char(&t, '9'); // ... plus almost that one
        text_fmt(&t, "e%d", d.point - d.n - 2000);
        CHECK_BITS64(parsed(t.s), f64_from_bits(bits));
    }
    text_clear(&t);
    text_str(&t, "0.");
    for (int k = 0; k < 100000; k++) text_char(&t, '0');
    text_str(&t, "25e100001");
    CHECK_BITS64(parsed(t.s), 2.5);
    text_clear(&t);
    text_char(&t, '5');
    for (int k = 0; k < 100000; k++) text_char(&t, '0');
    text_str(&t, "e-100001");
    CHECK_BITS64(parsed(t.s), 0.5);
    text_free(&t);
    test_close(&a);
}

static const char *shown(text *t, double v) {
    text_clear(t);
    text_f64(t, v);
    return t->s;
}

static void test_print_reals(void) {
    static const struct { double v; const char *s; } CASES[] = {
        {0.0, "0.0"}, {-0.0, "-0.0"}, {1.0, "1.0"}, {-1.5, "-1.5"}, {0.1, "0.1"},
        {100.0, "100.0"},
        {0.0001, "0.0001"}, {0.00001, "1e-05"},
        {123456789012345680.0, "1.2345678901234568e+17"},
        {1e15, "1000000000000000.0"}, {9999999999999998.0, "9999999999999998.0"},
        {1e16, "1e+16"},
        {1e22, "1e+22"}, {1e23, "1e+23"}, {5e-324, "5e-324"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {DBL_MIN, "2.2250738585072014e-308"}, {1.0 / 3.0, "0.3333333333333333"},
        {2.0 / 3.0, "0.6666666666666666"}, {0x1p-44, "5.684341886080802e-14"},
        {9007199254740993.0, "9007199254740992.0"},
        {0x1p-1022 - 0x1p-1074, "2.225073858507201e-308"},
        {299792458.0, "299792458.0"}, {6.02214076e23, "6.02214076e+23"}, {1e100, "1e+100"}};
    almost a;
    text t;
    test_open(&a);
    text_init(&t, &a);
    for (size_t i = 0; i < COUNT(CASES); i++) CHECK_STR(shown(&t, CASES[i].v), CASES[i].s);
    text_clear(&t);
    text_f32(&t, 0.1f);
    text_char(&t, ' ');
    text_f32(&t, FLT_MAX);
    text_char(&t, ' ');
    text_f32(&t, 16777216.0f);
    text_char(&t, ' ');
    text_f32(&t, f32_from_bits(1));
    text_char(&t, ' ');
    text_f32(&t, -0.0f);
    CHECK_STR(t.s, "0.1 3.4028235e+38 16777216.0 1e-45 -0.0");
    CHECK_OK(&a, text_status(&t));
    text_f64(&t, f64_from_bits(0x7FF0000000000000u));
    CHECK_STATUS(&a, text_status(&t), ALMOST_ERR_NUMERIC);
    text_clear(&t);
    text_f32(&t, f32_from_bits(0xFFC00000u));
    CHECK_STATUS(&a, text_status(&t), ALMOST_ERR_NUMERIC);
    text_free(&t);
    test_close(&a);
}

/* Any bits: what is printed reads back, and no decimal with fewer digits does. */
static void test_print_round_trip(void) {
    almost a;
    text t;
    test_open(&a);
    text_init(&t, &a);
    for (uint32_t i = 0; i < 20000; i++) {
        uint64_t u = rng_draw(T.seed, RNG_TEST, 2, i);
        if (i % 4 == 1) u = (u & 0xFFFFFFFFFFFFFu) | (0x3F0 + u % 32) << 52; // near 1
        if (i % 4 == 2) u &= 0xFFF0000000000000u;                           // powers of two
        if ((u >> 52 & 0x7FF) == 0x7FF) u ^= (uint64_t)1 << 61;
        double v = f64_from_bits(u);
        CHECK_BITS64(parsed(shown(&t, v)), v);
        float f = f32_from_bits((uint32_t)u), back;
        if ((f32_bits(f) >> 23 & 0xFF) != 0xFF) {
            text_clear(&t);
            text_f32(&t, f);
            CHECK(text_parse_f32(t.s, t.n, &back));
            CHECK_BITS32(back, f);
        }
#if !defined(_WIN32) // an outside reference, exact in the C libraries at hand
        if (i % 8) continue;
        char plain[64], *stop;
        int digits = 1, ours = 0, zeros = 0;
        snprintf(plain, sizeof plain, "%.0e", v);
        while (strtod(plain, &stop) != v)
            snprintf(plain, sizeof plain, "%.*e", digits++, v);
        for (const char *c = shown(&t, v); *c && *c != 'e'; c++) {
            if (text_is_digit(*c) && (ours || *c != '0'))
                ours++, zeros = *c == '0' ? zeros + 1 : 0;
        }
        CHECK(ours - zeros <= digits);
        CHECK_BITS64(strtod(t.s, &stop), v);
#endif
    }
    text_free(&t);
    test_close(&a);
}

static const char *fixed(text *t, double v, int digits) {
    text_clear(t);
    text_fixed(t, v, digits);
    return t->s;
}

static void test_print_fixed(void) {
    almost a;
    text t;
    test_open(&a);
    text_init(&t, &a);
    CHECK_STR(fixed(&t, 0.0, 2), "0.00");
    CHECK_STR(fixed(&t, -0.001, 2), "0.00"); // no sign on nothing
    CHECK_STR(fixed(&t, 0.5, 0), "0");       // ties to even
    CHECK_STR(fixed(&t, 1.5, 0), "2");
    CHECK_STR(fixed(&t, 2.5, 0), "2");
    CHECK_STR(fixed(&t, 0.125, 2), "0.12");
    CHECK_STR(fixed(&t, 0.375, 2), "0.38");
    CHECK_STR(fixed(&t, 1.005, 2), "1.00"); // the double is below
    CHECK_STR(fixed(&t, 0.05, 1), "0.1");   // the double is above
    CHECK_STR(fixed(&t, 0.04, 1), "0.0");
    CHECK_STR(fixed(&t, 9.999, 2), "10.00");
    CHECK_STR(fixed(&t, 0.999, 2), "1.00");
    CHECK_STR(fixed(&t, -99.95, 1), "-100.0");
    CHECK_STR(fixed(&t, 1e22, 1), "10000000000000000000000.0");
    CHECK_STR(fixed(&t, 123.456, 1), "123.5");
    CHECK_STR(fixed(&t, 0.000123, 3), "0.000");
    CHECK_STR(fixed(&t, 5e-324, 3), "0.000");
    CHECK_STR(fixed(&t, f64_from_bits(0xFFF0000000000000u), 1), "-inf");
    CHECK_STR(fixed(&t, f64_from_bits(0x7FF8000000000000u), 1), "nan");
#if !defined(_WIN32)
    for (uint32_t i = 0; i < 5000; i++) {
        char s[400];
        uint64_t u = rng_draw(T.seed, RNG_TEST, 3, i);
        double v = f64_from_bits((u & 0x800FFFFFFFFFFFFFu) | (0x3E0 + u % 100) << 52);
        snprintf(s, sizeof s, "%.*f", (int)(i % 9), v);
        if (strspn(s, "-0.") == strlen(s)) continue; // printf writes -0.00
        CHECK_STR(fixed(&t, v, (int)(i % 9)), s);
    }
#endif
    text_free(&t);
    test_close(&a);
}

/* ---- [06] hashing ----------------------------------------------------- */

static void test_sha256(void) {
    static const struct { const char *s, *hex; } CASES[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"}};
    char hex[65];
    for (size_t i = 0; i < COUNT(CASES); i++) {
        sha256_hex(CASES[i].s, strlen(CASES[i].s), hex);
        CHECK_STR(hex, CASES[i].hex);
    }
    sha256 s;
    char a[1000];
    memset(a, 'a', sizeof a);
    sha256_init(&s);
    for (int i = 0; i < 1000; i++) sha256_add(&s, a, sizeof a);
    sha256_hex_end(&s, hex);
    CHECK_STR(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    sha256_init(&s);
    sha256_add_u64le(&s, 0x6867666564636261u);
    sha256_hex_end(&s, hex);
    CHECK_STR(hex, "9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab");
    const float f[2] = {1.0f, -2.5f};
    char want[65];
    sha256_init(&s);
    sha256_add_f32s(&s, f, 2);
    sha256_hex_end(&s, hex);
    sha256_hex("\x00\x00\x80\x3f\x00\x00\x20\xc0", 8, want);
    CHECK_STR(hex, want);
}

/* Any cutting into pieces, any alignment, both ways of computing: one digest. */
static void test_sha256_pieces(void) {
    unsigned char data[4200], whole[32], pieces[32];
    rng r = test_rng(0);
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)rng_u64(&r);
    for (size_t n = 0; n <= 4000; n += n < 300 ? 1 : 137) {
        sha256 s;
        size_t shift = n % 7;
        sha256_init(&s);
        s.fast = 0;
        sha256_add(&s, data + shift, n);
        sha256_end(&s, whole);
        sha256_init(&s);
#if defined(ALMOST_X86)
        s.fast = sha256_has_ni();
#endif
        for (size_t at = 0; at < n;) {
            size_t some = (size_t)rng_below(&r, 200);
            some = MIN(some, n - at);
            sha256_add(&s, data + shift + at, some);
            at += some;
        }
        sha256_end(&s, pieces);
        CHECK(!memcmp(whole, pieces, 32));
    }
}

/* ---- [07] random ------------------------------------------------------ */

/* Known answers published with Random123 for zeros, ones and the digits of pi. */
static void test_philox(void) {
    static const uint32_t CASES[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d,
         0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
         0x94fdcceb, 0x5001e420, 0x24126ea1}};
    for (size_t i = 0; i < COUNT(CASES); i++) {
        uint32_t out[4];
        philox4x32(CASES[i], CASES[i] + 4, out);
        CHECK(!memcmp(out, CASES[i] + 6, sizeof out));
    }
}

/* Draws are part of every published digest: these values were computed by a second
 * implementation from the definitions in [07]. */
static void test_draws(void) {
    CHECK(rng_draw(1, 11, 2, 3) == 0x578700dc7d4ec643u);
    CHECK(rng_draw(0x0123456789abcdefu, 3, 0xfedcba9876543210u, 7) == 0x7a1314c07310eb06u);
    static const uint32_t WANT[12] = {3, 7, 1, 0, 8, 5, 4, 11, 10, 6, 9, 2};
    uint32_t perm[12];
    rng r = rng_at(42, RNG_SHUFFLE, 0);
    for (uint32_t i = 0; i < 12; i++) perm[i] = i;
    rng_shuffle(&r, perm, 12);
    CHECK(!memcmp(perm, WANT, sizeof perm));
    uint64_t big = ((uint64_t)1 << 63) + 1; // about half of all draws are rejected
    CHECK(rng_below(&r, big) == 7366475760494839922u);
    CHECK(rng_below(&r, big) == 6127453710167433565u);
    CHECK_INT(r.draw, 13);
    CHECK(rng_below(&r, 0) == 0 && rng_below(&r, 1) == 0);
    rng_shuffle(&r, perm, 0);
    rng_shuffle(&r, perm, 1);
}

static void test_uniform(void) {
    rng r = test_rng(0);
    int count[7] = {0}, yes = 0;
    for (int i = 0; i < 70000; i++) count[rng_below(&r, 7)]++;
    for (int i = 0; i < 7; i++) CHECK(count[i] > 9500 && count[i] < 10500); // 5 sigma
    for (int i = 0; i < 100000; i++) yes += rng_per_mille(&r, 250);
    CHECK(yes > 24300 && yes < 25700);
    for (int i = 0; i < 1000; i++) CHECK(!rng_per_mille(&r, 0) && rng_per_mille(&r, 1000));
    double low = 1, high = 0, sum = 0;
    for (int i = 0; i < 10000; i++) {
        double v = rng_unit(&r);
        low = MIN(low, v), high = MAX(high, v), sum += v;
    }
    CHECK(low >= 0 && low < 0.01 && high > 0.99 && high < 1 && sum > 4800 && sum < 5200);
    CHECK(u64_mul_high(UINT64_MAX, UINT64_MAX) == UINT64_MAX - 1);
    CHECK(u64_mul_high(UINT64_MAX, 2) == 1 &&
          u64_mul_high((uint64_t)1 << 32, (uint64_t)1 << 32) == 1);
    for (int i = 0; i < 1000; i++) { // against shift-and-add
        uint64_t a = rng_u64(&r), b = rng_u64(&r), hi = 0, lo = 0;
        for (int k = 63; k >= 0; k--) {
            hi = hi << 1 | lo >> 63;
            lo <<= 1;
            if (b >> k & 1) hi += lo + a < a, lo += a;
        }
        CHECK(u64_mul_high(a, b) == hi && a * b == lo);
    }
}

/* ---- [08] platform ---------------------------------------------------- */

static void test_files(void) {
    almost a;
    char p[512], *bytes;
    size_t n;
    test_open(&a);
    test_path(p, "file");
    CHECK_OK(&a, file_remove(&a, p));
    CHECK(!file_exists(p));
    CHECK_STATUS(&a, file_read(&a, p, &bytes, &n), ALMOST_ERR_IO);
    CHECK(strstr(a.message, "file") && strstr(a.message, "no such file") && !bytes);
    fail_clear(&a);
    CHECK_OK(&a, file_write(&a, p, "a\0\r\n\x1a" "b", 6));
    CHECK(file_exists(p));
    if (CHECK_OK(&a, file_read(&a, p, &bytes, &n))) {
        CHECK(n == 6 && !memcmp(bytes, "a\0\r\n\x1a" "b", 7));
        CHECK_INT(a.bytes, 7);
        file_release(&a, bytes, n);
    }
    CHECK_OK(&a, file_write(&a, p, NULL, 0)); // replaces
    if (CHECK_OK(&a, file_read(&a, p, &bytes, &n))) {
        CHECK(n == 0 && bytes && bytes[0] == 0);
        file_release(&a, bytes, n);
    }
    CHECK_OK(&a, file_remove(&a, p));
    CHECK_OK(&a, file_remove(&a, p)); // nothing to do
    CHECK_STATUS(&a, file_read(&a, T.dir, &bytes, &n), ALMOST_ERR_IO);
    fail_clear(&a);
    CHECK_STATUS(&a, file_write(&a, T.dir, "x", 1), ALMOST_ERR_IO);
    fail_clear(&a);
    test_path(p, "missing/file");
    CHECK_STATUS(&a, file_write(&a, p, "x", 1), ALMOST_ERR_IO);
    CHECK(strstr(a.message, "no such folder; make it first"));
    test_close(&a);
}

static void test_folders(void) {
    almost a;
    arena r;
    char p[512], q[512], **names;
    size_t n;
    test_open(&a);
    arena_init(&r, &a);
    test_path(p, "one/two//three/");
    CHECK_OK(&a, dir_make(&a, p));
    CHECK_OK(&a, dir_make(&a, p));
    CHECK(dir_exists(p));
    static const char *const FILES[] = {"b", "a", "C", "\xC3\xA4", "a.b"};
    for (size_t i = 0; i < COUNT(FILES); i++) {
        CHECK(path_join(q, sizeof q, p, FILES[i]));
        CHECK_OK(&a, file_write(&a, q, "x", 1));
    }
    CHECK(path_join(q, sizeof q, p, FILE_UNFINISHED "77-0")); // left by a killed writer
    CHECK_OK(&a, file_write(&a, q, "half", 4));
    if (CHECK_OK(&a, dir_list(&a, &r, p, &names, &n)) && CHECK_INT(n, 5)) {
        static const char *const SORTED[] = {"C", "a", "a.b", "b", "\xC3\xA4"};
        for (size_t i = 0; i < 5; i++) CHECK_STR(names[i], SORTED[i]);
    }
    CHECK_OK(&a, dir_sweep(&a, p));
    CHECK(!file_exists(q));
    for (size_t i = 0; i < COUNT(FILES); i++) {
        path_join(q, sizeof q, p, FILES[i]);
        CHECK_OK(&a, file_remove(&a, q));
    }
    test_path(p, "plain");
    CHECK_OK(&a, file_write(&a, p, "x", 1));
    CHECK_STATUS(&a, dir_make(&a, p), ALMOST_ERR_IO); // a file is in the way
    fail_clear(&a);
    CHECK_OK(&a, file_remove(&a, p));
    CHECK_STATUS(&a, dir_list(&a, &r, p, &names, &n), ALMOST_ERR_IO);
    CHECK(path_join(q, 4, "a", "b") && !strcmp(q, "a/b") && !path_join(q, 3, "a", "b"));
    CHECK(path_join(q, 4, "a/", "b") && !strcmp(q, "a/b"));
    CHECK(path_join(q, 2, "", "b") && !strcmp(q, "b"));
    arena_free(&r);
    test_close(&a);
}

static almost_status file_body(almost *a, void *ctx) {
    char *bytes;
    size_t n;
    TRY(file_write(a, ctx, "some bytes", 10));
    TRY(file_read(a, ctx, &bytes, &n));
    file_release(a, bytes, n);
    return file_remove(a, ctx);
}

static void test_file_memory(void) {
    char p[512];
    test_path(p, "memory");
    test_each_allocation(file_body, p);
}

#if defined(__linux__)
/* Devices, a pipe without a size, a full disk, a folder without rights. */
static void test_devices(void) {
    almost a;
    char *bytes;
    size_t n;
    test_open(&a);
    CHECK_OK(&a, file_write(&a, "/dev/null", "x", 1));
    CHECK(!dir_exists("/dev/null") && file_exists("/dev/null"));
    CHECK_STATUS(&a, file_write(&a, "/dev/full", "x", 1), ALMOST_ERR_IO);
    CHECK(strstr(a.message, "disk is full; free some space"));
    fail_clear(&a);
    if (CHECK_OK(&a, file_read(&a, "/proc/self/status", &bytes, &n))) {
        CHECK(n > 100 && strlen(bytes) == n);
        file_release(&a, bytes, n);
    }
    CHECK_STATUS(&a, file_write(&a, "/proc/nothing", "x", 1), ALMOST_ERR_IO);
    CHECK_INT(a.bytes, 0);
    CHECK(cpu_count() >= 1 && cpu_count() < 10000);
    double t = clock_seconds();
    CHECK(clock_seconds() >= t);
    test_close(&a);
}
#endif

/* ---- [09] threads ----------------------------------------------------- */

typedef struct {
    almost *a;
    unsigned char *seen; /* times each row was visited           */
    size_t count, grain;
    int wrong, depth;
    int inside[THREADS_MOST]; /* to see a worker number used twice at once */
} loop_check;

static void loop_rows(void *ctx, size_t begin, size_t end, int worker) {
    loop_check *c = ctx;
    if (begin >= end || end > c->count || begin % c->grain || worker < 0 ||
        worker >= threads_count(c->a)) c->wrong = 1;
    if (c->inside[worker]) c->wrong = 1;
    c->inside[worker] = 1;
    for (size_t i = begin; i < end; i++) c->seen[i]++;
    c->inside[worker] = 0;
}

static void test_threads(void) {
    static unsigned char seen[3000];
    for (int n = 1; n <= 16; n = n < 4 ? n + 1 : 2 * n) {
        almost a;
        test_open(&a);
        CHECK_OK(&a, threads_open(&a, n));
        for (uint32_t job = 0; job < 300; job++) {
            loop_check c = {&a, seen, 0, 0, 0, 0, {0}};
            uint64_t random = rng_draw(T.seed, RNG_TEST, (uint64_t)n, job);
            c.count = (size_t)random % (job % 3 ? 40 : sizeof seen);
            c.grain = 1 + (size_t)(random >> 40) % 64;
            memset(seen, 0, sizeof seen);
            threads_for(&a, c.count, c.grain, loop_rows, &c);
            int wrong = c.wrong;
            for (size_t i = 0; i < sizeof seen; i++) wrong += seen[i] != (i < c.count);
            CHECK_INT(wrong, 0);
        }
        test_close(&a);
    }
    almost a;
    test_open(&a);
#if !defined(ALMOST_NO_THREADS)
    CHECK_STATUS(&a, threads_open(&a, -1), ALMOST_ERR_ARGUMENT);
    fail_clear(&a);
    CHECK_STATUS(&a, threads_open(&a, THREADS_MOST + 1), ALMOST_ERR_ARGUMENT);
    fail_clear(&a);
#endif
    CHECK_OK(&a, threads_open(&a, 0));
    CHECK_OK(&a, threads_open(&a, 3)); // again, with another number
    test_close(&a);
}

static void loop_inner(void *ctx, size_t begin, size_t end, int worker) {
    int64_t *sum = ctx;
    for (size_t i = begin; i < end; i++) sum[worker] += (int64_t)i;
}

typedef struct { almost *a; int64_t sum[16]; int wrong; } nest_check;

/* A loop inside a loop runs in the same thread with the same worker number. */
static void loop_outer(void *ctx, size_t begin, size_t end, int worker) {
    nest_check *c = ctx;
    for (size_t i = begin; i < end; i++) {
        int64_t had = c->sum[worker];
        threads_for(c->a, 1000, 1, loop_inner, c->sum);
        if (c->sum[worker] != had + 499500) c->wrong = 1;
    }
}

static void test_threads_nested(void) {
    almost a;
    nest_check c = {&a, {0}, 0};
    test_open(&a);
    CHECK_OK(&a, threads_open(&a, 4));
    for (int job = 0; job < 50; job++) threads_for(&a, 64, 1, loop_outer, &c);
    int64_t sum = 0;
    for (int i = 0; i < 16; i++) sum += c.sum[i];
    CHECK_INT(sum, (int64_t)50 * 64 * 499500);
    CHECK_INT(c.wrong, 0);
    test_close(&a);
}

/* Sleeping workers wake up, over and over; two contexts do not disturb each other. */
static void test_threads_sleep(void) {
    static unsigned char seen[64];
    almost a, b;
    test_open(&a);
    test_open(&b);
    CHECK_OK(&a, threads_open(&a, 2));
    CHECK_OK(&b, threads_open(&b, 3));
    for (int job = 0; job < 200; job++) {
        loop_check c = {job % 2 ? &a : &b, seen, sizeof seen, 1, 0, 0, {0}};
        memset(seen, 0, sizeof seen);
        double until = clock_seconds() + (job % 5) * 30e-6;
        while (clock_seconds() < until) {}
        threads_for(c.a, c.count, 1, loop_rows, &c);
        int wrong = c.wrong;
        for (size_t i = 0; i < sizeof seen; i++) wrong += seen[i] != 1;
        CHECK_INT(wrong, 0);
    }
    test_close(&a);
    test_close(&b);
}

static almost_status threads_body(almost *a, void *ctx) {
    (void)ctx;
    TRY(threads_open(a, 3));
    threads_close(a);
    return ALMOST_OK;
}

static void test_threads_memory(void) { test_each_allocation(threads_body, NULL); }

/* Halves the smallest normal number: zero when subnormals are flushed. */
static int flushes(void) {
    volatile float x = FLT_MIN;
    x = x * 0.5f;
    return f32_bits(x) != 0x00400000u;
}

/* 1/3 to nearest ends in ...ab, towards zero in ...aa. */
static int rounds_otherwise(void) {
    volatile float x = 1.0f, y = 3.0f;
    x = x / y;
    return f32_bits(x) != 0x3EAAAAABu;
}

static void loop_fpenv(void *ctx, size_t begin, size_t end, int worker) {
    int *wrong = ctx;
    (void)begin, (void)end;
    wrong[worker] |= flushes() || rounds_otherwise();
}

static void test_fpenv(void) {
    almost a;
    int wrong[4] = {0};
    test_open(&a);
    CHECK_OK(&a, threads_open(&a, 4));
    fpenv had = fpenv_enter();
    CHECK(!flushes() && !rounds_otherwise());
    threads_for(&a, 1000, 1, loop_fpenv, wrong);
    CHECK(!wrong[0] && !wrong[1] && !wrong[2] && !wrong[3]);
    fpenv bad = {0}, now;
#if defined(__SSE__)
    bad.w = 0xFFC0; // flush, denormals are zero, towards zero
#elif defined(__aarch64__) || (defined(__arm__) && defined(__ARM_FP))
    bad.w = 0x1C00000; // flush, towards zero
#elif defined(__s390x__) || defined(__riscv_flen) || defined(__mips_hard_float) || \
    (defined(__powerpc__) && !defined(_SOFT_FLOAT))
    bad.w = 1; // towards zero
#endif
    if (bad.w) {
        fpenv_set(bad);
        CHECK(rounds_otherwise());
        if (bad.w > 1) CHECK(flushes());
        fpenv mine = fpenv_enter();
        CHECK(!flushes() && !rounds_otherwise());
        fpenv_leave(mine);
        CHECK(rounds_otherwise());
        fpenv_get(&now);
        CHECK((now.w & bad.w) == bad.w); // sticky flags may be up besides
    }
    fpenv_leave(had);
    test_close(&a);
}

/* ---- [10] JSON -------------------------------------------------------- */

/* The value written again, "" when it was refused; `message` gets why. */
static const char *rewritten(text *t, const char *s, size_t n, char message[512]) {
    arena r;
    json *v;
    arena_init(&r, t->a);
    text_clear(t);
    text_str(t, "");
    if (json_parse(t->a, &r, "x", s, n, &v) == ALMOST_OK) json_write(t, v);
    memcpy(message, t->a->message, 512);
    fail_clear(t->a);
    arena_free(&r);
    return t->s;
}

static void test_json_good(void) {
    static const struct { const char *s, *out;
    } CASES[] = {{"null", "null"},
                 {" true\t", "true"},
                 {"\r\nfalse", "false"},
                 {"0", "0"},
                 {"-0", "-0"},
                 {"-12.50e+3", "-12.50e+3"},
                 {"[]", "[]"},
                 {"[ ]", "[]"},
                 {"{ }", "{}"},
                 {"[[],[[]]]", "[[],[[]]]"},
                 {"[1 , 2]", "[1,2]"},
                 {"{\"a\":1,\"b\":{\"\":null}}", "{\"a\":1,\"b\":{\"\":null}}"},
                 {"\"\"", "\"\""},
                 {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\""},
                 {"\"\\u0041\\u00e4\\u20AC\\ud83D\\uDE00\"",
                  "\"A\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\""},
                 {"\"\\u0000\\u001f\\u007f\"", "\"\\u0000\\u001f\x7f\""},
                 {"\"\\ud800\"", "\"\xEF\xBF\xBD\""},
                 {"\"\\ud800x\\udc00\"", "\"\xEF\xBF\xBDx\xEF\xBF\xBD\""},
                 {"\"\\ud800\\ud83d\\ude00\"", "\"\xEF\xBF\xBD\xF0\x9F\x98\x80\""},
                 {"\xEF\xBB\xBF{}", "{}"},
                 {"{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}"},
                 {"123456789012345678901234567890", "123456789012345678901234567890"}};
    almost a;
    text t;
    char message[512];
    test_open(&a);
    text_init(&t, &a);
    for (size_t i = 0; i < COUNT(CASES); i++)
        CHECK_STR(rewritten(&t, CASES[i].s, strlen(CASES[i].s), message), CASES[i].out);
    text_free(&t);
    test_close(&a);
}

static void test_json_bad(void) {
    static const struct { const char *s, *message;
    } CASES[] = {
        {"", "x:1:1: expected a value, found the end"},
        {"\xEF\xBB\xBF", "x:1:4: expected a value, found the end"},
        {"[1,\n 2,]", "x:2:4: expected a value, found byte 0x5d"},
        {"[1 2]", "x:1:4: expected , or the closing bracket, found byte 0x32"},
        {"[1", "x:1:3: expected , or the closing bracket, found the end"},
        {"{\"a\":1,}", "x:1:8: expected a key in quotes, found byte 0x7d"},
        {"{a:1}", "x:1:2: expected a key in quotes, found byte 0x61"},
        {"{\"a\" 1}", "x:1:6: expected : after a key, found byte 0x31"},
        {"1 1", "x:1:3: expected nothing after the value, found byte 0x31"},
        {"01", "x:1:2: expected nothing after the value, found byte 0x31"},
        {"-", "x:1:2: expected a digit, found the end"},
        {"+1", "x:1:1: expected a value, found byte 0x2b"},
        {"1.", "x:1:3: expected a digit, found the end"},
        {".5", "x:1:1: expected a value, found byte 0x2e"},
        {"1e+", "x:1:4: expected a digit, found the end"},
        {"1e400", "x:1:1: expected a number below 1.8e308, found byte 0x31"},
        {"nul", "x:1:4: expected true, false or null, found the end"},
        {"True", "x:1:1: expected a value, found byte 0x54"},
        {"NaN", "x:1:1: expected a value, found byte 0x4e"},
        {"\"a", "x:1:3: expected a closing \", found the end"},
        {"\"\t\"",
         "x:1:2: expected a control character written as \\u00XX, found byte 0x09"},
        {"\"\\x\"",
         "x:1:3: expected one of \"\\/bfnrt or u and four hex digits, found byte 0x78"},
        {"\"\\u12g4\"",
         "x:1:3: expected one of \"\\/bfnrt or u and four hex digits, found byte 0x75"},
        {"\"\\",
         "x:1:3: expected one of \"\\/bfnrt or u and four hex digits, found the end"},
        {"\"\xFF\"", "x:1:2: expected valid UTF-8, found byte 0xff"},
        {"\"\xED\xA0\x80\"", "x:1:2: expected valid UTF-8, found byte 0xed"},
        {"[1]//", "x:1:4: expected nothing after the value, found byte 0x2f"},
        {"'a'", "x:1:1: expected a value, found byte 0x27"}};
    almost a;
    text t;
    char message[512], deep[600];
    test_open(&a);
    text_init(&t, &a);
    for (size_t i = 0; i < COUNT(CASES); i++) {
        CHECK_STR(rewritten(&t, CASES[i].s, strlen(CASES[i].s), message), "");
        CHECK_STR(message, CASES[i].message);
    }
    CHECK_STR(rewritten(&t, "[\0]", 3, message), "");
    CHECK_STR(rewritten(&t, "\"\\\0\"", 4, message), "");
    for (int depth = JSON_DEPTH; depth <= JSON_DEPTH + 1; depth++) {
        memset(deep, '[', (size_t)depth);
        memset(deep + depth, ']', (size_t)depth);
        int fits = rewritten(&t, deep, 2 * (size_t)depth, message)[0] != 0;
        CHECK_INT(fits, depth == JSON_DEPTH);
    }
    CHECK_STR(message, "x:1:257: expected at most 256 levels of nesting, found byte 0x5b");
    text_free(&t);
    test_close(&a);
}

static void test_json_values(void) {
    static const char S[] =
        "{\"i\":-7,\"r\":7.0,\"big\":9223372036854775808,\"s\":\"a\\u0000b\","
        "\"l\":[1,\"x\",null],\"d\":1,\"d\":2,\"o\":{}}";
    almost a;
    arena r;
    json *v;
    test_open(&a);
    arena_init(&r, &a);
    if (CHECK_OK(&a, json_parse(&a, &r, "x", S, strlen(S), &v)) &&
        CHECK(json_is(v, JSON_OBJECT))) {
        CHECK_INT(v->n, 8);
        CHECK(json_get(v, "i")->is_int && json_get(v, "i")->i64 == -7 &&
              json_get(v, "i")->num == -7);
        CHECK(!json_get(v, "r")->is_int && json_get(v, "r")->num == 7);
        CHECK(!json_get(v, "big")->is_int && json_get(v, "big")->num == 0x1p63);
        CHECK(json_get(v, "s")->n == 3 && !memcmp(json_get(v, "s")->s, "a\0b", 4));
        CHECK(json_get(v, "l")->n == 3 && json_is(json_at(json_get(v, "l"), 2), JSON_NULL));
        CHECK_STR(json_at(json_get(v, "l"), 1)->s, "x");
        CHECK(json_at(json_get(v, "l"), 3) == NULL && json_at(v, 0) == NULL);
        CHECK_INT(json_get(v, "d")->i64, 2);
        CHECK(json_get(v, "none") == NULL && json_get(json_get(v, "l"), "i") == NULL);
        CHECK(json_get(NULL, "i") == NULL && !json_is(NULL, JSON_NULL));
    }
    json **rows;
    size_t n;
    static const char L[] = "{}\r\n\n  \n[1]\n2";
    if (CHECK_OK(&a, json_lines(&a, &r, "f", L, strlen(L), &rows, &n)) && CHECK_INT(n, 3)) {
        CHECK(json_is(rows[0], JSON_OBJECT) && json_is(rows[1], JSON_ARRAY) &&
              rows[2]->i64 == 2);
    }
    CHECK(json_lines(&a, &r, "f", "", 0, &rows, &n) == ALMOST_OK && n == 0);
    CHECK(json_lines(&a, &r, "f", "1\n", 2, &rows, &n) == ALMOST_OK && n == 1);
    CHECK_STATUS(&a, json_lines(&a, &r, "f", "{}\n[1,\n2]\n", 10, &rows, &n),
                 ALMOST_ERR_FORMAT);
    CHECK_STR(a.message, "f:2:4: expected a value, found the end");
    arena_free(&r);
    test_close(&a);
}

/* Writing is valid JSON whatever the bytes, and reads back as the same bytes if they
 * were UTF-8. */
static void test_json_strings(void) {
    almost a;
    text t;
    test_open(&a);
    text_init(&t, &a);
    json_put(&t, "\xC3(\x01\"\xFF", 5);
    CHECK_STR(t.s, "\"\\ufffd(\\u0001\\\"\\ufffd\"");
    for (uint32_t i = 0; i < 2000; i++) {
        char s[40];
        rng r = test_rng(i);
        size_t n = (size_t)rng_below(&r, sizeof s);
        for (size_t k = 0; k < n; k++) s[k] = (char)rng_below(&r, i % 2 ? 128 : 256);
        arena keep;
        json *v;
        arena_init(&keep, &a);
        text_clear(&t);
        json_put(&t, s, n);
        if (CHECK_OK(&a, json_parse(&a, &keep, "x", t.s, t.n, &v)) && utf8_valid(s, n))
            CHECK(v->n == n && !memcmp(v->s, s, n));
        arena_free(&keep);
    }
    text_free(&t);
    test_close(&a);
}

static const char JSON_SAMPLE[] =
    "{\"prompt\": \"What is \\u00fc?\\n\", \"scores\": [1, -2.5e-3, 0.1, 1e22, "
    "12345678901234567],\n"
    " \"meta\": {\"chosen\": {\"config\": \"XL\", \"demos\": 5}, \"ok\": true, \"none\": "
    "null, \"no\": false},"
    " \"text\": \"caf\xC3\xA9 \\ud83d\\ude00 \\\"quoted\\\"\"}";

/* No input may crash; whatever is accepted writes and reads back as the same text. */
static void json_hostile(const char *s, size_t n, void *ctx) {
    almost *a = ctx;
    arena r;
    json *v, **rows;
    size_t count;
    text once, twice;
    arena_init(&r, a);
    text_init(&once, a);
    text_init(&twice, a);
    if (json_parse(a, &r, "x", s, n, &v) == ALMOST_OK) {
        json_write(&once, v);
        if (CHECK_OK(a, json_parse(a, &r, "x", once.s, once.n, &v))) json_write(&twice, v);
        CHECK_STR(twice.s, once.s);
    }
    fail_clear(a);
    json_lines(a, &r, "x", s, n, &rows, &count);
    fail_clear(a);
    text_free(&once);
    text_free(&twice);
    arena_free(&r);
}

static void test_json_fuzz(void) {
    almost a;
    test_open(&a);
    test_hostile(JSON_SAMPLE, strlen(JSON_SAMPLE), 3000, json_hostile, &a);
    test_close(&a);
}

static almost_status json_body(almost *a, void *ctx) {
    arena r;
    json *v;
    text t;
    (void)ctx;
    arena_init(&r, a);
    text_init(&t, a);
    almost_status s = json_parse(a, &r, "x", JSON_SAMPLE, strlen(JSON_SAMPLE), &v);
    if (s == ALMOST_OK) {
        json_write(&t, v);
        s = text_status(&t);
    }
    text_free(&t);
    arena_free(&r);
    return s;
}

static void test_json_memory(void) { test_each_allocation(json_body, NULL); }

static const test TESTS_FOUNDATION[] = {
    {"foundation", "sizes", test_sizes},
    {"foundation", "errors", test_errors},
    {"foundation", "arena", test_arena},
    {"foundation", "memory-limit", test_memory_limit},
    {"foundation", "text", test_text},
    {"foundation", "text-memory", test_text_memory},
    {"foundation", "utf8", test_utf8},
    {"foundation", "parse-integers", test_parse_integers},
    {"foundation", "parse-reals", test_parse_reals},
    {"foundation", "parse-long", test_parse_long},
    {"foundation", "print-reals", test_print_reals},
    {"foundation", "print-round-trip", test_print_round_trip},
    {"foundation", "print-fixed", test_print_fixed},
    {"foundation", "sha256", test_sha256},
    {"foundation", "sha256-pieces", test_sha256_pieces},
    {"foundation", "philox", test_philox},
    {"foundation", "draws", test_draws},
    {"foundation", "uniform", test_uniform},
    {"foundation", "files", test_files},
    {"foundation", "folders", test_folders},
    {"foundation", "file-memory", test_file_memory},
#if defined(__linux__)
    {"foundation", "devices", test_devices},
#endif
    {"foundation", "threads", test_threads},
    {"foundation", "threads-nested", test_threads_nested},
    {"foundation", "threads-sleep", test_threads_sleep},
    {"foundation", "threads-memory", test_threads_memory},
    {"foundation", "fpenv", test_fpenv},
    {"foundation", "json-good", test_json_good},
    {"foundation", "json-bad", test_json_bad},
    {"foundation", "json-values", test_json_values},
    {"foundation", "json-strings", test_json_strings},
    {"foundation", "json-fuzz", test_json_fuzz},
    {"foundation", "json-memory", test_json_memory},
};
