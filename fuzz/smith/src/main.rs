//! Writes WebAssembly that no compiler would: `leasehold-smith FIRST COUNT FOLDER`, one file a seed.
//!
//! In a workspace of its own, because it needs features of a crate that the engine's compiler is built with too. Of
//! four seeds one becomes a component, one a module of any proposal, and two are modules of which a host takes most of one.

use std::error::Error;
use std::path::Path;

use arbitrary::Unstructured;
use wasm_smith::{Component, Config, Module};

/// The entropy of one file, in bytes.
const ENTROPY: usize = 4 * 1024;
/// Exports of a command.
const EXPORTS: &str = r#"(module (func (export "_start")) (memory (export "memory") 1))"#;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [first, count, folder] = args.as_slice() else {
        return Err("usage: leasehold-smith FIRST COUNT FOLDER".into());
    };
    let (first, count): (u64, u64) = (first.parse()?, count.parse()?);
    std::fs::create_dir_all(folder)?;
    for seed in first..first + count {
        let bytes = file(seed)?;
        std::fs::write(Path::new(folder).join(format!("{seed:05}.wasm")), bytes)?;
    }
    Ok(())
}

fn file(seed: u64) -> arbitrary::Result<Vec<u8>> {
    let mut rng = fastrand::Rng::with_seed(seed);
    // Entropy that is used up yields empty modules, so a seed that fails gets more of it.
    loop {
        let entropy: Vec<u8> = (0..ENTROPY).map(|_| rng.u8(..)).collect();
        let mut input = Unstructured::new(&entropy);
        let made = match seed % 4 {
            0 => Component::new(any(), &mut input).map(|component| component.to_bytes()),
            1 => Module::new(any(), &mut input).map(|module| module.to_bytes()),
            kind => Module::new(offered(kind == 2), &mut input).map(|module| module.to_bytes()),
        };
        match made {
            Err(arbitrary::Error::IncorrectFormat | arbitrary::Error::NotEnoughData) => {}
            made => return made,
        }
    }
}

/// Every proposal that the generator knows.
fn any() -> Config {
    Config {
        custom_page_sizes_enabled: true,
        exceptions_enabled: true,
        gc_enabled: true,
        memory64_enabled: true,
        relaxed_simd_enabled: true,
        simd_enabled: true,
        tail_call_enabled: true,
        threads_enabled: true,
        wide_arithmetic_enabled: true,
        max_memories: 3,
        max_tables: 4,
        ..Config::default()
    }
}

/// Generated commands with the host's proposals; with references, also with proposals that it refuses.
fn offered(references: bool) -> Config {
    Config {
        exports: wat::parse_str(EXPORTS).ok(),
        max_memory32_bytes: 16 << 20,
        max_imports: 0,
        max_memories: 1,
        gc_enabled: false,
        exceptions_enabled: false,
        memory64_enabled: false,
        relaxed_simd_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        custom_page_sizes_enabled: false,
        wide_arithmetic_enabled: false,
        simd_enabled: true,
        bulk_memory_enabled: true,
        reference_types_enabled: references,
        ..Config::default()
    }
}
