//! Entry point of a job: from the function the host calls to the function the author wrote.
//!
//! Only converts: no logging, no retries, no catching of panics.

use crate::bindings::exports::leasehold::job::guest;
use crate::context::Context;
use crate::outcome::{Failure, Outcome};

/// Makes a function the job of this module; to be written once, at the top of the crate.
///
/// The function takes a [`&Context`](Context) and returns a `Result` whose sides convert
/// into [`Outcome`] and [`Failure`]: besides these two themselves, `()` or a string on the
/// left, and any error type on the right.
///
/// ```no_run
/// use leasehold_job::{Context, GuardError, job};
///
/// job!(run);
///
/// fn run(ctx: &Context) -> Result<(), GuardError> {
///     ctx.kv().put("greeting/last", ctx.run_id())?;
///     Ok(())
/// }
/// # fn main() {}
/// ```
///
/// # With a manifest
///
/// A plugin that is dropped into a host's folder brings its own settings, as TOML: its name, its
/// schedule, and its needs. They are in a file beside `Cargo.toml`,
/// `job!(run, manifest = "job.toml");`, or in the text itself:
///
/// ```no_run
/// # use leasehold_job::{Context, GuardError, job};
/// job!(run, manifest_text = r#"
///     name = "greeter"
///     every = "30s"
///     [needs]
///     kv = ["greeting/"]
/// "#);
/// # fn run(_: &Context) -> Result<(), GuardError> { Ok(()) }
/// # fn main() {}
/// ```
///
/// The manifest does not compile when it is empty or larger than 64 KiB. It is a part of the
/// plugin, so a changed file builds the plugin anew. `plugins/MANIFEST.md` explains every key.
#[macro_export]
macro_rules! job {
    ($run:path, manifest = $file:literal $(,)?) => {
        $crate::job!(
            $run,
            manifest_text = ::core::include_str!(::core::concat!(
                ::core::env!("CARGO_MANIFEST_DIR"),
                "/",
                $file
            ))
        );
    };
    ($run:path, manifest_text = $text:expr $(,)?) => {
        $crate::job!($run);

        const _: () = {
            const TEXT: &str = $text;

            // The second of two unsafe attributes in a job. A section's name is unsafe because a
            // section with a meaning for the linker could break the program. This one is a custom
            // section of WebAssembly, which no code can read. It exists only there; natively the
            // text is checked and left out. It needs no `#[used]`, which would put the text into
            // the guest's memory too.
            #[cfg_attr(target_family = "wasm", unsafe(link_section = "leasehold:manifest"))]
            static _MANIFEST: [u8; TEXT.len()] = $crate::manifest::section(TEXT);
        };
    };
    ($run:path $(,)?) => {
        const _: () = {
            struct Job;

            impl $crate::bindings::exports::leasehold::job::guest::Guest for Job {
                fn run() -> ::core::result::Result<
                    $crate::bindings::exports::leasehold::job::guest::Outcome,
                    $crate::bindings::exports::leasehold::job::guest::Failure,
                > {
                    $crate::answer($run)
                }
            }

            // The first of two unsafe attributes in a job. An exported function's name is unsafe
            // because two functions of one name would clash. The generated name and signature come
            // from the contract, and two jobs in one module do not link. The lint ignores macros of
            // other crates, so a job may itself forbid unsafe code.
    $crate::bindings::export!(Job with_types_in $crate::bindings);
        };
    };
}

/// Runs the author's function and converts its result to the contract's types.
#[doc(hidden)]
pub fn answer<O, F>(
    run: impl FnOnce(&Context) -> Result<O, F>,
) -> Result<guest::Outcome, guest::Failure>
where
    O: Into<Outcome>,
    F: Into<Failure>,
{
    match run(&Context::of_this_run()) {
        Ok(outcome) => Ok(outcome.into().into()),
        Err(failure) => Err(failure.into().into()),
    }
}
