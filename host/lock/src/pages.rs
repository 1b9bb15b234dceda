//! Readings of many keys, page by page, each page bounded in bytes.
//!
//! The client refuses a message of more than 4 MiB, and the size of a value is unknown until it is read. The page size follows the values seen so far; a page that did not fit is asked for again with half
//! as many keys. This file decides what to ask for next and must never send anything.

use std::collections::VecDeque;

use etcd_client::GetOptions;

use crate::error::StoreError;

/// Bytes a page should have: a quarter of what a message may, for values that grow from page to page.
const PAGE_BYTES: usize = 1 << 20;
/// Keys of the first page, while the size of values is unknown: 32 of 100 KiB fit a message.
const FIRST_PAGE: u64 = 32;
/// Names of keys of the first page, where values are not read: 1,000 of 1 KiB are 1 MiB.
const FIRST_NAMES: u64 = 1000;
/// Factor by which a page may exceed the one before.
const GROWTH: u64 = 8;
/// Keys a page may have at most: the store must not be kept busy by one request.
const MOST_KEYS: u64 = 10_000;
/// Bytes of a key in a message beside its name and value.
const KEY_OVERHEAD: usize = 40;
/// Times that a reading starts over because its revision was compacted.
const MOST_RESTARTS: u32 = 3;

/// A range of keys: from the first up to but not including the second; `\0` as the end is the end of all keys.
pub(crate) type KeyRange = (Vec<u8>, Vec<u8>);

/// Parts of each key to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageContent {
    /// Names and revisions.
    Names,
    /// Values too.
    Values,
}

/// The revision that pages are read at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PinnedRevision {
    /// The first page decides.
    No,
    /// All pages at this one.
    At(i64),
    /// Each page at the newest: the pinned one was compacted too often.
    Newest,
}

/// One page to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageRequest {
    pub(crate) from: Vec<u8>,
    end: Vec<u8>,
    limit: u64,
    revision: i64,
    content: PageContent,
}

impl PageRequest {
    pub(crate) fn options(&self) -> GetOptions {
        let options = GetOptions::new()
            .with_range(self.end.clone())
            .with_limit(i64::try_from(self.limit).unwrap_or(i64::MAX))
            .with_revision(self.revision);
        match self.content {
            PageContent::Names => options.with_keys_only(),
            PageContent::Values => options,
        }
    }
}

/// Facts about a page that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageFacts {
    /// The store's revision as the page was read.
    pub(crate) revision: i64,
    /// Its keys.
    pub(crate) keys: u64,
    /// The length of their names and values.
    pub(crate) bytes: usize,
    /// The name of the last key.
    pub(crate) last: Option<Vec<u8>>,
    /// True when the range has more.
    pub(crate) more: bool,
}

/// Meaning of a page for the reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageResult {
    /// Its keys belong to the reading.
    Keys,
    /// It has the name of a single key whose value does not fit a message.
    Unreadable,
}

/// Next step after a page that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageRetry {
    /// Ask for the next request: it differs.
    Again,
    /// Forget what was read; the reading starts over.
    FromTheStart,
    /// Give up.
    Never,
}

/// A reading under way.
#[derive(Debug)]
pub(crate) struct PagedReading {
    ranges: Vec<KeyRange>,
    left: VecDeque<KeyRange>,
    content: PageContent,
    /// Keys of the next page.
    size: u64,
    /// Keys in all, and how many have been read.
    most: u64,
    read: u64,
    /// Bytes of names and values in all, and how many have been read.
    most_bytes: usize,
    read_bytes: usize,
    pinned: PinnedRevision,
    /// The revision of the first page since the last restart.
    revision: i64,
    restarts: u32,
    /// True when the next key alone was too large.
    stepping_over: bool,
}

impl PagedReading {
    /// Reads `ranges` in order, up to `most` keys of them.
    pub(crate) fn new(ranges: Vec<KeyRange>, content: PageContent, most: u64) -> Self {
        Self {
            left: ranges.iter().cloned().collect(),
            ranges,
            content,
            size: match content {
                PageContent::Names => FIRST_NAMES,
                PageContent::Values => FIRST_PAGE,
            },
            most,
            read: 0,
            most_bytes: usize::MAX,
            read_bytes: 0,
            pinned: PinnedRevision::No,
            revision: 0,
            restarts: 0,
            stepping_over: false,
        }
    }

    /// The same, up to `most` bytes of names and values.
    pub(crate) const fn within(mut self, most: usize) -> Self {
        self.most_bytes = most;
        self
    }

    /// True when more bytes were read than may be.
    pub(crate) const fn is_over(&self) -> bool {
        self.read_bytes > self.most_bytes
    }

    /// The page to ask for; `None` when everything has been read.
    pub(crate) fn request(&self) -> Option<PageRequest> {
        let (from, end) = self.left.front()?;
        let left_over = self.most.saturating_sub(self.read);
        if left_over == 0 {
            return None;
        }
        let (limit, content) = if self.stepping_over {
            (1, PageContent::Names)
        } else {
            (self.size.min(left_over), self.content)
        };
        Some(PageRequest {
            from: from.clone(),
            end: end.clone(),
            limit,
            content,
            revision: match self.pinned {
                PinnedRevision::At(revision) => revision,
                PinnedRevision::No | PinnedRevision::Newest => 0,
            },
        })
    }

    /// Everything read was there at this revision, or became so after it.
    pub(crate) const fn revision(&self) -> i64 {
        self.revision
    }

    /// Takes in the facts of the page that was asked for last.
    pub(crate) fn took(&mut self, page: PageFacts) -> PageResult {
        if self.pinned == PinnedRevision::No {
            self.pinned = PinnedRevision::At(page.revision);
            self.revision = page.revision;
        }
        self.read += page.keys;
        self.read_bytes = self.read_bytes.saturating_add(page.bytes);
        match page.last.filter(|_| page.more) {
            Some(mut last) => {
                last.push(0);
                if let Some((from, _)) = self.left.front_mut() {
                    *from = last;
                }
            }
            None => {
                self.left.pop_front();
            }
        }
        if std::mem::take(&mut self.stepping_over) {
            return PageResult::Unreadable;
        }
        if page.keys > 0 {
            let keys = usize::try_from(page.keys).unwrap_or(usize::MAX);
            let each = KEY_OVERHEAD + page.bytes / keys;
            let fitting = u64::try_from(PAGE_BYTES / each).unwrap_or(1);
            self.size = fitting.clamp(1, self.size.saturating_mul(GROWTH).min(MOST_KEYS));
        }
        PageResult::Keys
    }

    /// Takes in why the page that was asked for last could not be read.
    pub(crate) fn failed(&mut self, error: &StoreError) -> PageRetry {
        if matches!(error, StoreError::TooLarge(_)) && !self.stepping_over {
            let asked = self.size.min(self.most.saturating_sub(self.read));
            if asked > 1 {
                self.size = asked / 2;
            } else {
                self.stepping_over = true;
            }
            return PageRetry::Again;
        }
        if error.is_compacted() && matches!(self.pinned, PinnedRevision::At(_)) {
            if self.restarts == MOST_RESTARTS {
                self.pinned = PinnedRevision::Newest;
                return PageRetry::Again;
            }
            self.restarts += 1;
            self.left = self.ranges.iter().cloned().collect();
            self.read = 0;
            self.read_bytes = 0;
            self.pinned = PinnedRevision::No;
            self.stepping_over = false;
            return PageRetry::FromTheStart;
        }
        PageRetry::Never
    }
}

#[cfg(test)]
mod tests {
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
            if page.revision != 0 && page.revision < self.revision {
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
                revision: self.revision,
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
    fn records_of_many_sizes_are_all_read_and_no_page_exceeds_a_message() {
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
    fn a_value_beyond_a_message_hides_itself_alone() {
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
    fn a_store_that_compacts_all_the_time_is_read_at_its_newest_revision() {
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
        assert!(pages.revision() < store.revision);
    }

    #[test]
    fn other_failures_are_passed_on() {
        let mut pages = PagedReading::new(all(), PageContent::Values, u64::MAX);
        let silent = StoreError::Unknown("no reply".into());
        assert_eq!(pages.failed(&silent), PageRetry::Never);
    }
}
