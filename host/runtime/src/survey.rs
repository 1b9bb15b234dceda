//! The survey: a scan of a plugin's bytes for its kind, imports, exports and memory, without compiling.
//!
//! The scan is shallow on purpose: the engine validates every instruction later. It runs and
//! compiles nothing, and uses no length that it has not checked.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use wasmparser::{
    BinaryReaderError, ComponentExportSectionReader, ComponentImportSectionReader, Encoding,
    ExportSectionReader, ImportSectionReader, MemoryType, Parser, Payload, TypeRef,
};

use super::caps::{self, ShapeTally};
use super::entry::{CoreEntry, Start};
use super::error::LoadProblem;

/// Bytes per page of linear memory.
const PAGE_BYTES: u64 = 64 * 1024;
/// Prefix of the custom sections that describe the component which a core module becomes.
const COMPONENT_TYPE: &str = "component-type";
/// The first bytes of an ELF file.
const ELF: &[u8] = b"\x7fELF";
/// Offset of the byte that names an ELF file's target system, and its value in the engine's own files.
const ELF_SYSTEM: (usize, u8) = (7, 200);

/// Kind of a WebAssembly binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BinaryKind {
    /// A core module.
    Core,
    /// A component.
    Component,
}

/// Result of scanning a plugin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Survey {
    pub(crate) kind: BinaryKind,
    /// Top-level imports: interface names of components, `module` names of core modules.
    pub(crate) imports: Vec<String>,
    /// Top-level exports.
    pub(crate) exports: Vec<String>,
    /// True for a core module that contains component types.
    pub(crate) carries_component_type: bool,
    /// Sum of the declared minimums of all memories, in bytes.
    pub(crate) memory_minimum: u64,
    /// The export `_start` of a core module.
    pub(crate) start: Option<Start>,
    /// True for a core module that exports the memory that preview 1 calls use.
    pub(crate) exports_memory: bool,
}

/// Scans `bytes` once, from front to back.
pub(crate) fn survey(bytes: &[u8]) -> Result<Survey, LoadProblem> {
    let kind = kind_of(bytes)?;
    let mut look = Look {
        kind,
        bytes,
        tally: ShapeTally::default(),
        entry: CoreEntry::default(),
        imports: Names::default(),
        exports: Names::default(),
        carries_component_type: false,
        memory_minimum: 0,
    };
    for payload in Parser::new(0).parse_all(bytes) {
        look.note(payload.map_err(|error| broken(&error, bytes.len()))?)?;
    }
    look.end()
}

/// Distinct names in the order of their first use.
#[derive(Default)]
struct Names<'a> {
    seen: HashSet<&'a str>,
    in_order: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn add(&mut self, name: &'a str) {
        if self.seen.insert(name) {
            self.in_order.push(name);
        }
    }

    fn printable(self) -> Vec<String> {
        self.in_order.into_iter().map(LoadProblem::name).collect()
    }
}

/// A scan in progress.
struct Look<'a> {
    kind: BinaryKind,
    bytes: &'a [u8],
    tally: ShapeTally,
    entry: CoreEntry<'a>,
    imports: Names<'a>,
    exports: Names<'a>,
    carries_component_type: bool,
    memory_minimum: u64,
}

impl<'a> Look<'a> {
    fn note(&mut self, payload: Payload<'a>) -> Result<(), LoadProblem> {
        // Function bodies have no names and are not sections.
        if matches!(payload, Payload::CodeSectionEntry(_)) {
            return Ok(());
        }
        self.tally.section()?;
        // Imports and exports of nested modules and components are not listed, but they count.
        let top = self.tally.is_at_top();
        if top && self.kind == BinaryKind::Core {
            self.entry.note(&payload);
        }
        let len = self.bytes.len();
        let broken = |error: BinaryReaderError| broken(&error, len);
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                self.tally.enter()?;
            }
            Payload::End(_) => self.tally.leave(),
            Payload::MemorySection(memories) => {
                for memory in memories {
                    self.note_memory(memory.map_err(broken)?)?;
                }
            }
            Payload::ImportSection(imports) => self.note_imports(imports, top)?,
            Payload::ExportSection(exports) => self.note_exports(exports, top)?,
            Payload::ComponentImportSection(imports) => {
                self.note_component_imports(imports, top)?;
            }
            Payload::ComponentExportSection(exports) => {
                self.note_component_exports(exports, top)?;
            }
            Payload::ComponentTypeSection(types) => {
                let section = self.bytes.get(types.range());
                caps::types(section.unwrap_or_default())?;
            }
            Payload::CustomSection(section) => {
                self.tally.custom_section()?;
                self.tally.name(section.name())?;
                let is_ours = top && self.kind == BinaryKind::Core;
                if is_ours && section.name().starts_with(COMPONENT_TYPE) {
                    self.carries_component_type = true;
                    self.tally.inner(section.data())?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn note_imports(
        &mut self,
        imports: ImportSectionReader<'a>,
        top: bool,
    ) -> Result<(), LoadProblem> {
        self.tally.imports(imports.count())?;
        for import in imports.into_imports() {
            let import = import.map_err(|error| broken(&error, self.bytes.len()))?;
            self.tally.name(import.module)?;
            self.tally.name(import.name)?;
            if top {
                if let TypeRef::Memory(memory) = import.ty {
                    self.note_memory(memory)?;
                }
                self.imports.add(import.module);
            }
        }
        Ok(())
    }

    fn note_exports(
        &mut self,
        exports: ExportSectionReader<'a>,
        top: bool,
    ) -> Result<(), LoadProblem> {
        self.tally.exports(exports.count())?;
        for export in exports {
            let export = export.map_err(|error| broken(&error, self.bytes.len()))?;
            self.tally.name(export.name)?;
            if top {
                self.entry
                    .note_export(export.name, export.kind, export.index);
                self.exports.add(export.name);
            }
        }
        Ok(())
    }

    fn note_component_imports(
        &mut self,
        imports: ComponentImportSectionReader<'a>,
        top: bool,
    ) -> Result<(), LoadProblem> {
        self.tally.imports(imports.count())?;
        for import in imports {
            let import = import.map_err(|error| broken(&error, self.bytes.len()))?;
            let name = import.name.name;
            self.tally.name(name)?;
            if top {
                self.imports.add(name);
            }
        }
        Ok(())
    }

    fn note_component_exports(
        &mut self,
        exports: ComponentExportSectionReader<'a>,
        top: bool,
    ) -> Result<(), LoadProblem> {
        self.tally.exports(exports.count())?;
        for export in exports {
            let export = export.map_err(|error| broken(&error, self.bytes.len()))?;
            let name = export.name.name;
            self.tally.name(name)?;
            if top {
                self.exports.add(name);
            }
        }
        Ok(())
    }

    fn end(self) -> Result<Survey, LoadProblem> {
        let len = self.bytes.len();
        Ok(Survey {
            kind: self.kind,
            imports: self.imports.printable(),
            exports: self.exports.printable(),
            carries_component_type: self.carries_component_type,
            memory_minimum: self.memory_minimum,
            exports_memory: self.entry.exports_memory(),
            start: self.entry.start().map_err(|error| broken(&error, len))?,
        })
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

fn kind_of(bytes: &[u8]) -> Result<BinaryKind, LoadProblem> {
    if bytes.is_empty() {
        return Err(LoadProblem::Empty);
    }
    let (at, system) = ELF_SYSTEM;
    if bytes.starts_with(ELF) && bytes.get(at) == Some(&system) {
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
            Encoding::Module => BinaryKind::Core,
            Encoding::Component => BinaryKind::Component,
        }),
        Ok(_) => Err(not_wasm(bytes)),
        Err(error) => Err(broken(&error, bytes.len())),
    }
}

fn not_wasm(bytes: &[u8]) -> LoadProblem {
    let trimmed = bytes.trim_ascii_start();
    let remedy = if trimmed.starts_with(b"(module") || trimmed.starts_with(b"(component") {
        "this is the text format: translate it with wat2wasm or wasm-tools parse"
    } else if bytes.starts_with(ELF) {
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
        assert_eq!(found.kind, BinaryKind::Component);
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
        // A file cut exactly between two sections is a smaller, complete module.
        assert!(refused.count() > bytes.len() / 2);
    }
}
