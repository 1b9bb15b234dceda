"""NAME: counts beats in the fenced store until the host requests a stop.

It runs only while it holds its lock, and may be interrupted at any instruction when the lock is
lost. So the key it writes always holds a state from which the next holder can continue.

wit/job.wit explains every function. Errors of the host are raised as `Err`, with the reason in `value`.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import guest
from wit_world.imports import fenced_kv, job_context, lock, log, progress, types

# The table [jobs.NAME.config]; its defaults are in job.toml, too.
DEFAULTS = {"interval_ms": 1000, "work": 1000, "beats": 0}


class Guest(exports.Guest):
    """Entry point for the host."""

    def run(self) -> guest.Outcome:
        try:
            return guest.Outcome_Done(beat())
        except Err as error:
            # Raising an Err ends the run: retry to try it again, or fatal if an operator has to fix it, as
            # for a missing grant or a limit.
            cause = error.value
            why = getattr(cause, "value", None) or type(cause).__name__
            if isinstance(cause, (types.GuardError_Denied, types.GuardError_TooLarge)):
                raise Err(guest.Failure_Fatal(why)) from error
            raise Err(guest.Failure_Retry(why)) from error


def beat() -> str:
    """Beats, and returns the number of beats."""
    config = DEFAULTS | json.loads(job_context.config())
    key = f"{job_context.info().job}/beats"

    # The last count of the previous holder. Comparing the revision keeps a write from replacing a newer value.
    entry = fenced_kv.get(key)
    count, revision = (int(entry.value), entry.mod_revision) if entry else (0, 0)
    say(f"begins at {count}")

    beats = 0
    # Sleeps; returns true early when the host requests a stop.
    while not lock.stop_requested(config["interval_ms"]):
        result = work(config["work"])
        count += 1
        beats += 1
        revision = fenced_kv.compare_and_put(key, revision, str(count).encode())
        say(f"beat {count}", result=result)
        progress.report(beats, config["beats"] or None, "beating")
        if beats == config["beats"]:
            break
    return f"{beats} beats, {count} in all"


def work(amount: int) -> int:
    """Put your work here. However long it takes, it is stopped before the lock can pass to another host."""
    total = 0
    for n in range(amount):
        total = (total * 31 + n) % 1_000_003
    return total


def say(message: str, **fields: object) -> None:
    """Logs a line with the token of the lock."""
    named = {"token": lock.token(), **fields}
    log.emit(log.Level.INFO, message, [(name, str(value)) for name, value in named.items()])
