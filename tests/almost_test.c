/* almost_test.c - the test runner: white box, so it includes the source itself.
 *
 *   cc -std=c11 -O2 tests/almost_test.c -o almost_test -lpthread
 *   ./almost_test [--list] [--seed N] [--dir FOLDER] [NAME ...]
 *
 * A NAME runs the tests whose "group/name" contains it; no NAME runs all.
 * The last line is "N passed, N failed" (checks); the exit code is 0 when none failed.
 */
#include "../almost.c"
#include "test.h"

/* The one list of test files: include it here and add its table below. */
#include "t_foundation.c"
#include "t_numerics.c"
#include "t_formats.c"
#include "t_model.c"
#include "t_generate.c"
#include "t_training.c"
#include "t_world.c"
#include "t_ppo.c"
#include "t_pipeline.c"
#include "t_report.c"

#define GROUP(table) {table, COUNT(table)}
static const struct { const test *tests; size_t n; } GROUPS[] = {
    GROUP(TESTS_FOUNDATION), GROUP(TESTS_NUMERICS), GROUP(TESTS_FORMATS),
    GROUP(TESTS_MODEL),      GROUP(TESTS_GENERATE), GROUP(TESTS_TRAINING),
    GROUP(TESTS_WORLD),      GROUP(TESTS_PPO),      GROUP(TESTS_PIPELINE),
    GROUP(TESTS_REPORT)};

/* 1 when no name was given or "group/name" contains one of them. */
static int test_wanted(const test *t, int names, char **name) {
    char full[256];
    snprintf(full, sizeof full, "%s/%s", t->group, t->name);
    for (int i = 0; i < names; i++)
        if (strstr(full, name[i])) return 1;
    return names == 0;
}

/* Runs one test and returns its milliseconds. */
static int test_run(const test *t) {
    long failed = T.failed, passed = T.passed;
    double start = clock_seconds();
    t->fn();
    int ms = (int)((clock_seconds() - start) * 1e3);
    if (T.failed == failed && T.passed == passed) {
        test_says(0, t->group, 0, "checked nothing");
    }
    printf("%-4s %s/%s  %d ms\n", T.failed == failed ? "ok" : "FAIL", t->group, t->name, ms);
    fflush(stdout);
    return ms;
}

/* The ten slowest so far, slowest first. */
typedef struct {
    const test *t;
    int ms;
} slow_test;

static void slow_note(slow_test slow[10], const test *t, int ms) {
    for (int i = 0; i < 10; i++)
        if (!slow[i].t || slow[i].ms < ms) {
            memmove(slow + i + 1, slow + i, (size_t)(9 - i) * sizeof *slow);
            slow[i].t = t;
            slow[i].ms = ms;
            return;
        }
}

static void slow_print(const slow_test slow[10]) {
    printf("slowest:");
    for (int i = 0; i < 10 && slow[i].t; i++)
        printf("%s %s/%s %d ms", i ? "," : "", slow[i].t->group, slow[i].t->name, slow[i].ms);
    printf("\n");
}

int main(int argc, char **argv) {
    int list = 0, names = 0, ran = 0;
    slow_test slow[10] = {{NULL, 0}};
    T.seed = 1;
    T.dir = "almost-test-files";
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--list")) list = 1;
        else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
            T.seed = strtoull(argv[++i], NULL, 0);
        else if (!strcmp(argv[i], "--dir") && i + 1 < argc)
            T.dir = argv[++i];
        else if (argv[i][0] == '-') {
            fprintf(stderr,
                    "usage: almost_test [--list] [--seed N] [--dir FOLDER] [NAME ...]\n");
            return 2;
        } else
            argv[++names] = argv[i];
    }
    if (!list) {
        almost a;
        test_open(&a);
        if (dir_make(&a, T.dir) != ALMOST_OK) {
            fprintf(stderr, "%s\n", a.message);
            return 1;
        }
        printf("seed %llu, files in %s\n", (unsigned long long)T.seed, T.dir);
    }
    for (size_t g = 0; g < COUNT(GROUPS); g++)
        for (size_t i = 0; i < GROUPS[g].n; i++) {
            const test *t = &GROUPS[g].tests[i];
            if (!test_wanted(t, names, argv + 1)) continue;
            ran++;
            if (list) printf("%s/%s\n", t->group, t->name);
            else slow_note(slow, t, test_run(t));
        }
    if (!ran) {
        fprintf(stderr, "no test has such a name; --list shows them\n");
        return 2;
    }
    if (!list) slow_print(slow);
    if (!list) printf("%ld passed, %ld failed\n", T.passed, T.failed);
    return T.failed != 0;
}
