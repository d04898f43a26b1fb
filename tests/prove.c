/* prove.c - visits every binary32 input of every elementary function and shows that the
 * result is the nearest binary32; compares fused multiply-add with exact integers on a
 * thousand million triples. Minutes; `make prove` runs it.
 *
 *   cc -std=c11 -O2 -Itests tests/prove.c -o prove -lpthread
 *   ./prove [--threads N] [fma32|root|exp|log|log1p|sin|cos|sqrt ...]
 *
 * The argument. Each function rounds a binary64 value once. With an error bound of B ulp
 * on that value, the rounded result can only be wrong when the value lies within B ulp of
 * a midpoint of two binary32 neighbours. The bounds in [11] are below 2; the window here is
 * 32. Inside it the true value is computed with 113-bit arithmetic and decides; outside it
 * a sample of inputs is compared with the same arithmetic, to catch a wrong bound.
 * Each line ends with a SHA-256 of all results: of the digests of the results of each 2^16
 * neighbouring inputs, in order of the inputs' bits.
 */
#include "../almost.c"
#include "triples.h"

#if defined(__SIZEOF_FLOAT128__)
typedef __float128 quad; /* + - * / only: no library */
#elif LDBL_MANT_DIG >= 113
typedef long double quad;
#else
#error "prove: this compiler has no 113-bit type; gcc on x86-64 or aarch64 has"
#endif

#define WINDOW 32
#define SAMPLE 10007
#ifndef TRIPLES
#define TRIPLES 1000000000L
#endif

/* ---- the slow, accurate functions: series, far past 100 bits ---- */

static const quad Q_LN2 = (quad)0x1.62e42fefa39efp-1 + (quad)0x1.abc9e3b39803fp-56 +
                          (quad)0x1.7b57a079a1934p-111;
static const quad Q_PIO2[3] = {(quad)0x1.921fb54442d18p+0, (quad)0x1.1a62633145c07p-54,
                               (quad)-0x1.f1976b7ed8fbcp-110};

static quad q_exp(quad x) {
    int n = (int)(x / Q_LN2 + (x < 0 ? -0.5 : 0.5));
    quad r = (x - n * Q_LN2) / 1024, term = 1, sum = 0;
    for (int i = 1; i < 16; i++) { // e^r - 1
        term = term * r / i;
        sum += term;
    }
    for (int i = 0; i < 10; i++) sum = sum * (2 + sum); // (1+s)^2 - 1
    sum += 1;
    for (; n > 0; n--) sum *= 2;
    for (; n < 0; n++) sum /= 2;
    return sum;
}

/* 2 atanh(f/(2+f)) = ln(1+f) for f small, and ln x by halving x until it is. */
static quad q_log_near(quad f) {
    quad s = f / (2 + f), z = s * s, sum = 0;
    for (int i = 61; i >= 1; i -= 2) sum = sum * z + (quad)1 / i;
    return 2 * s * sum;
}
static quad q_log(quad x) {
    int n = 0;
    for (; x > 1.42; n++) x /= 2;
    for (; x < 0.71; n--) x *= 2;
    return q_log_near(x - 1) + n * Q_LN2;
}
static quad q_log1p(quad f) {
    return f > -0.29 && f < 0.42 ? q_log_near(f) : q_log(1 + f);
}

static quad q_trig(quad x, int shift) {
    int n = (int)(x / Q_PIO2[0] + (x < 0 ? -0.5 : 0.5));
    quad r = ((x - n * Q_PIO2[0]) - n * Q_PIO2[1]) - n * Q_PIO2[2];
    int quadrant = (n + shift) & 3;
    quad z = r * r, sum = 0;
    if (quadrant & 1) for (int i = 34; i > 0; i -= 2) sum = -z / (i * (i - 1)) * (1 + sum);
    else for (int i = 35; i > 1; i -= 2) sum = -z / (i * (i - 1)) * (1 + sum);
    sum = (quadrant & 1 ? 1 : r) * (1 + sum);
    return quadrant & 2 ? -sum : sum;
}
static quad q_sin(quad x) { return q_trig(x, 0); }
static quad q_cos(quad x) { return q_trig(x, 1); }

/* Newton from the binary64 root. */
static quad q_sqrt(quad x) {
    quad r = (quad)m_sqrt((double)x);
    for (int i = 0; i < 2; i++) r = (r + x / r) / 2;
    return r;
}

/* ---- the functions under proof: the binary64 value and what is made of it ---- */

static double d_exp(float x) { return exp_f64((double)x); }
static double d_log(float x) { return log_f64((double)x); }
static double d_log1p(float x) { return log_f64(1.0 + (double)x); }
static double d_sin(float x) { return trig_f64((double)x, 0); }
static double d_cos(float x) { return trig_f64((double)x, 1); }
static double d_sqrt(float x) { return m_sqrt((double)x); }
static float v_exp(float x) { return m_exp(x); } // a copy with an address
static float v_sqrt(float x) { return (float)m_sqrt((double)x); }

static int in_exp(float x) { return x >= EXP_ZERO_BELOW && x < 88.73f; }
static int in_log(float x) { return x > 0 && x <= FLT_MAX; }
static int in_log1p(float x) {
    return x > -1 && x <= FLT_MAX && !(x < 0x1p-28f && x > -0x1p-28f);
}
static int in_trig(float x) { return x != 0 && x <= TRIG_LIMIT && x >= -TRIG_LIMIT; }

typedef struct {
    const char *name;
    int (*domain)(float);
    double (*wide)(float);
    float (*fn)(float);
    quad (*truth)(quad);
} proof;

static const proof PROOFS[] = {{"exp", in_exp, d_exp, v_exp, q_exp},
                               {"log", in_log, d_log, m_log, q_log},
                               {"log1p", in_log1p, d_log1p, m_log1p, q_log1p},
                               {"sin", in_trig, d_sin, m_sin, q_sin},
                               {"cos", in_trig, d_cos, m_cos, q_cos},
                               {"sqrt", in_log, d_sqrt, v_sqrt, q_sqrt}};

/* Is y the binary32 nearest to t? Neighbours' midpoints are exact in binary64. */
static int nearest(float y, quad t) {
    if (y - y != 0) return t > 0 && t >= (quad)FLT_MAX + (quad)0x1p103; // overflow
    double up = (double)f32_from_bits(f32_bits(y) + 1),
           down = (double)f32_from_bits(f32_bits(y) - 1);
    quad a = ((quad)y + (quad)up) / 2, b = ((quad)y + (quad)down) / 2;
    return a > b ? t <= a && t >= b : t <= b && t >= a;
}

#define WORKERS 64
#define BLOCK 65536u

typedef struct { long inputs, close, wrong, far; } counts;

typedef struct {
    const proof *p;
    counts n[WORKERS];
    unsigned char (*digest)[32]; /* [65536] of the results of a block of inputs */
} proof_job;

/* One input: its result, counted. */
static float prove_one(const proof *p, float x, int sampled, counts *n) {
    float y = p->fn(x);
    double d = p->wide(x);
    int64_t off = (int64_t)(f64_bits(d) & 0x1FFFFFFF) - 0x10000000;
    int near_midpoint = off <= WINDOW && off >= -WINDOW;
    n->inputs++;
    if (!near_midpoint && !sampled) return y;
    quad t = p->truth((quad)x), e = (t - (quad)d) / t * 0x1p52;
    n->close += near_midpoint;
    n->far += e > 4 || e < -4;
    if (!nearest(y, t) && n->wrong++ < 8)
        printf("%s: misrounded %a -> %a\n", p->name, (double)x, (double)y);
    return y;
}

/* Every level's vector exp of a block that lies in the domain must repeat the scalar one. */
static long prove_levels(const float *in, const float *out, size_t n) {
    static const size_t part = 4096;
    float e[4096];
    long wrong = 0;
    for (size_t l = 0; l < COUNT(KERNELS_LADDER); l++)
        for (size_t i = 0; i < n && kernels_runnable(KERNELS_LADDER[l]->level); i += part) {
            size_t some = MIN(part, n - i);
            KERNELS_LADDER[l]->exp_shift(e, in + i, 0.0f, some);
            wrong += memcmp(e, out + i, some * sizeof *e) != 0;
        }
    return wrong;
}

static void prove_task(void *ctx, size_t begin, size_t end, int worker) {
    proof_job *j = ctx;
    counts n = {0, 0, 0, 0};
    float *out = malloc(3 * BLOCK * sizeof *out), *in = out + BLOCK, *of = in + BLOCK;
    for (size_t b = begin; b < end; b++) {
        size_t inside = 0;
        for (uint32_t i = 0; i < BLOCK; i++) {
            uint32_t u = (uint32_t)b * BLOCK + i;
            float x = f32_from_bits(u);
            out[i] = 0;
            if (!j->p->domain(x)) continue;
            out[i] = prove_one(j->p, x, u % SAMPLE == 0, &n);
            in[inside] = x;
            of[inside++] = out[i];
        }
        if (j->p->fn == v_exp) n.wrong += prove_levels(in, of, inside);
        sha256 h;
        sha256_init(&h);
        sha256_add_f32s(&h, out, BLOCK);
        sha256_end(&h, j->digest[b]);
    }
    free(out);
    j->n[worker].inputs += n.inputs, j->n[worker].close += n.close;
    j->n[worker].wrong += n.wrong, j->n[worker].far += n.far;
}

static int prove(almost *a, const proof *p) {
    static unsigned char digest[65536][32];
    double begun = clock_seconds();
    proof_job j = {.p = p, .digest = digest};
    counts n = {0, 0, 0, 0};
    char hex[65];
    threads_for(a, 65536, 64, prove_task, &j);
    for (int i = 0; i < WORKERS; i++) {
        n.inputs += j.n[i].inputs, n.close += j.n[i].close;
        n.wrong += j.n[i].wrong, n.far += j.n[i].far;
    }
    sha256_hex(digest, sizeof digest, hex);
    printf("%-5s %10ld inputs, %4ld near a midpoint, %ld misrounded, %ld out of bound, %s\n",
           p->name, n.inputs, n.close, n.wrong, n.far, hex);
    fprintf(stderr, "%s: %.0f s\n", p->name, clock_seconds() - begun);
    fflush(stdout);
    return n.wrong || n.far;
}

/* ---- fused multiply-add, and the root for machines without one ---- */

static void triples_task(void *ctx, size_t begin, size_t end, int worker) {
    triple_counts n = {0, 0, 0, 0, 0, 0, 0}, *all = (triple_counts *)ctx + worker;
    for (size_t b = begin; b < end; b++) triple_block(b, &n);
    all->all += n.all, all->ties += n.ties, all->subnormal += n.subnormal;
    all->subnormal_ties += n.subnormal_ties, all->cancelled += n.cancelled;
    all->overflowed += n.overflowed, all->wrong += n.wrong;
}

static int prove_triples(almost *a) {
    static triple_counts all[WORKERS];
    double begun = clock_seconds();
    threads_for(a, TRIPLES / TRIPLE_BLOCK + 1, 64, triples_task, all);
    triple_counts *n = all;
    for (int i = 1; i < WORKERS; i++) {
        n->all += all[i].all, n->ties += all[i].ties, n->subnormal += all[i].subnormal;
        n->subnormal_ties += all[i].subnormal_ties, n->cancelled += all[i].cancelled;
        n->overflowed += all[i].overflowed, n->wrong += all[i].wrong;
    }
    printf("fma32 %10ld triples, %ld ties, %ld subnormal (%ld of them ties), %ld cancelled, "
           "%ld overflowed, %ld wrong at any level\n", n->all, n->ties, n->subnormal,
           n->subnormal_ties, n->cancelled, n->overflowed, n->wrong);
    fprintf(stderr, "fma32: %.0f s\n", clock_seconds() - begun);
    fflush(stdout);
    return n->wrong || !n->ties || !n->subnormal_ties || !n->cancelled || !n->overflowed;
}

/* The binary64 root r of x is right when (r - ulp/2)^2 < x < (r + ulp/2)^2: with x = m*2^2h,
 * m of 105 or 106 bits, and r of 53, that is r^2 - r < m <= r^2 + r. */
static int prove_root(almost *a) {
    rng r = rng_at(1, RNG_TEST, 0);
    long wrong = 0;
    (void)a;
    for (long i = 0; i < 20000000; i++) {
        uint64_t u = rng_u64(&r) & 0x7FFFFFFFFFFFFFFFu;
        if (i & 1) u &= 0x000FFFFFFFFFFFFFu; // subnormal
        double x = f64_from_bits(u);
        if (x - x != 0 || x == 0) continue;
        uint64_t root = f64_bits(sqrt_by_bits(x)), m = u & 0xFFFFFFFFFFFFFu;
        int e = (int)(u >> 52);
        if (e) m |= (uint64_t)1 << 52;
        else for (e = 1; !(m >> 52); e--) m <<= 1;
        uint64_t s = (root & 0xFFFFFFFFFFFFFu) | (uint64_t)1 << 52;
        int h = (int)(root >> 52) - 1075, k = e - 1075 - 2 * h; // x = (m << k)*2^2h
        u128 square = (u128)s * s, exact = (u128)m << MIN(MAX(k, 0), 74);
        wrong += k < 52 || k > 53 || exact > square + s || exact <= square - s;
        wrong += f64_bits(m_sqrt(x)) != root;
    }
    printf("root   20000000 binary64 inputs, %ld wrong\n", wrong);
    return wrong != 0;
}

static const struct { const char *name; int (*run)(almost *a); } OTHERS[] = {
    {"fma32", prove_triples}, {"root", prove_root}};

int main(int argc, char **argv) {
    almost a = {.fail_at = -1};
    int failed = 0, first = 1, threads = 0;
    if (argc > 2 && !strcmp(argv[1], "--threads")) {
        threads = atoi(argv[2]);
        first = 3;
    }
    if (threads_open(&a, MIN(MAX(threads, 0), WORKERS)) != ALMOST_OK) return 1;
    for (size_t i = 0; i < COUNT(OTHERS) + COUNT(PROOFS); i++) {
        int other = i < COUNT(OTHERS), wanted = first == argc;
        const char *name = other ? OTHERS[i].name : PROOFS[i - COUNT(OTHERS)].name;
        for (int j = first; j < argc; j++) wanted |= !strcmp(argv[j], name);
        if (!wanted) continue;
        failed |= other ? OTHERS[i].run(&a) : prove(&a, &PROOFS[i - COUNT(OTHERS)]);
    }
    threads_close(&a);
    return failed;
}
