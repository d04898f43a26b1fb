/* Tests of [21] SAMPLING and [22] GENERATION. Included by the runner after almost.c. */

/* ---- Sampling ---- */

typedef struct { float *x; sample_room room; size_t n; almost *a; arena r; } gen_bench;

static void gen_bench_open(gen_bench *b, almost *a, size_t n) {
    b->a = a;
    b->n = n;
    arena_init(&b->r, a);
    b->x = arena_take(&b->r, n, sizeof(float));
    b->room.y = arena_take(&b->r, n, sizeof(float));
    b->room.e = arena_take(&b->r, n, sizeof(float));
    b->room.w = arena_take(&b->r, n, sizeof(uint32_t));
    b->room.c = arena_take(&b->r, n, sizeof(uint32_t));
}

/* Logits of a plausible row: a sum of uniform steps, some exactly equal. */
static void gen_bench_row(gen_bench *b, uint64_t item, int spread) {
    rng g = rng_at(7, RNG_TEST, item);
    for (size_t i = 0; i < b->n; i++) {
        double u = rng_unit(&g) + rng_unit(&g) + rng_unit(&g);
        b->x[i] = (float)((double)(int64_t)(u * 64.0) / 64.0 * spread);
    }
}

static almost *gen_context(int threads, almost_kernels k) {
    almost *a = NULL;
    almost_options o = {0};
    o.threads = threads;
    o.kernels = k;
    CHECK(almost_open(&a, &o) == ALMOST_OK);
    return a;
}

/* The set kept after top-k and top-p, by a full sort: the definition. */
static void gen_naive_cut(const uint32_t *w, size_t n, const sampler *s, uint32_t *kept) {
    uint32_t *order = malloc(n * sizeof *order);
    uint64_t total = 0, sum = 0;
    size_t limit = s->top_k > 0 && (size_t)s->top_k < n ? (size_t)s->top_k : n;
    for (size_t i = 0; i < n; i++) { // insertion into (w descending, id ascending)
        size_t j = i;
        while (j > 0 && w[order[j - 1]] < w[i]) { order[j] = order[j - 1]; j--; }
        order[j] = (uint32_t)i;
    }
    memset(kept, 0, n * sizeof *kept);
    for (size_t i = 0; i < limit; i++) total += w[order[i]];
    for (size_t i = 0; i < limit; i++) {
        kept[order[i]] = w[order[i]];
        sum += w[order[i]];
        if (s->top_p < SAMPLE_ONE && sum * 65536 >= (uint64_t)s->top_p * total) break;
    }
    free(order);
}

static void test_sample_cut_is_sort(void) {
    static const int32_t ks[] = {0, 1, 2, 7, 40, 299, 300, 5000};
    static const int32_t ps[] = {1, 655, 6554, 32768, 58982, 65470, 65535, 65536};
    almost *a = gen_context(1, ALMOST_KERNELS_AUTO);
    gen_bench b;
    gen_bench_open(&b, a, 300);
    uint32_t want[300];
    for (int row = 0; row < 24; row++) {
        gen_bench_row(&b, (uint64_t)row, row % 6 == 5 ? 0 : 1 << row % 6);
        for (size_t i = 0; i < COUNT(ks) * COUNT(ps); i++) {
            sampler s = {1.0f, ks[i / COUNT(ps)], ps[i % COUNT(ps)], 0};
            float m = a->k->max(b.x, b.n);
            uint64_t total, sum = 0;
            a->k->exp_shift(b.room.e, b.x, m, b.n);
            total = sample_weights(b.room.w, b.room.e, b.n);
            gen_naive_cut(b.room.w, b.n, &s, want);
            total = sample_truncate(&b.room, b.n, &s, total);
            CHECK(!memcmp(b.room.w, want, sizeof want));
            for (size_t j = 0; j < b.n; j++) sum += want[j];
            CHECK(sum == total);
        }
    }
    arena_free(&b.r);
    almost_close(a);
}

/* The pick by eights is the first cumulative above r, for every r that matters. */
static void test_sample_pick(void) {
    uint32_t w[37];
    rng g = rng_at(3, RNG_TEST, 1);
    uint64_t total = 0;
    for (size_t i = 0; i < COUNT(w); i++) total += w[i] = (uint32_t)rng_below(&g, 5);
    for (uint64_t r = 0; r < total; r++) {
        uint64_t draw = 0, sum = 0;
        size_t want = 0;
        draw = (uint64_t)((r * 2 + 1) * (UINT64_MAX / (2 * total)));
        uint64_t x = u64_mul_high(draw, total);
        while ((sum += w[want]) <= x) want++;
        CHECK(sample_pick(w, COUNT(w), draw, total) == (int32_t)want);
        CHECK(w[want] > 0);
    }
    CHECK(sample_pick(w, COUNT(w), UINT64_MAX, total) < (int32_t)COUNT(w));
    uint32_t one[3] = {0, 1u << 30, 0};
    CHECK(sample_pick(one, 3, 0, 1u << 30) == 1);
    CHECK(sample_pick(one, 3, UINT64_MAX, 1u << 30) == 1);
}

static void test_sample_greedy_ties(void) {
    almost *a = gen_context(1, ALMOST_KERNELS_AUTO);
    gen_bench b;
    gen_bench_open(&b, a, 100);
    sampler s = sampler_default();
    s.greedy = 1;
    for (size_t i = 0; i < b.n; i++) b.x[i] = -1.0f;
    b.x[40] = b.x[41] = b.x[99] = 2.5f;
    CHECK(sample_row(a->k, b.x, b.n, &s, 0, &b.room, NULL) == 40);
    float lp = 0.0f;
    CHECK(sample_row(a->k, b.x, b.n, &s, 0, &b.room, &lp) == 40 && lp < 0.0f);
    for (size_t i = 0; i < b.n; i++) b.x[i] = i % 2 ? 0.0f : -0.0f;
    CHECK(sample_row(a->k, b.x, b.n, &s, 0, &b.room, NULL) == 0); // -0 equals +0
    b.x[17] = f32_from_bits(0x7fc00000u);
    CHECK(sample_row(a->k, b.x, b.n, &s, 0, &b.room, NULL) == -1);
    b.x[17] = f32_from_bits(0x7f800000u);
    s.greedy = 0;
    CHECK(sample_row(a->k, b.x, b.n, &s, 0, &b.room, NULL) == -1);
    arena_free(&b.r);
    almost_close(a);
}

/* 40000 draws against their probabilities: chi-square with 9 degrees of freedom stays
 * below 27.9 (p = .001); also with temperature, and each draw inside the nucleus. */
static void test_sample_frequencies(void) {
    static const float ts[] = {1.0f, 0.7f, 2.0f};
    almost *a = gen_context(1, ALMOST_KERNELS_AUTO);
    gen_bench b;
    gen_bench_open(&b, a, 10);
    for (size_t t = 0; t < COUNT(ts); t++) {
        sampler s = {ts[t], 0, SAMPLE_ONE, 0};
        double count[10] = {0}, p[10], z = 0.0, chi = 0.0;
        gen_bench_row(&b, 50, 1);
        for (size_t i = 0; i < b.n; i++) z += p[i] = (double)m_exp(b.x[i] / ts[t]);
        for (uint64_t i = 0; i < 40000; i++) {
            float lp;
            uint64_t draw = rng_draw(5, RNG_TEST, i, 9);
            int32_t id = sample_row(a->k, b.x, b.n, &s, draw, &b.room, &lp);
            count[id] += 1.0;
            double d = (double)m_exp(lp) - p[id] / z;
            CHECK(d < 1e-6 && d > -1e-6);
        }
        for (size_t i = 0; i < b.n; i++) {
            double e = 40000.0 * p[i] / z;
            chi += (count[i] - e) * (count[i] - e) / e;
        }
        CHECK(chi < 27.9);
    }
    arena_free(&b.r);
    almost_close(a);
}

/* Every kernel level draws the same tokens with the same log-probability bits. */
static void test_sample_levels(void) {
    static const almost_kernels ks[] = {ALMOST_KERNELS_SCALAR, ALMOST_KERNELS_SSE2,
                                        ALMOST_KERNELS_AVX2, ALMOST_KERNELS_AVX512,
                                        ALMOST_KERNELS_NEON};
    almost *ref = gen_context(1, ALMOST_KERNELS_SCALAR);
    gen_bench b;
    gen_bench_open(&b, ref, 1003);
    for (size_t i = 0; i < COUNT(ks); i++) {
        almost *a = NULL;
        almost_options o = {0};
        o.kernels = ks[i];
        if (almost_open(&a, &o) == ALMOST_OK)
            for (uint64_t j = 0; j < 60; j++) {
                sampler s = {j % 3 ? 0.7f : 1.0f, j % 4 ? 0 : 50,
                             j % 5 ? SAMPLE_ONE : 58982, 0};
                float x, y;
                uint64_t draw = rng_draw(1, RNG_TEST, j, 0);
                gen_bench_row(&b, j, 3);
                int32_t p = sample_row(ref->k, b.x, b.n, &s, draw, &b.room, &x);
                CHECK(sample_row(a->k, b.x, b.n, &s, draw, &b.room, &y) == p);
                CHECK(f32_bits(x) == f32_bits(y));
            }
        almost_close(a);
    }
    arena_free(&b.r);
    almost_close(ref);
}

static void test_sample_settings(void) {
    almost *a = gen_context(1, ALMOST_KERNELS_AUTO);
    sampler good = sampler_default(), s;
    CHECK(sampler_check(a, &good) == ALMOST_OK);
    s = good; s.temperature = 0.0f;
    CHECK(sampler_check(a, &s) == ALMOST_ERR_ARGUMENT);
    s.greedy = 1;
    CHECK(sampler_check(a, &s) == ALMOST_OK);
    s = good; s.temperature = f32_from_bits(0x7fc00000u);
    CHECK(sampler_check(a, &s) == ALMOST_ERR_ARGUMENT);
    s = good; s.top_k = -1;
    CHECK(sampler_check(a, &s) == ALMOST_ERR_ARGUMENT);
    s = good; s.top_p = 0;
    CHECK(sampler_check(a, &s) == ALMOST_ERR_ARGUMENT);
    CHECK(sampler_top_p(0.9) == 58982 && sampler_top_p(1.0) == SAMPLE_ONE);
    CHECK(sampler_top_p(0.0) == 0 && sampler_top_p(-1.0) == 0);
    almost_close(a);
}

/* ---- Generation ---- */

#define GEN_TEST_N 48

typedef struct {
    almost *a;
    model *m;
    int32_t pool[512];             /* random tokens; prompts are slices of it */
    gen_prefix prefix[3];
    gen_request q[GEN_TEST_N], flat[GEN_TEST_N];
    int32_t ids[GEN_TEST_N][128];  /* prefix and prompt together */
    arena r;
    size_t taken;                  /* bytes of the fresh context */
} gen_world;

static void gen_world_open(gen_world *w, int threads, almost_kernels k) {
    shape s = {.dim = 32, .hidden = 48, .layers = 2, .heads = 4, .kv_heads = 2, .vocab = 67,
               .context = 96, .norm_eps = 1e-5f, .rope_theta = 10000.0f, .tied = 1};
    memset(w, 0, sizeof *w);
    w->a = gen_context(threads, k);
    w->taken = w->a->bytes;
    arena_init(&w->r, w->a);
    CHECK_OK(w->a, model_new(w->a, &s, &w->m));
    model_init(w->m, 5);
    for (size_t i = 0; i < w->m->n_floats; i++) w->m->params[i] *= 4.0f; // sharper
    rng g = rng_at(11, RNG_TEST, 0);
    for (size_t i = 0; i < COUNT(w->pool); i++) w->pool[i] = (int32_t)rng_below(&g, 67);
    for (size_t i = 0; i < 3; i++)
        w->prefix[i] = (gen_prefix){w->pool + 40 * i, i == 2 ? 1 : 31 + 2 * i};
    for (size_t i = 0; i < GEN_TEST_N; i++) {
        sampler h = {i % 5 ? 1.0f : 0.7f, i % 7 ? 0 : 9, i % 4 ? SAMPLE_ONE : 58982,
                     i % 11 == 0};
        int32_t p = (int32_t)(i % 4) - 1;
        size_t n = 1 + (size_t)rng_below(&g, 40), at = p >= 0 ? w->prefix[p].n : 0;
        w->q[i] = (gen_request){1000 + i, w->pool + rng_below(&g, 400), n, p,
                                (int32_t)(1 + rng_below(&g, 30)), h};
        w->flat[i] = w->q[i];
        if (p >= 0) memcpy(w->ids[i], w->prefix[p].ids, at * sizeof(int32_t));
        memcpy(w->ids[i] + at, w->q[i].ids, n * sizeof(int32_t));
        w->flat[i].ids = w->ids[i];
        w->flat[i].n = at + n;
        w->flat[i].prefix = -1;
    }
}

static void gen_world_close(gen_world *w) {
    model_free(w->m);
    arena_free(&w->r);
    CHECK(w->a->bytes <= w->taken + w->a->scratch_floats * sizeof(float)); // all given back
    almost_close(w->a);
}

/* Every result of q[n] equals want[n], ids and log-probability bits. */
static void gen_same(const gen_result *x, const gen_result *y, size_t n) {
    for (size_t i = 0; i < n; i++) {
        CHECK(x[i].n == y[i].n && x[i].reason == y[i].reason && x[i].kept == y[i].kept);
        if (x[i].n != y[i].n) continue;
        CHECK(!memcmp(x[i].ids, y[i].ids, x[i].n * sizeof *x[i].ids));
        CHECK(!memcmp(x[i].logprob, y[i].logprob, x[i].n * sizeof *x[i].logprob));
    }
}

static void test_generate_invariance(void) {
    static const size_t slots[] = {1, 2, 3, 7, 16, 48, 64}, chunks[] = {1, 5, 32, 1024};
    gen_world w;
    gen_world_open(&w, 1, ALMOST_KERNELS_AUTO);
    gen_result base[GEN_TEST_N], out[GEN_TEST_N];
    gen_config c = {.seed = 77, .eos = 3, .logprobs = 1, .slots = 64};
    CHECK(generate(w.m, &c, w.prefix, 3, w.q, GEN_TEST_N, &w.r, base) == ALMOST_OK);
    size_t ended = 0;
    for (size_t i = 0; i < GEN_TEST_N; i++) ended += base[i].reason == GEN_EOS;
    CHECK(ended > 0 && ended < GEN_TEST_N);
    for (size_t i = 0; i < COUNT(slots); i++) {
        c.slots = slots[i];
        c.chunk = chunks[i % COUNT(chunks)];
        CHECK(generate(w.m, &c, w.prefix, 3, w.q, GEN_TEST_N, &w.r, out) == ALMOST_OK);
        gen_same(out, base, GEN_TEST_N);
        CHECK(generate(w.m, &c, NULL, 0, w.flat, GEN_TEST_N, &w.r, out) == ALMOST_OK);
        gen_same(out, base, GEN_TEST_N);
    }
    gen_request back[GEN_TEST_N]; // order of the queue
    for (size_t i = 0; i < GEN_TEST_N; i++) back[i] = w.q[GEN_TEST_N - 1 - i];
    c.slots = 5;
    CHECK(generate(w.m, &c, w.prefix, 3, back, GEN_TEST_N, &w.r, out) == ALMOST_OK);
    for (size_t i = 0; i < GEN_TEST_N; i++) gen_same(&out[GEN_TEST_N - 1 - i], &base[i], 1);
    gen_world t; // threads and the definition's kernels
    gen_world_open(&t, 3, ALMOST_KERNELS_SCALAR);
    CHECK(generate(t.m, &c, t.prefix, 3, t.q, GEN_TEST_N, &t.r, out) == ALMOST_OK);
    gen_same(out, base, GEN_TEST_N);
    gen_world_close(&t);
    c.seed = 78;
    CHECK(generate(w.m, &c, w.prefix, 3, w.q, GEN_TEST_N, &w.r, out) == ALMOST_OK);
    CHECK(out[1].n != base[1].n || memcmp(out[1].ids, base[1].ids, out[1].n * 4));
    gen_world_close(&w);
}

static void test_generate_limits(void) {
    gen_world w;
    gen_world_open(&w, 1, ALMOST_KERNELS_AUTO);
    gen_result out[2];
    gen_config c = {.seed = 1, .eos = -1};
    gen_request q = {1, w.pool, 90, -1, 50, sampler_default()};
    CHECK(generate(w.m, &c, NULL, 0, &q, 1, &w.r, out) == ALMOST_OK);
    CHECK(out[0].n == 6 && out[0].reason == GEN_LENGTH && out[0].kept == 6); // of 96
    CHECK(out[0].logprob == NULL);
    q.n = 95;
    CHECK(generate(w.m, &c, NULL, 0, &q, 1, &w.r, out) == ALMOST_OK && out[0].n == 1);
    q.n = 96;
    CHECK(generate(w.m, &c, NULL, 0, &q, 1, &w.r, out) == ALMOST_ERR_LIMIT);
    CHECK(strstr(w.a->message, "prompt of 96 tokens in a context of 96"));
    fail_clear(w.a);
    q.n = 0;
    CHECK(generate(w.m, &c, NULL, 0, &q, 1, &w.r, out) == ALMOST_ERR_ARGUMENT);
    fail_clear(w.a);
    q.n = 3; q.prefix = 0;
    CHECK(generate(w.m, &c, NULL, 0, &q, 1, &w.r, out) == ALMOST_ERR_ARGUMENT);
    fail_clear(w.a);
    int32_t bad[2] = {1, 67};
    gen_request b = {1, bad, 2, -1, 5, sampler_default()};
    CHECK(generate(w.m, &c, NULL, 0, &b, 1, &w.r, out) == ALMOST_ERR_ARGUMENT);
    fail_clear(w.a);
    q.prefix = -1;
    c.n_stops = 1;
    c.stops[0] = "x";
    CHECK(generate(w.m, &c, NULL, 0, &q, 1, &w.r, out) == ALMOST_ERR_ARGUMENT); // no text
    fail_clear(w.a);
    c.n_stops = 0;
    CHECK(generate(w.m, &c, NULL, 0, NULL, 0, &w.r, out) == ALMOST_OK);
    w.m->params[w.m->n_floats / 3] = f32_from_bits(0x7fc00000u);
    for (size_t i = 0; i < w.m->n_floats; i++) w.m->params[i] = f32_from_bits(0x7fc00000u);
    CHECK(generate(w.m, &c, NULL, 0, &q, 1, &w.r, out) == ALMOST_ERR_NUMERIC);
    fail_clear(w.a);
    gen_world_close(&w);
}

/* Memory that runs out anywhere is an error and leaves nothing behind. */
static void test_generate_memory(void) {
    gen_world w;
    gen_world_open(&w, 1, ALMOST_KERNELS_AUTO);
    gen_result out[GEN_TEST_N];
    gen_config c = {.seed = 77, .eos = 3, .logprobs = 1, .slots = 4};
    almost_status s = ALMOST_ERR_MEMORY;
    for (int64_t k = 0; s != ALMOST_OK && k < 400; k++) {
        arena_mark mark = arena_here(&w.r);
        w.a->fail_at = k;
        s = generate(w.m, &c, w.prefix, 3, w.q, 8, &w.r, out);
        CHECK(s == ALMOST_OK || s == ALMOST_ERR_MEMORY);
        fail_clear(w.a);
        arena_reset(&w.r, mark);
    }
    w.a->fail_at = -1;
    CHECK(s == ALMOST_OK);
    gen_world_close(&w);
}

/* ---- Stop strings, on the tail itself: no model needed ---- */

typedef struct { char s[256]; size_t n; } gen_heard;

static int gen_hear(void *ctx, size_t request, const char *bytes, size_t n) {
    gen_heard *h = ctx;
    (void)request;
    memcpy(h->s + h->n, bytes, n);
    h->n += n;
    return 0;
}

/* Feeds bytes until a stop; returns bytes before it, or -1. */
static int gen_tail_run(gen_config *c, const char *s, gen_heard *h) {
    gen_tail t;
    memset(&t, 0, sizeof t);
    memset(h, 0, sizeof *h);
    c->emit = gen_hear;
    c->ctx = h;
    for (; *s; s++) {
        size_t stop = gen_tail_byte(&t, c, 0, (unsigned char)*s);
        if (stop) return (int)(t.bytes - stop);
    }
    gen_tail_emit(&t, c, 0, t.bytes);
    return -1;
}

static void test_generate_stops(void) {
    gen_config c = {.n_stops = 3, .stops = {"\n\nHuman:", "-----", "Human:"}};
    gen_heard h;
    CHECK(gen_tail_run(&c, "Yes.\n\nHuman: more", &h) == 4); // the longest that ends here
    CHECK(h.n == 4 && !memcmp(h.s, "Yes.", 4));
    CHECK(gen_tail_run(&c, "Human:", &h) == 0 && h.n == 0);
    CHECK(gen_tail_run(&c, "a ----", &h) == -1 && h.n == 6);
    CHECK(gen_tail_run(&c, "a -----b", &h) == 2 && h.n == 2);
    CHECK(gen_tail_run(&c, "a\n\nHumans: x\n\n\nHuma", &h) == -1);
    CHECK(h.n == strlen("a\n\nHumans: x\n\n\nHuma"));
    CHECK(gen_tail_run(&c, "\n\n\nHuman:", &h) == 1 && h.n == 1);
    char longer[GEN_STOP_BYTES + 1] = {0}, text_[200];
    memset(longer, 'x', GEN_STOP_BYTES);
    longer[0] = 'y';
    c.n_stops = 1;
    c.stops[0] = longer;
    memset(text_, 'x', 199);
    text_[199] = 0;
    text_[100] = 'y';
    CHECK(gen_tail_run(&c, text_, &h) == 100 && h.n == 100);
    text_[150] = 'y';
    CHECK(gen_tail_run(&c, text_, &h) == -1 && h.n == 199);
}

/* Whole engine with a tokenizer: what is cut is what a search in the decoded text finds. */
static void test_generate_text(void) {
    almost *a = gen_context(2, ALMOST_KERNELS_AUTO);
    static const char corpus[] = "the cat sat on the mat. the dog ate the hat.\n\nHuman: "
                                 "the end of that. a rat and a bat at the gate.\n";
    shape s = {.dim = 32, .hidden = 32, .layers = 1, .heads = 2, .kv_heads = 1,
               .context = 64, .norm_eps = 1e-5f, .rope_theta = 10000.0f, .tied = 1};
    tokenizer *tok = NULL;
    model *m = NULL;
    CHECK(tok_train(a, corpus, sizeof corpus - 1, 290, &tok) == ALMOST_OK);
    s.vocab = tok_vocab(tok);
    CHECK_OK(a, model_new(a, &s, &m));
    model_init(m, 2);
    m->tok = tok;
    for (size_t i = 0; i < m->n_floats; i++) m->params[i] *= 3.0f;
    arena r;
    arena_init(&r, a);
    gen_request q[40];
    gen_result out[40];
    int32_t start[2] = {tok_bos(tok), 40};
    for (size_t i = 0; i < 40; i++)
        q[i] = (gen_request){i, start, 2, -1, 40, sampler_default()};
    gen_config c = {.seed = 4, .eos = tok_eos(tok), .n_stops = 2, .stops = {"e", "at"}};
    CHECK(generate(m, &c, NULL, 0, q, 40, &r, out) == ALMOST_OK);
    size_t stopped = 0;
    for (size_t i = 0; i < 40; i++) {
        text t;
        text_init(&t, a);
        CHECK(tok_decode(tok, out[i].ids, out[i].n, &t) == ALMOST_OK);
        const char *e = t.s ? strstr(t.s, "e") : NULL, *at = t.s ? strstr(t.s, "at") : NULL;
        if (t.n && strlen(t.s) != t.n) { // a zero byte was drawn: strstr cannot judge
            text_free(&t);
            continue;
        }
        if (out[i].reason == GEN_STOP) {
            size_t first = !e ? (size_t)(at - t.s) : !at ? (size_t)(e - t.s)
                           : (size_t)((e < at + 1 ? e : at) - t.s);
            CHECK(out[i].bytes == first);
            stopped++;
            text_clear(&t);
            CHECK(tok_decode(tok, out[i].ids, out[i].kept, &t) == ALMOST_OK);
            CHECK(t.n <= out[i].bytes);
        } else if (t.n) {
            CHECK(!e && !at && out[i].bytes == t.n);
            CHECK(out[i].kept == out[i].n - (out[i].reason == GEN_EOS));
        }
        text_free(&t);
    }
    CHECK(stopped > 5);
    arena_free(&r);
    model_free(m);
    almost_close(a);
}

static const test TESTS_GENERATE[] = {
    {"generate", "top-k and top-p keep what a full sort keeps", test_sample_cut_is_sort},
    {"generate", "the pick is the first cumulative above the draw", test_sample_pick},
    {"generate", "greedy: the lowest id; non-finite refused", test_sample_greedy_ties},
    {"generate", "frequencies follow probabilities", test_sample_frequencies},
    {"generate", "every kernel level draws the same", test_sample_levels},
    {"generate", "settings are checked", test_sample_settings},
    {"generate", "slots, order, prefixes, threads: one result", test_generate_invariance},
    {"generate", "context and arguments", test_generate_limits},
    {"generate", "out of memory anywhere", test_generate_memory},
    {"generate", "stop strings end and cut the tail", test_generate_stops},
    {"generate", "stop strings in decoded text", test_generate_text},
};
