/* Tests of [23]-[26]: the optimizer against its formula, losses against closed forms,
 * and above all: grouping, threads, kernels, stopping and resuming leave no trace. */

/* ---- optimizer ---- */

static void test_training_schedule(void) {
    adamw_config c = adamw_defaults();
    c.lr = 1;
    c.lr_end = 0.1;
    c.warmup = 4;
    c.steps = 14;
    CHECK_BITS64(schedule_rate(&c, 1), 0.25);
    CHECK_BITS64(schedule_rate(&c, 4), 1.0);
    double half = schedule_rate(&c, 9);
    CHECK(half > 0.5499999 && half < 0.5500001);
    CHECK_BITS64(schedule_rate(&c, 14), 0.1);
    CHECK_BITS64(schedule_rate(&c, 99), 0.1);
    for (int64_t s = 5; s < 14; s++) CHECK(schedule_rate(&c, s) > schedule_rate(&c, s + 1));
    c.schedule = SCHEDULE_LINEAR;
    CHECK(schedule_rate(&c, 9) > 0.5499999 && schedule_rate(&c, 9) < 0.5500001);
    c.schedule = SCHEDULE_CONSTANT;
    CHECK_BITS64(schedule_rate(&c, 13), 1.0);
    c.warmup = 0;
    CHECK_BITS64(schedule_rate(&c, 1), 1.0);
}

/* Three updates against AdamW in binary64, clipped and not; decay on matrices only. */
static void test_training_adamw(void) {
    for (int run = 0; run < 2; run++) {
        almost *a = model_context(2, ALMOST_KERNELS_AUTO);
        model *m = model_random(a, &SHAPES[0], 3);
        adamw_config c = adamw_defaults();
        trainer *t;
        c.schedule = SCHEDULE_CONSTANT;
        c.clip = run ? 0.5 : 0;
        CHECK_OK(a, trainer_open(m, &c, &t));
        size_t n = m->n_floats;
        double *w = malloc(n * sizeof *w), *m1 = calloc(n, sizeof *m1),
               *m2 = calloc(n, sizeof *m2);
        double *decay = calloc(n, sizeof *decay), p1 = 1, p2 = 1;
        for (size_t i = 0; i < n; i++) w[i] = (double)m->params[i];
        for (size_t e = 0; e < m->n_tensors; e++)
            for (size_t i = 0; i < m->tensors[e].floats && m->tensors[e].matrix; i++)
                decay[m->tensors[e].at + i] = (double)c.decay;
        for (int step = 0; step < 3; step++) {
            rng r = test_rng((uint64_t)step);
            double norm = 0, units = 7;
            for (size_t i = 0; i < n; i++) {
                t->opt.Q[i] = (int64_t)rng_below(&r, (uint64_t)1 << 30) - (1 << 29);
                norm += (double)t->opt.Q[i] * (double)t->opt.Q[i];
            }
            norm = m_sqrt(norm) / FIX_SCALE / units;
            double clip = c.clip > 0 && norm > c.clip ? c.clip / norm : 1, worst = 0;
            p1 *= (double)c.beta1;
            p2 *= (double)c.beta2;
            for (size_t i = 0; i < n; i++) {
                double g = (double)t->opt.Q[i] / FIX_SCALE / units * clip;
                m1[i] = (double)c.beta1 * m1[i] + (1 - (double)c.beta1) * g;
                m2[i] = (double)c.beta2 * m2[i] + (1 - (double)c.beta2) * g * g;
                w[i] -=
                    c.lr * (m1[i] / (1 - p1) / (m_sqrt(m2[i] / (1 - p2)) + (double)c.eps) +
                            decay[i] * w[i]);
            }
            t->tally.units = (int64_t)units;
            CHECK_OK(a, train_update(t));
            CHECK(t->grad_norm > norm * 0.999999 && t->grad_norm < norm * 1.000001);
            for (size_t i = 0; i < n; i++) {
                double off = w[i] - (double)m->params[i];
                worst = MAX(worst, off < 0 ? -off : off);
                CHECK(t->opt.Q[i] == 0);
            }
            CHECK(worst < 3e-6);
        }
        free(w), free(m1), free(m2), free(decay);
        trainer_close(t);
        model_free(m);
        almost_close(a);
    }
}

/* ---- tally, order, objectives ---- */

static void test_training_tally(void) {
    tally t = {0};
    tally_add(&t, "x", 1.5);
    tally_add(&t, "y", -3);
    tally_add(&t, "x", 2.5);
    tally_add_n(&t, "x", 8, 2);
    CHECK_BITS64(tally_mean(&t, "x"), 3.0);
    CHECK_BITS64(tally_mean(&t, "y"), -3.0);
    CHECK_BITS64(tally_mean(&t, "z"), 0.0);
    CHECK(!t.overflow);
    tally_add(&t, "x", 262144.0);
    CHECK(t.overflow);
    t.overflow = 0;
    tally_add(&t, "x", f64_from_bits(0x7ff8000000000000));
    CHECK(t.overflow);
    tally u = {0};
    static const char *const name[] = {"a", "b", "c", "d", "e", "f", "g", "h",
                                       "i", "j", "k", "l", "m", "n", "o", "p",
                                       "q", "r", "s", "t", "u", "v", "w", "x"};
    for (size_t i = 0; i < COUNT(name); i++) tally_add(&u, name[i], 1);
    CHECK(!u.overflow);
    tally_add(&u, "one more", 1);
    CHECK(u.overflow);
}

static void test_training_order(void) {
    almost a;
    test_open(&a);
    arena r;
    arena_init(&r, &a);
    uint32_t *p = data_order(&r, 1, 2, 3, 1000), *q = data_order(&r, 1, 2, 4, 1000);
    unsigned char seen[1000] = {0};
    size_t same = 0;
    for (size_t i = 0; i < 1000; i++) {
        seen[p[i]]++;
        same += p[i] == q[i];
    }
    for (size_t i = 0; i < 1000; i++) CHECK(seen[i] == 1);
    CHECK(same < 20);
    CHECK(!memcmp(p, data_order(&r, 1, 2, 3, 1000), 1000 * sizeof *p));
    arena_free(&r);
    test_close(&a);
}

/* Pair loss and its slope against the closed form and differences. */
static void test_training_pairs(void) {
    static const float R[][2] = {{1, 0.25f}, {-2, 3}, {0, 0}, {40, -40}, {-60, 60}};
    unsigned char flags[2] = {TOKEN_VALUE, TOKEN_VALUE};
    sample x = {.n = 2};
    x.seq[0].flags = x.seq[1].flags = flags;
    x.seq[0].n = x.seq[1].n = 2;
    for (size_t i = 0; i < COUNT(R); i++) {
        float value[4] = {9, R[i][0], 9, R[i][1]}, slope[4] = {0};
        scores s = {.values = 4, .value = value, .dvalue = slope};
        tally t = {0};
        objective o = objective_pairs();
        o.fn(o.ctx, &x, &s, &t);
        double d = (double)R[i][0] - (double)R[i][1];
        double want = d > 30 ? ref_exp(-d) : d < -30 ? -d : ref_log(1 + ref_exp(-d));
        double got = tally_mean(&t, "loss"), sig = d < -30 ? 1 : 1 / (1 + ref_exp(d));
        CHECK(got - want < 1e-6 && want - got < 1e-6);
        CHECK((double)slope[3] - sig < 1e-6 && sig - (double)slope[3] < 1e-6);
        CHECK_BITS32(slope[1], -slope[3]);
        CHECK(slope[0] == 0 && slope[2] == 0);
        CHECK_INT(t.units, 1);
        CHECK_BITS64(tally_mean(&t, "rewards/accuracies"), d > 0 ? 1.0 : 0.0);
    }
    scores none = {.values = 0};
    tally t = {0};
    pairs_fn(NULL, &x, &none, &t);
    CHECK(t.overflow); // a pair without values is refused
}

static int near_enough(double x, double y) { return x - y < 1e-6 && y - x < 1e-6; }

/* Loss, weights and observations of direct preference optimisation, by hand. */
static void test_training_dpo(void) {
    unsigned char flags[3] = {0, TOKEN_TARGET, TOKEN_TARGET};
    float logp[4] = {-1.0f, -2.0f, -0.5f, -1.25f}, w[4];
    double ref[2][2] = {{0, 0}, {-4.0, -1.0}};
    dpo_ctx c = {ref, 0.25f};
    sample x = {.id = 1, .n = 2};
    scores s = {.targets = 4, .logp = logp, .weight = w};
    tally t = {0};
    x.seq[0].flags = x.seq[1].flags = flags;
    x.seq[0].n = x.seq[1].n = 3;
    dpo_fn(&c, &x, &s, &t);
    // rewards .25*(-3 + 4) = .25 and .25*(-1.75 + 1) = -.1875; difference .4375
    double slope = 0.25 / (1 + ref_exp(0.4375));
    CHECK_BITS64(tally_mean(&t, "rewards/chosen"), 0.25);
    CHECK_BITS64(tally_mean(&t, "rewards/rejected"), -0.1875);
    CHECK_BITS64(tally_mean(&t, "rewards/margins"), 0.4375);
    CHECK_BITS64(tally_mean(&t, "rewards/accuracies"), 1.0);
    CHECK_BITS64(tally_mean(&t, "logps/chosen"), -3.0);
    CHECK_BITS64(tally_mean(&t, "logps/rejected"), -1.75);
    CHECK(near_enough(tally_mean(&t, "loss"), ref_log(1 + ref_exp(-0.4375))));
    for (int i = 0; i < 4; i++) CHECK(near_enough(w[i], i < 2 ? slope : -slope));
    CHECK_INT(t.units, 1);
    dpo_reference_fn(&c, &x, &s, &t); // the reference is now what was seen:
    tally u = {0};
    dpo_fn(&c, &x, &s, &u); // no reward on either side, loss log 2, half the slope
    CHECK_BITS64(tally_mean(&u, "rewards/chosen"), 0.0);
    CHECK_BITS64(tally_mean(&u, "rewards/accuracies"), 0.0);
    CHECK_BITS32((float)tally_mean(&u, "loss"), 0.693147182f);
    CHECK_BITS32(w[0], 0.125f);
    CHECK_BITS32(w[3], -0.125f);
    s.targets = 2; // a reply without a token is refused
    dpo_fn(&c, &x, &s, &u);
    CHECK(u.overflow);
}

/* Four pairs of a tiny model with a reference of its own. */
typedef struct {
    model_samples x;
    sample pair[4];
    double reference[4][2];
    dpo_ctx ctx;
} dpo_pairs;

static void dpo_pairs_open(dpo_pairs *d, const model *m) {
    static const size_t LEN[] = {9, 14, 5, 30, 12, 12, 21, 4};
    samples_random(&d->x, &m->s, LEN, 8);
    memset(d->pair, 0, sizeof d->pair);
    for (size_t i = 0; i < 4; i++) {
        d->pair[i].id = i;
        d->pair[i].n = 2;
        for (size_t k = 0; k < 2; k++) {
            d->x.flags[2 * i + k][1] |= TOKEN_TARGET;
            d->pair[i].seq[k] = d->x.s[2 * i + k].seq[0];
            d->reference[i][k] = -3.0 * (double)(i + 2 * k + 1);
        }
    }
    d->ctx.reference = d->reference;
    d->ctx.beta = 0.3f;
}

/* The gradient against differences of the loss, on the weights with the largest gradients;
 * and the same bits from one pair at a time on one thread and all at once on three. */
static void test_training_dpo_gradient(void) {
    dpo_pairs *d = malloc(sizeof *d);
    int64_t *q = NULL;
    objective o = {.fn = dpo_fn, .ctx = &d->ctx};
    for (int threads = 1; threads <= 3; threads += 2) {
        almost *a = model_context(threads, ALMOST_KERNELS_AUTO);
        model *m = model_random(a, &SHAPES[0], 4);
        adamw_config c = adamw_defaults();
        trainer *t;
        scorer *look;
        dpo_pairs_open(d, m);
        CHECK_OK(a, trainer_open(m, &c, &t));
        t->micro_rows = threads == 1 ? 1 : 4096;
        CHECK_OK(a, train_gradient(t, d->pair, 4, &o));
        CHECK_INT(t->tally.units, 4);
        if (q) CHECK(!memcmp(q, t->opt.Q, m->n_floats * sizeof *q));
        else memcpy(q = malloc(m->n_floats * sizeof *q), t->opt.Q, m->n_floats * sizeof *q);
        CHECK_OK(a, scorer_open(m, &look));
        for (int round = 0; round < 12 && threads == 3; round++) {
            size_t best = 0;
            for (size_t i = 0; i < m->n_floats; i++)
                if (MAX(q[i], -q[i]) > MAX(q[best], -q[best])) best = i;
            double grad = (double)q[best] / FIX_SCALE / 4, side[2];
            float was = m->params[best], h = 1.0f / 512;
            for (int k = 0; k < 2; k++) {
                tally u = {0};
                m->params[best] = was + (k ? h : -h);
                CHECK_OK(a, score_samples(look, d->pair, 4, &o, &u));
                side[k] = tally_mean(&u, "loss");
            }
            m->params[best] = was;
            q[best] = 0;
            double slope = (side[1] - side[0]) / (2 * (double)h), off = slope - grad;
            CHECK(MAX(off, -off) < 0.02 * MAX(grad, -grad) + 1e-4);
        }
        scorer_close(look);
        trainer_close(t);
        model_free(m);
        almost_close(a);
    }
    free(q);
    free(d);
}

/* Cross-entropy of a model whose logits are all equal is log V; targets follow flags. */
static void test_training_nll(void) {
    almost *a = model_context(1, ALMOST_KERNELS_AUTO);
    model *m;
    scorer *c;
    CHECK_OK(a, model_new(a, &SHAPES[3], &m)); // matrices zero but the embedding, all alike
    for (size_t i = 0; i < m->n_tensors; i++) {
        const tensor *x = &m->tensors[i];
        for (size_t e = 0; e < x->floats && (!i || !x->matrix); e++)
            m->params[x->at + e] = 0.5f;
    }
    CHECK_OK(a, scorer_open(m, &c));
    const int32_t tok[6] = {1, 2, 3, 4, 5, 6};
    const unsigned char flags[6] = {TOKEN_TARGET, 0, TOKEN_TARGET, 0, 0, TOKEN_TARGET};
    sample s = {.n = 1};
    s.seq[0].ids = tok;
    s.seq[0].n = 6;
    objective o = objective_nll();
    o.entropy = 1;
    for (int masked = 0; masked < 2; masked++) {
        tally t = {0};
        s.seq[0].flags = masked ? flags : NULL;
        CHECK_OK(a, score_samples(c, &s, 1, &o, &t));
        double want = ref_log(96);
        CHECK_INT(t.units, masked ? 2 : 5); // the first token is never a target
        CHECK(tally_mean(&t, "loss") - want < 1e-5 && want - tally_mean(&t, "loss") < 1e-5);
        CHECK(tally_mean(&t, "entropy") - want < 1e-5 &&
              want - tally_mean(&t, "entropy") < 1e-5);
    }
    scorer_close(c);
    model_free(m);
    almost_close(a);
}

/* ---- whole runs ---- */

typedef struct {
    model_samples x;
    int64_t stop_at; /* the event hook says stop at this step */
} training_run;

static almost_status training_get(void *ctx, int64_t step, size_t i, sample *out) {
    training_run *r = ctx;
    *out = r->x.s[((size_t)step * 3 + i) % 8];
    return ALMOST_OK;
}

static int training_event(void *user, const almost_event *e) {
    const int64_t *stop_at = user;
    return e->done == *stop_at;
}

/* Runs 8 steps of a tiny model, stopping and resuming as told; digest of weights, moments,
 * metrics and ledger. */
static void training_digest(int threads, almost_kernels level, size_t micro,
                            int64_t stop_at, const char *path, unsigned char out[32]) {
    static const size_t LEN[] = {40, 1, 90, 17, 2, 130, 33, 64};
    training_run *r = malloc(sizeof *r);
    almost_options opt = {.threads = threads, .kernels = level, .user = &r->stop_at,
                          .event = training_event};
    almost *a;
    model *m;
    trainer *t;
    int again = 1;
    for (int leg = 0; again; leg++) {
        CHECK(almost_open(&a, &opt) == ALMOST_OK);
        adamw_config c = adamw_defaults();
        c.steps = 8;
        c.warmup = 2;
        m = model_random(a, &SHAPES[0], 4);
        samples_random(&r->x, &m->s, LEN, 8);
        r->stop_at = leg ? -1 : stop_at;
        train_job j = {.stage = "test",
                       .state_path = path,
                       .key = "these data",
                       .resume = leg,
                       .batch = 3,
                       .get = training_get,
                       .ctx = r,
                       .goal = objective_nll()};
        CHECK_OK(a, trainer_open(m, &c, &t));
        t->micro_rows = micro;
        almost_status s = train_run(t, &j);
        again = s == ALMOST_ERR_STOPPED;
        if (again) {
            CHECK_INT(t->step, stop_at);
            trainer_close(t);
            model_free(m);
            almost_close(a);
        } else CHECK_OK(a, s);
    }
    CHECK_INT(t->step, 8);
    sha256 h;
    sha256_init(&h);
    sha256_add_f32s(&h, m->params, m->n_floats);
    sha256_add_f32s(&h, t->opt.m1, m->n_floats);
    sha256_add_f32s(&h, t->opt.m2, m->n_floats);
    sha256_add(&h, t->metrics.s, t->metrics.n);
    sha256_add(&h, t->ledger.s, t->ledger.n);
    sha256_end(&h, out);
    trainer_close(t);
    model_free(m);
    almost_close(a);
    free(r);
}

static void test_training_same_bits(void) {
    char path[512];
    unsigned char want[32], got[32];
    char hex[65];
    almost a;
    test_open(&a);
    test_path(path, "training.state");
    if (file_exists(path)) file_remove(&a, path);
    training_digest(1, ALMOST_KERNELS_AUTO, 2048, -1, NULL, want);
    text_hex(hex, want, 32); // and now what every machine gets
    CHECK_STR(
        hex,
        "edba1c682a79becba2faa70a82b507d0ce20cfff4da48d909c5a649dcafdb649");
    training_digest(3, ALMOST_KERNELS_AUTO, 1, -1, NULL, got);
    CHECK(!memcmp(want, got, 32));
    training_digest(2, ALMOST_KERNELS_SCALAR, 100, -1, NULL, got);
    CHECK(!memcmp(want, got, 32));
    for (int64_t stop = 1; stop < 8; stop += 3) {
        training_digest(2, ALMOST_KERNELS_AUTO, 64, stop, path, got);
        CHECK(!memcmp(want, got, 32));
        CHECK_OK(&a, file_remove(&a, path));
    }
}

/* The ledger's chain can be followed by anyone who has the lines. */
static void test_training_ledger(void) {
    static const size_t LEN[] = {5, 6, 7, 8, 9, 10, 11, 12};
    almost *a = model_context(1, ALMOST_KERNELS_AUTO);
    training_run *r = malloc(sizeof *r);
    model *m = model_random(a, &SHAPES[1], 4);
    adamw_config c = adamw_defaults();
    trainer *t;
    c.steps = 3;
    samples_random(&r->x, &m->s, LEN, 8);
    train_job j = {.stage = "test",
                   .batch = 2,
                   .get = training_get,
                   .ctx = r,
                   .goal = objective_nll()};
    CHECK_OK(a, trainer_open(m, &c, &t));
    CHECK_OK(a, train_run(t, &j));
    arena mem;
    json **line;
    size_t n;
    char previous[65] = "0000000000000000000000000000000000000000000000000000000000000000",
         hex[65];
    arena_init(&mem, a);
    CHECK_OK(a, json_lines(a, &mem, "ledger", t->ledger.s, t->ledger.n, &line, &n));
    CHECK_INT(n, 3);
    for (size_t i = 0; i < n; i++) {
        CHECK(!strcmp(json_get(line[i], "previous")->s, previous));
        memcpy(previous, json_get(line[i], "hash")->s, 64);
    }
    text_hex(hex, t->head, 32);
    CHECK_STR(hex, previous);
    CHECK_OK(a, json_lines(a, &mem, "metrics", t->metrics.s, t->metrics.n, &line, &n));
    CHECK_INT(n, 3);
    CHECK_BITS64(json_get(line[2], "loss")->num, tally_mean(&t->last, "loss"));
    CHECK_INT(json_get(line[2], "num_tokens")->i64, t->num_tokens);
    arena_free(&mem);
    trainer_close(t);
    model_free(m);
    free(r);
    almost_close(a);
}

/* A model learns a fixed sentence by heart. */
static void test_training_learns(void) {
    almost *a = model_context(2, ALMOST_KERNELS_AUTO);
    model *m;
    trainer *t;
    adamw_config c = adamw_defaults();
    objective o = objective_nll();
    int32_t tok[24];
    sample s = {.n = 1};
    rng r = test_rng(3);
    for (size_t i = 0; i < 24; i++) tok[i] = (int32_t)rng_below(&r, 64);
    s.seq[0].ids = tok;
    s.seq[0].n = 24;
    CHECK_OK(a, model_new(a, &SHAPES[2], &m));
    model_init(m, 1);
    c.lr = 1e-2;
    c.steps = 60;
    CHECK_OK(a, trainer_open(m, &c, &t));
    for (int i = 0; i < 60; i++) {
        CHECK_OK(a, train_gradient(t, &s, 1, &o));
        CHECK_OK(a, train_update(t));
        if (!i) CHECK(tally_mean(&t->last, "loss") > 3.5);
    }
    CHECK(tally_mean(&t->last, "loss") < 0.05);
    CHECK_BITS64(tally_mean(&t->last, "mean_token_accuracy"), 1.0);
    trainer_close(t);
    model_free(m);
    almost_close(a);
}

/* ---- failures ---- */

static void explode_fn(void *ctx, const sample *x, scores *s, tally *t) {
    (void)x;
    for (size_t i = 0; i < s->targets; i++) s->weight[i] = *(const float *)ctx;
    t->units++;
}

static void test_training_numeric(void) {
    static const size_t LEN[] = {40, 1, 90, 17, 2, 130, 33, 64};
    static const uint32_t BAD[] = {0x7f800000, 0x7fc00000, 0x60000000};
    almost *a = model_context(2, ALMOST_KERNELS_AUTO);
    model *m = model_random(a, &SHAPES[0], 4);
    model_samples *x = malloc(sizeof *x);
    adamw_config c = adamw_defaults();
    trainer *t;
    unsigned char before[32], after[32];
    samples_random(x, &m->s, LEN, 8);
    CHECK_OK(a, trainer_open(m, &c, &t));
    model_hash(m, before);
    for (size_t i = 0; i < COUNT(BAD); i++) {
        float w = f32_from_bits(BAD[i]);
        objective o = {.fn = explode_fn, .ctx = &w};
        CHECK_STATUS(a, train_gradient(t, x->s, 8, &o), ALMOST_ERR_NUMERIC);
        CHECK(strstr(a->message, "gradient") != NULL);
        fail_clear(a);
        CHECK_STATUS(a, train_update(t), ALMOST_ERR_ARGUMENT); // nothing since
        fail_clear(a);
    }
    model_hash(m, after);
    CHECK(!memcmp(before, after, 32));
    m->norm_out[3] = f32_from_bits(0x7f800000);
    objective nll = objective_nll();
    CHECK_STATUS(a, train_gradient(t, x->s, 8, &nll), ALMOST_ERR_NUMERIC);
    fail_clear(a);
    m->norm_out[3] = 1;
    CHECK_OK(a, train_gradient(t, x->s, 8, &nll));
    CHECK_OK(a, train_update(t));
    trainer_close(t);
    free(x);
    model_free(m);
    almost_close(a);
}

static void test_training_refuses(void) {
    almost *a = model_context(1, ALMOST_KERNELS_AUTO);
    model *m = model_random(a, &SHAPES[3], 4);
    adamw_config c = adamw_defaults();
    trainer *t;
    int32_t tok[200] = {0}, bad[2] = {0, -1};
    objective o = objective_nll();
    sample s[] = {{.n = 0}, {.n = 1}, {.n = 1}, {.n = 1}, {.n = 1}};
    unsigned char value[1] = {TOKEN_VALUE};
    s[1].seq[0].ids = s[2].seq[0].ids = s[4].seq[0].ids = tok;
    s[2].seq[0].n = 161;
    s[3].seq[0].ids = bad;
    s[3].seq[0].n = 2;
    s[4].seq[0].n = 1;
    s[4].seq[0].flags = value; // this model has no scalar head
    c.beta1 = 1;
    CHECK_STATUS(a, trainer_open(m, &c, &t), ALMOST_ERR_ARGUMENT);
    fail_clear(a);
    c = adamw_defaults();
    CHECK_OK(a, trainer_open(m, &c, &t));
    for (size_t i = 0; i < COUNT(s); i++) {
        CHECK(train_gradient(t, &s[i], 1, &o) != ALMOST_OK && a->message[0]);
        fail_clear(a);
    }
    trainer_close(t);
    model_free(m);
    almost_close(a);
}

/* A damaged or foreign state file is refused with a line, never half read in silence. */
static void test_training_state(void) {
    char path[512], *bytes;
    size_t n;
    int other;
    almost *a = model_context(1, ALMOST_KERNELS_AUTO);
    model *m = model_random(a, &SHAPES[1], 4), *m2 = model_random(a, &SHAPES[0], 4);
    adamw_config c = adamw_defaults();
    trainer *t, *t2;
    test_path(path, "training2.state");
    CHECK_OK(a, trainer_open(m, &c, &t));
    CHECK_OK(a, trainer_open(m2, &c, &t2));
    CHECK_OK(a, trainer_state_save(t, path, "key 1"));
    CHECK_OK(a, trainer_state_load(t, path, "key 1", &other));
    CHECK(!other);
    CHECK_OK(a, trainer_state_load(t, path, "key 2", &other));
    CHECK(other);
    CHECK_OK(a, trainer_state_load(t, path, NULL, &other));
    CHECK(other);
    CHECK_STATUS(a, trainer_state_load(t2, path, "key 1", &other), ALMOST_ERR_FORMAT);
    fail_clear(a);
    CHECK_OK(a, file_read(a, path, &bytes, &n));
    bytes[n / 2] ^= 4;
    CHECK_OK(a, file_write(a, path, bytes, n));
    CHECK_STATUS(a, trainer_state_load(t, path, "key 1", &other), ALMOST_ERR_FORMAT);
    fail_clear(a);
    file_release(a, bytes, n);
    CHECK_OK(a, file_remove(a, path));
    trainer_close(t);
    trainer_close(t2);
    model_free(m);
    model_free(m2);
    almost_close(a);
}

/* Every allocation of a step and of a decode may fail; all memory comes back. */
static almost_status training_small(almost *a, void *ctx) {
    static const int32_t tok[5] = {1, 2, 3, 4, 5};
    model *m = NULL;
    trainer *t = NULL;
    decoder *d = NULL;
    kv c = {0};
    adamw_config conf = adamw_defaults();
    objective o = objective_nll();
    sample s = {.n = 1};
    float y[33];
    (void)ctx;
    s.seq[0].ids = tok;
    s.seq[0].n = 5;
    almost_status st = kernels_select(a, ALMOST_KERNELS_AUTO);
    if (st == ALMOST_OK) st = model_new(a, &SHAPES[1], &m);
    if (st == ALMOST_OK) model_init(m, 1);
    if (st == ALMOST_OK) st = trainer_open(m, &conf, &t);
    if (st == ALMOST_OK) st = train_gradient(t, &s, 1, &o);
    if (st == ALMOST_OK) st = train_update(t);
    if (st == ALMOST_OK) st = train_metrics_row(t, "");
    if (st == ALMOST_OK) st = train_ledger(t);
    if (st == ALMOST_OK) st = decoder_open(m, &d);
    if (st == ALMOST_OK) st = kv_open(&c, m, 5);
    kv_seq q = {NULL, &c, tok, 5, 1};
    if (st == ALMOST_OK) st = decode(d, &q, 1, y, NULL);
    kv_close(&c);
    decoder_close(d);
    trainer_close(t);
    model_free(m);
    products_close(a);
    return st;
}
static void test_training_memory(void) { test_each_allocation(training_small, NULL); }

/* After the first step of a size nothing is allocated, records aside. */
static void test_training_steady(void) {
    static const size_t LEN[] = {40, 1, 90, 17, 2, 130, 33, 64};
    almost *a = model_context(1, ALMOST_KERNELS_AUTO);
    model *m = model_random(a, &SHAPES[0], 4);
    model_samples *x = malloc(sizeof *x);
    adamw_config c = adamw_defaults();
    trainer *t;
    objective o = {.fn = weigh_fn};
    samples_random(x, &m->s, LEN, 8);
    CHECK_OK(a, trainer_open(m, &c, &t));
    CHECK_OK(a, train_gradient(t, x->s, 8, &o));
    CHECK_OK(a, train_update(t));
    a->fail_at = 0;
    CHECK_OK(a, train_gradient(t, x->s, 8, &o));
    CHECK_OK(a, train_update(t));
    a->fail_at = -1;
    trainer_close(t);
    free(x);
    model_free(m);
    almost_close(a);
}

static const test TESTS_TRAINING[] = {
    {"training", "schedule", test_training_schedule},
    {"training", "adamw", test_training_adamw},
    {"training", "tally", test_training_tally},
    {"training", "order", test_training_order},
    {"training", "pairs", test_training_pairs},
    {"training", "dpo", test_training_dpo},
    {"training", "dpo_gradient", test_training_dpo_gradient},
    {"training", "nll", test_training_nll},
    {"training", "same_bits", test_training_same_bits},
    {"training", "ledger", test_training_ledger},
    {"training", "learns", test_training_learns},
    {"training", "numeric", test_training_numeric},
    {"training", "refuses", test_training_refuses},
    {"training", "state", test_training_state},
    {"training", "memory", test_training_memory},
    {"training", "steady", test_training_steady},
};
