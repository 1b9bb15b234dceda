// NAME: counts beats in the fenced store until the host requests a stop.
//
// It runs only while it holds its lock, and may be interrupted at any instruction when the lock is
// lost. So the key it writes always holds a state from which the next holder can continue.
//
// wit/job.wit explains every function. u64 is BigInt; errors of the host are thrown, with `payload`.

import { compareAndPut, get } from 'leasehold:job/fenced-kv@CONTRACT';
import { config as configText, info } from 'leasehold:job/job-context@CONTRACT';
import { stopRequested, token } from 'leasehold:job/lock@CONTRACT';
import { emit } from 'leasehold:job/log@CONTRACT';
import { report } from 'leasehold:job/progress@CONTRACT';

/** The table [jobs.NAME.config]; its defaults are in job.toml, too. */
const DEFAULTS = { interval_ms: 1000, work: 1000, beats: 0 };

export const guest = {
  run() {
    try {
      return beat();
    } catch (error) {
      // Throwing `{ tag, val }` ends the run: 'retry' to try it again, or 'fatal' if an operator has to fix
      // it, as for a missing grant or a limit.
      const cause = error?.payload;
      if (cause?.tag === 'denied' || cause?.tag === 'too-large') throw { tag: 'fatal', val: `${cause.tag}: ${cause.val ?? ''}` };
      if (cause?.tag) throw { tag: 'retry', val: `${cause.tag}: ${cause.val ?? ''}` };
      throw { tag: 'retry', val: String(error) };
    }
  },
};

function beat() {
  const config = { ...DEFAULTS, ...JSON.parse(configText()) };
  const key = `${info().job}/beats`;
  const log = (message, fields = {}) =>
    emit('info', message, Object.entries({ token: token(), ...fields }).map(([name, value]) => [name, String(value)]));

  // The last count of the previous holder. Comparing the revision keeps a write from replacing a newer value.
  const entry = get(key);
  let count = entry ? Number(new TextDecoder().decode(entry.value)) : 0;
  let revision = entry ? entry.modRevision : 0n;
  log(`begins at ${count}`);

  let beats = 0;
  // Sleeps; returns true early when the host requests a stop.
  while (!stopRequested(config.interval_ms)) {
    const result = work(config.work);
    count += 1;
    beats += 1;
    revision = compareAndPut(key, revision, new TextEncoder().encode(String(count)));
    log(`beat ${count}`, { result });
    report(BigInt(beats), config.beats > 0 ? BigInt(config.beats) : undefined, 'beating');
    if (beats === config.beats) break;
  }
  return { tag: 'done', val: `${beats} beats, ${count} in all` };
}

/** Put your work here. However long it takes, it is stopped before the lock can pass to another host. */
function work(amount) {
  let sum = 0;
  for (let n = 0; n < amount; n += 1) sum = (sum * 31 + n) % 1_000_003;
  return sum;
}
