/* t_pipeline.c - the text logic of the pipeline, without models: [29]-[32] and [34].
 * The vectors marked "official" are what the authors' code and its `rouge` 1.0.1 give. */

/* ---- [29] prompts ---- */

static void test_quirks(void) {
    almost a;
    uint32_t q;
    test_open(&a);
    CHECK_OK(&a, quirks_parse(&a, "", &q));
    CHECK_INT(q, QUIRKS_FIXED);
    CHECK_OK(&a, quirks_parse(&a, "official", &q));
    CHECK_INT(q, QUIRKS_OFFICIAL);
    CHECK_OK(&a, quirks_parse(&a, "rouge,ties", &q));
    CHECK_INT(q, QUIRK_ROUGE | QUIRK_TIES);
    CHECK_STATUS(&a, quirks_parse(&a, "rouge,tie", &q), ALMOST_ERR_ARGUMENT);
    test_close(&a);
}

static const char TEST_DEMOS[] = "Preamble.\n\n-----\n\nHuman:  a?\n\nAssistant:  "
                                 "A.\n\n-----\n\nHuman: b?\n\nAssistant: B."
                                 "\n\n-----\n\nHuman: c?\n\nAssistant: C.\n\n-----\n";

/* The file layout, k shots, and what 0 or too many shots mean. */
static void test_demos(void) {
    almost a;
    arena r;
    demos d;
    text t;
    test_open(&a);
    arena_init(&r, &a);
    text_init(&t, &a);
    CHECK_OK(&a, demos_parse(&a, &r, "demos", TEST_DEMOS, strlen(TEST_DEMOS), &d));
    CHECK_INT(d.n, 3);
    CHECK_STR(d.preamble, "Preamble.");
    CHECK_OK(&a, demos_prefix(&a, &t, &d, 1, QUIRKS_FIXED));
    CHECK_STR(t.s, "Preamble.\n\n-----\n\nHuman:  a?\n\nAssistant:  A.\n\n-----");
    text_clear(&t);
    CHECK_OK(&a, demos_prefix(&a, &t, &d, 0, QUIRKS_FIXED));
    CHECK_STR(t.s, "Preamble.\n\n-----");
    text_clear(&t);
    CHECK_OK(&a, demos_prefix(&a, &t, &d, 0, QUIRKS_OFFICIAL)); // 0 is all
    CHECK(t.n == strlen(TEST_DEMOS) - 1);
    text_clear(&t);
    CHECK_OK(&a, demos_prefix(&a, &t, &d, 5, QUIRKS_OFFICIAL)); // 5 is silently 3
    CHECK(t.n == strlen(TEST_DEMOS) - 1 && !memcmp(t.s, TEST_DEMOS, t.n));
    CHECK_STATUS(&a, demos_prefix(&a, &t, &d, 5, QUIRKS_FIXED), ALMOST_ERR_ARGUMENT);
    fail_clear(&a);
    CHECK_STATUS(&a, demos_parse(&a, &r, "demos", "no dialogue", 11, &d),
                 ALMOST_ERR_FORMAT);
    text_free(&t);
    arena_free(&r);
    test_close(&a);
}

static void test_dialogue(void) {
    static const struct { const char *in; uint32_t quirks; const char *out; } row[] = {
        {"Hi?", 0, "\n\nHuman: Hi?\n\nAssistant:"},
        {" Hi? \n", QUIRK_SPACE, "\n\nHuman: Hi?\n\nAssistant: "},
        {"\n\nHuman: Hi?\n\nAssistant: Hello.\n\nHuman: Bye.", 0,
         "\n\nHuman: Hi?\n\nAssistant: Hello.\n\nHuman: Bye.\n\nAssistant:"},
        {"Human: Hi?\n\nAssistant:", 0, "\n\nHuman: Hi?\n\nAssistant:"}};
    almost a;
    arena r;
    text t;
    utterance *turns;
    size_t n;
    test_open(&a);
    arena_init(&r, &a);
    text_init(&t, &a);
    for (size_t i = 0; i < COUNT(row); i++) {
        text_clear(&t);
        dialogue_prompt(&t, row[i].in, strlen(row[i].in), row[i].quirks);
        CHECK_STR(t.s, row[i].out);
    }
    text_clear(&t);
    dialogue_reward_prompt(&t, "Hi?", 3, QUIRK_HUMAN);
    CHECK_STR(t.s, "Hi?\n\nAssistant:");
    const char *s = "x\n\nHuman: a\n\nb \n\nAssistant:  c\n\nHuman: d";
    CHECK_OK(&a, dialogue_turns(&a, &r, s, strlen(s), &turns, &n));
    CHECK_INT(n, 3);
    CHECK(turns[0].human && turns[0].n == 4 && !memcmp(turns[0].s, "a\n\nb", 4));
    CHECK(!turns[1].human && turns[1].n == 1 && turns[1].s[0] == 'c');
    CHECK(turns[2].human && turns[2].n == 1 && turns[2].s[0] == 'd');
    CHECK_STATUS(&a, dialogue_turns(&a, &r, "none", 4, &turns, &n), ALMOST_ERR_FORMAT);
    text_free(&t);
    arena_free(&r);
    test_close(&a);
}

static void test_reply_cut(void) {
    static const char *const row[][2] = {
        {" Paris.\n\n-----\n\nHuman: x", "Paris."},
        {"Paris.\n\nHuman: And?\n\nAssistant: no", "Paris."},
        {"Paris. Assistant: London.", "Paris."},
        {"Human: Paris.", ""},
        {"\tParis. \n", "\tParis."}}; // only newlines and spaces are stripped
    for (size_t i = 0; i < COUNT(row); i++) {
        const char *s;
        size_t n = reply_cut(row[i][0], strlen(row[i][0]), &s);
        CHECK(n == strlen(row[i][1]) && !memcmp(s, row[i][1], n));
    }
}

/* Every record format in, ours out, and back. */
static void test_records(void) {
    static const char pairs[] =
        "{\"prompt\": \"Hi?\", \"chosen\": \"Yes.\", \"rejected\": \" No.\"}\n"
        "{\"chosen\": \"\\n\\nHuman: Hi?\\n\\nAssistant: Yes.\", \"rejected\": "
        "\"\\n\\nHuman: Hi?\\n\\nAssistant: You.\", \"type\": \"t\"}\n"
        "{\"prompt\": [{\"role\": \"user\", \"content\": \"Hi?\"}], \"chosen\": "
        "[{\"role\": "
        "\"assistant\", \"content\": \"Yes.\"}], \"rejected\": [{\"role\": \"assistant\", "
        "\"content\": \"No.\"}]}\n";
    static const char demos_in[] = "[{\"input\": \"Hi?\", \"output\": \"Yes.\"}, "
                                   "{\"prompt\": \"Human: Hi?\", \"completion\": "
                                   "\" Yes.\"}, {\"instruction\": \"Add.\", \"input\": \"1 "
                                   "1\", \"output\": \"2\"}, {\"messages\": "
                                   "[{\"role\": \"user\", \"content\": \"Hi?\"}, "
                                   "{\"role\": \"assistant\", \"content\": \"Yes.\"}, "
                                   "{\"role\": \"user\", \"content\": \"Bye.\"}, "
                                   "{\"role\": \"assistant\", \"content\": \"Bye!\"}]}]";
    almost a;
    arena r;
    pair_record *p;
    sft_record *d;
    size_t n;
    char path[512];
    test_open(&a);
    arena_init(&r, &a);
    test_path(path, "pairs.jsonl");
    CHECK_OK(&a, file_write(&a, path, pairs, strlen(pairs)));
    if (CHECK_OK(&a, pairs_read(&a, &r, path, &p, &n)) && CHECK_INT(n, 3)) {
        CHECK_STR(p[0].prompt, "Hi?");
        CHECK_STR(p[0].rejected, "No.");
        CHECK_STR(p[1].prompt, "\n\nHuman: Hi?");
        CHECK_STR(p[1].chosen, "Yes.");
        CHECK_STR(p[1].rejected, "You.");
        CHECK_STR(p[1].meta, "t");
        CHECK_STR(p[2].prompt, "\n\nHuman: Hi?");
        CHECK_STR(p[2].rejected, "No.");
        for (int k = 0; k < 2; k++) {
            pair_record *q;
            size_t m;
            test_path(path, k ? "out.jsonl" : "comparison.json");
            CHECK_OK(&a, pairs_write(&a, path, p, n));
            if (CHECK_OK(&a, pairs_read(&a, &r, path, &q, &m)) && CHECK_INT(m, n))
                for (size_t i = 0; i < n; i++) CHECK_STR(q[i].chosen, p[i].chosen);
        }
    }
    test_path(path, "sft.json");
    CHECK_OK(&a, file_write(&a, path, demos_in, strlen(demos_in)));
    if (CHECK_OK(&a, sft_read(&a, &r, path, &d, &n)) && CHECK_INT(n, 5)) {
        CHECK_STR(d[0].input, "\n\nHuman: Hi?\n\nAssistant:");
        CHECK_STR(d[0].output, " Yes.");
        CHECK_STR(d[1].input, d[0].input);
        CHECK_STR(d[1].output, " Yes.");
        CHECK_STR(d[2].input, "\n\nHuman: Add.\n\n1 1\n\nAssistant:");
        CHECK_STR(d[3].input, d[0].input);
        CHECK_STR(d[4].input,
                  "\n\nHuman: Hi?\n\nAssistant: Yes.\n\nHuman: Bye.\n\nAssistant:");
        CHECK_STR(d[4].output, " Bye!");
        sft_record *again;
        size_t m;
        CHECK_OK(&a, sft_write(&a, path, d, n));
        if (CHECK_OK(&a, sft_read(&a, &r, path, &again, &m)) && CHECK_INT(m, n))
            for (size_t i = 0; i < n; i++) CHECK_STR(again[i].input, d[i].input);
    }
    static const char *const bad[] = {
        "[{\"prompt\": 1}]",
        "[{\"prompt\": \"a\", \"chosen\": \"b\"}]",
        "[1]",
        "[{\"chosen\": \"a\", \"rejected\": \"b\"}]",
        "{",
        "[{\"prompt\":\"a\\u0000\",\"chosen\":\"b\",\"rejected\":\"c\"}]"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        fail_clear(&a);
        CHECK_OK(&a, file_write(&a, path, bad[i], strlen(bad[i])));
        CHECK_STATUS(&a, pairs_read(&a, &r, path, &p, &n), ALMOST_ERR_FORMAT);
    }
    arena_free(&r);
    test_close(&a);
}

/* ---- [30] prompt sampling ---- */

/* Official: values of `rouge` 1.0.1 on tokens joined by blanks. */
static void test_rouge_official(void) {
    static const struct { const char *hyp, *ref; double f; } row[] = {
        {"how do i reset my phone ?", "how do i reset my laptop ?", 0.857142852142857},
        {"what is what is what is it ?", "what is it ?", 0.999999995},
        {"a b c d", "d c b a", 0.249999995},
        {"a b a c a d", "a x a y a z", 0.249999995},
        {"tell me about u . s . taxes", "explain u . s . taxes", 0.5999999952},
        {"tell me . .", "tell me .", 0.7999999952},
        {"what are some tips for designing a great website ?",
         "what are some tips for creating a successful budget plan ?", 0.6666666617}};
    almost a;
    arena r;
    rouge_vocab v;
    test_open(&a);
    arena_init(&r, &a);
    CHECK_OK(&a, rouge_open(&v, &a));
    for (size_t i = 0; i < COUNT(row); i++) {
        rouge_tokens x, y;
        double f = 0;
        CHECK_OK(&a, rouge_split(&v, &r, row[i].hyp, strlen(row[i].hyp), &x));
        CHECK_OK(&a, rouge_split(&v, &r, row[i].ref, strlen(row[i].ref), &y));
        CHECK_OK(&a, rouge_official(&v, &r, x, y, &f));
        CHECK(f - row[i].f < 1e-10 && row[i].f - f < 1e-10);
    }
    rouge_close(&v);
    arena_free(&r);
    test_close(&a);
}

/* The length of the longest common subsequence by the textbook's table. */
static size_t lcs_by_table(rouge_tokens x, rouge_tokens y) {
    size_t row[200] = {0};
    for (size_t i = 0; i < x.n; i++) {
        size_t corner = 0;
        for (size_t j = 0; j < y.n; j++) {
            size_t up = row[j + 1];
            row[j + 1] = x.id[i] == y.id[j] ? corner + 1 : MAX(up, row[j]);
            corner = up;
        }
    }
    return row[y.n];
}

/* Bit-parallel = table, over lengths on both sides of 64 and 128. */
static void test_rouge_lcs(void) {
    almost a;
    arena r;
    rouge_vocab v;
    test_open(&a);
    arena_init(&r, &a);
    CHECK_OK(&a, rouge_open(&v, &a));
    for (uint64_t k = 0; k < 400; k++) {
        rng g = test_rng(k);
        char s[2][400];
        size_t n[2];
        rouge_tokens t[2];
        rouge_pattern p;
        for (int i = 0; i < 2; i++) {
            n[i] = 2 * (size_t)rng_below(&g, k % 4 ? 20 : 190);
            for (size_t j = 0; j < n[i]; j += 2) {
                s[i][j] = (char)('a' + rng_below(&g, 2 + k % 9));
                s[i][j + 1] = ' ';
            }
            CHECK_OK(&a, rouge_split(&v, &r, s[i], n[i], &t[i]));
            CHECK_INT(t[i].n, n[i] / 2);
        }
        CHECK_OK(&a, rouge_pattern_make(&v, &r, t[0], &p));
        CHECK_INT(rouge_lcs(&v, &p, t[1]), lcs_by_table(t[0], t[1]));
        rouge_pattern_drop(&v, &p);
    }
    rouge_close(&v);
    arena_free(&r);
    test_close(&a);
}

static void test_rouge_tokens(void) {
    almost a;
    arena r;
    rouge_vocab v;
    rouge_tokens x, y;
    test_open(&a);
    arena_init(&r, &a);
    CHECK_OK(&a, rouge_open(&v, &a));
    CHECK_OK(&a, rouge_split(&v, &r, "Don't PANIC, 42!", 16, &x));
    CHECK_OK(&a, rouge_split(&v, &r, "don ' t panic , 42 !", 20, &y));
    CHECK(x.n == 7 && y.n == 7 && !memcmp(x.id, y.id, 7 * sizeof *x.id));
    rouge_close(&v);
    arena_free(&r);
    test_close(&a);
}

static void test_query_extract(void) {
    static const struct {
        const char *in;
        int ended;
        uint32_t quirks;
        const char *out;
    } row[] = {
        {" What is up?\nQuery: Who am I?\n", 0, 0, "What is up?"},
        {" What is up?\nQuery: Who am I?\n", 0, QUIRK_SECOND_QUERY, "Who am I?"},
        {" What is up?\n", 0, QUIRK_SECOND_QUERY, ""}, // stopping at the line end: nothing
        {" What is", 0, 0, ""},                        // unfinished
        {" What is up?", 1, 0, "What is up?"},         // ended by itself
        {" One? query : Two?\n", 0, 0, "One?"},
        {"x\n  Query: a Query: b query: c", 0, QUIRK_SECOND_QUERY,
         "a  b"}, // exact ones vanish
        {"x\nquery: a\nQuery: b", 0, QUIRK_SECOND_QUERY, "b"},
        {"\n", 0, 0, ""}};
    almost a;
    text t;
    test_open(&a);
    text_init(&t, &a);
    for (size_t i = 0; i < COUNT(row); i++) {
        const char *q;
        size_t n = query_extract(row[i].in, strlen(row[i].in), row[i].ended, row[i].quirks,
                                 &t, &q);
        CHECK(n == strlen(row[i].out) && !memcmp(q, row[i].out, n));
    }
    text_free(&t);
    test_close(&a);
}

/* Official: the length rule with its double negative. */
static void test_query_bad(void) {
    query_config c = query_paper();
    char s[262];
    memset(s, 'a', sizeof s);
    c.quirks = QUIRKS_OFFICIAL;
    CHECK(!query_bad("short?", 6, &c));
    CHECK(query_bad("short", 5, &c));
    CHECK(!query_bad(s, 260, &c));
    s[260] = '?';
    CHECK(query_bad(s, 261, &c));
    c.quirks = QUIRKS_FIXED;
    CHECK(query_bad("short?", 6, &c));
    CHECK(query_bad(s, 260, &c) && query_bad(s, 261, &c));
    CHECK(!query_bad("What are three good rules of life?", 34, &c));
    CHECK(query_bad("What are three good rules of life,", 34, &c));
}

/* A speaker that makes up numbered questions from the item's own random numbers. */
static almost_status script_say(void *ctx, const say_config *c, const say_batch *b,
                                text *reply, uint8_t *ended) {
    int words = *(int *)ctx;
    for (size_t i = 0; i < b->n; i++) {
        rng g = rng_at(c->seed, RNG_TEST, b->item[i]);
        if (strlen(b->prompt[i]) < 10) return ALMOST_ERR_ARGUMENT;
        for (int line = 0; line < 2; line++) {
            text_str(&reply[i], line ? "Query: What is" : " Who is");
            for (int w = 0; w < 6; w++)
                text_fmt(&reply[i], " w%d", (int)rng_below(&g, (uint64_t)words));
            text_str(&reply[i], " now?\n");
        }
        ended[i] = 1;
        if (text_status(&reply[i]) != ALMOST_OK) return text_status(&reply[i]);
    }
    return ALMOST_OK;
}

static const char *const TEST_SEEDS[] = {
    "What is the best way to learn to swim?", "Can you name three birds of the sea?",
    "How long does it take to boil an egg?", "Why do cats purr when they are happy?",
    "Tell me a story about a lost ship, please."};

static almost_status sample_once(almost *a, uint32_t quirks, size_t target, text *out,
                                 query_counts *count) {
    int words = 1500;
    speaker who = {&words, script_say};
    assets seeds;
    query_config c = query_paper();
    const char **q;
    size_t n;
    arena r;
    arena_init(&r, a);
    memset(&seeds, 0, sizeof seeds);
    seeds.instruction = "### Instruction: Ask.";
    seeds.seed = (const char **)(uintptr_t)TEST_SEEDS;
    seeds.n_seeds = COUNT(TEST_SEEDS);
    c.shots = 3;
    c.batch = 7;
    c.target = target;
    c.quirks = quirks;
    c.both_rouges = 1;
    almost_status st = query_sample(a, &r, &who, &seeds, TEST_SEEDS, 2, &c, &q, &n, count);
    for (size_t i = 0; st == ALMOST_OK && i < n; i++) {
        text_str(out, q[i]);
        text_char(out, '\n');
    }
    arena_free(&r);
    return st == ALMOST_OK ? text_status(out) : st;
}

static size_t lines_of(const text *t) {
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) n += t->s[i] == '\n';
    return n;
}

/* Exactly the target; the same twice; a longer run starts with the shorter. */
static void test_query_sample(void) {
    almost a;
    text t[3];
    query_counts count[3];
    static const size_t target[3] = {20, 20, 33};
    test_open(&a);
    for (int i = 0; i < 3; i++) {
        text_init(&t[i], &a);
        CHECK_OK(&a, sample_once(&a, QUIRKS_FIXED, target[i], &t[i], &count[i]));
        CHECK_INT(lines_of(&t[i]), target[i]);
    }
    CHECK_STR(t[0].s, t[1].s);
    CHECK(t[2].n > t[0].n && !memcmp(t[0].s, t[2].s, t[0].n));
    CHECK(count[0].verdict[QUERY_OVERLAP] > 0);
    CHECK_INT(count[0].verdict[QUERY_TAKEN], 20);
    CHECK(strstr(t[0].s, "Who is") && !strstr(t[0].s, "What is"));
    text_clear(&t[1]);
    CHECK_OK(&a, sample_once(&a, QUIRKS_OFFICIAL, 20, &t[1], &count[1]));
    CHECK(lines_of(&t[1]) >= 20 && lines_of(&t[1]) < 27);
    CHECK(strstr(t[1].s, "What is") && !strstr(t[1].s, "Who is"));
    for (int i = 0; i < 3; i++) text_free(&t[i]);
    test_close(&a);
}

static almost_status sample_body(almost *a, void *ctx) {
    text t;
    query_counts count;
    (void)ctx;
    text_init(&t, a);
    almost_status st = sample_once(a, QUIRKS_FIXED, 3, &t, &count);
    text_free(&t);
    return st;
}

static void test_query_memory(void) { test_each_allocation(sample_body, NULL); }

/* ---- [31] responses ---- */

/* Official: check_bad with its minimum of 50 characters. */
static void test_reply_check(void) {
    static const struct { const char *s; int official, fixed;
    } row[] = {
        {"Paris is the capital city of the country of France.", REPLY_GOOD, REPLY_GOOD},
        {"Paris is the capital city of the country of Franc.", REPLY_GOOD,
         REPLY_GOOD}, // 50
        {"Paris is the capital city of the country of Fran.", REPLY_SHORT,
         REPLY_SHORT}, // 49
        {"BAD", REPLY_SHORT, REPLY_SHORT},
        {"", REPLY_SHORT, REPLY_SHORT},
        {"Wellington is the capital city of beautiful New Zealand.", REPLY_WELL,
         REPLY_GOOD},
        {"Well, Paris is the capital city of the country, France.", REPLY_WELL, REPLY_WELL},
        {"Is Paris the capital city of the country named France?", REPLY_END, REPLY_END},
        {"These are the three largest cities of the whole world:", REPLY_END, REPLY_END},
        {"She said: \"Paris is the capital city of all of France.\"", REPLY_END,
         REPLY_GOOD},
        {"Paris is the capital of France (and it is a big city!)", REPLY_END, REPLY_GOOD},
        {"I really don't  know what the capital of France may be.", REPLY_KNOW, REPLY_KNOW},
        {"I really DON\xE2\x80\x99T know what the capital of France may be.", REPLY_KNOW,
         REPLY_KNOW},
        {"I really do not\nknow what the capital of France may be!", REPLY_KNOW,
         REPLY_KNOW},
        {"I really do  not know what the capital of France may be.", REPLY_GOOD,
         REPLY_GOOD},
        {"The capital is Paris. human: And of Spain? It is Madrid.", REPLY_TURN,
         REPLY_TURN},
        {"The capital of France is Paris, see it here <image> now.", REPLY_IMAGE,
         REPLY_IMAGE}};
    for (size_t i = 0; i < COUNT(row); i++) {
        CHECK_INT(reply_check(row[i].s, strlen(row[i].s), 50, QUIRKS_OFFICIAL),
                  row[i].official);
        CHECK_INT(reply_check(row[i].s, strlen(row[i].s), 50, QUIRKS_FIXED), row[i].fixed);
    }
    CHECK_INT(reply_check("Paris.", 6, 4, QUIRKS_FIXED), REPLY_GOOD);
}

static void test_respond_name(void) {
    almost a;
    text t;
    test_open(&a);
    text_init(&t, &a);
    respond_name(&t, "meta/Llama-2-13b", "assets/Faithful_prompt.txt", 3);
    CHECK_STR(t.s, "llama-2-13b-Faithful-3shot");
    text_clear(&t);
    respond_name(&t, "weights/L.gguf", "HHH_prompt.txt", 5);
    CHECK_STR(t.s, "l-HHH-5shot");
    text_free(&t);
    respond_config c = respond_paper();
    CHECK_INT(respond_budget(&c, "data/Faithful_prompt.txt"), 384);
    c.quirks = QUIRK_BUDGET;
    CHECK_INT(respond_budget(&c, "data/Faithful_prompt.txt"), 768);
    CHECK_INT(respond_budget(&c, "data/HHH_prompt.txt"), 384);
    test_close(&a);
}

/* Answers every prompt with its own last words, and every fifth with nothing. */
static almost_status echo_say(void *ctx, const say_config *c, const say_batch *b,
                              text *reply, uint8_t *ended) {
    (void)ctx;
    (void)c;
    for (size_t i = 0; i < b->n; i++) {
        const char *p = strstr(b->prompt[i], "Human: ");
        ended[i] = 1;
        if (!p || b->item[i] % 5 == 4) continue;
        text_fmt(&reply[i], " Echo %.6s.\n\nHuman: more", p + 7);
        TRY(text_status(&reply[i]));
    }
    return ALMOST_OK;
}

/* 300 prompts in chunks: order kept, nothing lost, files round trip. */
static void test_respond_run(void) {
    almost a;
    arena r;
    demos d;
    responses o, again;
    const char *prompt[300], **read;
    char path[512];
    speaker who = {NULL, echo_say};
    respond_config c = respond_small();
    test_open(&a);
    arena_init(&r, &a);
    for (int i = 0; i < 300; i++) {
        char *s = arena_take(&r, 32, 1);
        snprintf(s, 32, "q%05d?", i);
        prompt[i] = s;
    }
    CHECK_OK(&a, demos_parse(&a, &r, "demos", TEST_DEMOS, strlen(TEST_DEMOS), &d));
    CHECK_OK(&a,
             respond_run(&a, &r, &who, &c, "x", &d, "HHH_prompt.txt", 2, prompt, 300, &o));
    CHECK_INT(o.n, 300);
    CHECK_STR(o.reply[0], "Echo q00000.");
    CHECK_STR(o.reply[299 - 1], "Echo q00298.");
    CHECK_STR(o.reply[299], "BAD");
    CHECK_STR(o.raw[299], "");
    CHECK_INT(o.count[REPLY_GOOD], 240);
    CHECK_INT(o.count[REPLY_SHORT], 60);
    test_path(path, "x.json");
    CHECK_OK(&a, replies_write(&a, path, o.reply, o.n));
    if (CHECK_OK(&a, replies_read(&a, &r, path, 300, &read)))
        CHECK_STR(read[298], o.reply[298]);
    CHECK_STATUS(&a, replies_read(&a, &r, path, 301, &read), ALMOST_ERR_FORMAT);
    fail_clear(&a);
    test_path(path, "x.raw.jsonl");
    CHECK_OK(&a, responses_write_raw(&a, path, &o));
    if (CHECK_OK(&a, responses_read_raw(&a, &r, path, 300, &again))) {
        CHECK_STR(again.reply[299], "BAD");
        CHECK_STR(again.raw[298], o.raw[298]);
        CHECK(!memcmp(again.count, o.count, sizeof o.count));
    }
    arena_free(&r);
    test_close(&a);
}

/* ---- [32] comparisons ---- */

/* Official: lengths of A > B > C > D (0: BAD) and the pairs that come out. */
static void test_compare_prompt(void) {
    static const struct { int length[4]; const char *pairs; } row[] = {
        {{100, 90, 80, 70}, "AB BC CD "}, {{60, 200, 100, 90}, "BC CD "},
        {{95, 200, 100, 90}, "AD BC CD "}, {{0, 200, 100, 90}, "BC CD "},
        {{60, 200, 61, 90}, "BC "},       {{60, 0, 0, 90}, ""},
        {{80, 0, 0, 90}, ""},             {{70, 90, 0, 0}, ""},
        {{90, 70, 0, 0}, "AB "},          {{0, 0, 50, 0}, ""}};
    static const int32_t rank[4] = {0, 1, 2, 3};
    compare_config c = compare_defaults();
    for (size_t i = 0; i < COUNT(row); i++) {
        char s[4][256], got[64] = "";
        const char *reply[4];
        compare_pair p[4];
        for (int k = 0; k < 4; k++) {
            memset(s[k], 'x', (size_t)row[i].length[k]);
            s[k][row[i].length[k]] = 0;
            reply[k] = row[i].length[k] ? s[k] : "BAD";
        }
        size_t n = compare_prompt(reply, rank, 4, &c, p);
        for (size_t k = 0; k < n; k++) {
            char two[4] = {(char)('A' + p[k].chosen), (char)('A' + p[k].rejected), ' ', 0};
            strcat(got, two);
        }
        CHECK_STR(got, row[i].pairs);
    }
    // ties in the rubric: B and C are equal, so only one of them is ever chosen
    static const int32_t tied[4] = {0, 1, 1, 2};
    const char *reply[4] = {"dddd", "ccc", "bb", "a"};
    compare_pair p[4];
    size_t n = compare_prompt(reply, tied, 4, &c, p);
    CHECK_INT(n, 2);
    CHECK(p[0].chosen == 0 && p[0].rejected == 1 && p[1].chosen == 1 && p[1].rejected == 3);
    c.length_rule = 0;
    const char *two[2] = {"a", "bbbbbbbb"};
    CHECK_INT(compare_prompt(two, rank, 2, &c, p), 1);
}

static almost_status compare_body(almost *a, void *ctx) {
    static const char *const best[] = {"one one", "BAD", "two", "same"};
    static const char *const worst[] = {"one", "x", "twotwotwo", "same"};
    static const char *const *const reply[2] = {best, worst};
    static const char *const prompt[] = {"p0", "p1", "p2", "p3"};
    compare_config c = compare_defaults();
    comparisons *out = ctx, got;
    rubric u;
    arena r;
    arena_init(&r, a);
    c.length_rule = 0;
    almost_status st = rubric_parse(a, &r, "good,bad", &u);
    if (st == ALMOST_OK) st = compare_all(a, &r, &u, reply, prompt, 4, &c, &got);
    if (st == ALMOST_OK && out) {
        CHECK_INT(got.n, 3);
        CHECK_STR(got.v[1].prompt, "p2");
        CHECK_STR(got.v[1].meta, "good-vs-bad");
        compare_distinct(&got);
        CHECK_INT(got.n, 2);
        static const float high[2] = {1, 2}, low[2] = {1, 1};
        compare_veto(&got, high, low);
        CHECK_INT(got.n, 1); // a tie goes
        CHECK_STR(got.v[0].prompt, "p2");
    }
    arena_free(&r);
    return st;
}

static void test_compare_all(void) {
    almost a;
    comparisons out;
    rubric u;
    arena r;
    test_open(&a);
    arena_init(&r, &a);
    CHECK_OK(&a, compare_body(&a, &out));
    CHECK_OK(&a, rubric_parse(&a, &r, "a,b+c,d", &u));
    CHECK(u.n == 4 && u.rank[0] == 0 && u.rank[1] == 1 && u.rank[2] == 1 && u.rank[3] == 2);
    CHECK_STATUS(&a, rubric_parse(&a, &r, "a", &u), ALMOST_ERR_ARGUMENT);
    fail_clear(&a);
    CHECK_STATUS(&a, rubric_parse(&a, &r, "a,a", &u), ALMOST_ERR_ARGUMENT);
    arena_free(&r);
    test_close(&a);
    test_each_allocation(compare_body, NULL);
}

/* ---- [34] evaluation ---- */

static int near(double x, double y) { return x - y < 1e-9 && y - x < 1e-9; }

static void test_statistics(void) {
    double low, high, x[100];
    rng g = test_rng(0);
    for (size_t n = 0; n < 100; n++) {
        for (size_t i = 0; i < n; i++) x[i] = (double)rng_below(&g, 50);
        stat_sort(x, n);
        for (size_t i = 1; i < n; i++) CHECK(x[i - 1] <= x[i]);
    }
    stat_wilson(0.5, 100, &low, &high);
    CHECK(near(low, 0.40383152963) && near(high, 0.59616847037));
    stat_wilson(0, 10, &low, &high);
    CHECK(near(low, 0) && near(high, 0.27753279986));
    CHECK(stat_sign_test(8, 2) == 0.109375);
    CHECK(stat_sign_test(5, 5) == 1 && stat_sign_test(0, 1) == 1 &&
          stat_sign_test(0, 0) == 1);
    CHECK(stat_sign_test(0, 10) == 0x1p-9);
    CHECK(stat_sign_test(2000, 1900) > 0.1 && stat_sign_test(2000, 1900) < 0.12);
    CHECK(stat_sign_test(3000, 1000) < 1e-200);
}

/* Holm by hand; the length control takes the length's share out; calibration of a model
 * that is always .75 sure and right three times in four. */
static void test_controls(void) {
    double p[4] = {.01, .04, .03, .005}, rate, slope, d[400];
    size_t order[4];
    outcome o[400];
    calibration c;
    stat_holm(p, order, 4);
    CHECK(near(p[0], .03) && near(p[1], .06) && near(p[2], .06) && near(p[3], .02));
    memset(o, 0, sizeof o);
    for (int i = 0; i < 400; i++) { // longer wins 3 in 4 whoever wrote it; ours often is
        int longer = i % 4 != 0, wins = (i / 4 % 4 != 0) == longer;
        d[i] = longer ? 10 : -10;
        o[i].credit = wins ? CREDIT : 0;
    }
    stat_at_equal_length(o, d, 400, &rate, &slope);
    CHECK(rate > .499 && rate < .501 && slope > 1.09 && slope < 1.11); // ln 3
    for (int i = 0; i < 400; i++) d[i] = 0;
    stat_at_equal_length(o, d, 400, &rate, &slope);
    CHECK(rate > .624 && rate < .626 && slope == 0);
    for (int i = 0; i < 400; i++) d[i] = i % 4 ? 1.0986123 : -1.0986123;
    stat_calibration(d, 400, &c);
    CHECK(c.n[4] + c.n[5] == 400 && c.ece < 1e-6);
}

/* Reproducible; wider when items come in clusters; a constant has no width. */
static void test_bootstrap(void) {
    almost a;
    outcome o[400];
    estimate alone, again, grouped, flat;
    test_open(&a);
    memset(o, 0, sizeof o);
    for (uint32_t i = 0; i < 400; i++) {
        o[i].credit = i / 4 % 2 ? CREDIT : 0;
        o[i].cluster = 1000000007u * i;
    }
    CHECK_OK(&a, stat_estimate(&a, o, 400, 7, &alone));
    CHECK_OK(&a, stat_estimate(&a, o, 400, 7, &again));
    CHECK_BITS64(alone.low, again.low);
    CHECK_INT(alone.clusters, 400);
    CHECK(alone.mean == 0.5 && alone.low > 0.44 && alone.low < 0.46 && alone.high < 0.56);
    for (uint32_t i = 0; i < 400; i++) o[i].cluster = i / 4;
    CHECK_OK(&a, stat_estimate(&a, o, 400, 7, &grouped));
    CHECK_INT(grouped.clusters, 100);
    CHECK(grouped.low < 0.42 && grouped.low > 0.38); // twice as wide: 4 items a cluster
    for (uint32_t i = 0; i < 400; i++) o[i].credit = CREDIT / 4;
    CHECK_OK(&a, stat_estimate(&a, o, 400, 7, &flat));
    CHECK(flat.low == 0.25 && flat.high == 0.25);
    CHECK_OK(&a, stat_estimate(&a, o, 0, 7, &flat));
    test_close(&a);
}

/* By hand: two seeds of two clusters, one and two items. With one seed it is the cluster
 * bootstrap, number for number. */
static void test_seeds(void) {
    almost a;
    int64_t credit[4] = {CREDIT, 0, CREDIT / 2, CREDIT}, items[4] = {1, 1, 1, 2};
    int64_t other[4] = {0, 0, CREDIT / 2, 0}, all[600], ones[600];
    outcome o[300];
    estimate e;
    seeds_figure f;
    seeds_table t = {2, 2, 1, {credit, other}, {items, items}};
    test_open(&a);
    CHECK_OK(&a, stat_seeds(&a, &t, 0, 1, &f));
    CHECK(f.each[0] == .5 && f.each[1] == .5 && f.mean == .5); // 1/2 and 1.5/3
    CHECK(f.low == 0 && f.high == 1 && f.p > .05); // seed 1 twice: 0, 1/2 or 1
    t.arms = 2;
    CHECK_OK(&a, stat_seeds(&a, &t, 1, 1, &f));
    CHECK(near(f.each[0], .5) && near(f.each[1], 1. / 3) && near(f.mean, 5. / 12));
    memset(o, 0, sizeof o);
    for (uint32_t i = 0; i < 300; i++) {
        o[i].cluster = i;
        o[i].credit = all[i] = (int64_t)(i % 7) * (CREDIT / 7);
        ones[i] = 1;
    }
    seeds_table one = {1, 300, 1, {all}, {ones}};
    CHECK_OK(&a, stat_estimate(&a, o, 300, 7, &e));
    CHECK_OK(&a, stat_seeds(&a, &one, .5, 7, &f));
    CHECK(f.mean == e.mean && f.low == e.low && f.high == e.high);
    test_close(&a);
}

/* The share of all equally likely resamples (27 of clusters times 4 of seeds) on each side
 * of a bound, counted one by one, is what 10000 draws estimate; so are the ends and the
 * standard error. */
static void test_seeds_brute(void) {
    almost a;
    int64_t ours[6], theirs[6], n[6];
    double value[108], mean = 0, square = 0, below = 0, above = 0;
    seeds_figure f;
    rng g = test_rng(3);
    for (int round = 0; round < 20; round++) {
        int made = 0;
        for (int i = 0; i < 6; i++) {
            ours[i] = (int64_t)rng_below(&g, CREDIT);
            theirs[i] = (int64_t)rng_below(&g, CREDIT);
            n[i] = 1 + (int64_t)rng_below(&g, 3);
        }
        seeds_table t = {2, 3, 2, {ours, theirs}, {n, n}};
        for (int k = 0; k < 27; k++)
            for (int s = 0; s < 4; s++) {
                int pick[3] = {k % 3, k / 3 % 3, k / 9}, seed[2] = {s % 2, s / 2};
                double sum = 0;
                for (int j = 0; j < 2; j++) {
                    double x = 0, y = 0, m = 0;
                    for (int i = 0; i < 3; i++) {
                        x += (double)ours[3 * seed[j] + pick[i]];
                        y += (double)theirs[3 * seed[j] + pick[i]];
                        m += (double)n[3 * seed[j] + pick[i]];
                    }
                    sum += (x - y) / m / CREDIT / 2;
                }
                value[made++] = sum;
            }
        stat_sort(value, 108);
        int at = 20 + round; // between two values that differ by more than rounding
        while (value[at + 1] - value[at] < 1e-9) at++;
        double bound = (value[at] + value[at + 1]) / 2;
        mean = square = below = above = 0;
        for (int i = 0; i < 108; i++) {
            mean += value[i] / 108;
            below += value[i] <= bound;
            above += value[i] >= bound;
        }
        for (int i = 0; i < 108; i++) square += (value[i] - mean) * (value[i] - mean) / 108;
        test_open(&a);
        if (CHECK_OK(&a, stat_seeds(&a, &t, bound, (uint64_t)round, &f))) {
            double p = 2 * MIN(below, above) / 108, off = f.p - p;
            CHECK(off < .035 && off > -.035); // 4 deviations of a share of 10000
            CHECK(f.low >= value[0] && f.low <= value[5] && f.high >= value[102]);
            CHECK(f.error * f.error / square > .9 && f.error * f.error / square < 1.1);
        }
        test_close(&a);
    }
}

static const char TEST_HHH[] =
    "[{\"chosen\": \"\\n\\nHuman: Hi {x}?\\n\\nAssistant: Yes.\", \"rejected\": "
    "\"\\n\\nHuman: Hi {x}?\\n\\n"
    "Assistant: Nope.\", \"type\": \"helpful\"},\n{\"chosen\": \"\\n\\nHuman: Hi "
    "{x}?\\n\\nAssistant: Yes, I "
    "am.\", \"rejected\": \"\\n\\nHuman: Hi {x}?\\n\\nAssistant: No.\", \"type\": "
    "\"honest\"},\n{\"chosen\": "
    "\"\\n\\nHuman: A?\\n\\nAssistant: B\\n\\nHuman: C\\n\\nAssistant: D\", \"rejected\": "
    "\"\\n\\nHuman: A?"
    "\\n\\nAssistant: B\\n\\nHuman: C\\n\\nAssistant: E\", \"type\": \"honest\"}]";

/* Loading, clusters, the prompt, both positions, and the rows nobody earned. */
static void test_hhh(void) {
    almost a;
    arena r;
    hhh_set s;
    text t;
    outcome o[3];
    estimate e[4];
    char path[512];
    test_open(&a);
    arena_init(&r, &a);
    text_init(&t, &a);
    test_path(path, "hhh.json");
    CHECK_OK(&a, file_write(&a, path, TEST_HHH, strlen(TEST_HHH)));
    if (!CHECK_OK(&a, hhh_load(&a, &r, path, &s)) || !CHECK_INT(s.n, 3)) return;
    CHECK(s.item[0].cluster == 0 && s.item[1].cluster == 0 && s.item[2].cluster == 2);
    CHECK_STR(s.item[2].context, "\n\nHuman: A?\n\nAssistant: B\n\nHuman: C");
    CHECK_STR(s.item[2].rejected, "E");
    CHECK_INT(s.groups.n, 2);
    CHECK_OK(&a,
             hhh_prompt(&a, &t, "<{question}|{answer_a}|{answer_b}|{x}>", &s.item[2], 1));
    CHECK_STR(t.s, "<\n\nQuery: A?\n\nResponse: B\n\nQuery: C|E|D|{x}>");
    for (int kind = 0; kind < EVAL_DEGENERATE; kind++) {
        hhh_degenerate(&s, kind, QUIRKS_FIXED, o);
        CHECK_OK(&a, stat_groups(&a, o, 3, 2, 1, e));
        CHECK(e[2].mean == 0.5); // one longer, one shorter, one equal
        hhh_degenerate(&s, kind, QUIRKS_OFFICIAL, o);
        CHECK_OK(&a, stat_groups(&a, o, 3, 2, 1, e));
        CHECK(e[2].mean == (kind == EVAL_CONSTANT || kind == EVAL_POSITION ? 1.0 : 0.5));
    }
    CHECK_INT(e[0].n, 1);
    CHECK_INT(e[1].n, 2);
    static const double p[4] = {.6, .4, .7,
                                .3}; // prefers A, and more so when A is the rejected one
    hhh_positions(&o[0], p, QUIRKS_FIXED);
    CHECK_INT(o[0].credit, 0);
    text_free(&t);
    arena_free(&r);
    test_close(&a);
}

static const char TEST_CSV[] =
    "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source\n"
    "A,B,\"Is it \"\"red\"\", or not?\",It is red,Red; It is red,It is green; It is "
    "blue,x\n"
    "A,C,Who?,Nobody,Nobody,Me,x\n";

static void test_mc(void) {
    almost a;
    arena r;
    mc_set s;
    outcome o[2];
    char path[512];
    static const double score[4] = {1, 3, 3, 2};
    test_open(&a);
    arena_init(&r, &a);
    test_path(path, "mc.csv");
    CHECK_OK(&a, file_write(&a, path, TEST_CSV, strlen(TEST_CSV)));
    if (CHECK_OK(&a, mc_load(&a, &r, path, &s)) && CHECK_INT(s.n, 2)) {
        CHECK_STR(s.item[0].question, "Is it \"red\", or not?");
        CHECK_INT(s.item[0].n, 3);
        CHECK_STR(s.item[0].choice[0], "It is red");
        CHECK_STR(s.item[0].choice[2], "It is blue");
        mc_degenerate(&s, EVAL_CHANCE, QUIRKS_OFFICIAL, o);
        CHECK(o[0].credit == CREDIT / 3 && o[1].credit == CREDIT / 2);
        mc_degenerate(&s, EVAL_CONSTANT, QUIRKS_OFFICIAL, o);
        CHECK(o[0].credit == CREDIT && o[1].credit == CREDIT);
        mc_degenerate(&s, EVAL_LONGER, QUIRKS_FIXED, o);
        CHECK(o[0].credit == 0 && o[1].credit == CREDIT);
    }
    const char *rows =
        "[{\"question\": \"Q?\", \"choices\": [\"a\", \"b\"], \"label\": 1}]";
    test_path(path, "mc1.json");
    CHECK_OK(&a, file_write(&a, path, rows, strlen(rows)));
    if (CHECK_OK(&a, mc_load(&a, &r, path, &s))) CHECK(s.n == 1 && s.item[0].label == 1);
    rows = "[{\"question\": \"Q?\", \"choices\": [\"a\", \"b\"], \"label\": 2}]";
    CHECK_OK(&a, file_write(&a, path, rows, strlen(rows)));
    CHECK_STATUS(&a, mc_load(&a, &r, path, &s), ALMOST_ERR_FORMAT);
    mc_credit(&o[0], score, 4, 1, QUIRKS_FIXED);
    CHECK(o[0].credit == CREDIT / 2 && o[0].tie);
    mc_credit(&o[0], score, 4, 1, QUIRKS_OFFICIAL);
    CHECK(o[0].credit == CREDIT);
    mc_credit(&o[0], score, 4, 0, QUIRKS_OFFICIAL);
    CHECK(o[0].credit == 0);
    arena_free(&r);
    test_close(&a);
}

/* The official reader of reviews, its counts, FastChat's counts, and the rate. */
static void test_ab(void) {
    static const struct { const char *s; double first, second; int read;
    } row[] = {{"8 9\nwhy", 8, 9, 1}, {"8,9", 8, 9, 1},      {"7.5 10", 7.5, 10, 1},
               {"8, 9", -1, -1, 0},   {"(8, 9)", -1, -1, 0}, {"8", -1, -1, 0},
               {"", -1, -1, 0},       {"8 9 ", -1, -1, 0}};
    review ab[4], ba[4];
    ab_result x;
    almost a;
    test_open(&a);
    for (size_t i = 0; i < COUNT(row); i++) {
        review r;
        review_parse(row[i].s, strlen(row[i].s), QUIRKS_FIXED, &r);
        CHECK(r.first == row[i].first && r.second == row[i].second &&
              r.read == row[i].read);
    }
    static const double shown[4][4] = {
        // ours first: ours, theirs; then theirs first: theirs, ours
        {9, 5, 5, 9},
        {9, 5, 9, 5},
        {5, 9, 9, 5},
        {7, 7, 5, 9}};
    for (int i = 0; i < 4; i++) {
        ab[i].first = shown[i][0];
        ab[i].second = shown[i][1];
        ba[i].first = shown[i][2];
        ba[i].second = shown[i][3];
        ab[i].read = ba[i].read = 1;
    }
    CHECK_OK(&a, ab_count(&a, ab, ba, 4, NULL, 1, &x));
    CHECK(x.win == 4 && x.tie == 1 && x.loss == 3);
    CHECK(x.agreed_win == 1 && x.agreed_tie == 2 && x.agreed_loss == 1 &&
          x.inconsistent == 2);
    CHECK(x.ours == 9 + 9 + 9 + 5 + 5 + 5 + 7 + 9 &&
          x.theirs == 5 + 5 + 5 + 9 + 9 + 9 + 7 + 5);
    CHECK(x.rate.mean == (1 + .5 + 0 + .75) / 4 && x.rate.n == 4);
    review_parse("(8, 9)", 6, QUIRKS_FIXED, &ab[0]);
    CHECK_OK(&a, ab_count(&a, ab, ba, 4, NULL, 1, &x));
    CHECK(x.unread == 1 && x.win == 3 && x.ours == 49);
    review_parse("(8, 9)", 6, QUIRKS_OFFICIAL, &ab[0]); // a tie, and -1 to both sums
    CHECK_OK(&a, ab_count(&a, ab, ba, 4, NULL, 1, &x));
    CHECK(x.unread == 0 && x.win == 3 && x.tie == 2 && x.ours == 48);
    test_close(&a);
}

static void test_questions(void) {
    static const char jsonl[] =
        "{\"question_id\": 7, \"text\": \"Why?\", \"category\": \"generic\"}\n";
    static const char *const answer[1] = {"Because \"so\"."};
    almost a;
    arena r;
    question_set s;
    const char **read;
    char path[512];
    test_open(&a);
    arena_init(&r, &a);
    test_path(path, "question.jsonl");
    CHECK_OK(&a, file_write(&a, path, jsonl, strlen(jsonl)));
    if (CHECK_OK(&a, questions_load(&a, &r, path, &s)) && CHECK_INT(s.n, 1)) {
        CHECK(s.item[0].id == 7 && !strcmp(s.item[0].category, "generic"));
        test_path(path, "answers.jsonl");
        CHECK_OK(&a, answers_write(&a, path, "m", s.item, answer, NULL, 1));
        if (CHECK_OK(&a, answers_read(&a, &r, path, s.item, 1, &read)))
            CHECK_STR(read[0], answer[0]);
        s.item[0].id = 8;
        CHECK_STATUS(&a, answers_read(&a, &r, path, s.item, 1, &read), ALMOST_ERR_FORMAT);
        fail_clear(&a);
    }
    test_path(path, "questions.txt");
    CHECK_OK(&a, file_write(&a, path, "3\tmath\tTwo?\nThree?\n", 19));
    if (CHECK_OK(&a, questions_load(&a, &r, path, &s)) && CHECK_INT(s.n, 2)) {
        CHECK(s.item[0].id == 3 && s.item[1].id == 2 && s.item[1].group == 1);
        CHECK_STR(s.item[0].text, "Two?");
    }
    arena_free(&r);
    test_close(&a);
}

/* ---- [34] on models ---- */

/* Answers in the voice of the question's last word: two turns see each other. */
static almost_status turn_say(void *ctx, const say_config *c, const say_batch *b,
                              text *reply, uint8_t *ended) {
    (void)ctx;
    (void)c;
    for (size_t i = 0; i < b->n; i++) {
        size_t turns = 0;
        for (const char *p = b->prompt[i]; (p = strstr(p, "Assistant:")); p++) turns++;
        text_fmt(&reply[i], " Reply %d of item %d. || more\n\nHuman: x", (int)turns,
                 (int)b->item[i]);
        ended[i] = 1;
        TRY(text_status(&reply[i]));
    }
    return ALMOST_OK;
}

static void test_answers(void) {
    almost a;
    arena r;
    speaker who = {NULL, turn_say};
    say_config c = {0.7f, 1, 96, 1, NULL, 0};
    question q[3];
    const char **answer;
    test_open(&a);
    arena_init(&r, &a);
    memset(q, 0, sizeof q);
    q[0].text = "One?";
    q[1].text = "One? || Two? || Three?";
    q[2].text = "One? || Two?";
    if (CHECK_OK(&a, bench_answers(&a, &r, &who, &c, "", q, 3, &answer))) {
        CHECK_STR(answer[0], "Reply 1 of item 0.");
        CHECK_STR(answer[1],
                  "Reply 1 of item 8. || Reply 2 of item 9. || Reply 3 of item 10.");
        CHECK_STR(answer[2], "Reply 1 of item 16. || Reply 2 of item 17.");
    }
    arena_free(&r);
    test_close(&a);
}

/* A small random model with a vocabulary learnt from a few words. */
static model *pipeline_model(almost *a) {
    static const char words[] =
        "Human: What is the capital of France? Assistant: Paris. true false "
        "Response A B Yes. No. Nope. I am. Is it red or not? Who? Nobody Me";
    shape s = {.dim = 32,
               .hidden = 64,
               .layers = 2,
               .heads = 2,
               .kv_heads = 2,
               .vocab = 300,
               .context = 128,
               .norm_eps = 1e-5f,
               .rope_theta = 10000,
               .tied = 1};
    tokenizer *tok;
    model *m;
    if (!CHECK_OK(a, tok_train(a, words, strlen(words), 300, &tok))) return NULL;
    s.vocab = tok_vocab(tok);
    if (!CHECK_OK(a, model_new(a, &s, &m))) return NULL;
    m->tok = tok;
    model_init(m, 3);
    for (size_t i = 0; i < m->n_floats; i++) m->params[i] *= 8; // far from uniform
    return m;
}

/* Sums agree with the chain of decode() rows; order and company change nothing; what does
 * not fit loses its beginning, or officially its end. */
static void test_logprobs(void) {
    almost *a = NULL;
    CHECK(almost_open(&a, NULL) == ALMOST_OK);
    model *m = pipeline_model(a);
    if (!m) return;
    static const char *const prompt[3] = {"\n\nHuman: Who?\n\nAssistant:", "",
                                          "\n\nHuman: a"};
    static const char *const reply[3] = {" Nobody", "Paris. Yes.", " B"};
    double sum[3], alone;
    int32_t count[3], n;
    CHECK_OK(a, bench_logprobs(m, "t", prompt, reply, 3, 1, 0, sum, count));
    for (int i = 0; i < 3; i++) {
        CHECK_OK(a, bench_logprobs(m, "t", prompt + i, reply + i, 1, 1, 0, &alone, &n));
        CHECK_BITS64(alone, sum[i]);
        CHECK_INT(n, count[i]);
        ids all;
        kv cache;
        decoder *d;
        size_t target, v = (size_t)m->s.vocab;
        double want = 0;
        ids_init(&all, a);
        memset(&cache, 0, sizeof cache);
        CHECK_OK(a, bench_ids(m, prompt[i], reply[i], 1, 0, &all, &target));
        float *logits = malloc(all.n * v * sizeof *logits);
        CHECK_OK(a, kv_open(&cache, m, 128));
        CHECK_OK(a, decoder_open(m, &d));
        kv_seq q = {NULL, &cache, all.v, all.n, all.n};
        CHECK_OK(a, decode(d, &q, 1, logits, NULL));
        for (size_t t = target; t < all.n; t++)
            want +=
                (double)logprob_forward(a->k, logits + (t - 1) * v, v, all.v[t], 1, NULL)
                    .logp;
        CHECK_BITS64(sum[i], want);
        CHECK_INT(all.n - target, count[i]);
        free(logits);
        decoder_close(d);
        kv_close(&cache);
        ids_free(&all);
    }
    char longer[400];
    memset(longer, 'x', sizeof longer);
    longer[0] = 'a';
    longer[398] = 'z';
    longer[399] = 0;
    for (uint32_t quirks = 0; quirks <= QUIRK_TRUNCATE; quirks += QUIRK_TRUNCATE) {
        ids all;
        size_t target, bytes;
        ids_init(&all, a);
        CHECK_OK(a, bench_ids(m, longer, " B", 0, quirks, &all, &target));
        CHECK_INT(all.n, 128);
        CHECK_INT(all.v[0], tok_bos(m->tok));
        CHECK(*tok_piece(m->tok, all.v[target - 1], &bytes) == (quirks ? 'x' : 'z'));
        ids_free(&all);
    }
    CHECK_STATUS(
        a,
        bench_logprobs(m, "t", prompt, (const char *const[]){longer}, 1, 0, 0, sum, count),
        ALMOST_ERR_LIMIT);
    model_free(m);
    almost_close(a);
}

/* Exchanging chosen and rejected turns every outcome around; nothing is missed. */
static void test_benchmarks(void) {
    almost *a = NULL;
    arena r;
    hhh_set s;
    mc_set mc;
    eval_templates tpl;
    outcome o[3], back[3];
    char path[512];
    CHECK(almost_open(&a, NULL) == ALMOST_OK);
    model *m = pipeline_model(a);
    if (!m) return;
    arena_init(&r, a);
    test_path(path, "hhh.json");
    CHECK_OK(a, file_write(a, path, TEST_HHH, strlen(TEST_HHH)));
    CHECK_OK(a, hhh_load(a, &r, path, &s));
    CHECK_OK(a, eval_templates_load(a, &r, T.dir, &tpl));
    for (int how = 0; how < 3; how++) {
        for (int swap = 0; swap < 2; swap++) {
            outcome *out = swap ? back : o;
            CHECK_OK(a, how < 2 ? bench_hhh_policy(m, &s, how, 0, out)
                                : bench_hhh_zero_shot(m, &s, &tpl, 0, out));
            for (size_t i = 0; i < s.n; i++) {
                const char *t = s.item[i].chosen;
                s.item[i].chosen = s.item[i].rejected;
                s.item[i].rejected = t;
            }
        }
        for (size_t i = 0; i < s.n; i++) CHECK_INT(o[i].credit + back[i].credit, CREDIT);
    }
    test_path(path, "mc.csv");
    CHECK_OK(a, file_write(a, path, TEST_CSV, strlen(TEST_CSV)));
    CHECK_OK(a, mc_load(a, &r, path, &mc));
    for (int how = MC_TRUE; how <= MC_MEAN; how++) {
        CHECK_OK(a, bench_mc(m, &mc, &tpl, how, 0, o));
        int64_t total = 0;
        for (size_t label = 0; label < mc.item[0].n; label++) {
            mc.item[0].label = label;
            CHECK_OK(a, bench_mc(m, &mc, &tpl, how, 0, back));
            total += back[0].credit;
            if (label == 0) CHECK_INT(back[0].credit, o[0].credit);
        }
        CHECK_INT(total, CREDIT); // the credits of all choices make one
        mc.item[0].label = 0;
    }
    arena_free(&r);
    model_free(m);
    almost_close(a);
}

/* The official layout of templates. */
static void test_templates(void) {
    static const char py[] =
        "x = 1\nstatic_HHH_prompt = \"\"\"\n\nHuman: {question} {answer_a}\"\"\"\n\n"
        "truthfulQA_prompt = \"\"\"T {question}\"\"\"";
    almost a;
    arena r;
    eval_templates t;
    char dir[512], path[600];
    test_open(&a);
    arena_init(&r, &a);
    test_path(dir, "assets");
    CHECK_OK(&a, dir_make(&a, dir));
    CHECK(path_join(path, sizeof path, dir, "eval_prompt.py"));
    CHECK_OK(&a, file_write(&a, path, py, strlen(py)));
    if (CHECK_OK(&a, eval_templates_load(&a, &r, dir, &t))) {
        CHECK_STR(t.hhh, "\n\nHuman: {question} {answer_a}");
        CHECK_STR(t.truthful, "T {question}");
    }
    CHECK_OK(&a, file_write(&a, path, py, 60));
    CHECK_STATUS(&a, eval_templates_load(&a, &r, dir, &t), ALMOST_ERR_FORMAT);
    arena_free(&r);
    test_close(&a);
}

/* Any bytes at all: a result or one line of failure, never a stray read. */
static void hostile_body(const char *s, size_t n, void *ctx) {
    almost a;
    arena r;
    demos d;
    utterance *turns;
    mc_set mc;
    text t;
    const char *q;
    size_t count;
    review rev;
    (void)ctx;
    test_open(&a);
    arena_init(&r, &a);
    text_init(&t, &a);
    memset(&mc, 0, sizeof mc);
    demos_parse(&a, &r, "x", s, n, &d);
    dialogue_turns(&a, &r, s, n, &turns, &count);
    mc_load_csv(&a, &r, "x", s, n, &mc);
    review_parse(s, n, 0, &rev);
    reply_cut(s, n, &q);
    reply_check(s, n, 5, 0);
    query_extract(s, n, 1, QUIRKS_FIXED, &t, &q);
    query_extract(s, n, 1, QUIRKS_OFFICIAL, &t, &q);
    CHECK(!strchr(a.message, '\n'));
    text_free(&t);
    arena_free(&r);
    test_close(&a);
}

static void test_pipeline_hostile(void) {
    test_hostile(TEST_DEMOS, strlen(TEST_DEMOS), 60, hostile_body, NULL);
    test_hostile(TEST_CSV, strlen(TEST_CSV), 60, hostile_body, NULL);
    const char *s = "Well \xE2\x80\x9Cno\xE2\x80\x9D.\nQuery: I don't know? query :\n8 9";
    test_hostile(s, strlen(s), 60, hostile_body, NULL);
}

/* Replies on a known curve at known distances: 40 prompts, every point asked all of them. */
static size_t gao_curve(gao_reply *row, int form, double start, double a, double b) {
    size_t n = 0;
    for (uint32_t p = 0; p < 9; p++)
        for (uint32_t k = 0; k < 40; k++) {
            double d = (double)p * 0.5, shift = ((double)k - 19.5) / 100;
            double y = start + d * a - b * gao_bend(form, d) + shift;
            gao_reply x = {k, p, (int64_t)(y * CREDIT), (int64_t)(d * d * CREDIT)};
            row[n++] = x;
        }
    return n;
}

/* The curve comes back, with its turn; intervals hold it; too few points are told. */
static void test_gao(void) {
    static const double turns[2] = {0.5 / (2 * 0.1), 7.389056}; // a/2b; exp(a/b - 1), a/b = 3
    gao_reply row[9 * 40];
    gao_fit fit[3];
    int found;
    almost a;
    test_open(&a);
    for (int form = GAO_BEST_OF; form <= GAO_RL; form++) {
        double b = form == GAO_RL ? 0.5 / 3 : 0.1;
        size_t n = gao_curve(row, form, 0.2, 0.5, b);
        CHECK_OK(&a, gao_bootstrap(&a, row, n, 9, 40, form, 3, fit, &found));
        const double want[GAO_ROWS] = {0.2, 0.5, b, turns[form]};
        for (int i = 0; i < GAO_ROWS && CHECK(found); i++) {
            double off = fit[0].v[i] - want[i];
            CHECK(MAX(off, -off) < 1e-4);
            CHECK(fit[1].v[i] <= fit[0].v[i] + 1e-6 && fit[2].v[i] >= fit[0].v[i] - 1e-6);
        }
        CHECK(fit[2].v[0] - fit[1].v[0] > 0.05); // prompts differ, so the start is uncertain,
        CHECK(fit[2].v[1] - fit[1].v[1] < 1e-6); // but alike at all distances: not the rest
        CHECK_OK(&a, gao_bootstrap(&a, row, 80, 2, 40, form, 3, fit, &found));
        CHECK(!found); // two points give no curve
    }
    CHECK_BITS64(gao_turn(GAO_BEST_OF, 1, 0), GAO_NEVER);
    CHECK_BITS64(gao_turn(GAO_RL, 1, -1), GAO_NEVER);
    CHECK_BITS64(gao_turn(GAO_RL, 100, 1), GAO_NEVER);
    CHECK_BITS64(gao_turn(GAO_BEST_OF, -1, 1), 0);
    CHECK_BITS64(gao_turn(GAO_RL, -1, 0), 0);
    CHECK_BITS64(gao_turn(GAO_RL, 1, 1), 1);
    test_close(&a);
}

/* Exact KL against sums in double over the same rows; a model has none to itself; that of an
 * answer of two turns is the mean of theirs. */
static void test_exact_kl(void) {
    almost *a = NULL;
    CHECK(almost_open(&a, NULL) == ALMOST_OK);
    model *m = pipeline_model(a), *other;
    if (!m || !CHECK_OK(a, model_clone(m, 0, &other))) return;
    for (size_t i = 0; i < other->n_floats; i += 3) other->params[i] *= 1.5f;
    static const char *const ask[2] = {"Who?", "Who? || a"};
    static const char *const answer[2] = {"Nobody", "Nobody || B"};
    model *const two[2] = {m, other};
    decoder *ds[2];
    arena r;
    double kl[2], second, want = 0;
    CHECK_OK(a, bench_kl(m, m, ask, answer, 2, kl));
    for (int i = 0; i < 2; i++) CHECK_BITS64(kl[i], 0);
    CHECK_OK(a, bench_kl(m, other, ask, answer, 2, kl));
    ids all;
    size_t target, v = (size_t)m->s.vocab;
    float *x[2];
    ids_init(&all, a);
    arena_init(&r, a);
    for (int k = 0; k < 2; k++) CHECK_OK(a, decoder_open(two[k], &ds[k]));
    CHECK_OK(a, bench_kl_one(two, ds, &r, &all,
                             "\n\nHuman: Who?\n\nAssistant: Nobody\n\nHuman: a\n\nAssistant:",
                             " B", &second));
    CHECK_BITS64(kl[1], kl[0] / 2 + second / 2);
    for (int k = 0; k < 2; k++) decoder_close(ds[k]);
    arena_free(&r);
    ids_clear(&all);
    CHECK_OK(a, bench_ids(m, "\n\nHuman: Who?\n\nAssistant:", " Nobody", 1, 0, &all, &target));
    for (int k = 0; k < 2; k++) {
        kv cache = {0};
        decoder *d;
        x[k] = malloc(all.n * v * sizeof **x);
        CHECK_OK(a, kv_open(&cache, m, 128));
        CHECK_OK(a, decoder_open(k ? other : m, &d));
        kv_seq q = {NULL, &cache, all.v, all.n, all.n};
        CHECK_OK(a, decode(d, &q, 1, x[k], NULL));
        decoder_close(d);
        kv_close(&cache);
    }
    for (size_t t = target - 1; t + 1 < all.n; t++) {
        double z[2] = {0, 0};
        for (int k = 0; k < 2; k++)
            for (size_t i = 0; i < v; i++) z[k] += ref_exp((double)x[k][t * v + i]);
        for (size_t i = 0; i < v; i++) {
            double p = ref_exp((double)x[0][t * v + i]) / z[0];
            want += p * ((double)x[0][t * v + i] - (double)x[1][t * v + i] - ref_log(z[0]) +
                         ref_log(z[1]));
        }
    }
    CHECK(kl[0] > 1e-4 && kl[0] - want < 1e-5 && want - kl[0] < 1e-5);
    for (int k = 0; k < 2; k++) free(x[k]);
    ids_free(&all);
    model_free(other);
    model_free(m);
    almost_close(a);
}

/* Which candidate is kept, and how far that may go. */
static void test_best_of(void) {
    static const float score[4] = {0.5f, 2, 2, -1};
    static const uint8_t good[4] = {1, 0, 1, 1}, none[4] = {0};
    CHECK_INT(play_pick(NULL, score, 4), 1); // ties to the lowest
    CHECK_INT(play_pick(good, score, 4), 2);
    CHECK_INT(play_pick(good, NULL, 4), 0);
    CHECK_INT(play_pick(none, score, 4), -1);
    CHECK_BITS64(answer_kl_bound(1), 0);
    CHECK(near(answer_kl_bound(2), (double)m_log(2) - 0.5));
    CHECK(answer_kl_bound(16) > 1.835 && answer_kl_bound(16) < 1.8352);
}

static const test TESTS_PIPELINE[] = {
    {"prompts", "quirks", test_quirks},
    {"prompts", "demonstrations", test_demos},
    {"prompts", "dialogue", test_dialogue},
    {"prompts", "reply cut", test_reply_cut},
    {"prompts", "records", test_records},
    {"prompt sampling", "rouge official", test_rouge_official},
    {"prompt sampling", "bit-parallel LCS", test_rouge_lcs},
    {"prompt sampling", "rouge tokens", test_rouge_tokens},
    {"prompt sampling", "extraction", test_query_extract},
    {"prompt sampling", "length rule", test_query_bad},
    {"prompt sampling", "stage", test_query_sample},
    {"prompt sampling", "out of memory", test_query_memory},
    {"responses", "filter", test_reply_check},
    {"responses", "names and budgets", test_respond_name},
    {"responses", "stage", test_respond_run},
    {"comparisons", "pair selection", test_compare_prompt},
    {"comparisons", "stage", test_compare_all},
    {"evaluation", "statistics", test_statistics},
    {"evaluation", "controls", test_controls},
    {"evaluation", "bootstrap", test_bootstrap},
    {"evaluation", "training seeds", test_seeds},
    {"evaluation", "training seeds, every resample", test_seeds_brute},
    {"evaluation", "static HHH", test_hhh},
    {"evaluation", "multiple choice", test_mc},
    {"evaluation", "judged answers", test_ab},
    {"evaluation", "questions", test_questions},
    {"evaluation", "answers in turns", test_answers},
    {"evaluation", "best of N", test_best_of},
    {"evaluation", "exact KL", test_exact_kl},
    {"evaluation", "curves of over-optimisation", test_gao},
    {"evaluation", "log-probabilities", test_logprobs},
    {"evaluation", "benchmarks on a model", test_benchmarks},
    {"evaluation", "templates", test_templates},
    {"pipeline", "hostile bytes", test_pipeline_hostile},
};
