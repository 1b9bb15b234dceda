//! The shelf: compiled plugins by what they are made of, so that a thousand jobs of one plugin share
//! one piece of machine code.
//!
//! It holds nothing alive: what no job uses any more is gone from memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::engine::Links;
use super::error::LoadProblem;
use super::plugin::Ready;

/// What makes two plugins the same for the compiler and the linker.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Make {
    digest: [u8; 32],
    links: Links,
}

impl Make {
    /// The make of a plugin: the digest of its file, and what is linked to it.
    pub(crate) const fn of(digest: [u8; 32], links: Links) -> Self {
        Self { digest, links }
    }
}

/// The compiled plugins of one engine.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<HashMap<Make, Weak<Ready>>>);

impl Shelf {
    /// The plugin of this make, compiled if nobody has it.
    ///
    /// Two who ask at once may both compile; the second is kept, and both are right.
    pub(crate) fn get_or(
        &self,
        make: Make,
        compile: impl FnOnce() -> Result<Ready, LoadProblem>,
    ) -> Result<Arc<Ready>, LoadProblem> {
        if let Some(ready) = self.lock().get(&make).and_then(Weak::upgrade) {
            return Ok(ready);
        }
        let ready = Arc::new(compile()?);
        let mut stock = self.lock();
        stock.retain(|_, ready| ready.strong_count() > 0);
        stock.insert(make, Arc::downgrade(&ready));
        Ok(ready)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Make, Weak<Ready>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
