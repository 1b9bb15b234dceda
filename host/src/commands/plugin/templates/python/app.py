"""NAME: counts beats in the fenced store until it is asked to stop.

It runs only while it holds its lock, and may be ended at any instruction when that is lost: so the
one key it writes holds, at every moment, something that the next holder can go on from.

wit/job.wit explains every function. An error of the host's is raised as `Err`, with its reason in `value`.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import guest
from wit_world.imports import fenced_kv, job_context, lock, log, progress, types

# The table [jobs.NAME.config]; its defaults are in job.toml, too.
DEFAULTS = {"interval_ms": 1000, "work": 1000, "beats": 0}


class Guest(exports.Guest):
    """What the host calls."""

    def run(self) -> guest.Outcome:
        try:
            return guest.Outcome_Done(beat())
        except Err as error:
            # An Err of ours is the end of the run: retry it, or fatal, for a person to mend. A missing
            # grant or a limit is for a person.
            cause = error.value
            why = getattr(cause, "value", None) or type(cause).__name__
            if isinstance(cause, (types.GuardError_Denied, types.GuardError_TooLarge)):
                raise Err(guest.Failure_Fatal(why)) from error
            raise Err(guest.Failure_Retry(why)) from error


def beat() -> str:
    """Beats, and says how often."""
    config = DEFAULTS | json.loads(job_context.config())
    key = f"{job_context.info().job}/beats"

    # Where the holder before us came to. The revision makes each write one that cannot overtake another.
    entry = fenced_kv.get(key)
    count, revision = (int(entry.value), entry.mod_revision) if entry else (0, 0)
    say(f"begins at {count}")

    beats = 0
    # The right way to sleep: it ends early, with true, when the host wants this run to end.
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
    """Logs a line with the token it was written under."""
    named = {"token": lock.token(), **fields}
    log.emit(log.Level.INFO, message, [(name, str(value)) for name, value in named.items()])
