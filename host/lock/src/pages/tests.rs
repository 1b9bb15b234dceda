//! Page sizes over a store that answers by the rules of a message limit.

use std::collections::BTreeMap;

use super::*;
use crate::error::RefusalKind;

/// A store with values of these lengths, which sends messages of up to so many bytes.
struct Store {
    values: BTreeMap<Vec<u8>, usize>,
    message: usize,
    revision: i64,
    /// Compacts once before each so many pages.
    compact_every: Option<u32>,
    asked: u32,
}

impl Store {
    fn new(values: impl IntoIterator<Item = (String, usize)>) -> Self {
        Self {
            values: values
                .into_iter()
                .map(|(k, v)| (k.into_bytes(), v))
                .collect(),
            message: 4 << 20,
            revision: 9,
            compact_every: None,
            asked: 0,
        }
    }

    fn answer(&mut self, page: &PageRequest) -> Result<(Vec<Vec<u8>>, PageFacts), StoreError> {
        self.asked += 1;
        if self
            .compact_every
            .is_some_and(|every| self.asked.is_multiple_of(every))
        {
            self.revision += 1;
        }
        if page.revision != Revision::NONE && page.revision.get() < self.revision {
            return Err(StoreError::Refused {
                kind: RefusalKind::Invalid,
                message: "etcdserver: mvcc: required revision has been compacted".into(),
            });
        }
        let limit = usize::try_from(page.limit).unwrap();
        let range = self.values.range(page.from.clone()..page.end.clone());
        let all: Vec<(&Vec<u8>, &usize)> = range.collect();
        let shown = &all[..limit.min(all.len())];
        let bytes = shown.iter().map(|(key, value)| match page.content {
            PageContent::Names => key.len(),
            PageContent::Values => key.len() + **value,
        });
        let bytes = bytes.sum();
        if bytes > self.message {
            return Err(StoreError::TooLarge(format!("{bytes} bytes")));
        }
        let keys: Vec<Vec<u8>> = shown.iter().map(|(key, _)| (*key).clone()).collect();
        let facts = PageFacts {
            revision: Revision::new(self.revision),
            keys: keys.len() as u64,
            bytes,
            last: keys.last().cloned(),
            more: all.len() > shown.len(),
        };
        Ok((keys, facts))
    }
}

/// The names read, and those whose values could not be.
fn read(store: &mut Store, mut pages: PagedReading) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    while let Some(page) = pages.request() {
        match store.answer(&page) {
            Ok((keys, facts)) => match pages.took(facts) {
                PageResult::Keys => found.extend(keys),
                PageResult::Unreadable => unreadable.extend(keys),
            },
            Err(error) => match pages.failed(&error) {
                PageRetry::Again => {}
                PageRetry::FromTheStart => {
                    found.clear();
                    unreadable.clear();
                }
                PageRetry::Never => panic!("{error}"),
            },
        }
        assert!(store.asked < 10_000, "it never ends");
    }
    (found, unreadable)
}

fn all() -> Vec<KeyRange> {
    vec![(b"k".to_vec(), b"l".to_vec())]
}

fn values(count: usize, each: usize) -> Store {
    Store::new((0..count).map(|n| (format!("k{n:06}"), each)))
}

#[test]
fn records_of_many_sizes_are_all_read_within_the_message_limit() {
    for each in [0, 300, 25_000, 100_000, 1_500_000, 4_000_000] {
        let mut store = values(400, each);
        let (found, unreadable) = read(
            &mut store,
            PagedReading::new(all(), PageContent::Values, u64::MAX),
        );
        assert_eq!((found.len(), unreadable.len()), (400, 0), "of {each} bytes");
        assert!(found.is_sorted(), "of {each} bytes");
    }
}

#[test]
fn small_values_take_few_pages() {
    let mut store = values(5000, 300);
    read(
        &mut store,
        PagedReading::new(all(), PageContent::Values, u64::MAX),
    );
    assert!(store.asked <= 6, "{} pages", store.asked);
}

#[test]
fn value_beyond_a_message_hides_no_other_key() {
    let mut store = values(300, 1000);
    store.values.insert(b"k000100x".to_vec(), 5 << 20);
    store.values.insert(b"k000100y".to_vec(), 5 << 20);
    let (found, unreadable) = read(
        &mut store,
        PagedReading::new(all(), PageContent::Values, u64::MAX),
    );
    assert_eq!(found.len(), 300);
    assert_eq!(unreadable, [b"k000100x".to_vec(), b"k000100y".to_vec()]);
}

#[test]
fn values_that_grow_in_the_middle_are_read_with_smaller_pages() {
    let mut store = values(2000, 10);
    for n in 1000..1100 {
        store
            .values
            .insert(format!("k{n:06}").into_bytes(), 900_000);
    }
    let (found, unreadable) = read(
        &mut store,
        PagedReading::new(all(), PageContent::Values, u64::MAX),
    );
    assert_eq!((found.len(), unreadable.len()), (2000, 0));
}

#[test]
fn a_limit_bounds_the_keys_of_all_pages() {
    let mut store = values(500, 10);
    let (found, _) = read(
        &mut store,
        PagedReading::new(all(), PageContent::Values, 77),
    );
    assert_eq!(found.len(), 77);
    let (none, _) = read(&mut store, PagedReading::new(all(), PageContent::Values, 0));
    assert!(none.is_empty());
}

#[test]
fn a_limit_of_bytes_is_passed_by_one_page_at_most() {
    let mut store = values(500, 100_000);
    let mut pages = PagedReading::new(all(), PageContent::Values, u64::MAX).within(4 << 20);
    let mut read = 0;
    while let Some(page) = pages.request()
        && !pages.is_over()
    {
        let (_, facts) = store.answer(&page).unwrap();
        read += facts.bytes;
        pages.took(facts);
    }
    assert!(pages.is_over());
    assert!(read <= (4 << 20) + (4 << 20), "{read} bytes");
}

#[test]
fn a_compaction_starts_the_reading_over_and_keys_come_once() {
    let mut store = values(300, 100_000);
    // Once, in the middle.
    store.compact_every = Some(25);
    let (found, _) = read(
        &mut store,
        PagedReading::new(all(), PageContent::Values, u64::MAX),
    );
    assert_eq!(found.len(), 300);
    let mut once = found.clone();
    once.dedup();
    assert_eq!(once.len(), 300);
}

#[test]
fn store_that_always_compacts_is_read_at_its_newest_revision() {
    let mut store = values(300, 100_000);
    store.compact_every = Some(2);
    let mut pages = PagedReading::new(all(), PageContent::Values, u64::MAX);
    let mut found = 0;
    while let Some(page) = pages.request() {
        match store.answer(&page) {
            Ok((keys, facts)) => {
                pages.took(facts);
                found += keys.len();
            }
            Err(error) => match pages.failed(&error) {
                PageRetry::Again => {}
                PageRetry::FromTheStart => found = 0,
                PageRetry::Never => panic!("{error}"),
            },
        }
    }
    assert_eq!(found, 300);
    // A follower of the keys needs every change after the earliest page.
    assert!(pages.revision().get() < store.revision);
}

#[test]
fn other_failures_are_passed_on() {
    let mut pages = PagedReading::new(all(), PageContent::Values, u64::MAX);
    let silent = StoreError::Unknown("no reply".into());
    assert_eq!(pages.failed(&silent), PageRetry::Never);
}
