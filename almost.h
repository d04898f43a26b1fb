/* almost.h - align small language models, reproducibly, in C11. */
#ifndef ALMOST_H
#define ALMOST_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#ifndef ALMOST_API
#define ALMOST_API extern
#endif
#define ALMOST_VERSION "0.1.0"

/* ---- Status. Every fallible call returns one; almost_message() says more. ---- */
typedef enum {
    ALMOST_OK = 0,
    ALMOST_ERR_ARGUMENT,   /* the caller passed something impossible           */
    ALMOST_ERR_MEMORY,     /* the allocator said no, or max_bytes was reached  */
    ALMOST_ERR_IO,         /* open, read, write or rename failed               */
    ALMOST_ERR_FORMAT,     /* a file is not what it claims to be               */
    ALMOST_ERR_LIMIT,      /* well formed, but larger than this build allows   */
    ALMOST_ERR_NUMERIC,    /* a value left the finite or fixed-point range     */
    ALMOST_ERR_FPENV,      /* this build or machine would not keep the bits    */
    ALMOST_ERR_MISMATCH,   /* a recorded digest did not reproduce              */
    ALMOST_ERR_STOPPED     /* your callback asked to stop; resumable           */
} almost_status;

/* ---- Context: memory, message, kernels, threads. One per thread of yours. ---- */
typedef struct almost almost;

/* Progress, told to options.event: `done` of `total` units of work of `stage`. */
typedef struct {
    const char *stage;   /* "pretrain", "respond L-HHH-5", ...              */
    int64_t done, total; /* units of work; total 0: unknown                 */
    const char *note;    /* one short line of current figures, may be ""    */
} almost_event;

typedef enum {
    ALMOST_KERNELS_AUTO, ALMOST_KERNELS_SCALAR, ALMOST_KERNELS_SSE2,
    ALMOST_KERNELS_AVX2, ALMOST_KERNELS_AVX512, ALMOST_KERNELS_NEON
} almost_kernels;

typedef struct {
    void *user;                                                    /* passed back    */
    void *(*resize)(void *user, void *p, size_t had, size_t want); /* NULL: libc     */
    int (*event)(void *user, const almost_event *e);               /* nonzero: stop  */
    size_t max_bytes;                                              /* 0: no limit    */
    int threads;                                                   /* 0: one per CPU */
    almost_kernels kernels;                                        /* never in bits  */
} almost_options;

ALMOST_API almost_status almost_open(almost **out, const almost_options *opt);
ALMOST_API void          almost_close(almost *a);
ALMOST_API const char   *almost_message(const almost *a); /* never NULL */
ALMOST_API const char   *almost_status_name(almost_status s);

/* ---- Commands: everything the program can do, by the words of its command line ---- */

/* Gets text meant for standard output, in pieces; nonzero: could not be written. */
typedef int (*almost_write_fn)(void *user, const char *s, size_t n);

/* Runs one command, e.g. words = {"sft", "--init", "S.gguf", ...}. Its options, their
 * defaults and help come from one table; almost_help() prints it (NULL: all commands). */
ALMOST_API almost_status almost_command(almost *a, const char *const *words, size_t n,
                                        almost_write_fn write, void *user);
ALMOST_API almost_status almost_help(almost *a, const char *name,
                                     almost_write_fn write, void *user);

/* ---- Models: GGUF files of architecture llama. A model lives in its context. ---- */
typedef struct almost_model almost_model;

typedef struct {
    int32_t dim, hidden, layers, heads, kv_heads, vocab, context;
    int32_t head;      /* 1: has a scalar head, as reward and value models do */
    int32_t tokenizer; /* 1: reads text                                       */
} almost_shape;

ALMOST_API almost_status almost_model_load(almost *a, const char *path, almost_model **out);
ALMOST_API almost_status almost_model_load_memory(almost *a, const void *bytes, size_t n,
                                                  almost_model **out); /* bytes are copied */
ALMOST_API void          almost_model_free(almost_model *m);
ALMOST_API almost_shape  almost_model_shape(const almost_model *m);

/* ---- Using one. Buffers are yours; *count is what there is, cap 0 only asks for it. ---- */

/* Text (any bytes) to token ids and back; neither adds <bos>. */
ALMOST_API almost_status almost_encode(almost_model *m, const char *s, size_t n,
                                       int32_t *ids, size_t cap, size_t *count);
ALMOST_API almost_status almost_decode(almost_model *m, const int32_t *ids, size_t n,
                                       char *s, size_t cap, size_t *count);

/* The logits after each of n tokens: out has room for n * vocab floats. */
ALMOST_API almost_status almost_logits(almost_model *m, const int32_t *ids, size_t n,
                                       float *out);

typedef struct {
    float temperature, top_p;  /* temperature 0: the likeliest token, always  */
    int32_t max_new;           /* tokens at most                              */
    uint64_t seed;             /* same seed, same text, on every machine      */
    const char *const *stops;  /* [n_stops] strings that end the reply        */
    size_t n_stops;
} almost_sampling;

/* 1, 1, 128, 1, no stops. */
ALMOST_API almost_sampling almost_sampling_defaults(void);

/* Continues a prompt of n bytes; `write` gets the text as it is drawn, and stops it by
 * returning nonzero (then ALMOST_ERR_STOPPED). s NULL: the defaults. */
ALMOST_API almost_status almost_generate(almost_model *m, const char *prompt, size_t n,
                                         const almost_sampling *s, almost_write_fn write,
                                         void *user);

/* What a reward model thinks of a reply to a query, or to an open dialogue
 * ("\n\nHuman: Hi!\n\nAssistant: Hello.\n\nHuman: Who are you?"). */
ALMOST_API almost_status almost_score(almost_model *rm, const char *prompt,
                                      const char *reply, float *out);

#ifdef __cplusplus
}
#endif
#endif
