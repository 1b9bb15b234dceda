//! A cache of compiled plugins, so that a thousand jobs of one plugin share one copy of
//! its machine code.
//!
//! It holds weak references: a plugin that no job uses is freed.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The compiled plugins of one engine.
pub(crate) struct CompiledCache<K, V>(Mutex<HashMap<K, Weak<V>>>);

impl<K, V> Default for CompiledCache<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V> CompiledCache<K, V> {
    /// Returns the plugin with this key, and compiles it if no job has it.
    ///
    /// Two concurrent callers may both compile. The second result is kept, and both results are valid.
    pub(crate) fn get_or<E>(
        &self,
        key: K,
        compile: impl FnOnce() -> Result<V, E>,
    ) -> Result<Arc<V>, E> {
        if let Some(ready) = self.lock().get(&key).and_then(Weak::upgrade) {
            return Ok(ready);
        }
        let ready = Arc::new(compile()?);
        let mut stock = self.lock();
        stock.retain(|_, ready| ready.strong_count() > 0);
        stock.insert(key, Arc::downgrade(&ready));
        Ok(ready)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, Weak<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
