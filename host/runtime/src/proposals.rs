//! The WebAssembly proposals that guests may use: one list, for the engine and for every validator.
//!
//! If no supported toolchain emits a proposal, only an attacker would reach its code in the engine, so it is left
//! off. A host must never compile for an engine whose features differ from [`OFFERED`]; the test
//! `the_engine_has_the_features_of_the_list` checks this.

use wasmparser::{Validator, WasmFeatures};
use wasmtime::Config;

use super::error::LoadProblem;

/// The proposals that guests may use, and the toolchains that need them.
///
/// | proposal | emitted by |
/// |---|---|
/// | component model | JavaScript, Python; every typed job once it is loaded |
/// | sign extension, bulk memory, mutable globals | Rust, C, Go, JavaScript, Python |
/// | non-trapping float to int | Rust, Go, JavaScript, Python |
/// | reference types (`funcref` tables, long call indices) | Rust, Python, wit-component |
/// | extended constant expressions | Python: position-independent libraries |
/// | multi-value | Rust and C with `-C target-feature` or `-mmultivalue` |
/// | several memories in one module | the engine: adapters between the parts of a composed component name both memories |
/// | SIMD, 128 bits and deterministic | Rust and C with `simd128`; `memchr` and the like |
pub(crate) const OFFERED: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::COMPONENT_MODEL)
    .union(WasmFeatures::MULTI_MEMORY)
    .difference(WasmFeatures::GC_TYPES);

/// A proposal that is turned off.
pub(crate) struct Proposal {
    flag: WasmFeatures,
    /// Name in the standard.
    pub(crate) name: &'static str,
    remedy: &'static str,
}

const DEFAULTS: &str =
    "build it for wasm32-wasip1 or wasm32-wasip2 with the toolchain's default features";
const ASYNC: &str = "build it against WASI 0.2 and without async exports";
const COMPONENT: &str = "build it with a released toolchain for wasm32-wasip2";

const fn off(flag: WasmFeatures, name: &'static str, remedy: &'static str) -> Proposal {
    Proposal { flag, name, remedy }
}

/// Every proposal that is turned off. A proposal that builds upon another one comes before it.
pub(crate) const LEFT_OFF: &[Proposal] = &[
    off(
        WasmFeatures::SHARED_EVERYTHING_THREADS,
        "shared-everything threads",
        DEFAULTS,
    ),
    off(
        WasmFeatures::CUSTOM_DESCRIPTORS,
        "custom descriptors",
        DEFAULTS,
    ),
    off(WasmFeatures::STACK_SWITCHING, "stack switching", DEFAULTS),
    off(WasmFeatures::GC, "garbage collection", DEFAULTS),
    off(
        WasmFeatures::FUNCTION_REFERENCES,
        "typed function references",
        DEFAULTS,
    ),
    off(
        WasmFeatures::GC_TYPES,
        "references to host objects (externref)",
        DEFAULTS,
    ),
    off(
        WasmFeatures::LEGACY_EXCEPTIONS,
        "legacy exception handling",
        "build it without WebAssembly exceptions (C++: without -fwasm-exceptions)",
    ),
    off(
        WasmFeatures::EXCEPTIONS,
        "exception handling",
        "build it without WebAssembly exceptions (C++: without -fwasm-exceptions)",
    ),
    off(
        WasmFeatures::THREADS,
        "threads",
        "build it without threads (wasm32-wasip1-threads, -pthread)",
    ),
    off(
        WasmFeatures::TAIL_CALL,
        "tail calls",
        "build it without tail calls (-mtail-call, target-feature=+tail-call)",
    ),
    off(
        WasmFeatures::MEMORY64,
        "64-bit memories and tables",
        "build it for wasm32 instead of wasm64",
    ),
    off(WasmFeatures::MEMORY_CONTROL, "memory control", DEFAULTS),
    off(
        WasmFeatures::CUSTOM_PAGE_SIZES,
        "custom page sizes",
        DEFAULTS,
    ),
    off(WasmFeatures::WIDE_ARITHMETIC, "wide arithmetic", DEFAULTS),
    off(
        WasmFeatures::RELAXED_SIMD,
        "relaxed SIMD",
        "build it without relaxed SIMD (-mrelaxed-simd): its results differ between machines",
    ),
    off(WasmFeatures::COMPACT_IMPORTS, "compact imports", DEFAULTS),
    off(
        WasmFeatures::CM_ASYNC_STACKFUL,
        "stackful async of the component model",
        ASYNC,
    ),
    off(
        WasmFeatures::CM_MORE_ASYNC_BUILTINS,
        "further async built-ins of the component model",
        ASYNC,
    ),
    off(
        WasmFeatures::CM_THREADING,
        "threads of the component model",
        ASYNC,
    ),
    off(
        WasmFeatures::CM_ERROR_CONTEXT,
        "error contexts of the component model",
        ASYNC,
    ),
    off(
        WasmFeatures::CM_ASYNC,
        "async of the component model",
        ASYNC,
    ),
    off(
        WasmFeatures::CM_FIXED_LENGTH_LISTS,
        "fixed-length lists of the component model",
        COMPONENT,
    ),
    off(
        WasmFeatures::CM_GC,
        "garbage collection of the component model",
        COMPONENT,
    ),
    off(
        WasmFeatures::CM_MAP,
        "maps of the component model",
        COMPONENT,
    ),
    off(
        WasmFeatures::CM64,
        "64-bit memories of the component model",
        COMPONENT,
    ),
    off(
        WasmFeatures::CM_IMPLEMENTS,
        "`implements` of the component model",
        COMPONENT,
    ),
    off(
        WasmFeatures::CM_CANON_NAMES,
        "version suffixes of the component model",
        COMPONENT,
    ),
    off(
        WasmFeatures::CM_VALUES,
        "values of the component model",
        COMPONENT,
    ),
    off(
        WasmFeatures::CM_NESTED_NAMES,
        "nested names of the component model",
        COMPONENT,
    ),
];

/// Makes an engine accept the offered features and no others.
pub(crate) fn configure(config: &mut Config) {
    config
        .wasm_features(OFFERED.complement(), false)
        .wasm_features(OFFERED, true)
        .shared_memory(false);
}

/// Validates a plugin as the engine would, without compiling it.
pub fn validate(bytes: &[u8]) -> Result<(), LoadProblem> {
    match attempt(bytes, OFFERED) {
        Ok(()) => Ok(()),
        Err(error) => Err(name_proposal(
            LoadProblem::Invalid {
                reason: LoadProblem::name(&error.to_string()),
            },
            bytes,
        )),
    }
}

/// Replaces "not valid" by the name of the proposal that would make the plugin valid, if there is one.
pub(crate) fn name_proposal(problem: LoadProblem, bytes: &[u8]) -> LoadProblem {
    match problem {
        LoadProblem::Invalid { .. } => match needed(bytes) {
            Some(proposal) => LoadProblem::Proposal {
                name: proposal.name,
                remedy: proposal.remedy,
            },
            None => problem,
        },
        other => other,
    }
}

/// Returns the first turned-off proposal that the plugin needs.
fn needed(bytes: &[u8]) -> Option<&'static Proposal> {
    let error = attempt(bytes, OFFERED).err()?;
    if let Some(missing) = error.missing_wasm_feature() {
        return LEFT_OFF
            .iter()
            .find(|proposal| proposal.flag.intersects(missing));
    }
    // The parser names no feature: some encodings are plain errors without their proposal.
    let all = LEFT_OFF
        .iter()
        .fold(OFFERED, |all, proposal| all.union(proposal.flag));
    attempt(bytes, all).ok()?;
    LEFT_OFF
        .iter()
        .find(|proposal| attempt(bytes, all.difference(proposal.flag)).is_err())
}

fn attempt(bytes: &[u8], features: WasmFeatures) -> Result<(), wasmparser::BinaryReaderError> {
    Validator::new_with_features(features)
        .validate_all(bytes)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_proposal_that_the_parser_knows_is_offered_or_left_off() {
        let known = LEFT_OFF.iter().fold(OFFERED, |all, proposal| {
            assert!(
                !OFFERED.intersects(proposal.flag),
                "{} is offered",
                proposal.name
            );
            all.union(proposal.flag)
        });
        assert_eq!(WasmFeatures::all().difference(known), WasmFeatures::empty());
    }

    #[test]
    fn the_engine_has_the_features_of_the_list() {
        let config = super::super::engine::config(512 * 1024);
        let engine = wasmtime::Engine::new(&config).unwrap();
        assert_eq!(engine.get_wasm_features(), OFFERED);
    }
}
