//! Loads a plugin from a file: reads it with `load_request`, prepares, checks and links it.
//!
//! This happens before any lock is requested. `prepare` parses and compiles the bytes, in a process of its own;
//! this file finds the resulting cache entry by the digest of the bytes. It accepts no machine code as a plugin,
//! and blocks no async worker.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::cache;
use super::compile_turns::CompileTurns;
use super::engine::{CacheKey, EngineSet, GrantedLinks, LinkedEngine};
use super::error::{LoadError, LoadProblem, RuntimeError};
use super::form::{self, Form};
use super::http::{HttpDestinations, Resolve};
use super::linked_plugin::LinkedPlugin;
use super::load_observer::{LoadWatch, ObserverSlot};
use super::load_request::{LoadRequest, PluginFile, read_file};
use super::options::RuntimeOptions;
use super::plugin::{Plugin, PluginFacts};
use super::prepare::{CacheEntry, EntryState, EntryStore, PrepareLimits, PreparedPlugin, Preparer};
use super::proposals;
use super::survey::Survey;
use leasehold_config::hex;

/// Number of plugins that are read, or loaded from the cache, at once.
const LOADERS: usize = 4;

/// Loader of plugins.
pub(crate) struct Loader {
    engines: Arc<EngineSet>,
    resolver: Arc<dyn Resolve>,
    preparer: Preparer,
    entries: Option<Arc<EntryStore>>,
    desks: Arc<Semaphore>,
    turns: CompileTurns,
    pub(crate) observer: ObserverSlot,
}

/// A surveyed plugin, and the source of its code.
struct Prepared {
    plugin: PreparedPlugin,
    code: Code,
    /// Time taken to survey and compile it, if it was not in the cache.
    compile_time: Option<Duration>,
}

/// Source of a prepared plugin's code.
#[derive(Clone)]
enum Code {
    /// From the cache.
    Entry(Arc<EntryStore>, CacheEntry),
    /// Compiled in this process from these bytes, if there is no cache.
    Bytes(Arc<[u8]>),
}

impl Loader {
    pub(crate) fn new(
        engines: Arc<EngineSet>,
        resolver: Arc<dyn Resolve>,
        options: &RuntimeOptions,
    ) -> Result<Self, RuntimeError> {
        let preparer = Preparer::new(options.preparing.clone());
        let entries = match &options.cache_dir {
            Some(dir) => Some(Arc::new(open_entries(dir)?)),
            None if preparer.is_in_children() => return Err(RuntimeError::NoCacheDir),
            None => None,
        };
        Ok(Self {
            engines,
            resolver,
            preparer,
            entries,
            desks: Arc::new(Semaphore::new(LOADERS)),
            turns: CompileTurns::default(),
            observer: ObserverSlot::default(),
        })
    }

    /// Returns the number of loads served from the compile cache since the start.
    pub(crate) fn cache_hits(&self) -> usize {
        self.entries.as_ref().map_or(0, |entries| entries.hits())
    }

    #[cfg(test)]
    pub(crate) fn engines(&self) -> &EngineSet {
        &self.engines
    }

    pub(crate) async fn load(&self, order: LoadRequest) -> Result<Plugin, LoadError> {
        let (job, path) = (order.job.clone(), order.path.clone());
        let order = Arc::new(order);
        let watch = self.observer.watch(order.clone());
        let loaded = self.attempt(order, &watch).await;
        let sha256 = loaded.as_ref().ok();
        watch.end(sha256.map(|plugin| plugin.facts().sha256.as_str()));
        loaded.map_err(|problem| LoadError { job, path, problem })
    }

    async fn attempt(
        &self,
        order: Arc<LoadRequest>,
        watch: &LoadWatch,
    ) -> Result<Plugin, LoadProblem> {
        let file = {
            let order = order.clone();
            self.at_desk(&order.clone(), move || read_file(&order))
                .await?
        };
        // An entry that is broken or deleted by the time it is loaded is made again, once.
        for is_last in [false, true] {
            let prepared = match self.find(&order, &file).await? {
                Some(prepared) => prepared,
                None => self.prepare_once(&order, &file, watch).await?,
            };
            let (engines, resolver) = (self.engines.clone(), self.resolver.clone());
            let (with, of) = (order.clone(), file.clone());
            let finish = move || finish(&engines, &resolver, &with, &of, prepared);
            match self.at_desk(&order, finish).await? {
                Finished::Loaded(plugin) => return Ok(*plugin),
                Finished::EntryGone if is_last => break,
                Finished::EntryGone => {}
            }
        }
        Err(LoadProblem::Host(
            "its entry in the compile cache keeps changing: stop other programs that write to the cache"
                .to_owned(),
        ))
    }

    /// Runs blocking work on a blocking thread, within the job's compile time.
    async fn at_desk<T: Send + 'static>(
        &self,
        order: &LoadRequest,
        work: impl FnOnce() -> Result<T, LoadProblem> + Send + 'static,
    ) -> Result<T, LoadProblem> {
        let failed = |error: &dyn std::fmt::Display| LoadProblem::Host(error.to_string());
        let desk = self.desks.clone().acquire_owned().await;
        let desk = desk.map_err(|error| failed(&error))?;
        // The desk is freed when the work has really ended, even if the caller no longer waits.
        let work = tokio::task::spawn_blocking(move || {
            let _desk = desk;
            work()
        });
        match timeout(order.limits.compile_time, work).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(LoadProblem::CompileTime {
                most: order.limits.compile_time,
            }),
        }
    }

    /// Finds the plugin in the cache, as it was prepared before.
    async fn find(
        &self,
        order: &LoadRequest,
        file: &PluginFile,
    ) -> Result<Option<Prepared>, LoadProblem> {
        let Some(entries) = self.entries.clone() else {
            return Ok(None);
        };
        let digest = file.digest;
        self.at_desk(order, move || {
            entries
                .check_dir()
                .map_err(|error| LoadProblem::Host(error.to_string()))?;
            let entry = entries.find(&digest);
            Ok(entry.map(|entry| Prepared {
                plugin: entry.plugin.clone(),
                code: Code::Entry(entries, entry),
                compile_time: None,
            }))
        })
        .await
    }

    /// Has the plugin read and compiled, unless a concurrent load of it does so first.
    async fn prepare_once(
        &self,
        order: &LoadRequest,
        file: &PluginFile,
        watch: &LoadWatch,
    ) -> Result<Prepared, LoadProblem> {
        let turn = self.turns.find(file.digest);
        let _turn = turn.lock().await;
        match self.find(order, file).await? {
            Some(prepared) => Ok(prepared),
            None => self.prepare(order, file, watch).await,
        }
    }

    async fn prepare(
        &self,
        order: &LoadRequest,
        file: &PluginFile,
        watch: &LoadWatch,
    ) -> Result<Prepared, LoadProblem> {
        let begins = || watch.compiling(file.bytes.len());
        let limits = PrepareLimits::of(&order.limits);
        let Some(entries) = self.entries.clone() else {
            let done = self
                .preparer
                .validate(&file.bytes, &limits, &|_| Ok(()), &begins)
                .await?;
            let bytes = done.bytes.unwrap_or_else(|| file.bytes.clone());
            return Ok(Prepared {
                plugin: done.plugin,
                code: Code::Bytes(bytes),
                compile_time: None,
            });
        };
        let unusable = |error: io::Error| {
            LoadProblem::Host(format!("the compile cache cannot be used: {error}"))
        };
        let dir = {
            let entries = entries.clone();
            self.at_desk(order, move || entries.work_dir().map_err(unusable))
                .await?
        };
        let admit = |plugin: &PreparedPlugin| admit(order, &plugin.survey).map(drop);
        let compiled = self
            .preparer
            .compile(&file.bytes, &limits, dir.path(), &admit, &begins)
            .await;
        let done = match compiled {
            Ok(done) => done,
            Err(problem) => {
                // Not on a worker: files of a process that has just ended may have to be waited for.
                let removed = move || {
                    drop(dir);
                    Ok(())
                };
                self.at_desk(order, removed).await?;
                return Err(problem);
            }
        };
        let (digest, took) = (file.digest, done.took);
        self.at_desk(order, move || {
            let kept = entries.keep(&digest, done.plugin, &dir);
            let entry = kept.map_err(unusable)?;
            Ok(Prepared {
                plugin: entry.plugin.clone(),
                code: Code::Entry(entries, entry),
                compile_time: Some(took),
            })
        })
        .await
    }
}

fn open_entries(dir: &Path) -> Result<EntryStore, RuntimeError> {
    let path = cache::prepare(dir)?;
    EntryStore::open(&path).map_err(|error| RuntimeError::Cache {
        path,
        reason: error.to_string(),
    })
}

/// Checks that the job may run this plugin; returns its form and contract version.
fn admit(order: &LoadRequest, survey: &Survey) -> Result<(Form, Option<String>), LoadProblem> {
    let form = form::form_of(survey)?;
    form::check_imports(survey, order.job.job(), &order.grants)?;
    check_memory(order, survey)?;
    Ok(form)
}

/// Result of a load.
enum Finished {
    Loaded(Box<Plugin>),
    /// The entry was broken or deleted.
    EntryGone,
}

/// Loads the code of a prepared plugin and links it.
fn finish(
    engines: &EngineSet,
    resolver: &Arc<dyn Resolve>,
    order: &LoadRequest,
    file: &PluginFile,
    prepared: Prepared,
) -> Result<Finished, LoadProblem> {
    let survey = prepared.plugin.survey;
    let (form, contract) = admit(order, &survey)?;
    let net = HttpDestinations::of(&order.grants, resolver).map_err(LoadProblem::Certificates)?;
    let mut is_entry_gone = false;
    let loaded = link(engines, order, file, |engine, links| {
        let bytes = match &prepared.code {
            Code::Bytes(bytes) => return engine.link(form, bytes, links),
            Code::Entry(entries, entry) => match entries.state(&file.digest, entry) {
                EntryState::Sealed(component) => component,
                EntryState::Missing | EntryState::Broken => {
                    is_entry_gone = true;
                    return Err(LoadProblem::Host("its cache entry is missing".to_owned()));
                }
            },
        };
        let before = engines.cache_misses();
        let bytes = bytes.as_deref().unwrap_or(&file.bytes);
        let ready = engine.link(form, bytes, links);
        if engines.cache_misses() > before {
            report_miss(order);
        }
        ready
    });
    let (ready, engine) = match loaded {
        Err(_) if is_entry_gone => return Ok(Finished::EntryGone),
        other => other.map_err(|problem| {
            let problem = form::explain(problem, &survey);
            match &prepared.code {
                Code::Bytes(bytes) => proposals::name_proposal(problem, bytes),
                Code::Entry(..) => problem,
            }
        })?,
    };
    Ok(Finished::Loaded(Box::new(Plugin::new(
        PluginFacts {
            job: order.job.job().to_owned(),
            path: order.path.clone(),
            form,
            sha256: hex(&file.digest),
            size_bytes: file.bytes.len() as u64,
            imports: survey.imports,
            contract,
            memory_minimum_bytes: survey.memory_minimum,
            pooled: engine.pooled,
            compile_time: prepared.compile_time,
        },
        order.job.clone(),
        order.limits.clone(),
        order.grants.clone(),
        net,
        ready,
        engine,
    ))))
}

/// Reports, once per process, that the cache's key and the compiler's do not match, which is an internal error.
fn report_miss(order: &LoadRequest) {
    static REPORTED: AtomicBool = AtomicBool::new(false);
    if !REPORTED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            job = order.job.job(),
            "a plugin that was compiled was not found in the cache and was compiled in this process"
        );
    }
}

fn check_memory(order: &LoadRequest, found: &Survey) -> Result<(), LoadProblem> {
    let most = order.limits.memory_bytes;
    if found.memory_minimum > most {
        return Err(LoadProblem::Memory {
            job: order.job.job().to_owned(),
            needs: found.memory_minimum,
            most,
        });
    }
    Ok(())
}

/// Takes the plugin from the cache, or makes it, on the first engine that accepts it.
fn link(
    engines: &EngineSet,
    order: &LoadRequest,
    file: &PluginFile,
    mut make: impl FnMut(&LinkedEngine, GrantedLinks) -> Result<LinkedPlugin, LoadProblem>,
) -> Result<(Arc<LinkedPlugin>, Arc<LinkedEngine>), LoadProblem> {
    let choice = engines
        .choose(&order.limits)
        .map_err(|error| LoadProblem::Host(error.to_string()))?;
    let mut refusal = LoadProblem::Host("no engine for these limits".to_owned());
    let links = GrantedLinks::of(&order.grants);
    for engine in choice {
        let found = engine
            .compiled
            .get_or(CacheKey::of(file.digest, links), || {
                let checked = engines.check_cache();
                checked.map_err(|error| LoadProblem::Host(error.to_string()))?;
                make(&engine, links)
            });
        match found {
            Ok(ready) => return Ok((ready, engine)),
            Err(problem) => refusal = problem,
        }
    }
    Err(refusal)
}
