//! A cache of compiled plugins, so that a thousand jobs of one plugin share one copy of
//! its machine code.
//!
//! It holds weak references: a plugin that no job uses is freed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::engine::GrantedLinks;
use super::error::LoadProblem;
use super::plugin::LinkedPlugin;

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

/// The compiled plugins of one engine.
#[derive(Default)]
pub(crate) struct CompiledCache(Mutex<HashMap<CacheKey, Weak<LinkedPlugin>>>);

impl CompiledCache {
    /// Returns the plugin with this key, and compiles it if no job has it.
    ///
    /// Two concurrent callers may both compile. The second result is kept, and both results are valid.
    pub(crate) fn get_or(
        &self,
        make: CacheKey,
        compile: impl FnOnce() -> Result<LinkedPlugin, LoadProblem>,
    ) -> Result<Arc<LinkedPlugin>, LoadProblem> {
        if let Some(ready) = self.lock().get(&make).and_then(Weak::upgrade) {
            return Ok(ready);
        }
        let ready = Arc::new(compile()?);
        let mut stock = self.lock();
        stock.retain(|_, ready| ready.strong_count() > 0);
        stock.insert(make, Arc::downgrade(&ready));
        Ok(ready)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<CacheKey, Weak<LinkedPlugin>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
