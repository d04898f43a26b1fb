/* Tests of [33] PPO: the formulas by hand-made numbers, then the whole loop on models of a
 * few thousand parameters whose optimum is known. Included after t_generate.c. */

static int ppo_near(double x, double y, double tolerance) {
    return x - y <= tolerance && y - x <= tolerance;
}

/* ---- Formulas ---- */

static void test_ppo_gae(void) {
    static const float r[5] = {0, 0, 0, 0, 1}, v[5] = {0.5f, 0.5f, 0.25f, 0.25f, 0.5f};
    static const float want[5] = {-0.0625f, -0.125f, 0.25f, 0.5f, 0.5f};
    float adv[5], ret[5];
    ppo_gae(r, v, 5, 1.0f, 0.5f, adv, ret);
    for (int t = 0; t < 5; t++) {
        CHECK_BITS32(adv[t], want[t]);
        CHECK_BITS32(ret[t], want[t] + v[t]);
    }
    static const float r2[4] = {0.25f, -0.5f, 1.0f, 2.0f};
    static const float suffix[4] = {2.75f, 2.5f, 3.0f, 2.0f};
    ppo_gae(r2, v, 4, 1.0f, 1.0f, adv, ret); // gamma = lambda = 1: what is still to come
    for (int t = 0; t < 4; t++) CHECK_BITS32(ret[t], suffix[t]);
    ppo_gae(r2, v, 4, 1.0f, 0.0f, adv, ret); // lambda = 0: one step
    for (int t = 0; t < 4; t++) CHECK_BITS32(ret[t], r2[t] + (t < 3 ? v[t + 1] : 0.0f));
    ppo_gae(r2, v, 1, 1.0f, 0.95f, adv, ret); // nothing follows the last action
    CHECK_BITS32(adv[0], -0.25f);
}

static void test_ppo_whiten(void) {
    almost *a = gen_context(1, ALMOST_KERNELS_AUTO);
    float x[101], y[101];
    rng g = test_rng(1);
    for (int i = 0; i < 101; i++) y[i] = x[i] = (float)(rng_unit(&g) * 7.0 + 3.0);
    ppo_whiten(a->k, x, 101, 0);
    double mean = a->k->lane8_sum(x, 101) / 101, var = a->k->lane8_sumsq(x, 101) / 101;
    CHECK(ppo_near(mean, 0.0, 1e-6) && ppo_near(var, 1.0, 1e-5));
    double before = a->k->lane8_sum(y, 101) / 101;
    ppo_whiten(a->k, y, 101, 1);
    CHECK(ppo_near(a->k->lane8_sum(y, 101) / 101, before, 1e-5));
    float two[2] = {1.0f, 3.0f}; // divisor n: variance 1; with n-1 it would be 2
    ppo_whiten(a->k, two, 2, 0);
    CHECK(ppo_near((double)two[0], -1.0, 1e-6) && ppo_near((double)two[1], 1.0, 1e-6));
    float same[3] = {2.0f, 2.0f, 2.0f};
    ppo_whiten(a->k, same, 3, 0);
    CHECK(same[0] == 0.0f && same[2] == 0.0f);
    almost_close(a);
}

/* sign(A) x {below, inside, above the clip range}: value, whether clipped, and gradient,
 * the last also by differences. */
static void test_ppo_policy_term(void) {
    static const float adv[2] = {2.0f, -2.0f}, ratio[3] = {0.5f, 1.1f, 1.5f};
    static const double loss[2][3] = {{-1.0, -2.2, -2.4}, {1.6, 2.2, 3.0}};
    static const double grad[2][3] = {{-1.0, -2.2, 0.0}, {0.0, 2.2, 3.0}};
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++) {
            float lp = m_log(ratio[j]) - 1.0f, h = 1.0f / 128;
            ppo_term t = ppo_policy_term(lp, -1.0f, adv[i], 0.2f);
            ppo_term up = ppo_policy_term(lp + h, -1.0f, adv[i], 0.2f);
            ppo_term down = ppo_policy_term(lp - h, -1.0f, adv[i], 0.2f);
            CHECK(ppo_near((double)t.loss, loss[i][j], 1e-5));
            CHECK(ppo_near((double)t.grad, grad[i][j], 1e-5));
            CHECK(t.clipped == (grad[i][j] == 0.0));
            double slope = (double)(up.loss - down.loss) / (2.0 * (double)h);
            CHECK(ppo_near(slope, grad[i][j], 1e-3));
        }
    ppo_term one = ppo_policy_term(-1.25f, -1.25f, 3.0f, 0.2f);
    CHECK_BITS32(one.ratio, 1.0f);
    CHECK_BITS32(one.loss, -3.0f);
    CHECK(!one.clipped);
}

static void test_ppo_value_term(void) {
    // old 1, clip .25: v below, inside, above; return far above, near, far below
    static const float v[3] = {0.5f, 1.125f, 2.0f}, ret[3] = {3.0f, 1.0f, -1.0f};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            double w = MIN(MAX((double)v[i], 0.75), 1.25), h = 1.0 / 256;
            double e = (double)v[i] - (double)ret[j], c = w - (double)ret[j];
            ppo_term t = ppo_value_term(v[i], 1.0f, ret[j], 0.25f);
            ppo_term up = ppo_value_term(v[i] + (float)h, 1.0f, ret[j], 0.25f);
            ppo_term down = ppo_value_term(v[i] - (float)h, 1.0f, ret[j], 0.25f);
            CHECK(ppo_near((double)t.loss, 0.5 * MAX(e * e, c * c), 1e-6));
            CHECK(ppo_near((double)t.grad, c * c > e * e ? 0.0 : e, 1e-6));
            CHECK(ppo_near((double)(up.loss - down.loss) / (2 * h), (double)t.grad, 1e-3));
        }
}

/* Scripted KL; 1000 episodes of a horizon of 10000 move beta by at most 2 %. */
static void test_ppo_controller(void) {
    static const double kl[5] = {0.0, 6.0, 6.6, 60.0, 5.4};
    static const double factor[5] = {0.98, 1.0, 1.01, 1.02, 0.99};
    double beta = 0.05, want = 0.05;
    for (int i = 0; i < 5; i++) {
        beta = ppo_controller(beta, kl[i], 6.0, 10000.0, 1000);
        want *= factor[i];
        CHECK(ppo_near(beta, want, 1e-15));
    }
    CHECK(ppo_controller(0.1, 6.0, 6.0, 1e4, 64) == 0.1);
}

/* k1 and k3 average to the exact KL: 200000 draws, within 4 standard errors. */
static void test_ppo_estimators(void) {
    almost *a = gen_context(1, ALMOST_KERNELS_AUTO);
    gen_bench b;
    float y[12], tmp[48];
    double s1 = 0, s3 = 0, q1 = 0, q3 = 0, n = 200000, exact = 0, z = 0, zq = 0;
    ppo_row row = {0};
    gen_bench_open(&b, a, 12);
    gen_bench_row(&b, 3, 1);
    memcpy(y, b.x, sizeof y);
    gen_bench_row(&b, 4, 1);
    for (int i = 0; i < 12; i++) z += (double)m_exp(b.x[i]), zq += (double)m_exp(y[i]);
    for (int i = 0; i < 12; i++) {
        double lp = (double)b.x[i] - (double)m_log((float)z);
        double lq = (double)y[i] - (double)m_log((float)zq);
        exact += (double)m_exp((float)lp) * (lp - lq);
    }
    sampler s = sampler_default();
    for (int i = 0; i < 200000; i++) {
        uint64_t draw = rng_draw(9, RNG_TEST, (uint64_t)i, 1);
        float lp;
        int32_t id = sample_row(a->k, b.x, 12, &s, draw, &b.room, &lp);
        if (i < 12) {
            CHECK(ppo_compare_rows(a->k, b.x, y, 12, 1.0f, id, tmp, &row));
            CHECK_BITS32(row.logp, lp); // the drawing and the scoring formula are one
            CHECK(ppo_near(row.kl, exact, 1e-5));
        }
        float d = lp - ((y[id] - (float)0) - m_log((float)zq));
        s1 += (double)d;
        q1 += (double)d * (double)d;
        s3 += (double)ppo_k3(d);
        q3 += (double)ppo_k3(d) * (double)ppo_k3(d);
        CHECK(ppo_k3(d) >= 0.0f);
    }
    double e1 = 4 * m_sqrt((q1 / n - s1 / n * s1 / n) / n);
    double e3 = 4 * m_sqrt((q3 / n - s3 / n * s3 / n) / n);
    CHECK(ppo_near(s1 / n, exact, e1) && ppo_near(s3 / n, exact, e3));
    CHECK(ppo_compare_rows(a->k, b.x, b.x, 12, 0.7f, 3, tmp, &row));
    CHECK(row.kl == 0.0 && f32_bits(row.logp) == f32_bits(row.ref));
    arena_free(&b.r);
    almost_close(a);
}

static void test_ppo_settings(void) {
    almost *a = gen_context(1, ALMOST_KERNELS_AUTO);
    arena r;
    arena_init(&r, a);
    ppo_config c, d;
    json *o;
    text t;
    CHECK(ppo_profile("trlx-hh", &c) && ppo_check(a, &c) == ALMOST_OK);
    CHECK(ppo_profile("nplus", &d) && ppo_check(a, &d) == ALMOST_OK);
    CHECK(!ppo_profile("x", &d));
    text_init(&t, a);
    ppo_config_put(&t, &c);
    CHECK_OK(a, json_parse(a, &r, "test", t.s, t.n, &o));
    ppo_profile("nplus", &d);
    CHECK_OK(a, ppo_config_read(a, o, &d));
    d.name = c.name;
    CHECK(!memcmp(&c, &d, sizeof c)); // printed and read back: the same
    static const char *const bad[] = {"{\"lrr\":1}", "{\"epochs\":1.5}", "{\"seed\":-1}",
                                      "{\"beta\":\"x\"}"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        CHECK_OK(a, json_parse(a, &r, "test", bad[i], strlen(bad[i]), &o));
        CHECK(ppo_config_read(a, o, &d) == ALMOST_ERR_ARGUMENT);
        fail_clear(a);
    }
    d = c; d.top_p = 0.9;
    CHECK(ppo_check(a, &d) == ALMOST_ERR_ARGUMENT && strstr(a->message, "top_p"));
    fail_clear(a);
    d = c; d.top_k = 50;
    CHECK(ppo_check(a, &d) == ALMOST_ERR_ARGUMENT);
    fail_clear(a);
    d = c; d.minibatch = d.rollouts + 1;
    CHECK(ppo_check(a, &d) == ALMOST_ERR_ARGUMENT);
    fail_clear(a);
    text_free(&t);
    arena_free(&r);
    almost_close(a);
}

/* ---- The loop on tiny models ---- */

typedef struct {
    almost *a;
    model *policy, *reference, *value, *reward;
    int32_t pool[64];
    gen_prefix query[6];
    ppo_config c;
    ppo_job j;
    float (*worth)(const ppo_episode *e); /* the score, when not the reward model's */
} ppo_world;

static almost_status ppo_world_score(void *ctx, const ppo_episode *e, float *raw) {
    const ppo_world *w = ctx;
    *raw = w->worth(e);
    return ALMOST_OK;
}

static void ppo_world_open(ppo_world *w, int threads, almost_kernels k, int32_t vocab) {
    shape s = {.dim = 32, .hidden = 64, .layers = 1, .heads = 2, .kv_heads = 2,
               .vocab = vocab, .context = 32, .norm_eps = 1e-5f, .rope_theta = 10000.0f};
    memset(w, 0, sizeof *w);
    w->a = gen_context(threads, k);
    CHECK_OK(w->a, model_new(w->a, &s, &w->reference));
    model_init(w->reference, 3);
    for (size_t i = 0; i < w->reference->n_floats; i++) w->reference->params[i] *= 3.0f;
    CHECK_OK(w->a, model_clone(w->reference, 0, &w->policy));
    CHECK_OK(w->a, model_clone(w->reference, 1, &w->reward));
    model_head_init(w->reward, 8);
    w->reward->kind = MODEL_REWARD;
    rng g = rng_at(2, RNG_TEST, 0);
    for (int i = 0; i < 64; i++) w->pool[i] = (int32_t)rng_below(&g, (uint64_t)vocab);
    for (size_t i = 0; i < 6; i++) w->query[i] = (gen_prefix){w->pool + 7 * i, 1 + i};
    w->c = ppo_trlx_hh();
    w->c.rollouts = 32;
    w->c.minibatch = 16;
    w->c.epochs = 2;
    w->c.max_new = 10;
    w->c.episodes = 32 * 4;
    w->c.lr = w->c.value_lr = 1e-3;
    w->j = (ppo_job){.config = &w->c, .policy = w->policy, .reference = w->reference,
                     .reward = w->reward, .queries = w->query, .n_queries = 6, .eos = 1};
}

/* Normalises the reward model on some strings and makes the value network. */
static void ppo_world_values(ppo_world *w) {
    CHECK_OK(w->a, ppo_normalise(w->reward, w->query, 6));
    CHECK_OK(w->a, ppo_value_net(w->reward, &w->value));
    w->j.value = w->value;
}

static void ppo_world_judge(ppo_world *w, float (*worth)(const ppo_episode *e)) {
    w->worth = worth;
    w->j.score = ppo_world_score;
    w->j.ctx = w;
}

static void ppo_world_close(ppo_world *w) {
    model_free(w->policy);
    model_free(w->reference);
    model_free(w->value);
    model_free(w->reward);
    almost_close(w->a);
}

/* Everything about the first iteration that can be said exactly, at two temperatures. */
static void test_ppo_exact(void) {
    static const double ts[2] = {1.0, 0.7};
    for (int t = 0; t < 2; t++) {
        ppo_world w;
        ppo *p;
        ppo_world_open(&w, 2, ALMOST_KERNELS_AUTO, 19);
        ppo_world_values(&w);
        w.c.temperature = ts[t];
        CHECK_OK(w.a, ppo_open(w.a, &w.j, &p));
        CHECK_OK(w.a, ppo_iterate(p)); // refuses a first ratio other than 1.0 by itself
        CHECK(p->from_reference);
        CHECK(p->metrics.kl == 0.0 && p->metrics.kl_k3 == 0.0);
        CHECK(p->metrics.kl_exact == 0.0);
        size_t ended = 0;
        for (size_t i = 0; i < p->n; i++) {
            const ppo_episode *e = &p->episodes[i];
            ended += e->reason == GEN_EOS;
            for (size_t s = 0; s < e->n; s++) CHECK_BITS32(e->ref[s], e->logp[s]);
            size_t flags = 0;
            for (size_t s = 0; s < e->n_query + e->n; s++) flags += e->targets[s] != 0;
            CHECK(flags == e->n); // every drawn token, the end token too, and nothing else
            for (size_t s = 0; s + 1 < e->n; s++) CHECK(e->reward[s] == 0.0f);
            if (e->reason != GEN_EOS) {
                CHECK_BITS32(e->score, -1.0f);
                CHECK(e->reply[e->n - 1] != 1 && e->n == 10);
            } else {
                CHECK(e->reply[e->n - 1] == 1);
            }
            CHECK_BITS32(e->reward[e->n - 1], e->score);
        }
        CHECK(ended > 0 && ended < p->n && p->metrics.eos_tokens == (double)ended);
        CHECK_OK(w.a, ppo_iterate(p));
        CHECK(p->metrics.kl_exact > 0.0);
        ppo_close(p);
        ppo_world_close(&w);
    }
}

/* The score in PPO is the score of the same ids asked alone; and a value network copied
 * from the reward model says the score at the end token. */
static void test_ppo_reads(void) {
    ppo_world w;
    ppo *p;
    decoder *d;
    ppo_world_open(&w, 1, ALMOST_KERNELS_AUTO, 19);
    ppo_world_values(&w);
    w.c.truncation = PPO_SUBTRACT;
    w.c.truncation_score = -2.0;
    w.c.max_new = 8;
    CHECK_OK(w.a, ppo_open(w.a, &w.j, &p));
    CHECK_OK(w.a, ppo_rollout(p));
    CHECK_OK(w.a, ppo_measure(p));
    CHECK_OK(w.a, decoder_open(w.value, &d));
    for (size_t i = 0; i < p->n; i++) {
        const ppo_episode *e = &p->episodes[i];
        kv c;
        float raw;
        CHECK_OK(w.a, kv_open(&c, w.value, e->n_query + e->n));
        kv_seq s = {NULL, &c, e->ids, e->n_query + e->n, 1};
        CHECK_OK(w.a, decode(d, &s, 1, NULL, &raw));
        CHECK_BITS32(raw, e->raw);
        float score = ppo_normalised(w.value, raw);
        CHECK_BITS32(e->score, e->reason == GEN_EOS ? score : score + -2.0f);
        kv_close(&c);
    }
    decoder_close(d);
    ppo_close(p);
    ppo_world_close(&w);
}

/* From raw score to reward: normalise, clip, and the two rules for replies without end. */
static void test_ppo_scores(void) {
    ppo_world w;
    ppo p;
    memset(&p, 0, sizeof p);
    ppo_world_open(&w, 1, ALMOST_KERNELS_AUTO, 19);
    w.reward->reward_shift = 1.0f;
    w.reward->reward_scale = 4.0f;
    p.job = &w.j;
    p.c = w.c;
    ppo_episode e = {.n_query = 3, .n = 5, .kept = 2, .reason = GEN_EOS, .raw = 1.5f};
    ppo_score(&p, &e);
    CHECK_BITS32(e.score, 2.0f);
    CHECK(!e.score_clipped && ppo_read_length(&e) == 8);
    e.raw = -7.0f;
    ppo_score(&p, &e);
    CHECK_BITS32(e.score, -10.0f);
    CHECK(e.score_clipped);
    e.reason = GEN_STOP; // the tokens of the stop string are not read
    CHECK(ppo_read_length(&e) == 5);
    ppo_score(&p, &e);
    CHECK_BITS32(e.score, -1.0f);
    p.c.truncation = PPO_SUBTRACT;
    p.c.truncation_score = -0.5;
    e.raw = 1.5f;
    ppo_score(&p, &e);
    CHECK_BITS32(e.score, 1.5f);
    float logp[3] = {-1.0f, -2.0f, -0.5f}, ref[3] = {-1.5f, -1.0f, -0.5f}, r[3];
    ppo_rewards(logp, ref, 3, 0.5f, 2.0f, r); // KL at every action, the score once
    CHECK(r[0] == -0.25f && r[1] == 0.5f && r[2] == 2.0f);
    ppo_world_close(&w);
}

/* Replies of the SFT model score mean 0, deviation 1; who wins is not changed. */
static void test_ppo_normalise(void) {
    ppo_world w;
    gen_prefix text_[20];
    float raw[20];
    decoder *d;
    ppo_world_open(&w, 1, ALMOST_KERNELS_AUTO, 19);
    for (size_t i = 0; i < 20; i++) text_[i] = (gen_prefix){w.pool + i, 3 + i};
    CHECK_OK(w.a, ppo_normalise(w.reward, text_, 20));
    CHECK_OK(w.a, decoder_open(w.reward, &d));
    double sum = 0, square = 0;
    for (size_t i = 0; i < 20; i++) {
        const int32_t *id[1] = {text_[i].ids};
        size_t n[1] = {text_[i].n}, want[1] = {1};
        CHECK_OK(w.a, ppo_run_group(w.reward, d, id, n, want, 1, NULL, &raw[i]));
        double x = (double)ppo_normalised(w.reward, raw[i]);
        sum += x;
        square += x * x;
        for (size_t j = 0; j < i; j++) {
            float ri = ppo_normalised(w.reward, raw[i]);
            CHECK((raw[i] > raw[j]) == (ri > ppo_normalised(w.reward, raw[j])));
        }
    }
    CHECK(ppo_near(sum / 20, 0.0, 1e-5) && ppo_near(square / 20, 1.0, 1e-5));
    CHECK(ppo_normalise(w.reward, text_, 1) == ALMOST_ERR_ARGUMENT);
    fail_clear(w.a);
    decoder_close(d);
    ppo_world_close(&w);
}

/* One whole run; its policy and value hashes, metrics. */
static void ppo_world_run(ppo_world *w, unsigned char hash[64], text *metrics) {
    text_init(metrics, w->a);
    CHECK_OK(w->a, ppo_run(w->a, &w->j, metrics));
    model_hash(w->policy, hash);
    model_hash(w->value, hash + 32);
}

static void test_ppo_invariance(void) {
    ppo_world x, y;
    text mx, my;
    unsigned char hx[64], hy[64];
    ppo_world_open(&x, 1, ALMOST_KERNELS_AUTO, 19);
    ppo_world_open(&y, 3, ALMOST_KERNELS_SCALAR, 19);
    ppo_world_values(&x);
    ppo_world_values(&y);
    ppo_world_run(&x, hx, &mx);
    ppo_world_run(&y, hy, &my);
    CHECK(!memcmp(hx, hy, 64));
    CHECK_STR(mx.s, my.s);
    CHECK(strstr(mx.s, "\"objective/kl\":") && strstr(mx.s, "\"val/num_eos_tokens\":"));
    text_free(&mx);
    text_free(&my);
    ppo_world_close(&x);
    ppo_world_close(&y);
}

/* Stopped after two iterations of four and resumed: every byte as if never stopped. */
static void test_ppo_resume(void) {
    ppo_world x, y;
    ppo *p;
    text mx, my;
    unsigned char hx[64], hy[64];
    char saved[512], one[512], two[512], f1[600], f2[600], *s1, *s2;
    size_t n1, n2;
    test_path(saved, "ppo.state");
    test_path(one, "ppo-straight");
    test_path(two, "ppo-resumed");
    ppo_world_open(&x, 1, ALMOST_KERNELS_AUTO, 19);
    ppo_world_values(&x);
    x.j.rollouts = one;
    x.j.details = 1;
    ppo_world_run(&x, hx, &mx);
    for (int part = 0; part < 2; part++) {
        ppo_world_open(&y, 2, ALMOST_KERNELS_AUTO, 19);
        ppo_world_values(&y);
        y.j.state_path = saved;
        y.j.resume = part;
        y.j.rollouts = two;
        y.j.details = 1;
        if (part == 0) {
            CHECK_OK(y.a, ppo_open(y.a, &y.j, &p));
            CHECK_OK(y.a, ppo_iterate(p));
            CHECK_OK(y.a, ppo_iterate(p));
            ppo_close(p);
            ppo_world_close(&y);
        }
    }
    ppo_world_run(&y, hy, &my);
    CHECK(!memcmp(hx, hy, 64));
    CHECK_STR(my.s, mx.s);
    for (int i = 1; i <= 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "%06d.jsonl", i);
        CHECK(path_join(f1, sizeof f1, one, name) && path_join(f2, sizeof f2, two, name));
        CHECK_OK(x.a, file_read(x.a, f1, &s1, &n1));
        CHECK_OK(x.a, file_read(x.a, f2, &s2, &n2));
        CHECK(n1 == n2 && !memcmp(s1, s2, n1));
        file_release(x.a, s1, n1);
        file_release(x.a, s2, n2);
        CHECK_OK(x.a, file_remove(x.a, f1));
        CHECK_OK(x.a, file_remove(x.a, f2));
    }
    text_free(&mx);
    text_free(&my);
    ppo_world_close(&y);
    // another job does not take this state: it starts afresh
    ppo_world_open(&y, 1, ALMOST_KERNELS_AUTO, 19);
    ppo_world_values(&y);
    y.c.seed = 2;
    y.j.state_path = saved;
    y.j.resume = 1;
    CHECK_OK(y.a, ppo_open(y.a, &y.j, &p));
    CHECK(p->iteration == 0);
    ppo_close(p);
    CHECK_OK(y.a, file_remove(y.a, saved));
    ppo_world_close(&y);
    ppo_world_close(&x);
}

static int ppo_stop_at(void *user, const almost_event *e) {
    return e->done >= *(const int64_t *)user;
}

/* A stop between saves saves; going on gives what an undisturbed run gives. */
static void test_ppo_stopped(void) {
    ppo_world x, y;
    text mx, my;
    unsigned char hx[64], hy[64];
    char saved[512];
    int64_t stop = 64; // episodes: after the second of four iterations
    test_path(saved, "ppo-stop.state");
    ppo_world_open(&x, 1, ALMOST_KERNELS_AUTO, 19);
    ppo_world_values(&x);
    x.c.save_every = 3;
    ppo_world_run(&x, hx, &mx);
    for (int part = 0; part < 2; part++) {
        ppo_world_open(&y, 1, ALMOST_KERNELS_AUTO, 19);
        ppo_world_values(&y);
        y.c.save_every = 3;
        y.j.state_path = saved;
        y.j.resume = 1;
        if (part) break;
        y.a->options.event = ppo_stop_at;
        y.a->options.user = &stop;
        CHECK(ppo_run(y.a, &y.j, NULL) == ALMOST_ERR_STOPPED && file_exists(saved));
        ppo_world_close(&y);
    }
    ppo_world_run(&y, hy, &my);
    CHECK(!memcmp(hx, hy, 64));
    CHECK_STR(my.s, mx.s);
    CHECK_OK(y.a, file_remove(y.a, saved));
    text_free(&mx);
    text_free(&my);
    ppo_world_close(&x);
    ppo_world_close(&y);
}

/* Memory that runs out anywhere is an error and leaves nothing behind. */
static void test_ppo_memory(void) {
    ppo_world w;
    almost_status s = ALMOST_ERR_MEMORY;
    ppo_world_open(&w, 1, ALMOST_KERNELS_AUTO, 19);
    ppo_world_values(&w);
    w.c.rollouts = w.c.minibatch = 4;
    w.c.episodes = 4;
    model *all[] = {w.j.policy, w.j.reference, w.j.value, w.j.reward};
    for (size_t i = 0; i < COUNT(all); i++) // tables that stay once they have grown
        CHECK_OK(w.a, model_rope(all[i], (size_t)all[i]->s.context));
    size_t before = w.a->bytes - w.a->scratch_floats * sizeof(float);
    for (int64_t k = 0; s != ALMOST_OK && k < 2000; k++) {
        w.a->fail_at = k;
        s = ppo_run(w.a, &w.j, NULL);
        w.a->fail_at = -1;
        CHECK(s == ALMOST_OK || s == ALMOST_ERR_MEMORY);
        CHECK(w.a->bytes - w.a->scratch_floats * sizeof(float) == before);
        fail_clear(w.a);
    }
    CHECK(s == ALMOST_OK);
    ppo_world_close(&w);
}

/* Damage is noticed: in the weights, in the reference, between drawing and scoring. The
 * state saved before stays and loads. */
static void test_ppo_guards(void) {
    ppo_world w;
    ppo *p;
    char saved[512];
    test_path(saved, "ppo-guard.state");
    ppo_world_open(&w, 1, ALMOST_KERNELS_AUTO, 19);
    ppo_world_values(&w);
    w.j.state_path = saved;
    CHECK_OK(w.a, ppo_open(w.a, &w.j, &p));
    CHECK_OK(w.a, ppo_iterate(p));
    for (size_t i = 0; i < w.policy->n_floats; i++)
        w.policy->params[i] = f32_from_bits(0x7fc00000u);
    CHECK(ppo_iterate(p) == ALMOST_ERR_NUMERIC);
    fail_clear(w.a);
    ppo_close(p);
    CHECK_OK(w.a, model_clone(w.reference, 0, &w.j.policy)); // as it was at the start
    model *value;
    CHECK_OK(w.a, ppo_value_net(w.reward, &value));
    w.j.value = value;
    w.j.resume = 1;
    CHECK_OK(w.a, ppo_open(w.a, &w.j, &p));
    CHECK(p->iteration == 1);
    CHECK_OK(w.a, ppo_rollout(p));
    p->episodes[5].logp[0] = f32_from_bits(f32_bits(p->episodes[5].logp[0]) ^ 1u);
    CHECK(ppo_measure(p) == ALMOST_ERR_NUMERIC && strstr(w.a->message, "disagree"));
    fail_clear(w.a);
    w.reference->params[0] += 1.0f;
    CHECK(ppo_iterate(p) == ALMOST_ERR_NUMERIC && strstr(w.a->message, "reference"));
    fail_clear(w.a);
    ppo_close(p);
    w.c.ratio_guard = 1.0000001; // so low that a large step must trip it
    w.c.lr = 0.05;
    w.c.episodes = 320;
    w.j.resume = 0;
    w.j.state_path = NULL;
    almost_status s = ppo_run(w.a, &w.j, NULL);
    CHECK(s == ALMOST_ERR_NUMERIC && strstr(w.a->message, "ratio"));
    fail_clear(w.a);
    w.j.reference = w.j.policy;
    CHECK(ppo_open(w.a, &w.j, &p) == ALMOST_ERR_ARGUMENT);
    fail_clear(w.a);
    model_free(w.j.policy);
    model_free(value);
    CHECK_OK(w.a, file_remove(w.a, saved));
    ppo_world_close(&w);
}

/* The value loss has its own network: its weight does not touch the policy's step. */
static void test_ppo_separate(void) {
    unsigned char h[2][32];
    for (int i = 0; i < 2; i++) {
        ppo_world w;
        ppo *p;
        ppo_world_open(&w, 1, ALMOST_KERNELS_AUTO, 19);
        ppo_world_values(&w);
        w.c.value_weight = i;
        CHECK_OK(w.a, ppo_open(w.a, &w.j, &p));
        CHECK_OK(w.a, ppo_iterate(p));
        model_hash(w.policy, h[i]);
        ppo_close(p);
        ppo_world_close(&w);
    }
    CHECK(!memcmp(h[0], h[1], 32));
}

/* The gradient of the policy loss against differences of the loss, on the weights with the
 * largest gradients. */
static void test_ppo_gradient(void) {
    ppo_world w;
    ppo *p;
    ppo_world_open(&w, 1, ALMOST_KERNELS_AUTO, 19);
    ppo_world_values(&w);
    w.c.temperature = 0.7;
    CHECK_OK(w.a, ppo_open(w.a, &w.j, &p));
    CHECK_OK(w.a, ppo_rollout(p));
    CHECK_OK(w.a, ppo_measure(p));
    ppo_goal g = {100.0f, 0.2f, 1.0f, w.value, 0, 0, 0}; // no clipping: a smooth loss
    objective o = {.fn = ppo_policy_goal, .ctx = &g, .entropy = 1, .temperature = 0.7f};
    sample s[32];
    for (size_t i = 0; i < 32; i++) {
        const ppo_episode *e = &p->episodes[i];
        s[i] = (sample){.id = i, .n = 1, .data = e};
        s[i].seq[0] = (sequence){e->ids, e->n_query + e->n, e->targets};
    }
    CHECK_OK(w.a, train_gradient(p->policy, s, 32, &o));
    double units = (double)p->policy->tally.units;
    int64_t *q = malloc(w.policy->n_floats * sizeof *q);
    memcpy(q, p->policy->opt.Q, w.policy->n_floats * sizeof *q);
    scorer *c;
    CHECK_OK(w.a, scorer_open(w.policy, &c));
    for (int round = 0; round < 12; round++) {
        size_t best = 0;
        for (size_t i = 0; i < w.policy->n_floats; i++)
            if (MAX(q[i], -q[i]) > MAX(q[best], -q[best])) best = i;
        double grad = (double)q[best] / 4294967296.0 / units, side[2];
        float was = w.policy->params[best], h = 1.0f / 256;
        for (int k = 0; k < 2; k++) {
            tally t;
            memset(&t, 0, sizeof t);
            w.policy->params[best] = was + (k ? h : -h);
            CHECK_OK(w.a, score_samples(c, s, 32, &o, &t));
            side[k] = tally_mean(&t, "loss");
        }
        w.policy->params[best] = was;
        q[best] = 0;
        double slope = (side[1] - side[0]) / (2 * (double)h);
        CHECK(ppo_near(slope, grad, 0.02 * (grad < 0 ? -grad : grad) + 1e-4));
    }
    free(q);
    scorer_close(c);
    ppo_close(p);
    ppo_world_close(&w);
}

/* ---- Oracles: tasks with a known optimum ---- */

/* Eight arms; what each is worth. */
static const float PPO_ARM[8] = {0.0f, 1.0f, -1.0f, 0.5f, 2.0f, -0.5f, 0.25f, 1.5f};
static float ppo_worth_arm(const ppo_episode *e) { return PPO_ARM[e->reply[0]]; }

/* softmax of the model's logits after one query token. */
static void ppo_arms(model *m, const int32_t *id, double p[8]) {
    decoder *d;
    float x[8];
    const int32_t *ids_[1] = {id};
    size_t one[1] = {1};
    double z = 0;
    CHECK_OK(m->a, decoder_open(m, &d));
    CHECK_OK(m->a, ppo_run_group(m, d, ids_, one, one, 1, x, NULL));
    for (int i = 0; i < 8; i++) z += p[i] = (double)m_exp(x[i]);
    for (int i = 0; i < 8; i++) p[i] /= z;
    decoder_close(d);
}

/* One token, fixed worth, KL weight beta: the optimum is ref*exp(worth/beta)/Z. Catches a
 * wrong sign, scale or doubled KL, whichever way the advantages are whitened. */
static void test_ppo_bandit(void) {
    static const double betas[3] = {0.5, 1.0, 3.0};
    for (int i = 0; i < 3; i++) {
        ppo_world w;
        double ref[8], now[8], z = 0, far = 0;
        ppo_world_open(&w, 1, ALMOST_KERNELS_AUTO, 8);
        ppo_world_values(&w);
        ppo_world_judge(&w, ppo_worth_arm);
        w.j.n_queries = 1;
        w.j.eos = -1;
        w.c.max_new = 1;
        w.c.truncation = PPO_SUBTRACT; // a reply of one token is always "truncated"
        w.c.truncation_score = 0.0;
        w.c.adaptive = 0;
        w.c.beta = betas[i];
        w.c.rollouts = 256;
        w.c.minibatch = 64;
        w.c.episodes = 256 * 60;
        w.c.epochs = 2;
        w.c.lr = w.c.value_lr = 4e-3;
        w.c.lr_end = 0.0;
        w.c.whiten_advantages = i != 1;
        ppo_arms(w.reference, w.pool, ref);
        CHECK_OK(w.a, ppo_run(w.a, &w.j, NULL));
        ppo_arms(w.policy, w.pool, now);
        for (int k = 0; k < 8; k++)
            z += ref[k] *= (double)m_exp(PPO_ARM[k] / (float)betas[i]);
        for (int k = 0; k < 8; k++) far += MAX(now[k] - ref[k] / z, 0.0);
        if (!CHECK(far < 0.02)) printf("beta %g: total variation %g\n", betas[i], far);
        ppo_world_close(&w);
    }
}

/* Two tokens of six; the worth of the pair depends on both. */
static float ppo_pair(int first, int second) {
    return (float)((first * 3 + second * 5) % 7) / 3.0f;
}
static float ppo_worth_pair(const ppo_episode *e) {
    return ppo_pair(e->reply[0], e->reply[1]);
}

/* Probabilities of the 36 replies. */
static void ppo_pairs(model *m, const int32_t *query, double p[36]) {
    decoder *d;
    CHECK_OK(m->a, decoder_open(m, &d));
    for (int32_t i = 0; i < 6; i++) {
        int32_t both[2] = {query[0], i};
        const int32_t *one[1] = {both};
        size_t two[1] = {2};
        float x[12];
        double z[2] = {0, 0};
        CHECK_OK(m->a, ppo_run_group(m, d, one, two, two, 1, x, NULL));
        for (int k = 0; k < 12; k++) z[k / 6] += (double)m_exp(x[k]);
        for (int k = 0; k < 6; k++)
            p[i * 6 + k] = (double)m_exp(x[i]) / z[0] * (double)m_exp(x[6 + k]) / z[1];
    }
    decoder_close(d);
}

/* Two steps: the optimum over whole replies is again ref*exp(worth/beta)/Z, what backward
 * dynamic programming gives. Needs credit to pass from the second action to the first. */
static void test_ppo_two_steps(void) {
    ppo_world w;
    double ref[36], now[36], z = 0, far = 0;
    ppo_world_open(&w, 1, ALMOST_KERNELS_AUTO, 6);
    ppo_world_values(&w);
    ppo_world_judge(&w, ppo_worth_pair);
    w.j.n_queries = 1;
    w.j.eos = -1;
    w.c.max_new = 2;
    w.c.truncation = PPO_SUBTRACT;
    w.c.truncation_score = 0.0;
    w.c.adaptive = 0;
    w.c.beta = 1.0;
    w.c.rollouts = 256;
    w.c.minibatch = 64;
    w.c.episodes = 256 * 120;
    w.c.lr = w.c.value_lr = 4e-3;
    w.c.lr_end = 0.0;
    ppo_pairs(w.reference, w.pool, ref);
    CHECK_OK(w.a, ppo_run(w.a, &w.j, NULL));
    ppo_pairs(w.policy, w.pool, now);
    for (int k = 0; k < 36; k++) z += ref[k] *= (double)m_exp(ppo_pair(k / 6, k % 6));
    for (int k = 0; k < 36; k++) far += MAX(now[k] - ref[k] / z, 0.0);
    if (!CHECK(far < 0.03)) printf("total variation %g\n", far);
    ppo_world_close(&w);
}

static float ppo_worth_same(const ppo_episode *e) { (void)e; return 0.5f; }
static float ppo_worth_long(const ppo_episode *e) { return (float)e->n * 0.5f; }
static float ppo_worth_short(const ppo_episode *e) { return (float)e->n * -0.5f; }
static float ppo_worth_word(const ppo_episode *e) { return e->reply[0] == 5 ? 1.0f : 0.0f; }

/* A run of `iterations` under that worth; first and last metrics. */
static void ppo_task(float (*worth)(const ppo_episode *e), int iterations, double beta,
                     double lr, ppo_metrics *first, ppo_metrics *last) {
    ppo_world w;
    ppo *p;
    ppo_world_open(&w, 2, ALMOST_KERNELS_AUTO, 16);
    ppo_world_values(&w);
    ppo_world_judge(&w, worth);
    w.c.rollouts = 64;
    w.c.minibatch = 32;
    w.c.episodes = 64 * iterations;
    w.c.truncation = PPO_SUBTRACT;
    w.c.truncation_score = 0.0;
    w.c.beta = beta;
    w.c.adaptive = 0;
    w.c.lr = lr;
    w.c.value_lr = 3e-3;
    CHECK_OK(w.a, ppo_open(w.a, &w.j, &p));
    for (int i = 0; i < iterations; i++) {
        CHECK_OK(w.a, ppo_iterate(p));
        if (i == 0) *first = p->metrics;
    }
    *last = p->metrics;
    ppo_close(p);
    ppo_world_close(&w);
}

static void test_ppo_tasks(void) {
    ppo_metrics a, b;
    ppo_task(ppo_worth_word, 70, 0.0, 3e-3, &a, &b);
    CHECK(a.scores < 0.5 && b.scores >= 0.99); // "say the word" is learned
    ppo_task(ppo_worth_long, 25, 0.05, 3e-3, &a, &b);
    CHECK(a.length < 9.0 && b.length > 9.9 && b.scores > a.scores);
    ppo_task(ppo_worth_short, 25, 0.05, 3e-3, &a, &b);
    CHECK(b.length < a.length - 2.0 && b.scores > a.scores); // the sign counts
    ppo_task(ppo_worth_same, 12, 0.05, 5e-5, &a, &b);
    CHECK(b.kl_exact < 0.1 && b.scores == 0.5); // nothing to gain, nowhere to go
}

/* With no score PPO walks back to the reference: the KL term has the right sign. */
static void test_ppo_returns(void) {
    ppo_world w;
    ppo *p;
    double first = 0;
    ppo_world_open(&w, 2, ALMOST_KERNELS_AUTO, 16);
    ppo_world_values(&w);
    ppo_world_judge(&w, ppo_worth_same);
    rng g = rng_at(6, RNG_TEST, 0);
    for (size_t i = 0; i < w.policy->tensors[0].floats; i++) // perturb the start
        if (w.policy->params[i] != 0.0f)
            w.policy->params[i] += (float)(rng_unit(&g) * 0.2 - 0.1);
    w.c.rollouts = 64;
    w.c.minibatch = 32;
    w.c.episodes = 64 * 30;
    w.c.beta = 1.0;
    w.c.adaptive = 0;
    w.c.truncation = PPO_SUBTRACT;
    w.c.truncation_score = 0.0;
    w.c.lr_end = 0.0;
    w.c.lr = w.c.value_lr = 2e-3;
    CHECK_OK(w.a, ppo_open(w.a, &w.j, &p));
    for (int i = 0; i < 30; i++) {
        CHECK_OK(w.a, ppo_iterate(p));
        if (i == 0) first = p->metrics.kl_exact;
    }
    CHECK(!p->from_reference && first > 0.05);
    CHECK(p->metrics.kl_exact < 0.5 * first);
    if (p->metrics.kl_exact >= 0.5 * first)
        printf("kl %g, then %g\n", first, p->metrics.kl_exact);
    ppo_close(p);
    ppo_world_close(&w);
}

static float ppo_worth_tokens(const ppo_episode *e) { return (float)e->n / 16; }

/* Length in characters of what is kept of a reply; chance by its bytes and nothing else. */
static void test_ppo_controls(void) {
    control length = {.kind = "length"}, chance = {.kind = "random", .seed = 3};
    control other = {.kind = "random", .seed = 4};
    CHECK_BITS32(control_worth(&length, "", " caf\xC3\xA9. "), 5.0f);
    CHECK_BITS32(control_worth(&length, "q", " a b \n\nHuman: c"), 3.0f);
    CHECK_BITS32(control_worth(&length, "q", ""), 0.0f);
    double sum = 0;
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        char s[16];
        snprintf(s, sizeof s, "reply %d", i);
        float x = control_worth(&chance, "", s);
        CHECK(x >= 0 && x < 1);
        CHECK_BITS32(control_worth(&chance, "another prompt", s), x);
        same += control_worth(&other, "", s) == x;
        sum += (double)x;
    }
    CHECK(ppo_near(sum / 1000, 0.5, 0.04)); // four standard errors
    CHECK(same < 3);
}

/* The normalised word of a control reaches the score; the reward model's is noted beside. */
static void test_ppo_control_scores(void) {
    ppo_world w;
    ppo *p;
    ppo_world_open(&w, 1, ALMOST_KERNELS_AUTO, 19);
    ppo_world_values(&w);
    ppo_world_judge(&w, ppo_worth_tokens);
    CHECK_OK(w.a, ppo_open(w.a, &w.j, &p));
    CHECK_OK(w.a, ppo_rollout(p));
    CHECK_OK(w.a, ppo_measure(p));
    char plain[65];
    memcpy(plain, p->key, 65);
    for (size_t i = 0; i < p->n; i++) {
        const ppo_episode *e = &p->episodes[i];
        CHECK_BITS32(e->told, ppo_worth_tokens(e));
        CHECK_BITS32(e->score, e->reason == GEN_EOS ? e->told : -1.0f);
        CHECK(e->raw != 0); // of every reply, whatever ended it
    }
    ppo_close(p);
    w.j.score_name = "length";
    CHECK_OK(w.a, ppo_open(w.a, &w.j, &p));
    CHECK(memcmp(plain, p->key, 64)); // another score is another run
    ppo_close(p);
    ppo_world_close(&w);
}

static const test TESTS_PPO[] = {
    {"ppo", "advantages by hand", test_ppo_gae},
    {"ppo", "whitening", test_ppo_whiten},
    {"ppo", "policy loss: six cases and gradients", test_ppo_policy_term},
    {"ppo", "value loss: nine cases and gradients", test_ppo_value_term},
    {"ppo", "controller: a scripted trajectory", test_ppo_controller},
    {"ppo", "k1 and k3 estimate the exact KL", test_ppo_estimators},
    {"ppo", "settings are printed, read and checked", test_ppo_settings},
    {"ppo", "first iteration: ratio 1, KL 0, exactly", test_ppo_exact},
    {"ppo", "the reward model reads what it would read alone", test_ppo_reads},
    {"ppo", "controls", test_ppo_controls},
    {"ppo", "a control's word is the score", test_ppo_control_scores},
    {"ppo", "raw score to reward", test_ppo_scores},
    {"ppo", "normalised on the SFT model's replies", test_ppo_normalise},
    {"ppo", "threads and kernels change nothing", test_ppo_invariance},
    {"ppo", "resumed is uninterrupted", test_ppo_resume},
    {"ppo", "stopped between saves", test_ppo_stopped},
    {"ppo", "out of memory anywhere", test_ppo_memory},
    {"ppo", "damage is noticed", test_ppo_guards},
    {"ppo", "the value network is separate", test_ppo_separate},
    {"ppo", "gradient of the policy loss by differences", test_ppo_gradient},
    {"ppo", "bandit: the Gibbs distribution", test_ppo_bandit},
    {"ppo", "two steps: the Gibbs distribution of replies", test_ppo_two_steps},
    {"ppo", "tasks: a word, long, short, nothing", test_ppo_tasks},
    {"ppo", "walks back to the reference", test_ppo_returns},
};
