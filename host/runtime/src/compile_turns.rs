//! Turns of compiling: of several loads of one plugin, one compiles it, and the others find the result in the cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Turns by the digest of a plugin.
#[derive(Default)]
pub(crate) struct CompileTurns(Mutex<HashMap<[u8; 32], Weak<CompileTurn>>>);

/// Held while the plugin is compiled.
pub(crate) type CompileTurn = tokio::sync::Mutex<()>;

impl CompileTurns {
    /// Returns the turn that all concurrent loads of this plugin share.
    pub(crate) fn find(&self, digest: [u8; 32]) -> Arc<CompileTurn> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(&digest).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(CompileTurn::default());
        turns.insert(digest, Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_of_one_plugin_share_a_turn_and_ended_ones_leave() {
        let turns = CompileTurns::default();
        let (first, second) = (turns.find([1; 32]), turns.find([1; 32]));
        let other = turns.find([2; 32]);
        assert!(Arc::ptr_eq(&first, &second));
        assert!(!Arc::ptr_eq(&first, &other));
        drop((first, second, other));
        let _kept = turns.find([3; 32]);
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
