/* A greeting from C: a plain WASI command made with nothing but clang and wasi-libc.
 *
 * Shows that a job needs no SDK and no Rust: environment in, lines and an exit code out. It says
 * hello with the fencing token it runs under, beats as often as its arguments demand, and exits with
 * the code they demand, so that the host's reaction to each can be seen.
 *
 *     c-hello [BEATS [EXIT_CODE]]      BEATS: 1 by default, ten in a second; EXIT_CODE: 0
 *
 * Every line is flushed: a line that stays in a buffer was not printed.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Exit code for wrong arguments, as in most commands. */
enum { USAGE = 2 };

static const struct timespec INTERVAL = {.tv_sec = 0, .tv_nsec = 100 * 1000 * 1000};

/* Parses a whole number from 0 to most; -1 when the text is not such a number. */
static long number(const char *text, long most) {
    char *end = NULL;
    errno = 0;
    const long value = strtol(text, &end, 10);
    return (errno != 0 || end == text || *end != '\0' || value < 0 || value > most) ? -1 : value;
}

int main(int argc, char **argv) {
    const long beats = argc > 1 ? number(argv[1], 1000000) : 1;
    const long code = argc > 2 ? number(argv[2], 125) : 0;
    if (beats < 0 || code < 0 || argc > 3) {
        fprintf(stderr, "usage: c-hello [BEATS [EXIT_CODE]], whole numbers; EXIT_CODE up to 125\n");
        return USAGE;
    }

    const char *token = getenv("LEASEHOLD_TOKEN");
    printf("hello from C token=%s\n", token != NULL ? token : "-");
    fflush(stdout);

    for (long beat = 1; beat <= beats; beat++) {
        nanosleep(&INTERVAL, NULL);
        printf("beat %ld\n", beat);
        fflush(stdout);
    }
    return (int)code;
}
