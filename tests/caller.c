/* A program in whose floating-point environment no library should have to work:
 *     caller CONTROL X87 LOCALE
 * turns over the bits CONTROL (hexadecimal) of the processor's control word and X87 of the
 * x87 unit's, sets the locale, prints what `almost kat` prints, and ends with 0 if the
 * words are then as it set them. Valid C and C++. tests/matrix.sh builds it. */
#include "almost.h"
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long control_get(void) {
    unsigned long long word = 0;
#if defined(__SSE__)
    __asm__ volatile("stmxcsr %0" : "=m"(*(unsigned *)&word));
    return (unsigned long)word & ~0x3Ful; /* without the flags of what happened so far */
#elif defined(__aarch64__)
    __asm__ volatile("mrs %0, fpcr" : "=r"(word));
#endif
    return (unsigned long)word;
}
static void control_set(unsigned long word) {
#if defined(__SSE__)
    unsigned w = (unsigned)word;
    __asm__ volatile("ldmxcsr %0" : : "m"(w));
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"((unsigned long long)word));
#else
    (void)word;
#endif
}
static unsigned x87_get(void) {
    unsigned short word = 0;
#if defined(__SSE__)
    __asm__ volatile("fnstcw %0" : "=m"(word));
#endif
    return word;
}
static void x87_set(unsigned w) {
    unsigned short word = (unsigned short)w;
#if defined(__SSE__)
    __asm__ volatile("fldcw %0" : : "m"(word));
#endif
    (void)word;
}

static int put(void *user, const char *s, size_t n) {
    return fwrite(s, 1, n, (FILE *)user) != n;
}

int main(int argc, char **argv) {
    const char *const words[] = {"kat"};
    almost_options o;
    almost *a;
    memset(&o, 0, sizeof o);
    if (argc < 4) return 2;
    if (argv[3][0] != 'C' && !setlocale(LC_ALL, argv[3])) {
        fprintf(stderr, "no locale %s\n", argv[3]);
        return 3;
    }
    unsigned long control = control_get() ^ strtoul(argv[1], NULL, 16);
    unsigned x87 = x87_get() ^ (unsigned)strtoul(argv[2], NULL, 16);
    control_set(control);
    x87_set(x87);
    almost_status s = almost_open(&a, &o);
    if (s == ALMOST_OK) s = almost_command(a, words, 1, put, stdout);
    int kept = control_get() == control && x87_get() == x87;
    control_set(0x1F80);
    if (s != ALMOST_OK) fprintf(stderr, "almost: %s\n", almost_message(a));
    if (!kept) fprintf(stderr, "the caller's control words were changed\n");
    almost_close(a);
    return s != ALMOST_OK || !kept;
}
