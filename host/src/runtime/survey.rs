//! A first look at a plugin's bytes, without compiling: what it is, wants, offers and needs.
//!
//! The look is shallow on purpose: the engine validates every instruction later. This file must
//! never run or compile anything, and never trust a length it has not checked.

use serde::{Deserialize, Serialize};
use wasmparser::{BinaryReaderError, Encoding, MemoryType, Parser, Payload, TypeRef};
use wasmtime::Engine;

use super::error::LoadProblem;

/// Bytes per page of linear memory.
const PAGE_BYTES: u64 = 64 * 1024;
/// Prefix of the custom sections that say of which component a core module is the heart.
const COMPONENT_TYPE: &str = "component-type";

/// What kind of binary it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// A core module.
    Core,
    /// A component.
    Component,
}

/// What the look found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Survey {
    pub(crate) kind: Kind,
    /// Top-level imports: interface names of components, `module` names of core modules.
    pub(crate) imports: Vec<String>,
    /// Top-level exports.
    pub(crate) exports: Vec<String>,
    /// A core module that carries component types.
    pub(crate) carries_component_type: bool,
    /// Sum of the declared minimums of all memories, in bytes.
    pub(crate) memory_minimum: u64,
}

/// Looks at `bytes`.
pub(crate) fn survey(bytes: &[u8]) -> Result<Survey, LoadProblem> {
    let kind = kind_of(bytes)?;
    let mut survey = Survey {
        kind,
        imports: Vec::new(),
        exports: Vec::new(),
        carries_component_type: false,
        memory_minimum: 0,
    };
    // Imports and exports of nested modules and components are their own affair.
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| broken(&error, bytes.len()))? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            payload => survey
                .note(payload, depth)
                .map_err(|error| broken(&error, bytes.len()))??,
        }
    }
    Ok(survey)
}

impl Survey {
    fn note(
        &mut self,
        payload: Payload<'_>,
        depth: u32,
    ) -> Result<Result<(), LoadProblem>, BinaryReaderError> {
        let top = depth == 0;
        match payload {
            Payload::MemorySection(memories) => {
                for memory in memories {
                    if let Err(problem) = self.note_memory(memory?) {
                        return Ok(Err(problem));
                    }
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import?;
                    if let (TypeRef::Memory(memory), true) = (import.ty, top)
                        && let Err(problem) = self.note_memory(memory)
                    {
                        return Ok(Err(problem));
                    }
                    if top {
                        add(&mut self.imports, import.module);
                    }
                }
            }
            Payload::ExportSection(exports) if top => {
                for export in exports {
                    add(&mut self.exports, export?.name);
                }
            }
            Payload::ComponentImportSection(imports) if top => {
                for import in imports {
                    add(&mut self.imports, import?.name.name);
                }
            }
            Payload::ComponentExportSection(exports) if top => {
                for export in exports {
                    add(&mut self.exports, export?.name.name);
                }
            }
            Payload::CustomSection(section) if top => {
                self.carries_component_type |=
                    self.kind == Kind::Core && section.name().starts_with(COMPONENT_TYPE);
            }
            _ => {}
        }
        Ok(Ok(()))
    }

    fn note_memory(&mut self, memory: MemoryType) -> Result<(), LoadProblem> {
        if memory.memory64 {
            return Err(LoadProblem::Forbidden {
                feature: "64-bit memory",
                remedy: "build it for wasm32 instead of wasm64",
            });
        }
        if memory.shared {
            return Err(LoadProblem::Forbidden {
                feature: "shared memory",
                remedy: "build it without threads (wasm32-wasip1-threads, -pthread)",
            });
        }
        let bytes = memory.initial.saturating_mul(PAGE_BYTES);
        self.memory_minimum = self.memory_minimum.saturating_add(bytes);
        Ok(())
    }
}

fn add(names: &mut Vec<String>, name: &str) {
    let name = LoadProblem::name(name);
    if !names.contains(&name) {
        names.push(name);
    }
}

fn kind_of(bytes: &[u8]) -> Result<Kind, LoadProblem> {
    if bytes.is_empty() {
        return Err(LoadProblem::Empty);
    }
    if Engine::detect_precompiled(bytes).is_some() {
        return Err(LoadProblem::Precompiled);
    }
    let magic: &[u8] = b"\0asm";
    if !bytes.starts_with(magic) {
        return Err(not_wasm(bytes));
    }
    match Parser::new(0).parse(bytes, true) {
        Ok(wasmparser::Chunk::Parsed {
            payload: Payload::Version { encoding, .. },
            ..
        }) => Ok(match encoding {
            Encoding::Module => Kind::Core,
            Encoding::Component => Kind::Component,
        }),
        Ok(_) => Err(not_wasm(bytes)),
        Err(error) => Err(broken(&error, bytes.len())),
    }
}

fn not_wasm(bytes: &[u8]) -> LoadProblem {
    let trimmed = bytes.trim_ascii_start();
    let remedy = if trimmed.starts_with(b"(module") || trimmed.starts_with(b"(component") {
        "this is the text format: translate it with wat2wasm or wasm-tools parse"
    } else if bytes.starts_with(b"\x7fELF") {
        "this is a program for this machine: build it for wasm32-wasip1 or wasm32-wasip2"
    } else {
        "name the .wasm file that the build made"
    };
    let head = &bytes[..bytes.len().min(8)];
    LoadProblem::NotWasm {
        found: format!("\"{}\"", head.escape_ascii()),
        remedy,
    }
}

fn broken(error: &BinaryReaderError, len: usize) -> LoadProblem {
    if error.message().contains("unexpected end") {
        return LoadProblem::Truncated { at: len as u64 };
    }
    LoadProblem::Invalid {
        reason: LoadProblem::name(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_modules_count_for_memory_but_not_for_imports() {
        let bytes = wat::parse_str(
            r#"(component
                (import "a:b/c@1.0.0" (instance))
                (core module (import "env" "f" (func)) (memory 2) (export "x" (memory 0)))
                (core module (memory 3)))"#,
        )
        .unwrap();
        let found = survey(&bytes).unwrap();
        assert_eq!(found.kind, Kind::Component);
        assert_eq!(found.imports, ["a:b/c@1.0.0"]);
        assert!(found.exports.is_empty());
        assert_eq!(found.memory_minimum, 5 * PAGE_BYTES);
    }

    #[test]
    fn a_plugin_cut_at_any_byte_is_refused_without_a_panic() {
        let bytes = wat::parse_str(
            r#"(module (import "m" "f" (func)) (memory 1) (data (i32.const 0) "data")
                (func (export "_start") (call 0)))"#,
        )
        .unwrap();
        let refused = (0..bytes.len()).filter(|end| survey(&bytes[..*end]).is_err());
        // A cut exactly between two sections is a smaller whole module.
        assert!(refused.count() > bytes.len() / 2);
    }
}
