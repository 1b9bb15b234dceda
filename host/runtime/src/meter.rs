//! The meter, which checks the total memory and tables of one run against its limits.
//!
//! The engine's own limits are per memory and per table, and a guest with many of them would
//! exceed the totals. Every growth is added up before it is allowed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::ResourceLimiter;

use leasehold_config::LimitKey;
use leasehold_config::limits::Limits;

/// Readings of the meter, which outlive the store that contains it.
#[derive(Debug, Default)]
pub(crate) struct MeterReading {
    peak_memory: AtomicU64,
    memory_refused: AtomicU64,
    tables_refused: AtomicU64,
}

impl MeterReading {
    pub(crate) fn peak_memory(&self) -> u64 {
        self.peak_memory.load(Ordering::Relaxed)
    }

    /// Returns the limit that refused a growth, if any: the likely cause of a later trap.
    pub(crate) fn refused(&self) -> Option<LimitKey> {
        if self.memory_refused.load(Ordering::Relaxed) > 0 {
            Some(LimitKey::Memory)
        } else if self.tables_refused.load(Ordering::Relaxed) > 0 {
            Some(LimitKey::Tables)
        } else {
            None
        }
    }
}

/// Resource limiter in the store. The engine calls it before anything grows.
#[derive(Debug)]
pub(crate) struct GrowthMeter {
    reading: Arc<MeterReading>,
    memory: Sum,
    tables: Sum,
    each: usize,
}

/// A running sum with a maximum, and the last addition, which is taken back if the growth fails.
#[derive(Debug)]
struct Sum {
    used: u64,
    most: u64,
    last: u64,
}

impl Sum {
    fn of(most: u64) -> Self {
        Self {
            used: 0,
            most,
            last: 0,
        }
    }

    fn grow(&mut self, current: usize, desired: usize) -> bool {
        self.last = 0;
        let by = desired.saturating_sub(current) as u64;
        let sum = self.used.saturating_add(by);
        if sum > self.most {
            return false;
        }
        self.used = sum;
        self.last = by;
        true
    }

    fn take_back(&mut self) {
        self.used -= self.last;
        self.last = 0;
    }
}

impl GrowthMeter {
    pub(crate) fn new(limits: &Limits, reading: Arc<MeterReading>) -> Self {
        Self {
            reading,
            memory: Sum::of(limits.memory_bytes),
            tables: Sum::of(limits.table_elements),
            each: limits.instances as usize,
        }
    }
}

impl ResourceLimiter for GrowthMeter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = self.memory.grow(current, desired);
        if granted {
            self.reading
                .peak_memory
                .fetch_max(self.memory.used, Ordering::Relaxed);
        } else {
            self.reading.memory_refused.fetch_add(1, Ordering::Relaxed);
        }
        Ok(granted)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory.take_back();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = self.tables.grow(current, desired);
        if !granted {
            self.reading.tables_refused.fetch_add(1, Ordering::Relaxed);
        }
        Ok(granted)
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.tables.take_back();
        Ok(())
    }

    fn instances(&self) -> usize {
        self.each
    }

    fn tables(&self) -> usize {
        self.each
    }

    fn memories(&self) -> usize {
        self.each
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(memory_bytes: u64) -> (Arc<MeterReading>, GrowthMeter) {
        let reading = Arc::new(MeterReading::default());
        let limits = Limits {
            memory_bytes,
            ..Limits::default()
        };
        (reading.clone(), GrowthMeter::new(&limits, reading))
    }

    #[test]
    fn two_memories_share_one_limit() {
        let (reading, mut meter) = meter(100);
        assert!(meter.memory_growing(0, 60, None).unwrap());
        assert!(!meter.memory_growing(0, 41, None).unwrap());
        assert!(meter.memory_growing(0, 40, None).unwrap());
        assert_eq!(reading.peak_memory(), 100);
        assert_eq!(reading.refused(), Some(LimitKey::Memory));
    }

    #[test]
    fn a_growth_that_failed_after_it_was_granted_is_given_back_once() {
        let (_, mut meter) = meter(100);
        assert!(meter.memory_growing(0, 60, None).unwrap());
        for _ in 0..2 {
            let failure = wasmtime::Error::msg("no memory");
            meter.memory_grow_failed(failure).unwrap();
        }
        assert!(meter.memory_growing(0, 100, None).unwrap());
    }
}
