/* NAME: counts beats in the fenced store until the host requests a stop.
 *
 * It runs only while it holds its lock, and may be interrupted at any instruction when the lock is
 * lost. So the key it writes always holds a state from which the next holder can continue.
 *
 * bindings/leasehold.h explains every function. One that can fail returns false and fills `err`. Memory
 * that is not freed here is freed with the instance, which lives for one run. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "leasehold.h"

static uint64_t setting(const leasehold_string_t *config, const char *name, uint64_t otherwise);
static uint64_t work(uint64_t amount);
static void say(const char *message);
static bool failed(const leasehold_job_fenced_kv_guard_error_t *error, exports_leasehold_job_guest_failure_t *failure);

bool exports_leasehold_job_guest_run(exports_leasehold_job_guest_outcome_t *ret,
                                     exports_leasehold_job_guest_failure_t *err) {
    /* The table [jobs.NAME.config]; its defaults are in job.toml, too. */
    leasehold_string_t config;
    leasehold_job_job_context_config(&config);
    const uint64_t interval_ms = setting(&config, "interval_ms", 1000);
    const uint64_t most_beats = setting(&config, "beats", 0);
    const uint64_t amount = setting(&config, "work", 1000);

    leasehold_job_job_context_run_info_t info;
    leasehold_job_job_context_info(&info);
    char name[256], text[256];
    snprintf(name, sizeof name, "%.*s/beats", (int)info.job.len, (const char *)info.job.ptr);
    leasehold_string_t key;
    leasehold_string_set(&key, name);

    /* The last count of the previous holder. Comparing the revision keeps a write from replacing a newer value. */
    leasehold_job_fenced_kv_guard_error_t error;
    leasehold_job_fenced_kv_option_entry_t entry;
    if (!leasehold_job_fenced_kv_get(&key, &entry, &error)) return failed(&error, err);
    uint64_t count = 0, revision = 0, beats = 0;
    if (entry.is_some) {
        snprintf(text, sizeof text, "%.*s", (int)entry.val.value.len, (const char *)entry.val.value.ptr);
        count = strtoull(text, NULL, 10);
        revision = entry.val.mod_revision;
    }
    snprintf(text, sizeof text, "begins at %" PRIu64, count);
    say(text);

    /* Sleeps; returns true early when the host requests a stop. */
    while (!leasehold_job_lock_stop_requested((uint32_t)interval_ms)) {
        const uint64_t result = work(amount);
        count++;
        beats++;
        const int length = snprintf(text, sizeof text, "%" PRIu64, count);
        leasehold_list_u8_t value = {.ptr = (uint8_t *)text, .len = (size_t)length};
        if (!leasehold_job_fenced_kv_compare_and_put(&key, revision, &value, &revision, &error))
            return failed(&error, err);
        snprintf(text, sizeof text, "beat %" PRIu64 ", result %" PRIu64, count, result);
        say(text);
        leasehold_string_t doing;
        leasehold_string_set(&doing, "beating");
        uint64_t total = most_beats;
        leasehold_job_progress_report(beats, most_beats > 0 ? &total : NULL, &doing);
        if (beats == most_beats) break;
    }
    snprintf(text, sizeof text, "%" PRIu64 " beats, %" PRIu64 " in all", beats, count);
    ret->tag = EXPORTS_LEASEHOLD_JOB_GUEST_OUTCOME_DONE;
    ret->val.done.is_some = true;
    leasehold_string_dup(&ret->val.done.val, text);
    return true;
}

/* Put your work here. However long it takes, it is stopped before the lock can pass to another host. */
static uint64_t work(uint64_t amount) {
    volatile uint64_t sum = 0;
    for (uint64_t n = 0; n < amount; n++) sum = sum * 31 + n;
    return sum;
}

/* Reads a whole number from the job's table, which arrives as JSON; use a parser for anything more. */
static uint64_t setting(const leasehold_string_t *config, const char *name, uint64_t otherwise) {
    char *text = strndup((const char *)config->ptr, config->len), quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", name);
    const char *found = text != NULL ? strstr(text, quoted) : NULL;
    const uint64_t value = found != NULL ? strtoull(found + strlen(quoted), NULL, 10) : otherwise;
    free(text);
    return value;
}

/* Logs a line with the token of the lock. */
static void say(const char *message) {
    char token[32];
    snprintf(token, sizeof token, "%" PRIu64, leasehold_job_lock_token());
    leasehold_string_t text;
    leasehold_tuple2_string_string_t field;
    leasehold_string_set(&text, message);
    leasehold_string_set(&field.f0, "token");
    leasehold_string_set(&field.f1, token);
    leasehold_list_tuple2_string_string_t fields = {.ptr = &field, .len = 1};
    leasehold_job_log_emit(LEASEHOLD_JOB_LOG_LEVEL_INFO, &text, &fields);
}

/* Turns an error of the host into a failure of the run: a missing grant or a limit is fatal, an operator has to fix it. */
static bool failed(const leasehold_job_fenced_kv_guard_error_t *error, exports_leasehold_job_guest_failure_t *failure) {
    static const char *const REASONS[] = {"the lock is lost", "not granted", "another client wrote the key",
                                          "over a limit", "the store did not answer"};
    const bool fatal = error->tag == LEASEHOLD_JOB_TYPES_GUARD_ERROR_DENIED ||
                       error->tag == LEASEHOLD_JOB_TYPES_GUARD_ERROR_TOO_LARGE;
    failure->tag = fatal ? EXPORTS_LEASEHOLD_JOB_GUEST_FAILURE_FATAL : EXPORTS_LEASEHOLD_JOB_GUEST_FAILURE_RETRY;
    char text[1024];
    int length = snprintf(text, sizeof text, "%s", REASONS[error->tag]);
    if (error->tag == LEASEHOLD_JOB_TYPES_GUARD_ERROR_DENIED || error->tag == LEASEHOLD_JOB_TYPES_GUARD_ERROR_UNAVAILABLE)
        snprintf(text + length, sizeof text - (size_t)length, ": %.*s", (int)error->val.denied.len,
                 (const char *)error->val.denied.ptr);
    leasehold_string_dup(&failure->val.retry, text);
    return false;
}
