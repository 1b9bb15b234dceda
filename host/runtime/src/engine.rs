//! The engines, which compile guests and allocate their memory.
//!
//! Stack size is a property of an engine, and a pool has one size of everything. So there are
//! several engines, made when first needed:
//!
//! - one with the pooling allocator, for jobs that fit the common sizes below: starting a guest
//!   there costs microseconds;
//! - one on-demand engine per stack size, for every other job, and for all jobs if the pool's
//!   address space cannot be reserved.
//!
//! [`proposals`] alone lists the WebAssembly features of an engine.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::component::Linker as ComponentLinker;
use wasmtime::{
    Cache, CacheConfig, Config, Enabled, Engine, InstanceAllocationStrategy, Linker,
    PoolingAllocationConfig,
};

use super::cache::{self, CODE, CacheError};
use super::compiled_cache::CompiledCache;
use super::contract;
use super::error::{LoadProblem, RuntimeError};
use super::exit;
use super::form::Form;
use super::host_state::HostState;
use super::linked_plugin::LinkedPlugin;
use super::options::RuntimeOptions;
use super::proposals;
use super::watchdog::Watchdog;
use super::{call_names, disk_preview1, disk_wasi, files};
use leasehold_config::allow::Allow;
use leasehold_config::limits::{KIB, Limits, MIB};

/// Largest memory of a pooled guest. Rust, Go and C guests fit. Interpreters that bring their own
/// runtime use an on-demand engine.
const POOLED_MEMORY_BYTES: u64 = 256 * MIB;
/// Memories per guest in the pool: its own and a spare one. Each costs address space.
const POOLED_MEMORIES: u32 = 2;
/// Tables per guest in the pool: a component made from preview 1 has three.
const POOLED_TABLES: u32 = 8;
/// Part of the fiber stack for host functions, in addition to the guest's part.
const HOST_STACK_BYTES: u64 = MIB;

/// An engine, and linkers with every interface that its plugins may import.
pub(crate) struct LinkedEngine {
    pub(crate) engine: Engine,
    /// Linkers for components, by granted interfaces.
    components: HashMap<GrantedLinks, ComponentLinker<HostState>>,
    /// Linker for core modules.
    preview1: Linker<HostState>,
    /// True if guests are allocated from the pool.
    pub(crate) pooled: bool,
    /// Plugins compiled on this engine.
    pub(crate) compiled: CompiledCache<CacheKey, LinkedPlugin>,
}

/// Cache key: plugins with the same key are the same for the compiler and the linker.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CacheKey {
    digest: [u8; 32],
    links: GrantedLinks,
}

impl CacheKey {
    /// Makes the key from the digest of a plugin's file and the interfaces linked to it.
    pub(crate) const fn of(digest: [u8; 32], links: GrantedLinks) -> Self {
        Self { digest, links }
    }
}

/// Interfaces that are linked only if they are granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GrantedLinks {
    pub(crate) kv: bool,
    pub(crate) http: bool,
}

impl GrantedLinks {
    /// Returns the interfaces that these grants include.
    pub(crate) fn of(grants: &Allow) -> Self {
        Self {
            kv: !grants.kv.is_empty(),
            http: !grants.http.is_empty(),
        }
    }
}

impl LinkedEngine {
    /// Compiles a plugin, and links it with these grants.
    pub(crate) fn link(
        &self,
        form: Form,
        bytes: &[u8],
        links: GrantedLinks,
    ) -> Result<LinkedPlugin, LoadProblem> {
        let components = &self.components[&links];
        LinkedPlugin::make(&self.engine, components, &self.preview1, form, bytes)
    }
}

/// All engines of one runtime.
pub(crate) struct EngineSet {
    watchdog: Arc<Watchdog>,
    cache: Option<Cache>,
    pooled: Option<Arc<LinkedEngine>>,
    on_demand: Mutex<HashMap<u64, Arc<LinkedEngine>>>,
}

impl EngineSet {
    pub(crate) fn new(
        options: &RuntimeOptions,
        watchdog: Arc<Watchdog>,
    ) -> Result<Self, RuntimeError> {
        let cache = open_cache(options)?;
        let mut engines = Self {
            watchdog,
            cache,
            pooled: None,
            on_demand: Mutex::new(HashMap::new()),
        };
        engines.pooled = engines.pool(options);
        // This also shows, before any job is loaded, that an engine can be made at all.
        engines.on_demand(Limits::default().stack_bytes)?;
        Ok(engines)
    }

    /// Returns the engines for a job with these limits, in order. The second is tried if the first
    /// refuses a plugin because of the pool's sizes.
    pub(crate) fn choose(&self, limits: &Limits) -> Result<Vec<Arc<LinkedEngine>>, RuntimeError> {
        let on_demand = self.on_demand(limits.stack_bytes)?;
        Ok(match &self.pooled {
            Some(pooled) if fits_pool(limits) => vec![pooled.clone(), on_demand],
            _ => vec![on_demand],
        })
    }

    /// Returns the number of compilations in this process since the start. The cache should have had these plugins.
    pub(crate) fn cache_misses(&self) -> usize {
        self.cache.as_ref().map_or(0, Cache::cache_misses)
    }

    /// Checks again that no other user can put machine code into the cache.
    pub(crate) fn check_cache(&self) -> Result<(), CacheError> {
        let directory = self.cache.as_ref().map(Cache::directory);
        directory.map_or(Ok(()), |path| cache::check(path))
    }

    #[cfg(test)]
    pub(crate) fn precompile(&self, bytes: &[u8]) -> Vec<u8> {
        let engine = self.pooled.as_ref().map(|pooled| &pooled.engine);
        let code = engine.and_then(|engine| engine.precompile_module(bytes).ok());
        code.unwrap_or_default()
    }

    fn pool(&self, options: &RuntimeOptions) -> Option<Arc<LinkedEngine>> {
        let defaults = Limits::default();
        let mut config = self.config(defaults.stack_bytes);
        let strategy = InstanceAllocationStrategy::Pooling(pool_of(options.max_runs, &defaults));
        config.allocation_strategy(strategy);
        if let Some(bytes) = options.pool_memory_reservation {
            config.memory_reservation(bytes);
        }
        match self.engine(&config, true) {
            Ok(engine) => Some(engine),
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "no pool for guests: they are allocated on demand, which starts them slower"
                );
                None
            }
        }
    }

    fn on_demand(&self, stack_bytes: u64) -> Result<Arc<LinkedEngine>, RuntimeError> {
        let mut made = self
            .on_demand
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = made.get(&stack_bytes) {
            return Ok(engine.clone());
        }
        let engine = self
            .engine(&self.config(stack_bytes), false)
            .map_err(|error| RuntimeError::Engine {
                stack_bytes,
                reason: format!("{error:#}"),
            })?;
        made.insert(stack_bytes, engine.clone());
        Ok(engine)
    }

    fn engine(&self, config: &Config, pooled: bool) -> wasmtime::Result<Arc<LinkedEngine>> {
        let engine = Engine::new(config)?;
        let mut plain = ComponentLinker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut plain)?;
        call_names::link(&mut plain)?;
        files::link(&mut plain)?;
        disk_wasi::link(&mut plain)?;
        contract::link(&mut plain)?;
        let mut components = HashMap::new();
        for (kv, http) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut linker = plain.clone();
            if kv {
                contract::link_kv(&mut linker)?;
            }
            if http {
                wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
            }
            components.insert(GrantedLinks { kv, http }, linker);
        }
        let mut preview1 = Linker::new(&engine);
        wasmtime_wasi::p1::add_to_linker_async(&mut preview1, HostState::called_preview1)?;
        call_names::link_preview1(&mut preview1)?;
        files::link_preview1(&mut preview1)?;
        disk_preview1::link(&mut preview1)?;
        exit::link_preview1(&mut preview1)?;
        self.watchdog.add(engine.clone());
        Ok(Arc::new(LinkedEngine {
            engine,
            components,
            preview1,
            pooled,
            compiled: CompiledCache::default(),
        }))
    }

    fn config(&self, stack_bytes: u64) -> Config {
        let mut config = config(stack_bytes);
        config.cache(self.cache.clone());
        config
    }
}

/// Returns the configuration of every engine, including those that only compile. Code that one engine compiles is
/// accepted by all others.
pub(crate) fn config(stack_bytes: u64) -> Config {
    let stack = bytes(stack_bytes);
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .concurrency_support(false)
        .max_wasm_stack(stack)
        .async_stack_size(stack + bytes(HOST_STACK_BYTES))
        // Clears reused stacks, which may hold secrets of the previous guest.
        .async_stack_zeroing(true);
    proposals::configure(&mut config);
    config
}

fn open_cache(options: &RuntimeOptions) -> Result<Option<Cache>, RuntimeError> {
    let Some(path) = &options.cache_dir else {
        return Ok(None);
    };
    let path = cache::prepare(&cache::prepare(path)?.join(CODE))?;
    let mut config = CacheConfig::new();
    config
        .with_directory(&path)
        // The engine must not recompress entries: their bytes are sealed.
        .with_optimized_compression_usage_counter_threshold(u64::MAX);
    let cache = Cache::new(config).map_err(|error| RuntimeError::Cache {
        path,
        reason: format!("{error:#}"),
    })?;
    Ok(Some(cache))
}

fn fits_pool(limits: &Limits) -> bool {
    let defaults = Limits::default();
    limits.memory_bytes <= POOLED_MEMORY_BYTES
        && limits.stack_bytes == defaults.stack_bytes
        && limits.table_elements <= defaults.table_elements
        && limits.instances <= defaults.instances
}

/// Configures a pool in which each of `runs` guests gets its full share, independent of the others' use.
fn pool_of(runs: u32, each: &Limits) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_stacks(runs)
        .total_component_instances(runs)
        .total_core_instances(runs.saturating_mul(each.instances))
        .max_core_instances_per_component(each.instances)
        .total_memories(runs.saturating_mul(POOLED_MEMORIES))
        .max_memories_per_component(POOLED_MEMORIES)
        .max_memories_per_module(POOLED_MEMORIES)
        .max_memory_size(bytes(POOLED_MEMORY_BYTES))
        .total_tables(runs.saturating_mul(POOLED_TABLES))
        .max_tables_per_component(POOLED_TABLES)
        .max_tables_per_module(POOLED_TABLES)
        .table_elements(bytes(each.table_elements))
        // Pages kept by a free slot, so that the next guest starts without page faults. If the
        // kernel reports which pages were touched (Linux 6.7 and later), those are kept wherever
        // they lie. Otherwise only the lowest pages are kept, which few guests touch.
        .linear_memory_keep_resident(bytes(256 * KIB))
        .table_keep_resident(bytes(64 * KIB))
        .async_stack_keep_resident(bytes(64 * KIB))
        .pagemap_scan(Enabled::Auto);
    pool
}

fn bytes(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
