//! Records for tests. Each field has a plain value; a test sets those that it is about with `..run_record(…)`.

use leasehold_ids::Token;

use crate::{HostRecord, JobRecord, JobState, Outcome, RunRecord, UnixMs, run_id};

/// Returns a host that started at second one.
pub fn host_record(host: &str, jobs: &[&str]) -> HostRecord {
    HostRecord {
        host: host.to_owned(),
        pid: 7,
        version: "0.1.0".to_owned(),
        started_unix_ms: UnixMs::new(1_000),
        jobs: jobs.iter().map(|job| (*job).to_owned()).collect(),
        files: String::new(),
    }
}

/// Returns a job in this state since second one, with a lock of its own name.
pub fn job_record(job: &str, host: &str, state: JobState) -> JobRecord {
    JobRecord {
        job: job.to_owned(),
        host: host.to_owned(),
        lock: job.to_owned(),
        state,
        since_unix_ms: UnixMs::new(1_000),
        token: None,
        next_unix_ms: None,
        last: None,
        detail: String::new(),
        progress: None,
        holds: Vec::new(),
        pending: None,
        plan: None,
        files: None,
    }
}

/// Returns the first run under a token, under way since second one. Its lock has the job's name.
pub fn run_record(job: &str, host: &str, token: u64) -> RunRecord {
    let token = Token::new(token);
    RunRecord {
        job: job.to_owned(),
        host: host.to_owned(),
        lock: job.to_owned(),
        shared: false,
        lock_key: String::new(),
        token,
        sequence: 0,
        run_id: run_id(host, token, 0),
        attempt: 1,
        tick_unix_ms: None,
        plugin_sha256: "00".to_owned(),
        version: String::new(),
        started_unix_ms: UnixMs::new(1_000),
        ended_unix_ms: None,
        outcome: Outcome::Running,
        detail: String::new(),
        calls_admitted: 0,
        calls_refused: 0,
        peak_memory_bytes: 0,
        output: String::new(),
        output_truncated_bytes: 0,
        output_kept_in: String::new(),
        merged: None,
        manual: None,
    }
}
