/* embed.c - an embedder's program: almost.h only, the library linked in. Shows how a model is
 * used and checks what the header promises. Arguments: a language model, a reward model.
 *
 *   cc tests/embed.c almost.c -o embed -lpthread && ./embed weights/S.gguf run-smoke/rm.gguf
 */
#include "../almost.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int passed, failed;

static void check(int ok, const char *what, const almost *a) {
    if (ok) {
        passed++;
        return;
    }
    failed++;
    printf("FAIL %s: %s\n", what, almost_message(a));
}
#define CHECK(a, cond) check((cond) ? 1 : 0, #cond, a)

/* Collects what a reply says, and wants no more than `most` bytes. */
typedef struct {
    char s[4096];
    size_t n, most;
} page;

static int page_write(void *user, const char *s, size_t n) {
    page *p = (page *)user;
    if (p->n + n > p->most) return 1;
    memcpy(p->s + p->n, s, n);
    p->n += n;
    return 0;
}

static void texts(almost *a, almost_model *m) {
    static const char said[] = "Human: What eats a c\xC3\xB6w?\xFF\n";
    size_t n = sizeof said - 1, count = 0, bytes = 0;
    int32_t ids[256];
    char back[256];
    CHECK(a, almost_encode(m, said, n, NULL, 0, &count) == ALMOST_OK && count > 0);
    CHECK(a, almost_encode(m, said, n, ids, 1, &count) == ALMOST_ERR_LIMIT);
    CHECK(a, almost_encode(m, said, n, ids, 256, &count) == ALMOST_OK);
    CHECK(a, almost_decode(m, ids, count, back, 256, &bytes) == ALMOST_OK);
    CHECK(a, bytes == n && !memcmp(back, said, n));
    CHECK(a, almost_encode(m, "", 0, ids, 256, &count) == ALMOST_OK && count == 0);
    ids[0] = almost_model_shape(m).vocab;
    CHECK(a, almost_decode(m, ids, 1, back, 256, &bytes) == ALMOST_ERR_ARGUMENT);
    ids[0] = -1;
    CHECK(a, almost_logits(m, ids, 1, NULL) == ALMOST_ERR_ARGUMENT);
}

/* A prefix has the logits it has alone, to the bit. */
static void logits(almost *a, almost_model *m) {
    int32_t ids[5] = {5, 99, 300, 7, 260};
    size_t vocab = (size_t)almost_model_shape(m).vocab;
    float *x = (float *)malloc(5 * vocab * sizeof *x), *y = (float *)malloc(3 * vocab * sizeof *y);
    if (!x || !y) exit(1);
    CHECK(a, almost_logits(m, ids, 5, x) == ALMOST_OK);
    CHECK(a, almost_logits(m, ids, 3, y) == ALMOST_OK);
    CHECK(a, !memcmp(x, y, 3 * vocab * sizeof *y));
    CHECK(a, almost_logits(m, ids, 0, x) == ALMOST_ERR_LIMIT);
    ids[2] = -1;
    CHECK(a, almost_logits(m, ids, 5, x) == ALMOST_ERR_ARGUMENT);
    free(x);
    free(y);
}

static void replies(almost *a, almost_model *m) {
    static const char ask[] = "Human: What is the capital of France?\n\nAssistant:";
    static const char *const stops[] = {"\n"};
    almost_sampling s = almost_sampling_defaults();
    page one = {{0}, 0, 4096}, two = {{0}, 0, 4096}, little = {{0}, 0, 3};
    CHECK(a, almost_generate(m, ask, sizeof ask - 1, &s, page_write, &one) == ALMOST_OK);
    CHECK(a, almost_generate(m, ask, sizeof ask - 1, NULL, page_write, &two) == ALMOST_OK);
    CHECK(a, one.n > 0 && one.n == two.n && !memcmp(one.s, two.s, one.n));
    CHECK(a, almost_generate(m, ask, sizeof ask - 1, &s, page_write, &little) ==
                 ALMOST_ERR_STOPPED);
    CHECK(a, little.n <= 3);
    s.stops = stops;
    s.n_stops = 1;
    s.temperature = 0;
    one.n = 0;
    CHECK(a, almost_generate(m, ask, sizeof ask - 1, &s, page_write, &one) == ALMOST_OK);
    CHECK(a, !memchr(one.s, '\n', one.n));
    printf("%s%.*s\n", ask, (int)one.n, one.s);
    s.top_p = 2;
    CHECK(a, almost_generate(m, ask, sizeof ask - 1, &s, page_write, &one) ==
                 ALMOST_ERR_ARGUMENT);
}

static void scores(almost *a, almost_model *rm) {
    float x = 0, y = 0;
    CHECK(a, almost_score(rm, "What does a cow eat?", "It eats grass.", &x) == ALMOST_OK);
    CHECK(a, almost_score(rm, "What does a cow eat?", "It eats grass.", &y) == ALMOST_OK);
    CHECK(a, x == y);
    CHECK(a, almost_score(rm, "What does a cow eat?", "Go away.", &y) == ALMOST_OK);
    CHECK(a, x != y);
}

/* The same model from a file and from memory; a damaged one is refused. */
static void loading(almost *a, const char *path) {
    almost_model *m = NULL;
    size_t n = 0, room = 1 << 25;
    char *bytes = (char *)malloc(room);
    FILE *f = fopen(path, "rb");
    if (!bytes || !f) exit(1);
    n = fread(bytes, 1, room, f);
    fclose(f);
    CHECK(a, almost_model_load_memory(a, bytes, n, &m) == ALMOST_OK && m);
    free(bytes); /* the model keeps its own copy */
    if (m) logits(a, m);
    almost_model_free(m);
    CHECK(a, almost_model_load_memory(a, path, strlen(path), &m) == ALMOST_ERR_FORMAT && !m);
    CHECK(a, almost_model_load(a, "no such file", &m) == ALMOST_ERR_IO && !m);
    CHECK(a, almost_model_load(NULL, path, &m) == ALMOST_ERR_ARGUMENT && !m);
    CHECK(a, almost_model_load(a, path, NULL) == ALMOST_ERR_ARGUMENT);
    almost_model_free(NULL);
}

int main(int argc, char **argv) {
    almost *a = NULL;
    almost_model *m = NULL, *rm = NULL;
    float x;
    if (argc != 3 || almost_open(&a, NULL) != ALMOST_OK) return 2;
    CHECK(a, almost_model_load(a, argv[1], &m) == ALMOST_OK);
    CHECK(a, almost_model_load(a, argv[2], &rm) == ALMOST_OK);
    if (m && rm) {
        CHECK(a, almost_model_shape(m).tokenizer == 1 && almost_model_shape(m).head == 0);
        CHECK(a, almost_model_shape(rm).head == 1);
        loading(a, argv[1]);
        texts(a, m);
        logits(a, m);
        replies(a, m);
        scores(a, rm);
        CHECK(a, almost_score(m, "Hi!", "Hello.", &x) == ALMOST_ERR_ARGUMENT);
    }
    almost_model_free(rm);
    almost_model_free(m);
    almost_close(a);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
