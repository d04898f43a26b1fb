/* Tests of [16] SHAPE & PARAMETERS and [18]-[20]: the network against a plain one in
 * binary64, its gradients against central differences of that, and every way of running
 * the forward pass against every other, bit for bit. */

static almost *model_context(int threads, almost_kernels k) {
    almost *a = NULL;
    almost_options o = {0};
    o.threads = threads;
    o.kernels = k;
    CHECK(almost_open(&a, &o) == ALMOST_OK);
    return a;
}

/* ---- a LLaMA in binary64, one token at a time, no care for speed ---- */

/* exp, log, cos, sin good to about 1e-15: the tests link no libm. */
static double ref_exp(double x) {
    double y = x / 1024, term = 1, sum = 1;
    for (int i = 1; i < 24; i++) sum += term *= y / i;
    for (int i = 0; i < 10; i++) sum *= sum;
    return sum;
}
static double ref_log(double x) {
    double y = (double)m_log((float)x);
    for (int i = 0; i < 3; i++) y -= 1 - x / ref_exp(y);
    return y;
}
static double ref_cos(double x) {
    double term = 1, sum = 1;
    while (x > 3.2) x -= 6.283185307179586476925;
    for (int i = 1; i < 24; i++) sum += term *= -x * x / (2 * i - 1) / (2 * i);
    return sum;
}

typedef struct {
    shape s;
    double *w[64]; /* row-major, in table order */
    size_t n[64], tensors;
} ref_model;

static void ref_open(ref_model *r, const model *m) {
    memset(r, 0, sizeof *r);
    r->s = m->s;
    r->tensors = m->n_tensors;
    for (size_t i = 0; i < m->n_tensors; i++) {
        r->n[i] = m->tensors[i].rows * m->tensors[i].cols;
        float *rows = malloc(r->n[i] * sizeof *rows);
        r->w[i] = malloc(r->n[i] * sizeof **r->w);
        tensor_get(m, &m->tensors[i], rows);
        for (size_t j = 0; j < r->n[i]; j++) r->w[i][j] = (double)rows[j];
        free(rows);
    }
}

static void ref_close(ref_model *r) {
    for (size_t i = 0; i < r->tensors; i++) free(r->w[i]);
}

static void ref_norm(double *y, const double *x, const double *w, int n, double eps) {
    double ss = 0;
    for (int i = 0; i < n; i++) ss += x[i] * x[i];
    double inv = 1 / m_sqrt(ss / n + eps);
    for (int i = 0; i < n; i++) y[i] = x[i] * inv * w[i];
}

/* y[rows] = (add ? y : 0) + W x */
static void ref_multiply(double *y, const double *W, const double *x, int rows, int cols,
                         int add) {
    for (int i = 0; i < rows; i++) {
        double sum = 0;
        for (int j = 0; j < cols; j++) sum += W[i * cols + j] * x[j];
        y[i] = add ? y[i] + sum : sum;
    }
}

static void ref_rotate(double *x, int heads, int S, int pos, double theta) {
    for (int i = 0; i < S / 2; i++) {
        double angle = pos * ref_exp(-2.0 * i / S * ref_log(theta));
        double c = ref_cos(angle),
               s = ref_cos(angle > 1.5707963267948966 ? angle - 1.5707963267948966
                                                      : 1.5707963267948966 - angle);
        for (int h = 0; h < heads; h++) {
            double *p = x + h * S + 2 * i, a = p[0], b = p[1];
            p[0] = a * c - b * s;
            p[1] = a * s + b * c;
        }
    }
}

/* hidden[n][D]: normalised hidden states of one sequence. */
static void ref_hidden(const ref_model *r, const int32_t *tok, int n, double *hidden) {
    int D = r->s.dim, F = r->s.hidden, H = r->s.heads, K = r->s.kv_heads, S = D / H,
        kd = K * S;
    double *keys = calloc((size_t)(r->s.layers * n * kd * 2), sizeof *keys);
    double *x = malloc((size_t)(6 * D + 2 * F + n) * sizeof *x), *y = x + D, *q = y + D,
           *o = q + D;
    double *gate = o + D, *up = gate + F, *p = up + F;
    double eps = (double)r->s.norm_eps;
    for (int t = 0; t < n; t++) {
        for (int i = 0; i < D; i++) x[i] = r->w[0][tok[t] * D + i];
        for (int l = 0; l < r->s.layers; l++) {
            double *const *w = r->w + 1 + 9 * l;
            double *k = keys + l * n * kd * 2, *v = k + n * kd;
            ref_norm(y, x, w[0], D, eps);
            ref_multiply(q, w[1], y, D, D, 0);
            ref_multiply(k + t * kd, w[2], y, kd, D, 0);
            ref_multiply(v + t * kd, w[3], y, kd, D, 0);
            ref_rotate(q, H, S, t, (double)r->s.rope_theta);
            ref_rotate(k + t * kd, K, S, t, (double)r->s.rope_theta);
            for (int h = 0; h < H; h++) {
                int at = h / (H / K) * S;
                double z = 0;
                for (int j = 0; j <= t; j++) {
                    double dot = 0;
                    for (int i = 0; i < S; i++) dot += q[h * S + i] * k[j * kd + at + i];
                    z += p[j] = ref_exp(dot / m_sqrt(S));
                }
                for (int i = 0; i < S; i++) {
                    o[h * S + i] = 0;
                    for (int j = 0; j <= t; j++)
                        o[h * S + i] += p[j] / z * v[j * kd + at + i];
                }
            }
            ref_multiply(x, w[4], o, D, D, 1);
            ref_norm(y, x, w[5], D, eps);
            ref_multiply(gate, w[6], y, F, D, 0);
            ref_multiply(up, w[7], y, F, D, 0);
            for (int i = 0; i < F; i++) gate[i] = gate[i] / (1 + ref_exp(-gate[i])) * up[i];
            ref_multiply(x, w[8], gate, D, F, 1);
        }
        ref_norm(hidden + t * D, x, r->w[1 + 9 * r->s.layers], D, eps);
    }
    free(x);
    free(keys);
}

static const double *ref_out(const ref_model *r) {
    return r->s.tied ? r->w[0] : r->w[2 + 9 * r->s.layers];
}

/* The test's loss of one sequence: sum of weight * -logp over targets, and of slope * value
 * over the rows where values are read. */
static double ref_loss(const ref_model *r, const sequence *x, const float *pull,
                       const float *slope) {
    int D = r->s.dim, V = r->s.vocab, n = (int)x->n;
    double *hidden = malloc((size_t)(n * D + V) * sizeof *hidden), *logit = hidden + n * D,
           loss = 0;
    ref_hidden(r, x->ids, n, hidden);
    for (int t = 0; t < n; t++) {
        if (t + 1 < n && (!x->flags || x->flags[t + 1] & TOKEN_TARGET)) {
            double z = 0;
            ref_multiply(logit, ref_out(r), hidden + t * D, V, D, 0);
            for (int i = 0; i < V; i++) z += ref_exp(logit[i]);
            loss -= (double)*pull++ * (logit[x->ids[t + 1]] - ref_log(z));
        }
        if (x->flags && x->flags[t] & TOKEN_VALUE) {
            double value;
            ref_multiply(&value, r->w[r->tensors - 1], hidden + t * D, 1, D, 0);
            loss += (double)*slope++ * value;
        }
    }
    free(hidden);
    return loss;
}

/* ---- what the tests run ---- */

/* Norms and head at random too, so that no gradient is zero by accident. */
static model *model_random(almost *a, const shape *s, uint64_t seed) {
    model *m = NULL;
    if (!CHECK(model_new(a, s, &m) == ALMOST_OK)) exit(1);
    model_init(m, seed);
    rng r = rng_at(seed, RNG_TEST, 1);
    for (size_t i = 0; i < m->n_tensors; i++) {
        tensor *t = &m->tensors[i];
        float *rows = malloc(t->rows * t->cols * sizeof *rows);
        tensor_get(m, t, rows);
        for (size_t j = 0; j < t->rows * t->cols; j++)
            rows[j] = t->matrix ? rows[j] * 10.0f : (float)(0.5 + rng_unit(&r));
        tensor_set(m, t, rows);
        free(rows);
    }
    return m;
}

/* Sequences at random, with flags: a third of the tokens values, two thirds targets. */
typedef struct {
    int32_t ids[8][160];
    unsigned char flags[8][160];
    sample s[8];
    float weight[8][320], slope[8][320];
} model_samples;

static void samples_random(model_samples *x, const shape *s, const size_t *len, size_t n) {
    rng r = rng_at(77, RNG_TEST, 0);
    memset(x, 0, sizeof *x);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < len[i]; j++) {
            x->ids[i][j] = (int32_t)rng_below(&r, (uint64_t)s->vocab);
            if (j && rng_below(&r, 3)) x->flags[i][j] |= TOKEN_TARGET;
            if (s->head && rng_below(&r, 3) == 0) x->flags[i][j] |= TOKEN_VALUE;
        }
        x->s[i].id = i;
        x->s[i].n = 1;
        x->s[i].seq[0].ids = x->ids[i];
        x->s[i].seq[0].n = len[i];
        x->s[i].seq[0].flags = x->flags[i];
        x->s[i].data = x;
        for (size_t j = 0; j < COUNT(x->weight[i]); j++) {
            x->weight[i][j] = (float)(rng_unit(&r) * 2 - 0.5);
            x->slope[i][j] = (float)(rng_unit(&r) * 2 - 1);
        }
    }
}

/* The objective whose loss ref_loss computes. */
static void weigh_fn(void *ctx, const sample *s, scores *r, tally *t) {
    const model_samples *x = s->data;
    (void)ctx;
    for (size_t i = 0; i < r->targets; i++) {
        r->weight[i] = x->weight[s->id][i];
        tally_add(t, "loss", -(double)r->weight[i] * (double)r->logp[i]);
    }
    for (size_t i = 0; i < r->values; i++) {
        r->dvalue[i] = x->slope[s->id][i];
        tally_add(t, "loss", (double)r->dvalue[i] * (double)r->value[i]);
    }
    t->units++;
}

static const shape SHAPES[] = {
    /* dim hidden layers heads kv vocab context eps theta tied head */
    {24, 20, 2, 6, 2, 37, 160, 1e-5f, 10000, 1, 1}, /* groups of 3, no multiple of 32 */
    {16, 44, 1, 2, 2, 33, 160, 1e-6f, 500, 0, 0},
    {32, 64, 3, 4, 1, 64, 160, 1e-5f, 10000, 0, 1},
    {64, 96, 2, 2, 1, 96, 160, 1e-5f, 10000, 1, 0},
};

/* ---- tests ---- */

static void test_model_table(void) {
    almost *a = model_context(1, ALMOST_KERNELS_AUTO);
    for (size_t i = 0; i < COUNT(SHAPES); i++) {
        model *m = model_random(a, &SHAPES[i], 5), *c = NULL;
        size_t real = 0, end = 0;
        for (size_t t = 0; t < m->n_tensors; t++) {
            const tensor *x = &m->tensors[t];
            CHECK(x->at == end && x->at % PANEL == 0);
            CHECK(model_tensor(m, x->name) == x);
            end = x->at + x->floats;
            real += x->rows * x->cols;
        }
        CHECK_INT(end, m->n_floats);
        CHECK_INT(real, shape_params(&SHAPES[i]));
        CHECK(model_tensor(m, "blk.9.attn_q.weight") == NULL);
        unsigned char h0[32], h1[32];
        model_hash(m, h0);
        CHECK_OK(a, model_clone(m, m->s.head, &c));
        model_hash(c, h1);
        CHECK(!memcmp(h0, h1, 32));
        c->params[c->n_floats / 2] += 1.0f;
        model_hash(c, h1);
        CHECK(memcmp(h0, h1, 32));
        model_free(c);
        CHECK_OK(a, model_clone(m, !m->s.head, &c));
        CHECK(!memcmp(c->norm_out, m->norm_out, (size_t)m->s.dim * sizeof(float)));
        model_free(c);
        model_free(m);
    }
    almost_close(a);
}

static void test_model_shapes_refused(void) {
    almost *a = model_context(1, ALMOST_KERNELS_AUTO);
    for (int i = 0; i < 12; i++) {
        shape s = SHAPES[0];
        model *m = (model *)a;
        if (i == 0) s.dim = 0;
        if (i == 1) s.dim = 25;
        if (i == 2) s.heads = 5;
        if (i == 3) s.kv_heads = 4;
        if (i == 4) s.layers = -1;
        if (i == 5) s.vocab = 1 << 30;
        if (i == 6) s.norm_eps = -1;
        if (i == 7) s.norm_eps = f32_from_bits(0x7fc00000);
        if (i == 8) s.rope_theta = 0;
        if (i == 9) s.context = INT32_MAX;
        if (i == 10) s.hidden = 0;
        if (i == 11) s.heads = 24;
        CHECK_STATUS(a, model_new(a, &s, &m), ALMOST_ERR_LIMIT);
        CHECK(m == NULL && a->message[0]);
        fail_clear(a);
    }
    almost_close(a);
}

/* Initial values: moments of the normals, a function of seed alone. */
static void test_model_init(void) {
    shape s = {128, 344, 2, 4, 2, 512, 64, 1e-5f, 10000, 1, 1};
    unsigned char h[2][32];
    for (int i = 0; i < 2; i++) {
        almost *a = model_context(1 + i, i ? ALMOST_KERNELS_SCALAR : ALMOST_KERNELS_AUTO);
        model *m;
        CHECK_OK(a, model_new(a, &s, &m));
        model_init(m, 11);
        model_hash(m, h[i]);
        double sum = 0, square = 0, n = 512 * 128;
        for (size_t e = 0; e < 512 * 128; e++) {
            sum += (double)m->params[e];
            square += (double)m->params[e] * (double)m->params[e];
        }
        CHECK(sum / n < 3e-4 && sum / n > -3e-4);
        CHECK(m_sqrt(square / n) > 0.0198 && m_sqrt(square / n) < 0.0202);
        square = 0;
        const tensor *t = model_tensor(m, "blk.1.attn_output.weight");
        for (size_t e = 0; e < t->floats; e++)
            square += (double)m->params[t->at + e] * (double)m->params[t->at + e];
        CHECK(m_sqrt(square / (double)t->floats) > 0.0097 &&
              m_sqrt(square / (double)t->floats) < 0.0103);
        model_free(m);
        almost_close(a);
    }
    CHECK(!memcmp(h[0], h[1], 32));
}

/* Gradients of every tensor against central differences of the binary64 network. */
static void test_model_gradient(void) {
    static const size_t LEN[] = {9, 1, 14, 2};
    for (size_t i = 0; i < COUNT(SHAPES); i++) {
        almost *a = model_context(2, ALMOST_KERNELS_AUTO);
        model *m = model_random(a, &SHAPES[i], 5);
        model_samples *x = malloc(sizeof *x);
        trainer *t;
        adamw_config c = adamw_defaults();
        objective o = {.fn = weigh_fn};
        ref_model r;
        rng pick = test_rng(i);
        samples_random(x, &m->s, LEN, COUNT(LEN));
        CHECK_OK(a, trainer_open(m, &c, &t));
        CHECK_OK(a, train_gradient(t, x->s, COUNT(LEN), &o));
        ref_open(&r, m);
        double loss = 0;
        for (size_t s = 0; s < COUNT(LEN); s++)
            loss += ref_loss(&r, &x->s[s].seq[0], x->weight[s], x->slope[s]);
        double got = (double)t->tally.entry[0].sum / FIX_SCALE;
        CHECK(got - loss < 1e-4 && loss - got < 1e-4);
        for (size_t e = 0; e < m->n_tensors; e++) {
            const tensor *n = &m->tensors[e];
            double worst = 0, largest = 1e-3;
            for (size_t q = 0; q < n->floats; q++) {
                double g = (double)t->opt.Q[n->at + q] / FIX_SCALE;
                largest = MAX(largest, g < 0 ? -g : g);
            }
            for (int go = 0; go < 16; go++) {
                size_t at = (size_t)rng_below(&pick, r.n[e]), row = at / n->cols,
                       col = at % n->cols;
                size_t q =
                    n->matrix ? (row / PANEL * n->cols + col) * PANEL + row % PANEL : col;
                double slope[2], was = r.w[e][at], h = 1e-5;
                for (int side = 0; side < 2; side++) {
                    r.w[e][at] = was + (side ? h : -h);
                    slope[side] = 0;
                    for (size_t s = 0; s < COUNT(LEN); s++)
                        slope[side] +=
                            ref_loss(&r, &x->s[s].seq[0], x->weight[s], x->slope[s]);
                }
                r.w[e][at] = was;
                double want = (slope[1] - slope[0]) / (2 * h);
                double off = want - (double)t->opt.Q[n->at + q] / FIX_SCALE;
                worst = MAX(worst, off < 0 ? -off : off);
            }
            if (!CHECK(worst < 2e-5 * largest))
                printf("shape %zu %s: off by %g of %g\n", i, n->name, worst, largest);
        }
        ref_close(&r);
        trainer_close(t);
        model_free(m);
        free(x);
        almost_close(a);
    }
}

/* Logits of one whole sequence by the training forward pass: [n][V]. */
static float *logits_plain(model *m, const int32_t *tok, size_t n) {
    pass p;
    batcher b;
    sample s = {.n = 1};
    s.seq[0].ids = tok;
    s.seq[0].n = n;
    float *y = malloc(n * (size_t)m->s.vocab * sizeof *y);
    pass_init(&p, m, 1);
    batcher_init(&b, m->a);
    CHECK_OK(m->a, batch_build(&b, m, &s, 1));
    CHECK_OK(m->a, pass_batch(&p, &b.b));
    CHECK_OK(m->a, mm_forward(m->a, y, (size_t)m->s.vocab, p.act[m->s.layers].n1,
                              (size_t)m->s.dim, &m->out, n, 0));
    pass_close(&p);
    arena_free(&b.r);
    return y;
}

/* Logits against the binary64 network. */
static void test_model_logits(void) {
    for (size_t i = 0; i < COUNT(SHAPES); i++) {
        almost *a = model_context(1, ALMOST_KERNELS_AUTO);
        model *m = model_random(a, &SHAPES[i], 6);
        ref_model r;
        int32_t tok[40];
        rng g = test_rng(i);
        size_t D = (size_t)m->s.dim, V = (size_t)m->s.vocab;
        for (size_t j = 0; j < 40; j++) tok[j] = (int32_t)rng_below(&g, V);
        float *y = logits_plain(m, tok, 40);
        double *hidden = malloc(40 * D * sizeof *hidden), *want = malloc(V * sizeof *want),
               worst = 0;
        ref_open(&r, m);
        ref_hidden(&r, tok, 40, hidden);
        for (size_t j = 0; j < 40; j++) {
            ref_multiply(want, ref_out(&r), hidden + j * D, (int)V, (int)D, 0);
            for (size_t v = 0; v < V; v++) {
                double off = want[v] - (double)y[j * V + v];
                worst = MAX(worst, off < 0 ? -off : off);
            }
        }
        CHECK(worst < 2e-5);
        ref_close(&r);
        free(hidden);
        free(want);
        free(y);
        model_free(m);
        almost_close(a);
    }
}

/* Cached runs of the same tokens: alone or together, token by token or in chunks, behind
 * a shared prefix of any length or none: every logit has the bits of the plain pass, at
 * every kernel level and thread count. */
static void test_model_cached(void) {
    static const size_t LEN[] = {70, 1, 33, 15, 70, 64};
    enum { N = 6, PRE = 41 };
    almost *b = model_context(1, ALMOST_KERNELS_AUTO);
    almost_kernels best = b->k->level;
    almost_close(b);
    for (int run = 0; run < 16; run++) {
        almost *a = model_context(1 + run % 3, run % 4 == 3 ? ALMOST_KERNELS_SCALAR : best);
        model *m = model_random(a, &SHAPES[run % 4], 7);
        size_t V = (size_t)m->s.vocab, P = run < 4 ? 0 : run < 8 ? PRE : run < 12 ? 32 : 1;
        int32_t tok[N][PRE + 70];
        float *want[N], *got = malloc(N * 70 * V * sizeof *got);
        rng g = test_rng((uint64_t)run);
        decoder *d;
        kv own[N], pre;
        size_t done[N] = {0};
        CHECK_OK(a, decoder_open(m, &d));
        CHECK_OK(a, kv_open(&pre, m, PRE));
        for (size_t s = 0; s < N; s++) {
            for (size_t j = 0; j < PRE + 70; j++)
                tok[s][j] = s && j < P ? tok[0][j] : (int32_t)rng_below(&g, V);
            want[s] = logits_plain(m, tok[s], P + LEN[s]);
            CHECK_OK(a, kv_open(&own[s], m, 70));
        }
        for (size_t at = 0; at < P;) { // the prefix itself in chunks
            size_t n = 1 + (size_t)rng_below(&g, 30);
            n = MIN(n, P - at);
            kv_seq q = {NULL, &pre, tok[0] + at, n, n};
            CHECK_OK(a, decode(d, &q, 1, got, NULL));
            CHECK(!memcmp(got, want[0] + at * V, n * V * sizeof *got));
            at += n;
        }
        for (int more = 1; more;) {
            kv_seq q[N];
            size_t count = 0, who[N], rows = 0, off = 0;
            more = 0;
            for (size_t s = 0; s < N; s++) {
                size_t n = (size_t)rng_below(&g, run % 2 ? 3 : 40);
                n = MIN(n, LEN[s] - done[s]);
                more |= done[s] < LEN[s];
                if (!n) continue;
                kv_seq one = {P && s != 2 ? &pre : NULL, &own[s], tok[s] + P + done[s], n,
                              n - n / 3};
                if (P && s == 2 &&
                    !done[s]) { // this one carries the prefix in its own cache
                    kv_close(&own[s]);
                    CHECK_OK(a, kv_open(&own[s], m, P + 70));
                    kv_seq whole = {NULL, &own[s], tok[s], P, 0};
                    CHECK_OK(a, decode(d, &whole, 1, NULL, NULL));
                }
                who[count] = s;
                q[count++] = one;
            }
            CHECK_OK(a, decode(d, q, count, got, NULL));
            for (size_t i = 0; i < count; i++, rows++) {
                size_t s = who[i], first = P + done[s] + q[i].n - q[i].want;
                CHECK(!memcmp(got + off * V, want[s] + first * V,
                              q[i].want * V * sizeof *got));
                done[s] += q[i].n;
                off += q[i].want;
            }
        }
        for (size_t s = 0; s < N; s++) {
            free(want[s]);
            kv_close(&own[s]);
        }
        kv_close(&pre);
        decoder_close(d);
        free(got);
        model_free(m);
        almost_close(a);
    }
}

/* The integer gradient does not know how samples were grouped, nor threads, nor kernels. */
static void test_model_grouping(void) {
    static const size_t LEN[] = {40, 1, 90, 17, 2, 130, 33, 64};
    for (size_t i = 0; i < COUNT(SHAPES); i++) {
        int64_t *first = NULL;
        tally seen = {0};
        for (int run = 0; run < 5; run++) {
            almost *a = model_context(1 + run % 3, run == 3 ? ALMOST_KERNELS_SCALAR
                                                            : ALMOST_KERNELS_AUTO);
            model *m = model_random(a, &SHAPES[i], 5);
            model_samples *x = malloc(sizeof *x);
            trainer *t;
            adamw_config c = adamw_defaults();
            objective o = {.fn = weigh_fn, .temperature = 0.7f, .entropy = run % 2};
            samples_random(x, &m->s, LEN, 8);
            CHECK_OK(a, trainer_open(m, &c, &t));
            t->micro_rows = run == 0 ? 4096 : run == 1 ? 1 : 100;
            if (run == 4) // backwards, in two calls
                for (size_t s = 8; s-- > 0;)
                    CHECK_OK(a, train_gradient(t, x->s + s, 1, &o));
            else CHECK_OK(a, train_gradient(t, x->s, 8, &o));
            if (!first) {
                first = malloc(m->n_floats * sizeof *first);
                memcpy(first, t->opt.Q, m->n_floats * sizeof *first);
                seen = t->tally;
            }
            CHECK(!memcmp(first, t->opt.Q, m->n_floats * sizeof *first));
            CHECK_INT(t->tally.entry[0].sum, seen.entry[0].sum);
            trainer_close(t);
            model_free(m);
            free(x);
            almost_close(a);
        }
        free(first);
    }
}

static void test_model_decode_refuses(void) {
    almost *a = model_context(1, ALMOST_KERNELS_AUTO);
    model *m = model_random(a, &SHAPES[1], 5);
    int32_t tok[200] = {0}, bad[2] = {0, 33};
    decoder *d;
    kv c, big;
    float y[33];
    CHECK_OK(a, decoder_open(m, &d));
    CHECK_OK(a, kv_open(&c, m, 40));
    CHECK_STATUS(a, kv_open(&big, m, 161), ALMOST_ERR_LIMIT);
    fail_clear(a);
    const kv_seq wrong[] = {{NULL, &c, tok, 0, 0},
                            {NULL, &c, tok, 2, 3},
                            {NULL, &c, tok, 65, 0},
                            {NULL, &c, bad, 2, 0}};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        CHECK(decode(d, &wrong[i], 1, y, NULL) != ALMOST_OK && a->message[0]);
        CHECK_INT(c.len, 0);
        fail_clear(a);
    }
    kv_seq q = {NULL, &c, tok, 1, 1};
    CHECK_STATUS(a, decode(d, &q, 1, NULL, y), ALMOST_ERR_ARGUMENT);
    fail_clear(a);
    CHECK_OK(a, decode(d, &q, 0, y, NULL));
    m->params[0] = f32_from_bits(0x7f800000);
    CHECK_STATUS(a, decode(d, &q, 1, y, NULL), ALMOST_ERR_NUMERIC);
    CHECK_INT(c.len, 0);
    kv_close(&c);
    decoder_close(d);
    model_free(m);
    almost_close(a);
}

static const test TESTS_MODEL[] = {
    {"model", "table", test_model_table},
    {"model", "shapes_refused", test_model_shapes_refused},
    {"model", "init", test_model_init},
    {"model", "logits", test_model_logits},
    {"model", "gradient", test_model_gradient},
    {"model", "cached", test_model_cached},
    {"model", "grouping", test_model_grouping},
    {"model", "decode_refuses", test_model_decode_refuses},
};
