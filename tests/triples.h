/* triples.h - fused multiply-add against exact integer arithmetic, on triples directed at
 * what goes wrong: halfway cases, subnormal midpoints, cancellation, overflow. Needs 128-bit
 * integers; included after almost.c. */
#ifndef TRIPLES_H
#define TRIPLES_H

/* How often the hard cases occurred: a direction that misses its aim shows here. */
typedef struct {
    long all, ties, subnormal, subnormal_ties, cancelled, overflowed, wrong;
} triple_counts;

#if defined(__SIZEOF_INT128__)
__extension__ typedef unsigned __int128 u128;

/* |x| = m*2^e, m < 2^24 an integer; x finite. */
static uint64_t triple_split(float x, int *e) {
    uint32_t u = f32_bits(x) & 0x7FFFFFFF;
    *e = (int)(u >> 23) - 150 + (u < 1u << 23);
    return u < 1u << 23 ? u : (u & 0x7FFFFF) | 0x800000;
}

/* s*2^e (s > 0, its lowest bit may stand for all that lies below) to nearest, ties to even. */
static uint32_t triple_round(u128 s, int e, triple_counts *n) {
    int bits = s >> 64 ? 128 - __builtin_clzll((uint64_t)(s >> 64))
                       : 64 - __builtin_clzll((uint64_t)s);
    int drop = MAX(bits - 24, -149 - e);
    n->subnormal += bits + e <= -126;
    if (drop > 126) return 0; // below half of the least subnormal
    if (drop > 0) {
        u128 rest = s & (((u128)1 << drop) - 1), half = (u128)1 << (drop - 1);
        n->ties += rest == half;
        n->subnormal_ties += rest == half && bits + e <= -126;
        s = (s >> drop) + (rest > half || (rest == half && (s >> drop & 1)));
        e += drop;
    }
    uint64_t m = (uint64_t)s; // at most 2^24
    if (!m) return 0;
    for (; m < 1u << 23 && e > -149; e--) m <<= 1;
    for (; m >= 1u << 24; e++) m >>= 1; // 2^24 itself: exact
    if (e > 104) {
        n->overflowed++;
        return 0x7F800000;
    }
    return m < 1u << 23 ? (uint32_t)m : (uint32_t)(e + 150) << 23 | ((uint32_t)m & 0x7FFFFF);
}

/* The bits of round(a*b + c), a, b, c finite, by integers alone; a zero comes out as +0. */
static uint32_t triple_exact(float a, float b, float c, triple_counts *n) {
    int ea, eb, e;
    uint64_t ma = triple_split(a, &ea), mb = triple_split(b, &eb), mc = triple_split(c, &e);
    u128 p = (u128)ma * mb, q = mc; // p*2^ep + q*2^e
    int ep = ea + eb, far = ep - e;
    uint32_t sp = (f32_bits(a) ^ f32_bits(b)) >> 31, sc = f32_bits(c) >> 31;
    if (!p || !q) far = 0, e = p ? ep : e;
    else if (far > 70) p <<= 70, q = 1, e = ep - 70; // q only says "a little more"
    else if (far >= 0) p <<= far;
    else if (far >= -90) q <<= -far, e = ep;
    else q <<= 90, p = 1, e -= 90;
    n->all++;
    if (sp == sc) p += q;
    else if (p >= q) p -= q;
    else p = q - p, sp = sc;
    if (!ma || !mb) sp = sc;
    n->cancelled += !p && q;
    uint32_t u = p ? triple_round(p, e, n) : 0;
    return u ? u | sp << 31 : 0;
}

/* splitmix64: fast and good enough to aim with. */
static uint64_t triple_random(uint64_t *at) {
    uint64_t z = *at += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* A factor: kind 0 any finite bits; else a mantissa that is random, short, or next to a power
 * of two, and an exponent such that products of two of a block lie near 2^(2*middle). */
static float triple_factor(uint64_t r, int kind, int middle) {
    uint32_t m = (uint32_t)r & 0x7FFFFF, e = (uint32_t)(127 + middle + (int)(r >> 23 & 15) - 8);
    if (kind == 0) return f32_from_bits((uint32_t)(r & 0x807FFFFF) | (r >> 23 & 0xFF) % 255 << 23);
    if (kind == 1) m &= 0x7F0000;
    if (kind == 2) m = r >> 40 & 1 ? m & 7 : 0x7FFFFF - (m & 7);
    return f32_from_bits((uint32_t)(r >> 63) << 31 | MIN(MAX(e, 1u), 254u) << 23 | m);
}

/* A summand for the product x = a*b: any; of the size that makes the product about half of
 * its last place; nearly -x; subnormal. */
static float triple_summand(uint64_t r, double x) {
    uint32_t m = (uint32_t)r & 0x7FFFFF, sign = (uint32_t)(r >> 23 & 1) << 31;
    int e = (int)(f64_bits(x) >> 52 & 0x7FF) - 1023, kind = (int)(r >> 24 & 3);
    if (kind == 0) return triple_factor(r >> 24, 0, 0);
    if (kind == 3 || e < -160) return f32_from_bits(sign | m >> (r >> 32) % 23);
    if (kind == 2) return f32_from_bits(MIN(f32_bits((float)-x), 0xFF7FFFF0u) ^ (r >> 32 & 3));
    e += 24 + (int)(r >> 32 & 3) - 1 + 127;
    return f32_from_bits(e <= 0 ? sign | m : sign | (uint32_t)MIN(e, 254) << 23 | m);
}

enum { TRIPLE_BLOCK = CHAIN_MR * PANEL };

/* One block of triples: each exactly, by fma32_by_odd, and by the chain of every level. */
static void triple_block(uint64_t seed, triple_counts *n) {
    static const int middles[] = {-75, -74, -70, -66, 0, 20, 63, -40};
    float a[CHAIN_MR], b[PANEL], c[TRIPLE_BLOCK], got[TRIPLE_BLOCK];
    uint32_t want[TRIPLE_BLOCK];
    uint64_t at = seed * 0xD1342543DE82EF95u, r = triple_random(&at);
    int kind = (int)(r & 3), middle = middles[r >> 2 & 7];
    for (int i = 0; i < CHAIN_MR; i++)
        a[i] = triple_factor(triple_random(&at), kind, middle);
    for (int j = 0; j < PANEL; j++)
        b[j] = triple_factor(triple_random(&at), kind ? 1 + (int)(r >> 8) % 3 : 0, middle);
    for (int i = 0; i < TRIPLE_BLOCK; i++) {
        float x = a[i / PANEL], y = b[i % PANEL];
        c[i] = triple_summand(triple_random(&at), (double)x * (double)y);
        if ((f32_bits(c[i]) & 0x7F800000) == 0x7F800000) c[i] = 1;
        want[i] = triple_exact(x, y, c[i], n);
        n->wrong += f32_bits(fma32_by_odd(x, y, c[i]) + 0.0f) != want[i];
    }
    for (size_t l = 0; l < COUNT(KERNELS_LADDER); l++) {
        if (!kernels_runnable(KERNELS_LADDER[l]->level)) continue;
        memcpy(got, c, sizeof c);
        KERNELS_LADDER[l]->chain(CHAIN_MR, PANEL, 1, a, 1, 1, b, PANEL, got, PANEL, 1, NULL);
        for (int i = 0; i < TRIPLE_BLOCK; i++) n->wrong += f32_bits(got[i]) != want[i];
    }
}
#endif
#endif
