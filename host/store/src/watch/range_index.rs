//! Index of many ranges, to find those that contain a key without a test of each.
//!
//! Single keys and prefixes are looked up; only ranges of any other form are tested one by one. This file must never
//! depend on the purpose of a range.

use std::collections::{BTreeMap, HashMap};

use crate::key_range::KeyRange;

/// Values filed under one range, by their number.
type Bucket<T> = BTreeMap<u64, T>;

/// Values filed under ranges of keys, found again by a key.
#[derive(Debug)]
pub(crate) struct RangeIndex<T> {
    keys: HashMap<Box<[u8]>, Bucket<T>>,
    prefixes: HashMap<Box<[u8]>, Bucket<T>>,
    /// The lengths of `prefixes`, each with its count: there are as many look-ups as lengths.
    lengths: BTreeMap<usize, usize>,
    others: HashMap<KeyRange, Bucket<T>>,
    len: usize,
}

impl<T> Default for RangeIndex<T> {
    fn default() -> Self {
        Self {
            keys: HashMap::new(),
            prefixes: HashMap::new(),
            lengths: BTreeMap::new(),
            others: HashMap::new(),
            len: 0,
        }
    }
}

impl<T> RangeIndex<T> {
    /// Files a value under a range. Returns the value that it replaced, with the same number.
    pub(crate) fn insert(&mut self, range: &KeyRange, number: u64, value: T) -> Option<T> {
        let bucket = if let KeyRange::One(key) = range {
            self.keys.entry(key.clone()).or_default()
        } else if let Some(prefix) = range.prefix() {
            let bucket = self.prefixes.entry(prefix.into()).or_default();
            if bucket.is_empty() {
                *self.lengths.entry(prefix.len()).or_default() += 1;
            }
            bucket
        } else {
            self.others.entry(range.clone()).or_default()
        };
        let before = bucket.insert(number, value);
        self.len += usize::from(before.is_none());
        before
    }

    /// Removes and returns the value filed under a range with a number.
    pub(crate) fn remove(&mut self, range: &KeyRange, number: u64) -> Option<T> {
        let (removed, empty) = if let KeyRange::One(key) = range {
            let bucket = self.keys.get_mut(key)?;
            let removed = bucket.remove(&number);
            if bucket.is_empty() {
                self.keys.remove(key);
            }
            (removed, None)
        } else if let Some(prefix) = range.prefix() {
            let bucket = self.prefixes.get_mut(prefix)?;
            let removed = bucket.remove(&number);
            let empty = bucket.is_empty().then_some(prefix);
            if empty.is_some() {
                self.prefixes.remove(prefix);
            }
            (removed, empty.map(<[u8]>::len))
        } else {
            let bucket = self.others.get_mut(range)?;
            let removed = bucket.remove(&number);
            if bucket.is_empty() {
                self.others.remove(range);
            }
            (removed, None)
        };
        if let Some(length) = empty {
            self.forget_length(length);
        }
        self.len -= usize::from(removed.is_some());
        removed
    }

    /// Calls `found` for all values filed under a range that contains the key, each once for each such range.
    pub(crate) fn find(&self, key: &[u8], mut found: impl FnMut(&T)) {
        if let Some(bucket) = self.keys.get(key) {
            bucket.values().for_each(&mut found);
        }
        for (&length, _) in self.lengths.range(..=key.len()) {
            if let Some(bucket) = self.prefixes.get(&key[..length]) {
                bucket.values().for_each(&mut found);
            }
        }
        for (range, bucket) in &self.others {
            if range.contains(key) {
                bucket.values().for_each(&mut found);
            }
        }
    }

    /// Returns all values.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.keys
            .values()
            .chain(self.prefixes.values())
            .chain(self.others.values())
            .flat_map(BTreeMap::values)
    }

    /// Returns all values, taken out.
    pub(crate) fn into_values(self) -> impl Iterator<Item = T> {
        self.keys
            .into_values()
            .chain(self.prefixes.into_values())
            .chain(self.others.into_values())
            .flat_map(BTreeMap::into_values)
    }

    /// Moves all values of another index to this one; `filed` returns the range and number of a value. Costs as much
    /// as the smaller of the two holds.
    pub(crate) fn absorb(&mut self, mut other: Self, filed: impl Fn(&T) -> (&KeyRange, u64)) {
        if other.len > self.len {
            std::mem::swap(self, &mut other);
        }
        for value in other.into_values() {
            let (range, number) = filed(&value);
            let range = range.clone();
            self.insert(&range, number, value);
        }
    }

    /// Returns the number of values.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Returns true if it holds no value.
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn forget_length(&mut self, length: usize) {
        if let Some(count) = self.lengths.get_mut(&length) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Short keys over few letters, so that ranges of every form meet, the highest byte included.
    fn key(random: &mut fastrand::Rng) -> Vec<u8> {
        let length = random.usize(0..4);
        (0..length)
            .map(|_| random.choice([0, b'a', b'b', 0xff]).unwrap_or(0))
            .collect()
    }

    fn range(random: &mut fastrand::Rng) -> KeyRange {
        let first = key(random);
        match random.usize(0..4) {
            0 => KeyRange::new(&first, b""),
            1 => KeyRange::new(&first, b"\0"),
            2 => KeyRange::new(&first, &key(random)),
            _ => {
                let mut end = first.clone();
                match end.last_mut() {
                    Some(last) => *last = last.saturating_add(1),
                    None => end.push(1),
                }
                KeyRange::new(&first, &end)
            }
        }
    }

    fn found(index: &RangeIndex<u64>, key: &[u8]) -> Vec<u64> {
        let mut found = Vec::new();
        index.find(key, |number| found.push(*number));
        found.sort_unstable();
        found
    }

    #[test]
    fn the_index_finds_the_ranges_that_a_full_scan_finds() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut index = RangeIndex::default();
            let mut model: Vec<(KeyRange, u64)> = Vec::new();
            for number in 0..120 {
                if random.u8(0..3) == 0 && !model.is_empty() {
                    let (range, gone) = model.swap_remove(random.usize(0..model.len()));
                    assert_eq!(index.remove(&range, gone), Some(gone));
                    assert_eq!(index.remove(&range, gone), None);
                } else {
                    let range = range(&mut random);
                    assert_eq!(index.insert(&range, number, number), None);
                    model.push((range, number));
                }
                let key = key(&mut random);
                let mut expected: Vec<u64> = model
                    .iter()
                    .filter(|(range, _)| range.contains(&key))
                    .map(|(_, number)| *number)
                    .collect();
                expected.sort_unstable();
                assert_eq!(found(&index, &key), expected, "seed {seed}, key {key:?}");
                assert_eq!(index.len(), model.len());
                assert_eq!(index.values().count(), model.len());
            }
            for (range, number) in model {
                index.remove(&range, number);
            }
            assert!(index.is_empty());
            assert!(index.keys.is_empty() && index.prefixes.is_empty());
            assert!(index.lengths.is_empty() && index.others.is_empty());
        }
    }

    #[test]
    fn absorbing_keeps_everything_whichever_is_larger() {
        for (ours, theirs) in [(3, 40), (40, 3), (0, 5), (5, 0)] {
            let mut random = fastrand::Rng::with_seed(ours);
            let filed: Vec<(KeyRange, u64)> = (0..ours + theirs)
                .map(|number| (range(&mut random), number))
                .collect();
            let (mut one, mut other) = (RangeIndex::default(), RangeIndex::default());
            for (range, number) in &filed {
                let index = if *number < ours { &mut one } else { &mut other };
                index.insert(range, *number, (range.clone(), *number));
            }
            one.absorb(other, |(range, number)| (range, *number));
            assert_eq!(one.len(), filed.len());
            for (range, number) in filed {
                assert_eq!(one.remove(&range, number), Some((range, number)));
            }
            assert!(one.is_empty());
        }
    }

    #[test]
    fn filing_twice_with_one_number_replaces() {
        let mut index = RangeIndex::default();
        let range = KeyRange::new(b"a/", b"a0");
        assert_eq!(index.insert(&range, 1, "first"), None);
        assert_eq!(index.insert(&range, 1, "second"), Some("first"));
        assert_eq!(index.len(), 1);
        assert_eq!(index.remove(&range, 1), Some("second"));
        assert!(index.is_empty() && index.lengths.is_empty());
    }
}
