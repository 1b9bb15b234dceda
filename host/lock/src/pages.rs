//! Readings of many keys, page by page, each page bounded in bytes.
//!
//! The client refuses a message of more than 4 MiB, and the size of a value is unknown until it is read. The page
//! size follows the values seen so far; a page that did not fit is requested again with half as many keys. This file
//! computes requests and never sends one.

use std::collections::VecDeque;

use etcd_client::GetOptions;
use leasehold_ids::Revision;

use crate::error::StoreError;
use crate::key_range::KeyRange;

/// Bytes of a page to aim for: a quarter of a message's limit, for values that grow from page to page.
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
    At(Revision),
    /// Each page at the newest: the pinned one was compacted too often.
    Newest,
}

/// Request for one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageRequest {
    pub(crate) from: Vec<u8>,
    end: Vec<u8>,
    limit: u64,
    revision: Revision,
    content: PageContent,
}

impl PageRequest {
    pub(crate) fn options(&self) -> GetOptions {
        let options = GetOptions::new()
            .with_range(self.end.clone())
            .with_limit(i64::try_from(self.limit).unwrap_or(i64::MAX))
            .with_revision(self.revision.get());
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
    pub(crate) revision: Revision,
    /// Its keys.
    pub(crate) keys: u64,
    /// The length of their names and values.
    pub(crate) bytes: usize,
    /// The name of the last key.
    pub(crate) last: Option<Vec<u8>>,
    /// True when the range has more.
    pub(crate) more: bool,
}

/// Kind of a page.
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
    /// Send the next request, which differs.
    Again,
    /// Discard the keys read so far; the reading starts over.
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
    /// The limit of keys, and the number read so far.
    most: u64,
    read: u64,
    /// The limit of bytes of names and values, and the number read so far.
    most_bytes: usize,
    read_bytes: usize,
    pinned: PinnedRevision,
    /// The revision of the first page since the last restart.
    revision: Revision,
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
            revision: Revision::NONE,
            restarts: 0,
            stepping_over: false,
        }
    }

    /// The same, up to `most` bytes of names and values.
    pub(crate) const fn within(mut self, most: usize) -> Self {
        self.most_bytes = most;
        self
    }

    /// True if more bytes were read than the limit allows.
    pub(crate) const fn is_over(&self) -> bool {
        self.read_bytes > self.most_bytes
    }

    /// The next request; `None` when everything has been read.
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
                PinnedRevision::No | PinnedRevision::Newest => Revision::NONE,
            },
        })
    }

    /// The revision at which all keys of the reading existed, unless they are newer.
    pub(crate) const fn revision(&self) -> Revision {
        self.revision
    }

    /// Takes in the facts of the page that was requested last.
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

    /// Takes in the failure of the page that was requested last.
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
mod tests;
