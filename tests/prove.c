/* prove.c - visits every binary32 input of every elementary function and shows that the
 * result is the nearest binary32. Minutes, one core; `make prove` runs it.
 *
 *   cc -std=c11 -O2 tests/prove.c -o prove -lpthread && ./prove [NAME ...]
 *
 * The argument. Each function rounds a binary64 value once. With an error bound of B ulp
 * on that value, the rounded result can only be wrong when the value lies within B ulp of
 * a midpoint of two binary32 neighbours. The bounds in [11] are below 2; the window here is
 * 32. Inside it the true value is computed with 113-bit arithmetic and decides; outside it
 * a sample of inputs is compared with the same arithmetic, to catch a wrong bound.
 * Each line ends with the SHA-256 of all results in order of the inputs' bits.
 */
#include "../almost.c"

#if defined(__SIZEOF_FLOAT128__)
typedef __float128 quad; /* + - * / only: no library */
#elif LDBL_MANT_DIG >= 113
typedef long double quad;
#else
#error "prove: this compiler has no 113-bit type; gcc on x86-64 or aarch64 has"
#endif

#define WINDOW 32
#define SAMPLE 10007

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

/* ---- the functions under proof: the binary64 value and what is made of it ---- */

static double d_exp(float x) { return exp_f64((double)x); }
static double d_log(float x) { return log_f64((double)x); }
static double d_log1p(float x) { return log_f64(1.0 + (double)x); }
static double d_sin(float x) { return trig_f64((double)x, 0); }
static double d_cos(float x) { return trig_f64((double)x, 1); }
static float v_exp(float x) { return m_exp(x); } // a copy with an address

static int in_exp(float x) { return x >= EXP_ZERO_BELOW && x < 88.73f; }
static int in_log(float x) { return x > 0 && x <= FLT_MAX; }
static int in_log1p(float x) {
    return x > -1 && x <= FLT_MAX && !(x < 0x1p-28f && x > -0x1p-28f);
}
static int in_trig(float x) { return x > 0 && x <= TRIG_LIMIT; } // odd and even by form

typedef struct {
    const char *name;
    int (*domain)(float);
    double (*wide)(float);
    float (*fn)(float);
    quad (*truth)(quad);
} proof;

/* Is y the binary32 nearest to t? Neighbours' midpoints are exact in binary64. */
static int nearest(float y, quad t) {
    if (y - y != 0) return t > 0 && t >= (quad)FLT_MAX + (quad)0x1p103; // overflow
    double up = (double)f32_from_bits(f32_bits(y) + 1),
           down = (double)f32_from_bits(f32_bits(y) - 1);
    quad a = ((quad)y + (quad)up) / 2, b = ((quad)y + (quad)down) / 2;
    return a > b ? t <= a && t >= b : t <= b && t >= a;
}

static int prove(const proof *p) {
    long inputs = 0, close = 0, wrong = 0, far = 0;
    static float out[1 << 16];
    sha256 h;
    unsigned char digest[32];
    char hex[65];
    sha256_init(&h);
    for (uint64_t u = 0; u < (uint64_t)1 << 32; u++) {
        float x = f32_from_bits((uint32_t)u), y = 0;
        if (p->domain(x)) {
            y = p->fn(x);
            double d = p->wide(x);
            int64_t off = (int64_t)(f64_bits(d) & 0x1FFFFFFF) - 0x10000000;
            inputs++;
            if ((off <= WINDOW && off >= -WINDOW) || u % SAMPLE == 0) {
                quad t = p->truth((quad)x), e = (t - (quad)d) / t * 0x1p52;
                close += off <= WINDOW && off >= -WINDOW;
                if (e > 4 || e < -4) far++;
                if (!nearest(y, t) && wrong++ < 8)
                    printf("%s: misrounded %a -> %a\n", p->name, (double)x, (double)y);
            }
        }
        out[u & 0xFFFF] = y;
        if ((u & 0xFFFF) == 0xFFFF) sha256_add_f32s(&h, out, 1 << 16);
    }
    sha256_end(&h, digest);
    text_hex(hex, digest, 32);
    hex[64] = 0;
    printf("%-6s %ld inputs, %ld near a midpoint, %ld misrounded, %ld out of bound, %s\n",
           p->name, inputs, close, wrong, far, hex);
    fflush(stdout);
    return wrong || far;
}

/* fma32_by_odd and sqrt_by_bits against instructions: random bits, then exponents chosen
 * so that the product cancels or ends among the subnormals. */
static int prove_emulation(void) {
    long bad = 0, fused = 0;
    const kernels *k = KERNELS_LADDER[0];
    rng r = rng_at(1, RNG_TEST, 0);
    for (long i = 0; i < 20000000; i++) {
        uint64_t a = rng_u64(&r), b = rng_u64(&r);
        double x = f64_from_bits(i & 1 ? a & 0x000FFFFFFFFFFFFFu : a & 0x7FFFFFFFFFFFFFFFu);
        if (x - x == 0) bad += f64_bits(sqrt_by_bits(x)) != f64_bits(m_sqrt(x));
        uint32_t f = (uint32_t)a, g = (uint32_t)b, c = (uint32_t)(b >> 32);
        if (i & 1) {
            f = (f & 0x807FFFFF) | (uint32_t)(30 + (a >> 32) % 50) << 23;
            g = (g & 0x807FFFFF) | (uint32_t)(40 + (a >> 40) % 50) << 23;
            c &= 0x83FFFFFF;
        }
        if (i & 2) f &= 0xFF8000FF, g &= 0xFF8000FF; // short products: exact halfway cases
        float want = f32_from_bits(c), fa = f32_from_bits(f), fb = f32_from_bits(g);
        float got = fma32_by_odd(fa, fb, want) + 0.0f;
        if (got - got != 0 || !kernels_runnable(k->level) ||
            k->level == ALMOST_KERNELS_SCALAR)
            continue;
        k->chain(1, 1, 1, &fa, 1, 1, &fb, 1, &want, 1, 1);
        fused++;
        bad += f32_bits(got) != f32_bits(want);
    }
    printf("fma32  %ld triples against the %s level, sqrt 20000000: %ld differ\n", fused,
           k->name, bad);
    return bad != 0;
}

int main(int argc, char **argv) {
    static const proof all[] = {{"exp", in_exp, d_exp, v_exp, q_exp},
                                {"log", in_log, d_log, m_log, q_log},
                                {"log1p", in_log1p, d_log1p, m_log1p, q_log1p},
                                {"sin", in_trig, d_sin, m_sin, q_sin},
                                {"cos", in_trig, d_cos, m_cos, q_cos}};
    int failed = argc < 2 ? prove_emulation() : 0;
    for (size_t i = 0; i < COUNT(all); i++) {
        int wanted = argc < 2;
        for (int j = 1; j < argc; j++) wanted |= !strcmp(argv[j], all[i].name);
        if (wanted) failed |= prove(&all[i]);
    }
    return failed;
}
