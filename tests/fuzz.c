/* fuzz.c - damaged inputs of every kind through the commands that read them.
 *
 *   cc -std=c11 -O1 -g -fsanitize=address,undefined -Itests tests/fuzz.c -o fuzz -lpthread
 *   ./fuzz DIR [ROUNDS [SEED [TARGET]]]      run from the top folder; DIR is made
 *
 * A target is one file and one command that reads it. Each round damages the file in one to
 * four places and runs the command, which may succeed or fail but must give back all memory,
 * stay within a bound of it, and fail with one line of text that names the file. Everything
 * follows from SEED and the round, so what fails once fails again.
 */
#include "../almost.c"
#include "test.h"
#include <unistd.h>

/* ---- the good inputs ---- */

static const char PAIRS[] =
    "[{\"prompt\": \"\\n\\nHuman: a?\\n\\nAssistant:\", \"chosen\": \" b c.\", \"rejected\": \" d.\",\n"
    " \"meta\": \"x\"},\n"
    " {\"prompt\": \"What is \\u00e9?\", \"chosen\": \"A letter.\", \"rejected\": \"No. \\ud83d\\ude00\"}]\n";
static const char PAIRS_LINES[] =
    "{\"prompt\": \"a?\", \"chosen\": \"b.\", \"rejected\": \"c.\"}\n\n"
    "{\"chosen\": \"\\n\\nHuman: q\\n\\nAssistant: r\", \"rejected\": \"\\n\\nHuman: q\\n\\nAssistant: s\"}\n"
    "{\"chosen\": [{\"role\": \"user\", \"content\": \"q\"}, {\"role\": \"assistant\", \"content\": \"r\"}],"
    " \"rejected\": [{\"role\": \"user\", \"content\": \"q\"}, {\"role\": \"assistant\", \"content\": \"s\"}]}\n";
static const char RECORDS[] =
    "[{\"input\": \"\\n\\nHuman: a?\\n\\nAssistant:\", \"output\": \" b.\"},\n"
    " {\"input\": \"\\n\\nHuman: c?\\n\\nAssistant:\", \"output\": \" d e f.\"}]\n";
static const char MESSAGES[] =
    "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}, {\"role\": \"assistant\", \"content\": \"ho\"}]}\n"
    "{\"instruction\": \"say\", \"input\": \"\", \"output\": \"no\"}\n";
static const char SETTINGS[] = "{\"gamma\": 1, \"lambda\": 0.95, \"clip\": 0.2, \"seed\": 3}\n";
static const char MANIFEST[] =
    "{\"contract\": \"ANC-1\", \"stages\": [{\"command\": \"x\", \"key\": \"00\",\n"
    " \"inputs\": {}, \"outputs\": {\"pairs.json\": \"0000\", \"none/b\": \"11\"}}]}\n";
static const char RECIPE[] =
    "# a comment\nrecords prompts=nowhere.txt replies=x.json out=y.json\n\n"
    "eval pairs files=nowhere.json,b.json out=eval/pairs.json\nresults files=eval/pairs.json out=r.json\n"
    "let seeds=1,2,3\nfor seed={seeds} n=4,5 rm n={n} init=x-{a,b}{seeds}.gguf pairs=p out=rm-{seed}-{n}.gguf\n";
static const char TEMPLATE_CSV[] =
    "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source\n"
    "A,B,\"Is it, \"\"so\"\"?\",Yes,Yes; Indeed,\"No; Never; Not, so\",x\n";
static const char RAW[] =
    "{\"text\": \"A reply.\", \"rule\": \"good\"}\n{\"text\": \"Why?\", \"rule\": \"end\"}\n{\"text\": \"\", \"rule\": \"short\"}\n";
static const char ROLLOUTS[] =
    "{\"episode\":0,\"query\":1,\"reason\":\"eos\",\"score\":-1.5,\"raw\":0.25,\"kl\":0,\"kl_exact\":0.5,\n"
    "\"ids\":[1,2],\"prompt\":\"\\n\\nHuman: Who?\\n\\nAssistant:\",\"text\":\" Me.\"}\n";
static const char ANSWERS[] =
    "{\"question_id\": 1, \"text\": \"So.\", \"metadata\": {\"proxy\": 1.5, \"best_of\": 2, \"kl_bound\": 0.19}}\n"
    "{\"question_id\": 2, \"text\": \"No. || Yes.\", \"metadata\": {\"proxy\": -2, \"best_of\": 2, \"kl_bound\": 0.19}}\n";
static const char DISTANCE[] =
    "[{\"metric\": \"exact KL\", \"name\": \"answers\", \"figure\": {\"mean\": 1.5, \"low\": 1, \"high\": 2}}]\n";
static const char REPLIES[] = "[\"A reply.\", \"Another one, BAD.\", \"Three.\"]\n";
static const char QUESTIONS[] =
    "{\"question_id\": 1, \"text\": \"How?\", \"category\": \"generic\"}\n"
    "{\"question_id\": 2, \"text\": \"Why? || And then?\", \"category\": \"x\"}\n";

static const char FIGURES[] =
    "[{\"metric\": \"m\", \"name\": \"x\", \"group\": \"all\", \"figure\": {\"n\": 116, \"clusters\": 116,\n"
    " \"wins\": 19, \"ties\": 0, \"mean\": 0.1, \"low\": 0.1, \"high\": 0.2, \"wilson_low\": 0.1,\n"
    " \"wilson_high\": 0.2}}]\n";
static const char ITEMS[] =
    "[{\"metric\": \"gold\", \"name\": \"x-1\", \"group\": \"all\", \"items\":\n"
    " {\"clusters\": [7, 8], \"credits\": [18018000, 9009000]}},\n"
    " {\"metric\": \"gold\", \"name\": \"y\", \"group\": \"all\", \"items\":\n"
    " {\"clusters\": [7, 8], \"credits\": [0, 9009000]}}]\n";
static const char BARS[] =
    "# Bars\n\n## First\n\n| what has to show | metric | group | ours | theirs | must |\n|---|---|---|---|---|---|\n"
    "| a | gold | all | x-# | y | > 0.5, 1 of 2 |\n| b | win rate | all | x-# | y | >= 1 |\n"
    "## Second\n| c | gold | all | y | | > 4 se |\n";
static const char CHOICES[] =
    "[{\"question\": \"Is it?\", \"choices\": [\"Yes.\", \"No.\"], \"label\": 1},\n"
    " {\"question\": \"Was it?\", \"choices\": [\"Ay.\", \"Nay.\", \"So.\"], \"label\": 0}]\n";
static const char HHH[] =
    "[{\"id\": 0, \"type\": \"helpful\", \"chosen\": \"\\n\\nHuman: q\\n\\nAssistant: r\",\n"
    " \"rejected\": \"\\n\\nHuman: q\\n\\nAssistant: s\"}]\n";

static const struct { const char *name, *text; } SEEDS[] = {
    {"pairs.json", PAIRS}, {"pairs.jsonl", PAIRS_LINES}, {"records.json", RECORDS},
    {"records.jsonl", MESSAGES}, {"settings.json", SETTINGS}, {"run/manifest.json", MANIFEST},
    {"data/x.recipe", RECIPE}, {"mc.csv", TEMPLATE_CSV}, {"replies.json", REPLIES}, {"replies2.json", REPLIES},
    {"raw.jsonl", RAW}, {"roll/000001.jsonl", ROLLOUTS}, {"answers.jsonl", ANSWERS},
    {"distance.json", DISTANCE},
    {"questions.jsonl", QUESTIONS}, {"prompts.txt", "What is a?\nWho is b?\nWhy c?\n"},
    {"mc.json", CHOICES}, {"hhh.json", HHH},
    {"figures.json", FIGURES}, {"items.json", ITEMS}, {"x.bars", BARS},
    {"ids.txt", "1 2 3 40, 51\n"}};

/* ---- the targets: what is damaged, and the command that reads it ---- */

static const struct {
    const char *file, *command;
    int share; /* of the rounds: most targets 8, slow ones 1 */
} TARGETS[] = {
    {"lm.gguf", "info lm.gguf", 8},
    {"lm.gguf", "generate lm.gguf --prompt hi --max-new 3", 16},
    {"lm.gguf", "logits lm.gguf --ids 1,2,3 --out /dev/null", 8},
    {"lm.gguf", "tokenize lm.gguf --file prompts.txt --add-bos", 8},
    {"lm.gguf", "convert lm.gguf /dev/null --type q8_0", 8},
    {"rm.gguf", "score rm.gguf --file pairs.json", 8},
    {"ids.txt", "tokenize lm.gguf --decode --file ids.txt", 2},
    {"prompts.txt", "tokenize lm.gguf --file prompts.txt", 8},
    {"pairs.json", "score rm.gguf --file pairs.json", 8},
    {"pairs.jsonl", "score rm.gguf --file pairs.jsonl", 8},
    {"pairs.json", "rm --init lm.gguf --pairs pairs.json --out o.gguf", 2},
    {"pairs.jsonl", "dpo --init lm.gguf --pairs pairs.jsonl --out o.gguf", 2},
    {"records.json", "sft --init lm.gguf --records records.json --epochs 1 --out o.gguf", 2},
    {"records.jsonl", "sft --init lm.gguf --records records.jsonl --epochs 1 --out o.gguf", 2},
    {"prompts.txt", "respond lm.gguf --prompts prompts.txt --max-new 2 --shots 1 --out /dev/null", 4},
    {"data/HHH_prompt.txt",
     "respond lm.gguf --prompts prompts.txt --max-new 1 --shots 1 --out /dev/null", 8},
    {"data/seed_prompts.txt",
     "prompts lm.gguf --n 1 --rounds 1 --batch 2 --shots 1 --max-new 1 --out /dev/null", 4},
    {"replies.json", "records --prompts prompts.txt --replies replies.json --out /dev/null", 8},
    {"replies.json",
     "compare --prompts prompts.txt --ranked replies.json,replies2.json --out /dev/null", 8},
    {"raw.jsonl",
     "compare --prompts prompts.txt --ranked raw.jsonl,replies2.json --out /dev/null", 8},
    {"roll/000001.jsonl", "eval frontier --files roll --data data", 1},
    {"answers.jsonl",
     "eval frontier --files answers.jsonl --prompts questions.jsonl --kl distance.json --data data", 1},
    {"distance.json",
     "eval frontier --files answers.jsonl --prompts questions.jsonl --kl distance.json --data data", 1},
    {"answers.jsonl",
     "eval kl --models lm.gguf,lm.gguf --files answers.jsonl --prompts questions.jsonl", 4},
    {"settings.json", "ppo --policy lm.gguf --rm rm.gguf --prompts prompts.txt --settings "
                      "settings.json --episodes 1 --out nowhere/o.gguf", 4},
    {"pairs.json", "eval pairs --files pairs.json --data data", 1},
    {"mc.csv", "eval mc1 --models lm.gguf --files mc.csv", 4},
    {"mc.json", "eval mc1 --models lm.gguf --files mc.json", 4},
    {"hhh.json", "eval hhh --models lm.gguf --files hhh.json", 4},
    {"questions.jsonl", "answer lm.gguf --queries questions.jsonl --max-new 1 --out /dev/null", 4},
    {"data/judgements.txt", "eval judge --files data/judgements.txt --data data", 1},
    {"prompts.txt", "eval judge --files data/judgements.txt --prompts prompts.txt --models "
                    "lm.gguf --data data", 1},
    {"data/facts.txt", "corpus --docs 3 --data data", 4},
    {"data/howto.txt", "corpus --docs 3 --data data", 4},
    {"data/advice.txt", "corpus --docs 3 --data data", 4},
    {"data/care.txt", "corpus --docs 3 --data data", 4},
    {"data/myths.txt", "corpus --docs 3 --data data", 4},
    {"data/phrases.txt", "corpus --docs 3 --data data", 4},
    {"run/manifest.json", "verify run", 8},
    {"run/manifest.json", "bisect run run2", 8},
    {"data/x.recipe", "reproduce --preset x --data data --out run3", 8},
    {"items.json", "bars x.bars --files items.json --out /dev/null", 2},
    {"x.bars", "bars x.bars --files items.json --out /dev/null", 2},
    {"figures.json", "results --files figures.json --out /dev/null", 8}};

/* ---- damage ---- */

static const char *const WORDS[] = {
    "[", "]", "{", "}", "\"", "\\", "\\u0000", "\\ud800", "\n", "\r\n", "\n\n-----", "|", "~", ",",
    " || ", "\n\nHuman:", "\n\nAssistant:", "-1", "1e308", "99999999999999999999", "0", "null",
    "\xff", "\xe2\x82", "\xf0\x9f\x98\x80", "%s%n", "../", "#", "=", "table ", " ", "\t", ";"};
static const uint64_t NUMBERS[] = {0, 1, 2, 3, 8, 9, 255, 1 << 10, 1 << 20, INT32_MAX,
    UINT32_MAX, (uint64_t)1 << 40, INT64_MAX, UINT64_MAX, UINT64_MAX - 31, 0x7F800000, 0x7FC00000};

typedef struct { char *s; size_t n, cap; } bytes;

/* Replaces s[at, at+cut) by w[n]; nothing happens when there is no room. */
static void splice(bytes *b, size_t at, size_t cut, const char *w, size_t n) {
    if (b->n - cut + n > b->cap) return;
    memmove(b->s + at + n, b->s + at + cut, b->n - at - cut);
    memcpy(b->s + at, w, n);
    b->n += n - cut;
}

/* One place damaged. Numbers and single bytes prefer the first KiB, where counts are. */
static void damage(bytes *b, rng *r) {
    unsigned char number[8];
    size_t at = (size_t)rng_below(r, rng_below(r, 2) ? MIN(b->n, (size_t)1024) + 1 : b->n + 1);
    size_t left = b->n - at, some = (size_t)rng_below(r, MIN(left, (size_t)64) + 1);
    const char *w = WORDS[rng_below(r, COUNT(WORDS))];
    char copy[64];
    switch (rng_below(r, 8)) {
    case 0: b->n = at; break;
    case 1: if (left) b->s[at] ^= (char)(1 << rng_below(r, 8)); break;
    case 2: if (left) b->s[at] = (char)rng_below(r, 256); break;
    case 3: splice(b, at, some, "", 0); break;
    case 4: splice(b, at, 0, w, strlen(w)); break;
    case 5: splice(b, at, MIN(left, strlen(w)), w, strlen(w)); break;
    case 6:
        le64_put(number, NUMBERS[rng_below(r, COUNT(NUMBERS))]);
        splice(b, at, MIN(left, (size_t)8), (char *)number, rng_below(r, 2) ? 4 : 8);
        break;
    default:
        memcpy(copy, b->s + at, some);
        for (uint64_t k = rng_below(r, 40); k-- > 0;) splice(b, at, 0, copy, some);
    }
}

/* ---- one round ---- */

static int fuzz_write(void *user, const char *s, size_t n) {
    (void)s;
    *(size_t *)user += n;
    return 0;
}

/* Whole file into, or out of, memory of the C library: no part of what is tested. */
static void put_file(const char *path, const char *s, size_t n) {
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(s, 1, n, f) != n || fclose(f)) {
        fprintf(stderr, "fuzz: cannot write %s\n", path);
        exit(2);
    }
}
static bytes get_file(const char *path) {
    bytes b = {NULL, 0, 0};
    FILE *f = fopen(path, "rb");
    if (f && !fseek(f, 0, SEEK_END)) b.n = (size_t)ftell(f);
    b.cap = b.n + 4096;
    b.s = malloc(b.cap);
    if (f) rewind(f);
    if (!f || !b.s || fread(b.s, 1, b.n, f) != b.n) {
        fprintf(stderr, "fuzz: cannot read %s\n", path);
        exit(2);
    }
    fclose(f);
    return b;
}

#define FUZZ_BYTES ((size_t)64 << 20) /* what no command on such small files may exceed */

/* Runs the words of a command line in a context of its own and checks how it ends. */
static void run_line(const char *words_of_it) {
    char line[512], *words[32];
    size_t n = 0, out = 0;
    almost a;
    snprintf(line, sizeof line, "%s", words_of_it);
    for (char *w = strtok(line, " "); w; w = strtok(NULL, " ")) words[n++] = w;
    test_open(&a);
    CHECK_OK(&a, kernels_select(&a, ALMOST_KERNELS_AUTO));
    a.options.max_bytes = FUZZ_BYTES;
    almost_status s = command_run(&a, (const char *const *)words, n, fuzz_write, &out);
    CHECK(s == a.status || s == ALMOST_OK);
    CHECK(s == ALMOST_OK || a.message[0]);
    CHECK(s != ALMOST_ERR_MEMORY);
    if (s != ALMOST_OK && getenv("FUZZ_SHOW")) printf("%s\n", a.message);
    for (const char *c = a.message; *c; c++) CHECK((unsigned char)*c >= 32);
    products_close(&a);
    test_close(&a);
}

static void fuzz_round(size_t target, uint64_t round) {
    rng r = rng_at(T.seed, RNG_TEST, round << 16 | target);
    bytes good = get_file(TARGETS[target].file), bad = get_file(TARGETS[target].file);
    long failed = T.failed;
    for (uint64_t k = 1 + rng_below(&r, 4); k-- > 0;) damage(&bad, &r);
    put_file(TARGETS[target].file, bad.s, bad.n);
    run_line(TARGETS[target].command);
    if (T.failed != failed)
        printf("target %zu round %llu: %s\n", target, (unsigned long long)round,
               TARGETS[target].command);
    put_file(TARGETS[target].file, good.s, good.n);
    free(good.s);
    free(bad.s);
}

/* ---- set up ---- */

/* A model of a few thousand weights with a tokenizer; its seal is broken on purpose, so
 * that damage gets past it. */
static void put_model(const char *path, int head) {
    static const char PROSE[] = "What is a? Who is b? Why is that? It is so, and so it was.";
    shape s = {8, 12, 2, 2, 1, 0, 64, 1e-5f, 10000.0f, 1, head};
    almost a;
    model *m;
    tokenizer *t = NULL;
    test_open(&a);
    CHECK_OK(&a, kernels_select(&a, ALMOST_KERNELS_AUTO));
    CHECK_OK(&a, tok_train(&a, PROSE, strlen(PROSE), 270, &t));
    s.vocab = tok_vocab(t);
    CHECK_OK(&a, model_new(&a, &s, &m));
    model_init(m, 7);
    m->tok = t;
    m->kind = head ? MODEL_REWARD : MODEL_POLICY;
    CHECK_OK(&a, model_save(m, path, GGUF_F32));
    model_free(m);
    bytes b = get_file(path);
    for (size_t i = 0; i + 12 < b.n; i++)
        if (!memcmp(b.s + i, "almost.bytes", 12)) b.s[i + 11] = 'z';
    put_file(path, b.s, b.n);
    free(b.s);
    products_close(&a);
    test_close(&a);
}

/* Fills the folder: the world's files as they are, small files of our own, two models. */
static void set_up(const char *dir) {
    static const char *const WORLD[] = {
        "facts", "howto", "advice", "care", "myths", "phrases", "judgements", "HHH_prompt",
        "Faithful_prompt", "seed_prompts"};
    bytes files[COUNT(WORLD)];
    char path[512];
    almost a;
    test_open(&a);
    for (size_t i = 0; i < COUNT(WORLD); i++) {
        snprintf(path, sizeof path, "data/%s.txt", WORLD[i]);
        files[i] = get_file(path);
    }
    CHECK_OK(&a, dir_make(&a, dir));
    if (chdir(dir)) exit(2);
    CHECK_OK(&a, dir_make(&a, "data"));
    CHECK_OK(&a, dir_make(&a, "run"));
    CHECK_OK(&a, dir_make(&a, "run2"));
    CHECK_OK(&a, dir_make(&a, "roll"));
    for (size_t i = 0; i < COUNT(WORLD); i++) {
        snprintf(path, sizeof path, "data/%s.txt", WORLD[i]);
        put_file(path, files[i].s, files[i].n);
        free(files[i].s);
    }
    for (size_t i = 0; i < COUNT(SEEDS); i++)
        put_file(SEEDS[i].name, SEEDS[i].text, strlen(SEEDS[i].text));
    put_file("run2/manifest.json", MANIFEST, strlen(MANIFEST));
    put_model("lm.gguf", 0);
    put_model("rm.gguf", 1);
    for (size_t i = 0; i < COUNT(TARGETS); i++) run_line(TARGETS[i].command);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: fuzz DIR [ROUNDS [SEED [TARGET]]]\n");
        return 2;
    }
    uint64_t rounds = argc > 2 ? strtoull(argv[2], NULL, 10) : 100;
    T.seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    T.dir = argv[1];
    set_up(argv[1]);
    for (size_t i = 0; i < COUNT(TARGETS); i++) {
        double began = clock_seconds();
        if (argc > 4 && strtoul(argv[4], NULL, 10) != i) continue;
        for (uint64_t k = 0; k < rounds * (uint64_t)TARGETS[i].share / 8; k++) fuzz_round(i, k);
        if (getenv("FUZZ_SHOW"))
            fprintf(stderr, "%zu %s: %d ms\n", i, TARGETS[i].command,
                    (int)(1e3 * (clock_seconds() - began)));
    }
    printf("%ld passed, %ld failed\n", T.passed, T.failed);
    return T.failed != 0;
}
