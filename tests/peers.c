/* peers.c - our speed beside that of others, in turns in one run. tests/peers.sh builds it.
 *
 *   peers products [ROUNDS]        f32 products, by OpenBLAS and oneDNN too
 *   peers model FILE               writes a model of 110M parameters, f32, random weights
 *   peers replies FILE THREADS     one turn of 512 tokens of prompt, one of 64 new tokens
 *
 * One line a sample, parted by tabs: the work, threads, unit, whose the other speed is, our
 * speed, theirs ("replies" leaves it out: peers.sh runs the other program), the machine's limit
 * measured in the same turn.
 */
#include "../almost.c"
#include <cblas.h>
#if defined(PEERS_ONEDNN)
#include <oneapi/dnnl/dnnl.h>
#endif
#include <omp.h>
#include <time.h>

/* ---- products: Y[M,N] = X[M,K] W', W of N outputs by K inputs ----
 * Ours takes W as our models keep it, in panels; the others take rows and bring them into an
 * order of their own in every call. */

typedef struct {
    almost *a;
    weight w;
    size_t rows;
    float *x, *plain, *y[2]; /* y: ours, theirs */
} peer_product;

static almost_status by_almost(void *ctx) {
    peer_product *p = ctx;
    return mm_forward(p->a, p->y[0], p->w.n, p->x, p->w.k, &p->w, p->rows, 0);
}

static almost_status by_openblas(void *ctx) {
    peer_product *p = ctx;
    int M = (int)p->rows, N = (int)p->w.n, K = (int)p->w.k;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, M, N, K, 1, p->x, K, p->plain, K, 0,
                p->y[1], N);
    return ALMOST_OK;
}

#if defined(PEERS_ONEDNN)
static almost_status by_onednn(void *ctx) {
    peer_product *p = ctx;
    dnnl_dim_t M = (dnnl_dim_t)p->rows, N = (dnnl_dim_t)p->w.n, K = (dnnl_dim_t)p->w.k;
    return dnnl_sgemm('N', 'T', M, N, K, 1, p->x, K, p->plain, K, 0, p->y[1], N)
               ? ALMOST_ERR_ARGUMENT : ALMOST_OK;
}
#endif

typedef struct { char name[96]; almost_status (*work)(void *ctx); } peer;

/* The others, with their versions; how many. */
static size_t peers_known(peer *p) {
    size_t n = 0;
    char config[64] = "";
    sscanf(openblas_get_config(), "%63s %63s", config, config); // "OpenBLAS 0.3.21 ..."
    snprintf(p[n].name, sizeof p->name, "OpenBLAS %s (%s)", config, openblas_get_corename());
    p[n++].work = by_openblas;
#if defined(PEERS_ONEDNN)
    const dnnl_version_t *v = dnnl_version();
    snprintf(p[n].name, sizeof p->name, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    p[n++].work = by_onednn;
#endif
    return n;
}

/* Calls per second of one turn. The threads of the one before it spin for some time; the
 * first call wakes ours or theirs. */
static almost_status peer_turn(almost_status (*work)(void *), void *ctx, double *rate) {
    struct timespec pause = {0, 60000000};
    speed_job j = {.work = work, .ctx = ctx};
    double seconds;
    nanosleep(&pause, NULL);
    TRY(work(ctx));
    return speed_turn(&j, rate, &seconds);
}

/* Both must have computed the same, up to the order of sums. */
static almost_status peer_same(const peer_product *p, const char *name) {
    for (size_t i = 0; i < p->rows * p->w.n; i++) {
        double ours = p->y[0][i], theirs = p->y[1][i];
        if (!(ours - theirs < 1e-3 && theirs - ours < 1e-3))
            return fail(p->a, ALMOST_ERR_NUMERIC, "element %zu: %g, by %s %g", i, ours, name,
                        theirs);
    }
    return ALMOST_OK;
}

/* One round: limit, ours, theirs, limit for each of the others; who begins alternates. */
static almost_status peer_round(speeds *b, peer_product *p, int round) {
    peer who[2];
    size_t n = peers_known(who);
    int threads = threads_count(b->a);
    double flop = 2e-9 * (double)p->rows * (double)p->w.n * (double)p->w.k;
    for (size_t i = 0; i < n; i++) {
        double rate[2], limit = speed_limit(b, 0, threads, SPEED_LIMIT_SECONDS);
        for (int k = 0; k < 2; k++) {
            int theirs = (round + k) % 2;
            TRY(peer_turn(theirs ? who[i].work : by_almost, p, &rate[theirs]));
        }
        limit = (limit + speed_limit(b, 0, threads, SPEED_LIMIT_SECONDS)) / 2;
        TRY(peer_same(p, who[i].name));
        printf("product %zux%zux%zu\t%d\tGFLOP/s\t%s\t%g\t%g\t%g\n", p->rows, p->w.k, p->w.n,
               threads, who[i].name, rate[0] * flop, rate[1] * flop, limit);
    }
    return ALMOST_OK;
}

static almost_status peer_products(speeds *b, int rounds, size_t M, size_t K, size_t N) {
    peer_product p = {.a = b->a, .w = {WEIGHT_F32, N, K, NULL}, .rows = M};
    arena_mark empty = {NULL, 0};
    p.w.data = speed_floats(b, weight_floats(N, K), 1);
    p.x = speed_floats(b, M * K, 1);
    p.plain = speed_floats(b, N * K, 1);
    for (int i = 0; i < 2; i++) p.y[i] = speed_floats(b, M * N, 1);
    if (!p.w.data || !p.x || !p.plain || !p.y[0] || !p.y[1]) return ALMOST_ERR_MEMORY;
    weight_pack(&p.w, p.plain);
    almost_status s = ALMOST_OK;
    for (int i = 0; i < rounds && s == ALMOST_OK; i++) s = peer_round(b, &p, i);
    arena_reset(&b->r, empty);
    return s;
}

/* ---- a model both programs read ---- */

static const speed_case LARGE = {"", 1, NULL, {SHAPE_110M}};

/* A vocabulary of that size, learned from words of random letters. */
static almost_status peer_words(almost *a, int vocab, tokenizer **out) {
    text t;
    rng g = rng_at(4, RNG_TEST, 0);
    text_init(&t, a);
    while (t.n < 3000000 && t.st == ALMOST_OK)
        text_char(&t, rng_below(&g, 7) ? (char)('a' + rng_below(&g, 26)) : ' ');
    almost_status s = text_status(&t);
    if (s == ALMOST_OK) s = tok_train(a, t.s, t.n, vocab, out);
    text_free(&t);
    return s;
}

static almost_status peer_model(speeds *b, const char *path) {
    model *m;
    TRY(speed_model(b, &LARGE, &m));
    almost_status s = peer_words(b->a, m->s.vocab, &m->tok);
    if (s == ALMOST_OK && tok_vocab(m->tok) != m->s.vocab)
        s = fail(b->a, ALMOST_ERR_ARGUMENT, "%d tokens learned", tok_vocab(m->tok));
    if (s == ALMOST_OK) s = model_save(m, path, GGUF_F32);
    model_free(m);
    return s;
}

#define PEER_TOKENS 64 /* of one reply, as in the other program's turn */

static almost_status peer_reply(void *ctx) {
    for (int i = 0; i < PEER_TOKENS; i++) TRY(speed_decode_once(ctx));
    return ALMOST_OK;
}

/* One turn of `feed` tokens a call, the first call not counted. */
static almost_status peer_decode(speeds *b, model *m, const char *what, size_t feed) {
    speed_decoding p = {.count = 1, .feed = feed};
    speed_job j = speed_decode_job(b, &m->s, &p);
    speed_figure f = {0, 0, 0};
    if (feed == 1)
        j.work = peer_reply, j.units *= PEER_TOKENS, j.gbyte *= PEER_TOKENS;
    almost_status s = speed_decode_open(b, m, &p);
    if (s == ALMOST_OK) s = j.work(&p);
    if (s == ALMOST_OK) s = speed_measure(b, &j, 1, &f);
    if (s == ALMOST_OK) printf("%s\t%d\ttok/s\t%g\t%g\n", what, j.threads, f.value, f.limit);
    kv_close(&p.cache[0]);
    decoder_close(p.d);
    return s;
}

static almost_status peer_replies(speeds *b, const char *path) {
    model *m;
    TRY(model_load(b->a, path, &m));
    almost_status s = peer_decode(b, m, "prompt of 512, 110M f32", 512);
    if (s == ALMOST_OK) s = peer_decode(b, m, "64 new tokens, 110M f32", 1);
    model_free(m);
    return s;
}

/* ---- */

/* Everything for one number of threads. */
static int peers_run(int argc, char **argv, int threads) {
    almost_options o = {.threads = threads};
    speeds b = {0};
    almost_status s = almost_open(&b.a, &o);
    if (s != ALMOST_OK) return 1;
    arena_init(&b.r, b.a);
    arena_init(&b.shared, b.a);
    int rounds = argc > 2 ? atoi(argv[2]) : 9;
    openblas_set_num_threads(threads);
    omp_set_num_threads(threads);
    if (!strcmp(argv[1], "products")) s = peer_products(&b, rounds, 1024, 1024, 1024);
    if (!strcmp(argv[1], "products") && s == ALMOST_OK)
        s = peer_products(&b, rounds, 2048, 256, 768);
    if (!strcmp(argv[1], "model")) s = peer_model(&b, argv[2]);
    if (!strcmp(argv[1], "replies")) s = peer_replies(&b, argv[2]);
    if (s != ALMOST_OK) fprintf(stderr, "peers: %s\n", almost_message(b.a));
    arena_free(&b.r);
    arena_free(&b.shared);
    almost_close(b.a);
    return s != ALMOST_OK;
}

int main(int argc, char **argv) {
    if (argc < 2 || (strcmp(argv[1], "products") && argc < 3)) return 2;
    if (strcmp(argv[1], "products")) return peers_run(argc, argv, argc > 3 ? atoi(argv[3]) : 2);
    return peers_run(argc, argv, 1) || peers_run(argc, argv, 2);
}
