//! The entry point of a core module: the type of `_start`, and the memory that calls to WASI use.
//!
//! The engine checks both only at the first call, when the lock is already held. This file keeps only section
//! readers, which refer to the plugin's bytes.

use serde::{Deserialize, Serialize};
use wasmparser::{
    BinaryReaderError, ExternalKind, FuncType, FunctionSectionReader, ImportSectionReader, Payload,
    TypeRef, TypeSectionReader,
};

/// Name of the entry function.
pub(crate) const START: &str = "_start";
/// Name of the exported memory that preview 1 uses.
const MEMORY: &str = "memory";

/// Shape of the export `_start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Start {
    /// A function without parameters and results, or one of unknown type, which the engine refuses.
    Callable,
    /// Another kind of export or type, as text.
    Other(String),
}

/// Readers of the sections that determine the entry point.
#[derive(Clone, Default)]
pub(crate) struct CoreEntry<'a> {
    types: Option<TypeSectionReader<'a>>,
    imports: Option<ImportSectionReader<'a>>,
    functions: Option<FunctionSectionReader<'a>>,
    start: Option<(ExternalKind, u32)>,
    exports_memory: bool,
}

impl<'a> CoreEntry<'a> {
    /// Keeps the reader of a relevant section of the outermost core module.
    pub(crate) fn note(&mut self, payload: &Payload<'a>) {
        match payload {
            Payload::TypeSection(types) => self.types = Some(types.clone()),
            Payload::ImportSection(imports) => self.imports = Some(imports.clone()),
            Payload::FunctionSection(functions) => self.functions = Some(functions.clone()),
            _ => {}
        }
    }

    /// Keeps a relevant export of the outermost core module.
    pub(crate) fn note_export(&mut self, name: &str, kind: ExternalKind, index: u32) {
        match name {
            START => self.start = Some((kind, index)),
            MEMORY => self.exports_memory = kind == ExternalKind::Memory,
            _ => {}
        }
    }

    /// Returns true if the module exports a memory for calls to preview 1.
    pub(crate) fn exports_memory(&self) -> bool {
        self.exports_memory
    }

    /// Resolves the type of `_start`. `None` if it is not exported.
    pub(crate) fn start(self) -> Result<Option<Start>, BinaryReaderError> {
        let Some((kind, index)) = self.start else {
            return Ok(None);
        };
        if kind != ExternalKind::Func {
            return Ok(Some(Start::Other(format!("a {}", word(kind)))));
        }
        let Some(type_index) = self.type_of(index)? else {
            return Ok(Some(Start::Callable));
        };
        let types = self.types.into_iter();
        let mut types = types.flat_map(TypeSectionReader::into_iter_err_on_gc_types);
        let Some(Ok(found)) = types.nth(type_index as usize) else {
            return Ok(Some(Start::Callable));
        };
        Ok(Some(shape(&found)))
    }

    /// Returns the type index of a function. Imported functions are numbered first.
    fn type_of(&self, function: u32) -> Result<Option<u32>, BinaryReaderError> {
        let mut left = function;
        for import in self
            .imports
            .iter()
            .flat_map(|all| all.clone().into_imports())
        {
            if let TypeRef::Func(type_index) = import?.ty {
                if left == 0 {
                    return Ok(Some(type_index));
                }
                left -= 1;
            }
        }
        let mut functions = self.functions.clone().into_iter().flatten();
        functions.nth(left as usize).transpose()
    }
}

fn shape(found: &FuncType) -> Start {
    let (params, results) = (found.params().len(), found.results().len());
    if params == 0 && results == 0 {
        Start::Callable
    } else {
        Start::Other(format!(
            "a function with {params} parameters and {results} results"
        ))
    }
}

fn word(kind: ExternalKind) -> &'static str {
    match kind {
        ExternalKind::Func | ExternalKind::FuncExact => "function",
        ExternalKind::Table => "table",
        ExternalKind::Memory => "memory",
        ExternalKind::Global => "global",
        ExternalKind::Tag => "tag",
    }
}
