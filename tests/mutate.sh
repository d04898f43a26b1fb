#!/bin/sh
# Deliberate numeric errors: each mutant is almost.c with one exact text replaced, built and
# run through `kat` up to the first line that is not the golden one; there must be one. A
# mutant whose text no longer occurs exactly once is a failure, and so is one that survives.
# The self-test at start, which would refuse many of them, is taken out first. Built by tcc
# where that is installed (vectors: gcc -O0), because sixty compilations take their time.
#
#   sh tests/mutate.sh [NAME...]
cd "$(dirname "$0")/.." || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
. tests/lib.sh
wanted=" $* "
almost=${ALMOST:-./almost}
cp almost.h "$tmp"

# swap IN OUT OLD NEW: the one occurrence of OLD becomes NEW.
swap() {
    OLD=$3 NEW=$4 awk 'BEGIN { RS = "\001" } {
        old = ENVIRON["OLD"]; at = index($0, old)
        if (!at || index(substr($0, at + 1), old)) exit 1
        printf "%s%s%s", substr($0, 1, at - 1), ENVIRON["NEW"], substr($0, at + length(old))
    }' "$1" >"$2"
}

quick="gcc -std=c11 -ffp-contract=off -O0 -w"
if command -v tcc >/dev/null; then quick="tcc -std=c11 -w"; fi

build() { # build LEVEL FILE PROGRAM
    case $1 in scalar | auto) with=$quick ;; *) with="gcc -std=c11 -ffp-contract=off -O0 -w" ;; esac
    $with -DALMOST_MAIN "$2" -o "$3" -lpthread
}

# first_red GOLDEN: the name of the first line that is not the golden one; reads no further.
first_red() {
    awk 'NR == FNR { want[n++] = $0; next }
        $0 != want[i++] { print $1; found = 1; exit }
        END { if (!found && i < n) { split(want[i], w, " "); print w[1] } }' "$1" -
}

# mutant NAME LEVEL OLD NEW: kat at that kernel level must print another line.
mutant() {
    case "$wanted" in "  " | *" $1 "*) ;; *) return ;; esac
    $almost selftest --kernels "$2" >/dev/null 2>&1 || { echo "$1: no $2 here"; return; }
    if ! swap "$tmp/base.c" "$tmp/mutant.c" "$3" "$4"; then
        bad "$1: its text does not occur exactly once: $3"
    elif ! build "$2" "$tmp/mutant.c" "$tmp/mutant" 2>"$tmp/err"; then
        bad "$1: does not compile: $(grep -m1 error "$tmp/err")"
    else
        red=$(stdbuf -oL "$tmp/mutant" kat --kernels "$2" 2>"$tmp/err" | first_red "$tmp/golden")
        if [ -n "$red" ]; then ok; else bad "$1: survives"; fi
        printf '%-26s %-7s %s\n' "$1" "$2" "${red:-SURVIVES}"
    fi
}

swap almost.c "$tmp/half.c" 'if (!probes[i].holds())' 'if (0)' &&
    swap "$tmp/half.c" "$tmp/base.c" 'if (strcmp(digest, TRIAL_DIGEST))' 'if (0)' ||
    { echo "the self-test is not where it was" >&2; exit 1; }
$almost kat >"$tmp/golden" || exit 1
build auto "$tmp/base.c" "$tmp/base" || exit 1
equal "without a mutation nothing is red" "$("$tmp/base" kat | first_red "$tmp/golden")" ""

# ---- the chain: order, fusing, precision, zeros
mutant swap-k scalar '                c[j] = fma32(A[i * am + t * ak], B[t * ldb + j], c[j]);' \
    '                c[j] = fma32(A[i * am + (k - 1 - t) * ak], B[(k - 1 - t) * ldb + j], c[j]);'
mutant split-k scalar '        for (size_t j = 0; j < n; j++) C[i * ldc + j] = c[j] + 0.0f;
    }' '        for (size_t j = 0; j < n; j++) { float x = acc ? C[i * ldc + j] : 0, y = 0;
            for (size_t t = 0; t < k; t++) if (t < k / 2) x = fma32(A[i * am + t * ak], B[t * ldb + j], x);
                else y = fma32(A[i * am + t * ak], B[t * ldb + j], y);
            C[i * ldc + j] = (x + y) + 0.0f; }
    }'
mutant unfuse-chain scalar 'c[j] = fma32(A[i * am + t * ak], B[t * ldb + j], c[j]);' \
    'c[j] = f32_keep(A[i * am + t * ak] * B[t * ldb + j]) + c[j];'
mutant chain-in-double scalar '        float c[PANEL];
        for (size_t j = 0; j < n; j++) c[j] = acc ? C[i * ldc + j] : 0.0f;
        for (size_t t = 0; t < k; t++)
            for (size_t j = 0; j < n; j++)
                c[j] = fma32(A[i * am + t * ak], B[t * ldb + j], c[j]);' '        double c[PANEL];
        for (size_t j = 0; j < n; j++) c[j] = acc ? C[i * ldc + j] : 0.0f;
        for (size_t t = 0; t < k; t++)
            for (size_t j = 0; j < n; j++) c[j] += (double)A[i * am + t * ak] * B[t * ldb + j];'
mutant flush-chain scalar 'C[i * ldc + j] = c[j] + 0.0f;' \
    'C[i * ldc + j] = c[j] < 0x1p-126f && c[j] > -0x1p-126f ? 0 : c[j];'
mutant keep-minus-zero scalar 'C[i * ldc + j] = c[j] + 0.0f;' 'C[i * ldc + j] = c[j];'
mutant restart-at-block auto 'p->acc || b->t0 > 0, i < few' \
    'p->acc, i < few'
mutant pad-k auto 'for (size_t r = 0; r < rows; r++) att_softmax(k, p + r * ldp, i + r + 1, i + rows);' \
    'for (size_t r = 0; r < rows; r++) att_softmax(k, p + r * ldp, i + rows, i + rows);'

# ---- fused multiply-add without the instruction
mutant fma-rounds-twice scalar 'double p = f64_keep((double)a * (double)b);
    double s' 'double p = f32_keep(a * b);
    double s'
mutant fma-halfway-only scalar 'if (!halfway && exponent >= 1023 - 126) return (float)s;' \
    'if (!halfway) return (float)s;'
mutant fma-odd-wrong-way scalar 'u += (s > 0) == (e > 0) ? (uint64_t)1 : (uint64_t)-1;' \
    'u += (s > 0) != (e > 0) ? (uint64_t)1 : (uint64_t)-1;'

# ---- vectors
mutant sse2-no-odd sse2 's = _mm_castsi128_pd(_mm_add_epi64(u, step));' 's = _mm_castsi128_pd(u);'
mutant avx2-unfused avx2 'c1[i] = _mm256_fmadd_ps(a, b1, c1[i]);' \
    'c1[i] = _mm256_add_ps(mul8(a, b1), c1[i]);'
mutant avx2-minus-zero avx2 'c0[i] = _mm256_add_ps(c0[i], zero);' ''
mutant avx2-lanes-merged avx2 '        a = _mm256_add_pd(a, low4d(_mm256_loadu_ps(x + i)));
        b = _mm256_add_pd(b, high4d(_mm256_loadu_ps(x + i)));' \
    '        a = _mm256_add_pd(a, low4d(_mm256_loadu_ps(x + i)));
        a = _mm256_add_pd(a, high4d(_mm256_loadu_ps(x + i)));'
mutant avx2-fix-truncates avx2 '__m256i v = _mm256_castpd_si256(_mm256_add_pd(t, rounder));' \
    '__m256i v = _mm256_castpd_si256(_mm256_add_pd(_mm256_floor_pd(t), rounder));'

mutant avx512-unfused avx512 'c1[i] = _mm512_fmadd_ps(a, b1, c1[i]);' \
    'c1[i] = _mm512_add_ps(mul16(a, b1), c1[i]);'
mutant avx512-norm-unfused avx512 \
    '_mm512_fmadd_ps(d, mul16(v, r), _mm512_maskz_loadu_ps(in, dw + i));' \
    '_mm512_add_ps(mul16(d, mul16(v, r)), _mm512_maskz_loadu_ps(in, dw + i));'
mutant avx512-minus-zero avx512 'hi, _mm512_add_ps(c1[i], zero));' 'hi, c1[i]);'

# ---- rows: trees, lanes, association
mutant wrong-tree scalar 'return ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]));' \
    'return ((l[0] + l[1]) + (l[2] + l[3])) + ((l[4] + l[5]) + (l[6] + l[7]));'
mutant one-lane scalar 'for (size_t i = 0; i < n; i++) lane[i & 7] += (double)x[i];
    return lane8_fold(lane);
}

/* The product' 'for (size_t i = 0; i < n; i++) lane[0] += (double)x[i];
    return lane8_fold(lane);
}

/* The product'
mutant four-lanes scalar 'for (size_t i = 0; i < n; i++) lane[i & 7] += f64_keep((double)x[i] * (double)y[i]);
    return lane8_fold(lane);
}

static double lane8_sumsq_scalar' 'for (size_t i = 0; i < n; i++) lane[i & 3] += f64_keep((double)x[i] * (double)y[i]);
    return lane8_fold(lane);
}

static double lane8_sumsq_scalar'
mutant max-minus-zero scalar 'return m + 0.0f;' 'return m;'
mutant softmax-divides auto 'k->scale(s, s, (float)(1.0 / z), n);' \
    'for (size_t i = 0; i < n; i++) s[i] = s[i] / (float)z;'
mutant norm-association scalar 'for (size_t i = 0; i < n; i++) y[i] = (x[i] * inv) * w[i];
    return inv;
}

/* forward' 'for (size_t i = 0; i < n; i++) y[i] = (x[i] * w[i]) * inv;
    return inv;
}

/* forward'
mutant norm-padded-mean scalar 'double mean = lane8_sumsq_scalar(x, n) / (double)n;' \
    'double mean = lane8_sumsq_scalar(x, n) / (double)((n + 7) / 8 * 8);'
mutant norm-root-in-float scalar 'float inv = (float)(1.0 / m_sqrt(mean + (double)eps));
    for (size_t i = 0; i < n; i++) y' 'float inv = 1.0f / (float)m_sqrt(mean + (double)eps);
    for (size_t i = 0; i < n; i++) y'
mutant sigmoid-one-branch scalar 'float e = m_exp(g >= 0 ? -g : g);
    return (g >= 0 ? 1.0f : e) / (1.0f + e);' 'return 1.0f / (1.0f + m_exp(-g));'
mutant rope-fused scalar 'x[2 * i] = f32_keep(a * c) - f32_keep(b * s);' \
    'x[2 * i] = fma32(a, c, -f32_keep(b * s));'
mutant attention-factor-ulp auto 'k->scale(q + t * ld, q + t * ld, factor, G * S);
        }
        att_panels' 'k->scale(q + t * ld, q + t * ld, factor * 1.0000001f, G * S);
        }
        att_panels'
mutant logprob-association auto 't.logp = (xt - m) - logz;' 't.logp = xt - (m + logz);'

# ---- elementary functions
mutant exp-short scalar 'double q = f64_keep(r * odd) + even;
    double p = 1.0' 'double q = f64_keep(r * (odd - EXP_POLY[1][0] * z * z * z)) + even;
    double p = 1.0'
mutant exp-keeps-tiny scalar '#define EXP_ZERO_BELOW (-87.33654f)' '#define EXP_ZERO_BELOW (-90.0f)'
mutant log-sum-not-odd auto 'return f64_add_odd(f64_keep(k * LN2_HI), f - (half - low));' \
    'return f64_keep(k * LN2_HI) + (f - (half - low));'
mutant log1p-exception auto 'if (x == 0x1.fb035ap-2f) return 0x1.9bddc2p-2f;' ''
mutant sin-two-part-pi auto '#define PIO2_2 0x1.0b4611a600000p-34' '#define PIO2_2 0x1.0b00000000000p-34'

# ---- fixed point
mutant round-half-up scalar 'double t = f64_keep((fits ? (double)g[i] : 0.0) * FIX_SCALE) + F64_ROUNDER;
        q[i] +=' 'double t = f64_keep((fits ? (double)g[i] : 0.0) * FIX_SCALE + 0x1p-20) + F64_ROUNDER;
        q[i] +='
mutant fix-wider-range scalar '#define FIX_LIMIT 262144.0f' '#define FIX_LIMIT 524288.0f'
mutant fix-coarser scalar '#define FIX_SCALE 4294967296.0' '#define FIX_SCALE 2147483648.0'
mutant granules-joined auto 'p->begins = r == first;' 'p->begins = r == o->granule[0];'

# ---- optimiser
mutant adamw-fused scalar 'float mi = drop_tiny(f32_keep(s->b1 * m[i]) + f32_keep(s->nb1 * g));' \
    'float mi = drop_tiny(fma32(s->b1, m[i], f32_keep(s->nb1 * g)));'
mutant moments-fade scalar 'float vi = drop_tiny(f32_keep(s->b2 * v[i]) + f32_keep(s->nb2 * f32_keep(g * g)));' \
    'float vi = f32_keep(s->b2 * v[i]) + f32_keep(s->nb2 * f32_keep(g * g));'
mutant eps-inside-root scalar 'float root = (float)m_sqrt((double)f32_keep(vi * s->c2));' \
    'float root = (float)m_sqrt((double)f32_keep(vi * s->c2) + (double)s->eps);'
mutant clip-ulp auto '(float)(c->clip / norm) : 1.0f;' \
    '(float)(c->clip / norm) * 1.0000001f : 1.0f;'
mutant correction-ulp auto 'o->b2_pow *= (double)c->beta2;' 'o->b2_pow *= (double)c->beta2 * 1.0000001;'

# ---- draws, order, ties
mutant nine-rounds auto 'for (int round = 0; round < 10; round++) {
        uint64_t p = (uint64_t)0xD2511F53u' 'for (int round = 0; round < 9; round++) {
        uint64_t p = (uint64_t)0xD2511F53u'
mutant modulo-bias auto 'return u64_mul_high(x, n);' 'return n ? x % n : 0;'
mutant reseed-by-slot auto 'uint64_t draw = rng_draw(g->c->seed, RNG_TOKEN, q->sample, (uint32_t)s->n);' \
    'uint64_t draw = rng_draw(g->c->seed, RNG_TOKEN, i, (uint32_t)s->n);'
mutant same-order-each-epoch auto '(uint64_t)stage << 32 | epoch);' '(uint64_t)stage << 32);'
mutant unstable-ties auto '    for (size_t i = 0; i < n; i++) {
        uint32_t keep = w[i] > c.least;' '    for (size_t i = n; i-- > 0;) {
        uint32_t keep = w[i] > c.least;'
mutant greedy-last auto 'while (i + 1 < n && x[i] != m) i++;' 'i = n - 1; while (i && x[i] != m) i--;'
mutant nucleus-floor auto '((uint64_t)s->top_p * total + 65535) >> 16;' '(uint64_t)s->top_p * total >> 16;'
mutant pick-weightless auto 'while ((sum += w[i]) <= r) i++;' 'while ((sum += w[i]) < r) i++;'
mutant weights-truncated auto 'w[i] = (uint32_t)f64_bits((double)e[i] * 1073741824.0 + magic);' \
    'w[i] = (uint32_t)((double)e[i] * 1073741824.0);'
mutant temperature-reciprocal auto 'for (size_t i = 0; i < n; i++) y[i] = x[i] / t;' \
    'for (size_t i = 0; i < n; i++) y[i] = x[i] * (1 / t);'

# ---- objectives and PPO
mutant gae-association auto 'float delta = (reward[t] + ahead) - value[t];' \
    'float delta = reward[t] + (ahead - value[t]);'
mutant whiten-n-minus-1 auto 'double var = k->lane8_sumsq(x, n) / (double)n;' \
    'double var = k->lane8_sumsq(x, n) / (double)(n - 1);'
mutant ratio-of-exps auto 't.ratio = m_exp(lp - old);' 't.ratio = m_exp(lp) / m_exp(old);'
mutant dpo-sums-in-float auto 'sum[i >= first] += (double)s->logp[i];' \
    'sum[i >= first] = (float)(sum[i >= first] + (double)s->logp[i]);'
mutant mean-of-samples auto '    t->units += n;
    tally_fixed(t, "loss", loss, n);' '    t->units += 1;
    tally_fixed(t, "loss", loss, n);'
done_testing
