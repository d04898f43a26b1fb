/* t_numerics.c - sections [11] to [14]: every level against the scalar definitions, the
 * products against naive loops, the orders of sums found out from outside, everything as
 * bits. */
#include "triples.h"

/* Runs f for every level this processor has, in a context of its own. */
static void numerics_levels(void (*f)(almost *a)) {
    for (size_t i = 0; i < COUNT(KERNELS_LADDER); i++) {
        almost a;
        test_open(&a);
        if (kernels_runnable(KERNELS_LADDER[i]->level)) {
            CHECK_OK(&a, kernels_select(&a, KERNELS_LADDER[i]->level));
            f(&a);
        }
        products_close(&a);
        test_close(&a);
    }
}

static float numerics_float(rng *r) { // signs, four decades, 24 random bits
    double u = rng_unit(r) * 2 - 1;
    return (float)(u * (double)(1 << rng_below(r, 12)) / 64);
}

static void test_spot(void) {
    CHECK_BITS32(m_exp(0.0f), 1.0f);
    CHECK_BITS32(m_exp(-0.0f), 1.0f);
    CHECK_BITS32(m_exp(1.0f), 0x1.5bf0a8p+1f);
    CHECK_BITS32(m_exp(-87.33654f), f32_from_bits(0x00800026));
    CHECK_BITS32(m_exp(-87.33655f), 0.0f);
    CHECK_BITS32(m_exp(-1e30f), 0.0f);
    CHECK_BITS32(m_exp(88.72284f), f32_from_bits(0x7F800000));
    CHECK_BITS32(m_exp(0x1p-26f), 1.0f);
    CHECK_BITS32(m_exp(-0x1p-26f), 1.0f);
    CHECK_BITS32(m_log(1.0f), 0.0f);
    CHECK_BITS32(m_log(0x1.2f1fd6p+3f), f32_from_bits(0x400FE5E7));
    CHECK_BITS32(m_log(0.0f), f32_from_bits(0xFF800000));
    CHECK_BITS32(m_log1p(0.0f), 0.0f);
    CHECK_BITS32(m_log1p(-0.0f), -0.0f);
    CHECK_BITS32(m_log1p(1.0f), 0x1.62e430p-1f);
    CHECK_BITS32(m_log1p(0x1.fb035ap-2f), 0x1.9bddc2p-2f);
    CHECK_BITS32(m_sin(0x1.33333p+13f), f32_from_bits(0xBEB1FA5D));
    CHECK_BITS32(m_sin(1000.0f), f32_from_bits(0x3F53AE61));
    CHECK_BITS32(m_cos(1000.0f), f32_from_bits(0x3F0FF813));
    CHECK_BITS32(m_sin(-0.0f), -0.0f);
    CHECK_BITS32(m_cos(0.0f), 1.0f);
    CHECK_BITS64(m_sqrt(2.0), 0x1.6a09e667f3bcdp+0);
    CHECK_BITS32(m_rope_freq(10000.0f, 0, 64), 1.0f);
    CHECK_BITS32(m_rope_freq(10000.0f, 16, 64), 0.01f);
    CHECK_BITS32(m_rope_freq(10000.0f, 8, 64), 0.1f);
    CHECK_BITS32(m_rope_freq(65536.0f, 1, 8), 0.0625f);
    CHECK_BITS32(m_rope_freq(500000.0f, 63, 128), f32_from_bits(0x3624C2FF));
}

/* Directed fma triples; a thousand million more in prove.c. */
static void test_fma(void) {
    rng r = test_rng(0);
    CHECK_BITS32(fma32_by_odd((1 + 0x1p-23f) * 0x1p-75f, (1 - 0x1p-23f) * 0x1p-75f,
                              0x1p-127f + 0x1p-149f), f32_from_bits(0x00400001));
    CHECK_BITS32(fma32_by_odd(0x1p-100f, 0x1p-49f, 0x1p-149f), 0x1p-148f);
    CHECK_BITS32(fma32_by_odd(0x1p-100f, 0x1p-50f, 0.0f), 0.0f); // a tie to even
    CHECK_BITS32(fma32_by_odd(0x1.8p-100f, 0x1p-50f, 0.0f), 0x1p-149f);
    CHECK_BITS32(fma32_by_odd(-0.0f, 1.0f, -0.0f), -0.0f);
    CHECK_BITS32(fma32_by_odd(3.0f, 1.0f, -3.0f), 0.0f);
    CHECK_BITS32(fma32_by_odd(0x1p100f, 0x1p100f, 1.0f), f32_from_bits(0x7F800000));
#if defined(__SIZEOF_INT128__)
    triple_counts n = {0, 0, 0, 0, 0, 0, 0}; // every level against exact integers
    for (uint64_t block = 0; block < 2000; block++) triple_block(rng_u64(&r), &n);
    CHECK_INT(n.wrong, 0);
    CHECK(n.ties > 1000 && n.subnormal_ties > 100 && n.cancelled > 100 && n.overflowed > 100);
#endif
}

static void test_sqrt(void) {
    rng r = test_rng(1);
    long bad = 0;
    for (int i = 0; i < 200000; i++) {
        double x = f64_from_bits(rng_u64(&r) >> 1);
        if (x - x != 0) continue;
        double s = sqrt_by_bits(x);
        bad += f64_bits(s) != f64_bits(m_sqrt(x));
    }
    CHECK_INT(bad, 0);
    CHECK_BITS64(sqrt_by_bits(0x1p-1074), 0x1p-537);
    CHECK_BITS64(sqrt_by_bits(-0.0), -0.0);
    CHECK_BITS64(sqrt_by_bits(4.0), 2.0);
}

/* All kernels of a level, lengths 0..67, operands at odd addresses. */
static void numerics_level(almost *a) {
    static float room[TRIAL_IN + 16];
    static trial want, got;
    for (size_t n = 0; n <= 67; n++) {
        float *in = room + n % 16;
        for (uint32_t i = 0; i < TRIAL_IN; i++)
            in[i] = trial_input(i, (uint32_t)(n + T.seed));
        memset(&want, 0, sizeof want);
        memset(&got, 0, sizeof got);
        kernels_trial(&KERNELS_SCALAR, in, n, &want);
        kernels_trial(a->k, in, n, &got);
        if (!CHECK(!memcmp(&want, &got, sizeof want))) {
            printf("  level %s, length %d\n", a->k->name, (int)n);
            if (memcmp(want.chain, got.chain, sizeof want.chain)) printf("  chain\n");
            for (int i = 0; i < 16; i++)
                if (memcmp(want.y[i], got.y[i], sizeof want.y[i]))
                    printf("  vector %d\n", i);
            for (int i = 0; i < 5; i++)
                if (want.sum[i] != got.sum[i]) printf("  sum %d\n", i);
            if (memcmp(want.q, got.q, sizeof want.q)) printf("  fix\n");
            break;
        }
    }
}
static void test_levels(void) { numerics_levels(numerics_level); }

/* chain: every m, every n, several depths, strides, both starts, against the formula; and
 * nothing written outside m by n. */
static void numerics_chain(almost *a) {
    enum { LD = PANEL + 3 };
    static float A[64 * 64], B[64 * LD], C[(CHAIN_MR + 1) * LD], D[(CHAIN_MR + 1) * LD];
    static const size_t depths[] = {0, 1, 2, 7, 33};
    rng r = test_rng(2);
    for (size_t i = 0; i < COUNT(A); i++) A[i] = numerics_float(&r);
    for (size_t i = 0; i < COUNT(B); i++) B[i] = numerics_float(&r);
    long bad = 0;
    for (size_t m = 1; m <= CHAIN_MR; m++)
        for (size_t n = 1; n <= PANEL; n++) {
            size_t k = depths[(m + n) % COUNT(depths)], am = n % 2 ? 1 : 40;
            size_t ak = am == 1 ? CHAIN_MR + n % 2 : 1;
            int acc = (int)(m & 1);
            for (size_t i = 0; i < COUNT(C); i++) C[i] = D[i] = numerics_float(&r);
            a->k->chain(m, n, k, A, am, ak, B, LD, C, LD, acc, NULL);
            for (size_t i = 0; i < m; i++)
                for (size_t j = 0; j < n; j++) {
                    float c = acc ? D[i * LD + j] : 0.0f;
                    for (size_t t = 0; t < k; t++)
                        c = fma32_by_odd(A[i * am + t * ak], B[t * LD + j], c);
                    D[i * LD + j] = c + 0.0f;
                }
            bad += memcmp(C, D, sizeof C) != 0;
        }
    CHECK_INT(bad, 0);
    // a zero has the plus sign, and terms that multiply by zero are neutral
    float zero[2] = {-0.0f, 0.0f}, x[2] = {1.0f, -3.0f}, c = -0.0f;
    a->k->chain(1, 1, 2, zero, 1, 1, x, 1, &c, 1, 1, NULL);
    CHECK_BITS32(c, 0.0f);
}
static void test_chain(void) { numerics_levels(numerics_chain); }

/* weave: as many chains of one row, and nothing written beside them. */
static void numerics_weave(almost *a) {
    enum { LD = PANEL + 3, K = 33, APART = K * LD };
    static float A[WEAVE * K], B[WEAVE * APART], C[WEAVE * LD], D[WEAVE * LD];
    rng r = test_rng(3);
    long bad = 0;
    for (size_t i = 0; i < COUNT(A); i++) A[i] = numerics_float(&r);
    for (size_t i = 0; i < COUNT(B); i++) B[i] = numerics_float(&r);
    for (size_t jobs = 1; a->k->weave && jobs <= WEAVE; jobs++)
        for (size_t n = 1; n <= PANEL; n++) {
            size_t k = n % 2 ? K : 0, aj = n % 3 ? K : 0, bj = n % 5 ? APART : PANEL;
            int acc = (int)(n >> 1 & 1);
            for (size_t i = 0; i < COUNT(C); i++) C[i] = D[i] = numerics_float(&r);
            a->k->weave(jobs, n, k, A, aj, B, bj, LD, C, LD, acc);
            for (size_t j = 0; j < jobs; j++)
                a->k->chain(1, n, k, A + j * aj, 0, 1, B + j * bj, LD, D + j * LD, 0, acc, NULL);
            bad += memcmp(C, D, sizeof C) != 0;
        }
    CHECK_INT(bad, 0);
}
static void test_weave(void) { numerics_levels(numerics_weave); }

/* ---- the order of a sum, recovered from outside ----
 * One term is huge, one is minus that, the others are ones. A one survives exactly if it
 * joins the sum where the huge ones do not hide it, that is if it is not below the node of
 * the summation tree where the two meet. The number of survivors for every pair of places
 * is the tree; it must be the contract's. */

#define HUGE_TERM 0x1p100f

/* Ones but for two places. */
static void order_terms(float *x, size_t n, size_t huge, size_t minus) {
    for (size_t i = 0; i < n; i++) x[i] = 1.0f;
    x[huge] = HUGE_TERM;
    x[minus] = -HUGE_TERM;
}

/* Survivors by the contract: CHAIN keeps what comes after the later of the two. */
static size_t order_chain(size_t n, size_t i, size_t j) { return n - 1 - MAX(i, j); }

/* LANE8: two places of one lane meet in it, places of two lanes in the least of the tree's
 * sets that has both; everything in there up to that point is hidden. */
static size_t order_lane8(size_t n, size_t i, size_t j) {
    static const unsigned sets[] = {1u << 0 | 1u << 4, 1u << 2 | 1u << 6, 1u << 1 | 1u << 5,
                                    1u << 3 | 1u << 7, 0x55, 0xAA, 0xFF};
    unsigned both = 1u << i % 8 | 1u << j % 8;
    size_t hidden = 0, s = 0;
    if (i % 8 == j % 8) return n - 1 - MAX(i, j) / 8;
    while ((sets[s] & both) != both) s++;
    for (size_t k = 0; k < n; k++) hidden += sets[s] >> k % 8 & 1;
    return n - hidden;
}

/* Every pair of places of sums up to 41 terms: the kernels of one level. */
static void numerics_order(almost *a) {
    enum { N = 41 };
    float x[N], one[N * PANEL], dw[N] = {0}, dx[N], C[PANEL];
    const kernels *k = a->k;
    long bad[5] = {0};
    for (size_t i = 0; i < N * PANEL; i++) one[i] = 1.0f;
    for (size_t pair = 0; pair < N * N; pair++) {
        size_t i = pair / N, j = pair % N, n = N - pair % 3, free_at = 0;
        if (i == j || i >= n || j >= n) continue;
        order_terms(x, n, i, j);
        for (size_t c = 0; c < PANEL; c++) C[c] = 1.0f; // continued: one more place in front
        k->chain(1, PANEL, n, x, 1, 1, one, PANEL, C, PANEL, 1, NULL);
        for (size_t c = 0; c < PANEL; c++) bad[0] += C[c] != (float)order_chain(n, i, j);
        k->chain(1, 1 + pair % PANEL, n, x, 1, 1, one, PANEL, C, PANEL, 0, NULL);
        bad[1] += C[pair % PANEL] != (float)order_chain(n, i, j);
        bad[2] += k->lane8_sum(x, n) != (double)order_lane8(n, i, j);
        bad[3] += k->lane8_dot(one, x, n) != (double)order_lane8(n, i, j);
        while (free_at == i || free_at == j) free_at++;
        k->rms_back(dx, dw, x, one, one, 1.0f, n); // dx = t - f32(LANE8(t)/n)
        bad[4] += dx[free_at] != 1.0f - (float)((double)order_lane8(n, i, j) / (double)n);
    }
    for (int i = 0; i < 5; i++) CHECK_INT(bad[i], 0);
    float y = 1 + 0x1p-12f, z = -(1 + 0x1p-11f); // and each term is fused
    k->chain(1, 1, 1, &y, 1, 1, &y, 1, &z, 1, 1, NULL);
    CHECK_BITS32(z, 0x1p-24f);
}
static void test_order(void) { numerics_levels(numerics_order); }

/* Sums that cannot cancel (squares, exponentials): one term beside which each of the others
 * is lost alone and kept in company; the bits must be those of eight lanes and the tree. */
static void numerics_order_positive(almost *a) {
    enum { N = 41 };
    float x[N], e[N];
    int64_t q[N];
    long bad = 0;
    for (size_t i = 0; i < N; i++) {
        double lane[3][8] = {{0}};
        for (size_t j = 0; j < N; j++) {
            x[j] = i == j ? 0.0f : -37.0f;
            q[j] = i == j ? (int64_t)1 << 58 : (int64_t)1 << 32;
        }
        double z = a->k->exp_shift(e, x, 0.0f, N), s = a->k->fix_sumsq(q, N, 0x1p-32);
        for (size_t j = 0; j < N; j++) x[j] = i == j ? 0x1p27f : 1.0f;
        for (size_t j = 0; j < N; j++) {
            lane[0][j % 8] += (double)m_exp(i == j ? 0.0f : -37.0f);
            lane[1][j % 8] += i == j ? 0x1p52 : 1.0;
            lane[2][j % 8] += i == j ? 0x1p54 : 1.0;
        }
        double sum[3];
        for (int s3 = 0; s3 < 3; s3++) {
            const double *l = lane[s3];
            sum[s3] = ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]));
        }
        bad += z != sum[0] || s != sum[1] || a->k->lane8_sumsq(x, N) != sum[2];
    }
    CHECK_INT(bad, 0);
}
static void test_order_positive(void) { numerics_levels(numerics_order_positive); }

/* The three products, over every border of their blocks: pairs of places at random and at
 * multiples of 32. X is [M, K] of probes, every weight 1. */
static void numerics_order_products(almost *a) {
    enum { M = 66, K = 4500, N = 40 };
    float *X = malloc(M * K * sizeof *X), *Y = malloc(M * N * sizeof *Y);
    float *one = malloc(N * K * sizeof *one);
    int64_t *Q = calloc(weight_floats(N, 1), sizeof *Q);
    weight w = {WEIGHT_F32, N, K, calloc(weight_floats(N, K), sizeof(float))};
    weight t = {WEIGHT_F32, K, N, calloc(weight_floats(K, N), sizeof(float))};
    size_t at[M][2], granule[3] = {0, K / 3, K};
    long bad[3] = {0};
    rng r = test_rng(7);
    for (size_t i = 0; i < N * K; i++) one[i] = 1.0f;
    weight_pack(&w, one);
    weight_pack(&t, one);
    for (size_t i = 0; i < M; i++) {
        for (int p = 0; p < 2; p++)
            at[i][p] = i % 2 ? rng_below(&r, K) : 32 * rng_below(&r, K / 32) + (size_t)p;
        at[i][1] += at[i][1] == at[i][0];
        order_terms(X + i * K, K, at[i][0], at[i][1] %= K);
    }
    CHECK_OK(a, mm_forward(a, Y, N, X, K, &w, M, 0));
    for (size_t i = 0; i < M * N; i++)
        bad[0] += Y[i] != (float)order_chain(K, at[i / N][0], at[i / N][1]);
    CHECK_OK(a, mm_dinput(a, Y, N, X, K, &t, M, 0));
    for (size_t i = 0; i < M * N; i++)
        bad[1] += Y[i] != (float)order_chain(K, at[i / N][0], at[i / N][1]);
    weight v = {WEIGHT_F32, N, 1, NULL}; // rows of X as tokens; two granules, cut at K/3
    for (size_t i = 0; i < M; i++) {
        size_t cut = granule[1], x = at[i][0], y = at[i][1], lost = MAX(x, y) + 1;
        if ((x < cut) != (y < cut)) continue;
        memset(Q, 0, weight_floats(N, 1) * sizeof *Q);
        CHECK_OK(a, mm_dweight(a, Q, &v, X + i * K, 1, one, N, granule, 2));
        if (x >= cut) lost -= cut;
        for (size_t n = 0; n < N; n++) bad[2] += Q[n] != (int64_t)(K - lost) << 32;
    }
    for (int i = 0; i < 3; i++) CHECK_INT(bad[i], 0);
    free(X), free(Y), free(one), free(Q), free(w.data), free(t.data);
}
static void test_order_products(void) { numerics_levels(numerics_order_products); }

/* ---- products against loops ---- */

typedef struct {
    size_t M, N, K, ldx, ldy, granule[5];
    float *X, *Y, *W, *y, *x;
    int64_t *q;
    weight w;
} numerics_case;

static float *numerics_floats(size_t n, rng *r) {
    float *p = malloc((n + 1) * sizeof *p);
    for (size_t i = 0; p && i < n; i++) p[i] = numerics_float(r);
    return p;
}

/* The reference results: y = chain over k from y, x = chain over n from x, q = FIX. */
static void numerics_naive(numerics_case *c, int acc) {
    for (size_t i = 0; i < c->M; i++)
        for (size_t j = 0; j < c->N; j++) {
            float s = acc ? c->y[i * c->ldy + j] : 0.0f;
            for (size_t t = 0; t < c->K; t++)
                s = fma32(c->X[i * c->ldx + t], c->W[j * c->K + t], s);
            c->y[i * c->ldy + j] = s + 0.0f;
        }
    for (size_t i = 0; i < c->M; i++)
        for (size_t t = 0; t < c->K; t++) {
            float s = acc ? c->x[i * c->ldx + t] : 0.0f;
            for (size_t j = 0; j < c->N; j++)
                s = fma32(c->Y[i * c->ldy + j], c->W[j * c->K + t], s);
            c->x[i * c->ldx + t] = s + 0.0f;
        }
    memset(c->q, 0, weight_floats(c->N, c->K) * sizeof *c->q);
    for (size_t g = 0; g < 4; g++)
        for (size_t j = 0; j < c->N && c->granule[g + 1] > c->granule[g]; j++)
            for (size_t t = 0; t < c->K; t++) {
                float s = 0;
                for (size_t i = c->granule[g]; i < c->granule[g + 1]; i++)
                    s = fma32(c->X[i * c->ldx + t], c->Y[i * c->ldy + j], s);
                fix_add_scalar(&c->q[(j / PANEL * c->K + t) * PANEL + j % PANEL], &s, 1);
            }
}

static void numerics_products(almost *a, numerics_case *c, int acc, rng *r) {
    size_t xs = c->M * c->ldx, ys = c->M * c->ldy, ws = weight_floats(c->N, c->K);
    c->y = numerics_floats(ys, r);
    c->x = numerics_floats(xs, r);
    float *y = malloc((ys + 1) * sizeof *y), *x = malloc((xs + 1) * sizeof *x);
    int64_t *q = calloc(ws, sizeof *q);
    c->q = malloc(ws * sizeof *q);
    memcpy(y, c->y, ys * sizeof *y);
    memcpy(x, c->x, xs * sizeof *x);
    numerics_naive(c, acc);
    CHECK_OK(a, mm_forward(a, y, c->ldy, c->X, c->ldx, &c->w, c->M, acc));
    CHECK_OK(a, mm_dinput(a, x, c->ldx, c->Y, c->ldy, &c->w, c->M, acc));
    CHECK_OK(a, mm_dweight(a, q, &c->w, c->X, c->ldx, c->Y, c->ldy, c->granule, 4));
    int ok =
        CHECK(!memcmp(y, c->y, ys * sizeof *y)) & CHECK(!memcmp(x, c->x, xs * sizeof *x));
    if (!(CHECK(!memcmp(q, c->q, ws * sizeof *q)) & ok))
        printf("  %s: %d x %d x %d\n", a->k->name, (int)c->M, (int)c->N, (int)c->K);
    free(q), free(c->q), free(x), free(c->x), free(y), free(c->y);
}

static void numerics_shapes(almost *a) {
    static const size_t shapes[][3] = {{1, 33, 7},    {2, 32, 31},   {5, 64, 64},
                                       {17, 40, 300}, {64, 33, 100}, {65, 70, 513},
                                       {130, 65, 34}, {200, 32, 1},  {300, 31, 60},
                                       {66, 4100, 3}, {3, 1, 700},   {90, 96, 64}};
    rng r = test_rng(3);
    size_t some = a->k->level == ALMOST_KERNELS_SCALAR ? 8 : COUNT(shapes);
    for (size_t i = 0; i < some; i++) {
        numerics_case c = {.M = shapes[i][0], .N = shapes[i][1], .K = shapes[i][2]};
        c.ldx = i % 3 ? c.K + i : 1024;
        c.ldy = i % 4 ? c.N + 5 : (c.N + 511) / 512 * 512;
        size_t cuts[5] = {0, c.M / 5, c.M / 5, c.M - c.M / 3, c.M};
        memcpy(c.granule, cuts, sizeof cuts);
        c.X = numerics_floats(c.M * c.ldx, &r);
        c.Y = numerics_floats(c.M * c.ldy, &r);
        c.W = numerics_floats(c.N * c.K, &r);
        c.w =
            (weight){WEIGHT_F32, c.N, c.K, calloc(weight_floats(c.N, c.K), sizeof(float))};
        weight_pack(&c.w, c.W);
        numerics_products(a, &c, (int)(i % 2), &r);
        float *rows = malloc(c.N * c.K * sizeof *rows);
        weight_unpack(&c.w, rows);
        CHECK(!memcmp(rows, c.W, c.N * c.K * sizeof *rows));
        free(rows), free(c.w.data), free(c.W), free(c.Y), free(c.X);
    }
}
static void test_products(void) { numerics_levels(numerics_shapes); }

/* Threads 1, 2, 3, 5: the same bits, all three products. */
static void test_product_threads(void) {
    enum { M = 333, N = 200, K = 150 };
    rng r = test_rng(4);
    float *X = numerics_floats(M * K, &r), *G = numerics_floats(M * N, &r);
    float *W = numerics_floats(N * K, &r), *y[2], *x[2];
    int64_t *q[2];
    weight w = {WEIGHT_F32, N, K, calloc(weight_floats(N, K), sizeof(float))};
    size_t granule[4] = {0, 100, 227, M};
    weight_pack(&w, W);
    for (int i = 0; i < 2; i++) {
        y[i] = calloc(M * N, sizeof(float));
        x[i] = calloc(M * K, sizeof(float));
        q[i] = malloc(weight_floats(N, K) * sizeof(int64_t));
    }
    static const int threads[] = {1, 2, 3, 5};
    for (int i = 0; i < 4; i++) {
        almost a;
        test_open(&a);
        CHECK_OK(&a, kernels_select(&a, ALMOST_KERNELS_AUTO));
        CHECK_OK(&a, threads_open(&a, threads[i]));
        int to = i > 0;
        memset(q[to], 0, weight_floats(N, K) * sizeof(int64_t));
        CHECK_OK(&a, mm_forward(&a, y[to], N, X, K, &w, M, 0));
        CHECK_OK(&a, mm_dinput(&a, x[to], K, G, N, &w, M, 0));
        CHECK_OK(&a, mm_dweight(&a, q[to], &w, X, K, G, N, granule, 3));
        CHECK(!to || !memcmp(y[0], y[1], M * N * sizeof(float)));
        CHECK(!to || !memcmp(x[0], x[1], M * K * sizeof(float)));
        CHECK(!to || !memcmp(q[0], q[1], weight_floats(N, K) * sizeof(int64_t)));
        // a batch is its rows: any number of them alone gives the same rows
        for (size_t m = 1; m < 40; m += 13) {
            CHECK_OK(&a, mm_forward(&a, y[1], N, X + 7 * K, K, &w, m, 0));
            CHECK(!memcmp(y[0] + 7 * N, y[1], m * N * sizeof(float)));
        }
        products_close(&a);
        test_close(&a);
    }
    for (int i = 0; i < 2; i++) free(y[i]), free(x[i]), free(q[i]);
    free(w.data), free(W), free(G), free(X);
}

/* Small integers are exact in every order: chain, LANE8 and FIX must equal integer sums. */
static void numerics_integers(almost *a) {
    enum { N = 500 };
    static float x[N], y[N];
    int64_t dot = 0, sum = 0, most = -99, q = 0;
    rng r = test_rng(5);
    for (int i = 0; i < N; i++) {
        int64_t u = (int64_t)rng_below(&r, 41) - 20, v = (int64_t)rng_below(&r, 41) - 20;
        x[i] = (float)u;
        y[i] = (float)v;
        dot += u * v;
        sum += u;
        most = MAX(most, u);
    }
    float c = 0;
    a->k->chain(1, 1, N, x, 1, 1, y, 1, &c, 1, 0, NULL);
    CHECK_INT(c, dot);
    CHECK_INT(a->k->lane8_dot(x, y, N), dot);
    CHECK_INT(a->k->lane8_sum(x, N), sum);
    CHECK_INT(a->k->max(x, N), most);
    for (int i = 0; i < N; i++) a->k->fix_add(&q, x + i, 1);
    CHECK_INT(q, sum * ((int64_t)1 << 32));
}
static void test_integers(void) { numerics_levels(numerics_integers); }

/* FIX: the order of contributions is gone, and what does not fit is flagged. */
static void numerics_fix(almost *a) {
    enum { N = 67, TIMES = 40 };
    static float g[TIMES][N];
    static int64_t q[N], p[N];
    uint32_t order[TIMES];
    rng r = test_rng(6);
    for (uint32_t i = 0; i < TIMES; i++) {
        order[i] = i;
        for (int j = 0; j < N; j++)
            g[i][j] = numerics_float(&r) * (i % 5 ? 1e-6f : 4000.0f);
    }
    memset(q, 0, sizeof q);
    for (int i = 0; i < TIMES; i++) CHECK_INT(a->k->fix_add(q, g[i], N), 0);
    for (int round = 0; round < 5; round++) {
        rng_shuffle(&r, order, TIMES);
        memset(p, 0, sizeof p);
        for (int i = 0; i < TIMES; i++) a->k->fix_add(p, g[order[i]], N);
        CHECK(!memcmp(p, q, sizeof p));
    }
    static const uint32_t bad[] = {0x48800000, 0xC8800000, 0x7F800000, 0xFF800000,
                                   0x7FC00000};
    for (size_t i = 0; i < COUNT(bad); i++)
        for (size_t at = 0; at < N; at += 11) {
            float had = g[0][at];
            g[0][at] = f32_from_bits(bad[i]);
            CHECK(a->k->fix_add(p, g[0], N) != 0);
            g[0][at] = had;
        }
    g[0][3] = 0x1.fffffep+17f; // the largest that fits
    CHECK_INT(a->k->fix_add(p, g[0], N), 0);
    weight w = {WEIGHT_F32, 1, 1, NULL};
    float huge = 1e6f;
    size_t granule[2] = {0, 1};
    int64_t Q[PANEL] = {0};
    CHECK_STATUS(a, mm_dweight(a, Q, &w, &huge, 1, &huge, 1, granule, 1),
                 ALMOST_ERR_NUMERIC);
    fail_clear(a);
}
static void test_fix(void) { numerics_levels(numerics_fix); }

/* FIX in any partition: contributions dealt out at random to workers, each summing in an
 * order of its own, workers joined in any order; as many of the largest as are allowed; and
 * one that does not fit is seen whoever meets it. */
static void numerics_partitions(almost *a) {
    enum { N = 19, TIMES = 64, WORKERS = 7 };
    static float g[TIMES][N];
    static int64_t whole[N], part[WORKERS][N], sum[N];
    uint32_t order[TIMES];
    rng r = test_rng(8);
    memset(whole, 0, sizeof whole);
    for (uint32_t i = 0; i < TIMES; i++) {
        order[i] = i;
        for (int j = 0; j < N; j++)
            g[i][j] = numerics_float(&r) * (i % 3 ? 0x1p-30f : i % 2 ? 8191.0f : 1.0f);
        CHECK_INT(a->k->fix_add(whole, g[i], N), 0);
    }
    for (int round = 0; round < 20; round++) {
        int bad = (int)rng_below(&r, TIMES), seen = 0;
        float had = g[bad][round % N];
        memset(part, 0, sizeof part);
        memset(sum, 0, sizeof sum);
        rng_shuffle(&r, order, TIMES);
        for (int i = 0; i < TIMES; i++)
            a->k->fix_add(part[rng_below(&r, WORKERS)], g[order[i]], N);
        for (int w = round; w < round + WORKERS; w++)
            for (int j = 0; j < N; j++) sum[j] += part[w % WORKERS][j];
        CHECK(!memcmp(sum, whole, sizeof sum));
        g[bad][round % N] = round % 2 ? 0x1p18f : -0x1p18f;
        for (int i = 0; i < TIMES; i++)
            seen += a->k->fix_add(part[rng_below(&r, WORKERS)], g[order[i]], N) != 0;
        CHECK_INT(seen, 1);
        g[bad][round % N] = had;
    }
    float most[2] = {0x1.fffffep+17f, -0x1.fffffep+17f};
    int64_t ends[2] = {0, 0}; // 2^13 of them: +-(2^63 - 2^39)
    for (int i = 0; i < 8192; i++) CHECK_INT(a->k->fix_add(ends, most, 2), 0);
    CHECK(ends[0] == INT64_MAX - ((int64_t)1 << 39) + 1 && ends[1] == -ends[0]);
}
static void test_partitions(void) { numerics_levels(numerics_partitions); }

/* Softmax of a row and SwiGLU stay finite and right at the ends of the range. */
static void numerics_ends(almost *a) {
    float x[19], e[19], h[19], u[19];
    for (int i = 0; i < 19; i++) {
        x[i] = (float)(i - 9) * 40.0f;
        u[i] = 1.0f;
    }
    float m = a->k->max(x, 19);
    CHECK_BITS32(m, 360.0f);
    CHECK_BITS64(a->k->exp_shift(e, x, m, 19),
                 1.0 + (double)m_exp(-40) + (double)m_exp(-80));
    CHECK_BITS32(e[0], 0.0f);
    a->k->swiglu(h, x, u, 19);
    CHECK_BITS32(h[18], 360.0f);
    CHECK_BITS32(h[0], -0.0f);
    CHECK_BITS32(h[9], 0.0f);
}
static void test_ends(void) { numerics_levels(numerics_ends); }

static void numerics_selftest(almost *a) {
    CHECK_OK(a, kernels_selftest(a));
    CHECK_STATUS(a, kernels_select(a, (almost_kernels)99), ALMOST_ERR_ARGUMENT);
    fail_clear(a);
}
static void test_selftest(void) { numerics_levels(numerics_selftest); }

/* The probes see a changed environment. */
#if defined(ALMOST_X86)
static void test_environment(void) {
    fpenv had = fpenv_enter();
    static const struct { unsigned bits; const char *probe; } set[] = {
        {0x8000, "subnormals"}, {0x0040, "subnormals"}, {0x2000, "rounding mode"},
        {0x4000, "rounding mode"}, {0x6000, "rounding mode"}};
    for (size_t i = 0; i < COUNT(set); i++) {
        almost a;
        test_open(&a);
        CHECK_OK(&a, kernels_select(&a, ALMOST_KERNELS_AUTO));
        _mm_setcsr(_mm_getcsr() | set[i].bits);
        almost_status s = kernels_selftest(&a);
        _mm_setcsr(_mm_getcsr() & ~set[i].bits);
        CHECK_STATUS(&a, s, ALMOST_ERR_FPENV);
        test_close(&a);
    }
    fpenv_leave(had);
}
#endif

static almost_status numerics_memory(almost *a, void *ctx) {
    float X[40], Y[40];
    int64_t Q[64] = {0};
    size_t granule[2] = {0, 4};
    weight *w = ctx;
    almost_status s = kernels_select(a, ALMOST_KERNELS_AUTO);
    memset(X, 0, sizeof X);
    memset(Y, 0, sizeof Y);
    if (s == ALMOST_OK) s = mm_forward(a, Y, 10, X, 10, w, 4, 0);
    if (s == ALMOST_OK) s = mm_dinput(a, X, 10, Y, 10, w, 4, 0);
    if (s == ALMOST_OK) s = mm_dweight(a, Q, w, X, 10, Y, 10, granule, 1);
    products_close(a);
    return s;
}
static void test_product_memory(void) {
    float panels[64] = {0};
    weight w = {WEIGHT_F32, 3, 2, panels};
    test_each_allocation(numerics_memory, &w);
    CHECK_INT(weight_floats(SIZE_MAX, 3), 0);
    CHECK_INT(weight_floats(SIZE_MAX / 2, SIZE_MAX / 2), 0);
}

static const test TESTS_NUMERICS[] = {
    {"numerics", "spot", test_spot},
    {"numerics", "fma", test_fma},
    {"numerics", "sqrt", test_sqrt},
    {"numerics", "levels", test_levels},
    {"numerics", "chain", test_chain},
    {"numerics", "weave", test_weave},
    {"numerics", "order", test_order},
    {"numerics", "order-positive", test_order_positive},
    {"numerics", "order-products", test_order_products},
    {"numerics", "products", test_products},
    {"numerics", "product-threads", test_product_threads},
    {"numerics", "integers", test_integers},
    {"numerics", "fix", test_fix},
    {"numerics", "partitions", test_partitions},
    {"numerics", "ends", test_ends},
    {"numerics", "selftest", test_selftest},
#if defined(ALMOST_X86)
    {"numerics", "environment", test_environment},
#endif
    {"numerics", "product-memory", test_product_memory},
};
