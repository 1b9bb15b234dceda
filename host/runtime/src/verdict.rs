//! Translates the engine's result to the end of a run.
//!
//! The engine reports its limits as plain text, so some are recognized by their wording. Each has a
//! test that fails when an upgrade changes the wording. The leash is checked before the error is
//! read, so that a loss is never reported as a failure of the guest.

use std::time::Duration;

use leasehold_lock::{EndReason, Tenure};
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use super::contract::bindings::exports::leasehold::job::guest::{Failure, Outcome};
use super::gate::CallRefused;
use super::leash::{Leash, RunStopped, StopReason};
use super::meter::MeterReading;
use super::report::RunEnd;
use leasehold_config::{JobSource, LimitKey, Remedy};

/// Result of a guest that returned by itself.
pub(crate) enum GuestReturn {
    Job(Result<Outcome, Failure>),
    Command(Result<(), ()>),
}

/// Wording by which the engine's own limits are recognized.
const WORDS: &[(&str, LimitKey)] = &[
    ("resource limit exceeded", LimitKey::Instances),
    ("store handle limit exceeded", LimitKey::Handles),
    ("resource table has no free keys", LimitKey::Handles),
    ("fuel allocated for hostcalls", LimitKey::HostCall),
    ("requested len", LimitKey::Random),
    ("total size of fields exceeds limit", LimitKey::HttpFields),
    ("exceeds memory limits", LimitKey::Memory),
    ("exceeds table limits", LimitKey::Tables),
];

/// Frames in a full backtrace. If all are of one function, it recursed without end.
const RECURSION_FRAMES: usize = 16;

/// Returns the end of a run that the leash ended.
pub(crate) fn of_cause(cause: StopReason, tenure: &Tenure) -> RunEnd {
    match cause {
        StopReason::Lost => RunEnd::Lost(tenure.end_reason().unwrap_or(EndReason::DeadlinePassed)),
        StopReason::TimedOut => RunEnd::TimedOut,
        StopReason::Stopped => RunEnd::Stopped,
    }
}

/// Returns the end of a run whose guest returned.
pub(crate) fn of_return(returned: GuestReturn, clean: impl Fn(&str) -> String) -> RunEnd {
    match returned {
        GuestReturn::Job(Ok(Outcome::Done(text))) => RunEnd::Done(text.as_deref().map(clean)),
        GuestReturn::Job(Ok(Outcome::AgainIn(ms))) => RunEnd::Again(Duration::from_millis(ms)),
        GuestReturn::Job(Err(Failure::Retry(why))) => RunEnd::Retry(clean(&why)),
        GuestReturn::Job(Err(Failure::Fatal(why))) => RunEnd::Fatal(clean(&why)),
        GuestReturn::Command(Ok(())) => RunEnd::Done(None),
        GuestReturn::Command(Err(())) => RunEnd::Exit(1),
    }
}

/// Returns the end of a run that stopped with an error.
pub(crate) fn of_error(
    error: &wasmtime::Error,
    leash: &Leash,
    tenure: &Tenure,
    meter: &MeterReading,
    job: &JobSource,
    clean: impl Fn(&str) -> String,
) -> RunEnd {
    if error.is::<CallRefused>() {
        return of_cause(StopReason::Lost, tenure);
    }
    if let Some(RunStopped(cause)) = error.downcast_ref::<RunStopped>() {
        return of_cause(*cause, tenure);
    }
    if let Some(I32Exit(status)) = error.downcast_ref::<I32Exit>() {
        return match status {
            0 => RunEnd::Done(None),
            status => RunEnd::Exit(*status),
        };
    }
    let trap = error.downcast_ref::<Trap>().copied();
    if trap == Some(Trap::Interrupt)
        && let Some(cause) = leash.stop_reason()
    {
        return of_cause(cause, tenure);
    }
    let message = explained(trap, error, &clean);
    match limit_of(trap, &message, meter) {
        Some(limit) => RunEnd::Limit {
            limit,
            message: format!("{message}: {}", Remedy::Raise(limit).for_source(job)),
        },
        None => RunEnd::Trap {
            kind: kind_of(trap),
            message,
        },
    }
}

/// Returns true if a guest could not be instantiated because this host lacked memory or room in its pool.
pub(crate) fn is_of_host(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<std::io::Error>()
            || cause.is::<rustix::io::Errno>()
            || cause.is::<PoolConcurrencyLimitError>()
    })
}

/// Returns the guest's backtrace: one function name per line, innermost first.
pub(crate) fn backtrace_of(
    error: &wasmtime::Error,
    clean: impl Fn(&str) -> String,
) -> Option<String> {
    if error.is::<I32Exit>() {
        // The guest exited on purpose.
        return None;
    }
    let trace = error.downcast_ref::<WasmBacktrace>()?.to_string();
    // The engine prints a title, then `index: offset - module!function`, demangled.
    let frames = trace.lines().skip(1).map(|frame| {
        let name = frame.split_once(" - ").map_or(frame, |(_, name)| name);
        clean(name.trim().trim_start_matches("<unknown>!"))
    });
    Some(frames.collect::<Vec<_>>().join("\n"))
}

/// Explains a trap, whose own message is short, with the help of its backtrace.
fn explained(
    trap: Option<Trap>,
    error: &wasmtime::Error,
    clean: &impl Fn(&str) -> String,
) -> String {
    let said = error.root_cause().to_string();
    let said = clean(said.trim_start_matches("wasm trap: "));
    if trap == Some(Trap::MemoryOutOfBounds)
        && let Some(function) = recursing(error, clean)
    {
        return format!(
            "{said}: {function} calls itself without end, and the stack that the guest keeps in \
             its memory, sized when it was linked, is used up"
        );
    }
    said
}

/// Returns the name of the function that alone fills a long backtrace.
fn recursing(error: &wasmtime::Error, clean: &impl Fn(&str) -> String) -> Option<String> {
    let frames = error.downcast_ref::<WasmBacktrace>()?.frames();
    let first = frames.first()?.func_index();
    let alone = frames.iter().all(|frame| frame.func_index() == first);
    if frames.len() < RECURSION_FRAMES || !alone {
        return None;
    }
    let trace = backtrace_of(error, clean)?;
    trace.lines().next().map(str::to_owned)
}

fn limit_of(trap: Option<Trap>, message: &str, meter: &MeterReading) -> Option<LimitKey> {
    if trap == Some(Trap::StackOverflow) {
        return Some(LimitKey::Stack);
    }
    let told = WORDS.iter().find(|(words, _)| message.contains(words));
    // A guest that stops after it was refused memory stopped because of that: allocators abort.
    told.map(|(_, limit)| *limit).or_else(|| meter.refused())
}

fn kind_of(trap: Option<Trap>) -> &'static str {
    match trap {
        Some(Trap::UnreachableCodeReached) => "unreachable",
        Some(Trap::MemoryOutOfBounds | Trap::HeapMisaligned) => "memory-access",
        Some(Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature) => {
            "indirect-call"
        }
        Some(
            Trap::IntegerOverflow | Trap::IntegerDivisionByZero | Trap::BadConversionToInteger,
        ) => "arithmetic",
        Some(_) => "trap",
        None => "host-call",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_memory_is_a_fault_of_the_host_and_a_trap_is_not() {
        let no_memory = std::io::Error::from_raw_os_error(12);
        let no_memory = wasmtime::Error::from(no_memory).context("mmap failed to reserve");
        assert!(is_of_host(&no_memory));
        assert!(is_of_host(&rustix::io::Errno::NOMEM.into()));
        assert!(!is_of_host(&Trap::UnreachableCodeReached.into()));
        assert!(!is_of_host(&wasmtime::Error::msg(
            "resource limit exceeded"
        )));
    }
}
