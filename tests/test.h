/* test.h - checks that count, and what the test files share. Included after almost.c. */
#ifndef TEST_H
#define TEST_H

typedef struct {
    const char *group, *name;
    void (*fn)(void);
} test;

/* Everything the runner knows; tests read seed and dir. */
static struct {
    long passed, failed; /* checks                                    */
    uint64_t seed;       /* of every random input                     */
    const char *dir;     /* an existing folder for files of the tests */
} T;

static void test_says(int ok, const char *file, int line, const char *what) {
    if (ok) {
        T.passed++;
        return;
    }
    T.failed++;
    printf("%s:%d: %s\n", file, line, what);
}

/* Each check evaluates its arguments once and is 1 if it passed. */
#define CHECK(cond) test_check((cond) ? 1 : 0, __FILE__, __LINE__, #cond)
#define CHECK_STATUS(a, got, want) test_status(a, got, want, __FILE__, __LINE__, #got)
#define CHECK_OK(a, got) test_status(a, got, ALMOST_OK, __FILE__, __LINE__, #got)
#define CHECK_BITS32(got, want) test_bits32(got, want, __FILE__, __LINE__, #got)
#define CHECK_BITS64(got, want) test_bits64(got, want, __FILE__, __LINE__, #got)
#define CHECK_INT(got, want)                                                               \
    test_int((int64_t)(got), (int64_t)(want), __FILE__, __LINE__, #got)
#define CHECK_STR(got, want) test_str(got, want, __FILE__, __LINE__, #got)

static int test_check(int ok, const char *file, int line, const char *what) {
    test_says(ok, file, line, what);
    return ok;
}

static int test_status(const almost *a, almost_status got, almost_status want,
                       const char *file, int line, const char *what) {
    char s[1024];
    snprintf(s, sizeof s, "%s: status %d (%s), expected %d", what, (int)got, a->message,
             (int)want);
    test_says(got == want, file, line, s);
    return got == want;
}

/* Floats are compared as bits: -0 is not +0, and every NaN is itself. */
static ALMOST_MAYBE_UNUSED int test_bits32(float got, float want, const char *file,
                                           int line, const char *what) {
    char s[512];
    snprintf(s, sizeof s, "%s: %.9g = %08lx, expected %.9g = %08lx", what, (double)got,
             (unsigned long)f32_bits(got), (double)want, (unsigned long)f32_bits(want));
    test_says(f32_bits(got) == f32_bits(want), file, line, s);
    return f32_bits(got) == f32_bits(want);
}

static ALMOST_MAYBE_UNUSED int test_bits64(double got, double want, const char *file,
                                           int line, const char *what) {
    char s[512];
    snprintf(s, sizeof s, "%s: %.17g = %016llx, expected %.17g = %016llx", what, got,
             (unsigned long long)f64_bits(got), want, (unsigned long long)f64_bits(want));
    test_says(f64_bits(got) == f64_bits(want), file, line, s);
    return f64_bits(got) == f64_bits(want);
}

static ALMOST_MAYBE_UNUSED int test_int(int64_t got, int64_t want, const char *file,
                                        int line, const char *what) {
    char s[512];
    snprintf(s, sizeof s, "%s: %lld, expected %lld", what, (long long)got, (long long)want);
    test_says(got == want, file, line, s);
    return got == want;
}

static ALMOST_MAYBE_UNUSED int test_str(const char *got, const char *want, const char *file,
                                        int line, const char *what) {
    char s[2048];
    int ok = got && want && !strcmp(got, want);
    snprintf(s, sizeof s, "%s: \"%s\", expected \"%s\"", what, got ? got : "(NULL)",
             want ? want : "(NULL)");
    test_says(ok, file, line, s);
    return ok;
}

/* A context of its own for a test of the sections below the public functions. */
static ALMOST_MAYBE_UNUSED void test_open(almost *a) {
    memset(a, 0, sizeof *a);
    a->fail_at = -1;
}

/* Checks that all memory came back. */
static ALMOST_MAYBE_UNUSED void test_close(almost *a) {
    threads_close(a);
    CHECK_INT(a->bytes, 0);
}

/* Random input number `item` of the running test. */
static ALMOST_MAYBE_UNUSED rng test_rng(uint64_t item) {
    return rng_at(T.seed, RNG_TEST, item);
}

/* The path of a file of the tests; the buffer is the caller's. */
static ALMOST_MAYBE_UNUSED const char *test_path(char out[512], const char *name) {
    if (!path_join(out, 512, T.dir, name)) out[0] = 0;
    return out;
}

/* Runs body with the first, the second, ... allocation failing until it gets through.
 * body must give back all it took, whatever it returns. */
typedef almost_status (*test_body)(almost *a, void *ctx);
static ALMOST_MAYBE_UNUSED void test_each_allocation(test_body body, void *ctx) {
    for (int64_t n = 0; n < 100000; n++) {
        almost a;
        test_open(&a);
        a.fail_at = n;
        almost_status s = body(&a, ctx);
        threads_close(&a);
        if (!CHECK_INT(a.bytes, 0)) break;
        if (s == ALMOST_OK) break;
        if (!CHECK_STATUS(&a, s, ALMOST_ERR_MEMORY)) break;
        CHECK(a.message[0] != 0);
    }
}

/* Calls body with s[n] cut off at every length (all of them up to `most`, then some),
 * and with `most` random bytes changed, one at a time. The copy given to body is
 * exactly as long as it says, so that memory checkers see any read past it. */
typedef void (*test_bytes)(const char *s, size_t n, void *ctx);
static ALMOST_MAYBE_UNUSED void test_hostile(const char *s, size_t n, int most,
                                             test_bytes body, void *ctx) {
    rng r = test_rng(n);
    size_t step = MAX(n / (size_t)most, (size_t)1);
    for (size_t cut = 0; cut < n; cut += step) {
        char *copy = malloc(cut ? cut : 1);
        if (!copy) return;
        memcpy(copy, s, cut);
        body(cut ? copy : "", cut, ctx);
        free(copy);
    }
    for (int i = 0; i < most && n; i++) {
        char *copy = malloc(n);
        if (!copy) return;
        memcpy(copy, s, n);
        copy[rng_below(&r, n)] ^= (char)(1 + rng_below(&r, 255));
        if (i % 2) copy[rng_below(&r, n)] = (char)rng_below(&r, 256);
        body(copy, n, ctx);
        free(copy);
    }
}

#endif
