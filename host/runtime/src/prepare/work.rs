//! Surveys a plugin's bytes, and compiles them to machine code in a directory.
//!
//! This is the only file that parses or compiles a plugin. It runs in a child process, or in a test's own process.

use std::borrow::Cow;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::{Cache, CacheConfig, Engine, Module};

use super::messages::{PrepareStage, PreparedPlugin};
use super::task::Preparation;
use crate::engine;
use crate::error::LoadProblem;
use crate::proposals;
use crate::survey::{BinaryKind, survey};
use leasehold_config::hex;
use leasehold_config::limits::Limits;

/// File with the component that a module was converted to.
pub(super) const COMPONENT: &str = "component.wasm";
/// Directory for the engine alone, because the engine removes files that it did not make.
pub(super) const ENGINE: &str = "engine";
/// Version of the entries' format. It changes with everything that affects an entry and is not in the engine's own key.
const FORMAT: u8 = 1;

/// A surveyed plugin, with the bytes to compile.
pub(super) struct SurveyedPlugin<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) plugin: PreparedPlugin,
}

/// Surveys `bytes`, and converts a module that contains component types to a component.
pub(super) fn read(
    bytes: &[u8],
    mut begins: impl FnMut(PrepareStage),
) -> Result<SurveyedPlugin<'_>, LoadProblem> {
    begins(PrepareStage::Survey);
    let found = survey(bytes)?;
    if !found.carries_component_type {
        return Ok(SurveyedPlugin {
            bytes: Cow::Borrowed(bytes),
            plugin: PreparedPlugin {
                survey: found,
                is_componentized: false,
            },
        });
    }
    begins(PrepareStage::Types);
    let component = componentize(bytes)?;
    Ok(SurveyedPlugin {
        plugin: PreparedPlugin {
            survey: survey(&component)?,
            is_componentized: true,
        },
        bytes: Cow::Owned(component),
    })
}

impl SurveyedPlugin<'_> {
    /// Compiles the plugin with the compiler of this id. The engine writes its cache entry to `dir`.
    pub(super) fn compile(&self, dir: &Path, id: &str) -> Result<(), LoadProblem> {
        let host = |error: &dyn std::fmt::Display| {
            LoadProblem::Host(format!("{}: {error}", dir.display()))
        };
        if self.plugin.is_componentized {
            fs::write(dir.join(COMPONENT), &self.bytes).map_err(|error| host(&error))?;
        }
        let mut cache = CacheConfig::new();
        cache.with_directory(dir.join(ENGINE));
        let cache = Cache::new(cache).map_err(|error| host(&error))?;
        let mut config = engine::config(Limits::default().stack_bytes);
        let engine = Engine::new(config.cache(Some(cache))).map_err(|error| host(&error))?;
        if id_of(&engine) != id {
            return Err(host(&"the compiler is not the host's own"));
        }
        let compiled = match self.plugin.survey.kind {
            BinaryKind::Core => Module::from_binary(&engine, &self.bytes).map(drop),
            BinaryKind::Component => Component::from_binary(&engine, &self.bytes).map(drop),
        };
        compiled.map_err(|error| {
            let reason = LoadProblem::name(&format!("{error:#}"));
            proposals::name_proposal(LoadProblem::Invalid { reason }, &self.bytes)
        })
    }
}

/// Surveys and compiles a plugin in this process.
pub(super) fn here(bytes: &Arc<[u8]>, dir: Option<&Path>) -> Result<Preparation, LoadProblem> {
    let began = Instant::now();
    let read = read(bytes, |_| {})?;
    if let Some(dir) = dir {
        read.compile(dir, compiler_id())?;
    }
    Ok(Preparation {
        bytes: Some(match &read.bytes {
            Cow::Borrowed(_) => bytes.clone(),
            Cow::Owned(made) => made.as_slice().into(),
        }),
        plugin: read.plugin,
        took: began.elapsed(),
    })
}

/// Identifies the compiler and its settings. Code of another compiler cannot be loaded.
pub(crate) fn compiler_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| {
        Engine::new(&engine::config(Limits::default().stack_bytes))
            .as_ref()
            .map_or_else(|error| format!("none: {error:#}"), id_of)
    })
}

fn id_of(engine: &Engine) -> String {
    let mut hasher = DigestHasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    FORMAT.hash(&mut hasher);
    let digest: [u8; 32] = hasher.0.finalize().into();
    hex(&digest)
}

struct DigestHasher(Sha256);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// Wraps a core module that contains component types into the component that they describe.
fn componentize(core: &[u8]) -> Result<Vec<u8>, LoadProblem> {
    use wasi_preview1_component_adapter_provider as provider;
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(core)
        // The adapter is added only if preview 1 is imported.
        .and_then(|encoder| {
            encoder.adapter(
                provider::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME,
                provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
            )
        })
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| {
            let reason = LoadProblem::name(&format!("{error:#}"));
            proposals::name_proposal(LoadProblem::Invalid { reason }, core)
        })
}
