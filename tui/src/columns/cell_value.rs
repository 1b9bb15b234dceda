//! The value of a cell, before it is drawn or printed.

use std::borrow::Cow;

use leasehold_lock::{LeaseId, Token};
use serde::{Serialize, Serializer};

use crate::model::{EntryOwner, LeaseTtl, LockState};
use crate::text::age;

/// The value of a cell. Spans are in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CellValue<'a> {
    Text(&'a str),
    State(LockState),
    Owner(Option<&'a EntryOwner>),
    Span(Option<u64>),
    Ttl(Option<LeaseTtl>),
    Count(usize),
    Token(Option<Token>),
    Lease(Option<LeaseId>),
    /// The depth of the queue over time: drawn, never printed.
    Depths,
}

impl<'a> CellValue<'a> {
    /// The number that rows are sorted by, smallest first; `None` for text, which leaves them in the order of names.
    pub(crate) fn rank(self) -> Option<u64> {
        let or_least = |span: Option<u64>| span.map_or(0, |span| span.saturating_add(1));
        match self {
            Self::State(state) => Some(state as u64),
            Self::Span(span) => Some(or_least(span)),
            Self::Ttl(ttl) => Some(ttl.map_or(u64::MAX, |ttl| ttl.left_ms)),
            Self::Count(count) => Some(count as u64),
            Self::Token(token) => Some(or_least(token.map(Token::get))),
            Self::Text(_) | Self::Owner(_) | Self::Lease(_) | Self::Depths => None,
        }
    }

    /// The text for people; a dash where the value is unknown.
    pub(crate) fn display(self) -> Cow<'a, str> {
        let dash = Cow::Borrowed("-");
        match self {
            Self::Text(text) => text.into(),
            Self::State(state) => state.word().into(),
            Self::Owner(owner) => owner.map_or(dash, |owner| owner.label().into()),
            Self::Span(span) => span.map_or(dash, |span| age(span).into()),
            Self::Ttl(ttl) => ttl.map_or(dash, |ttl| format!("{}s", ttl.left_ms / 1000).into()),
            Self::Count(count) => count.to_string().into(),
            Self::Token(token) => token.map_or(dash, |token| token.to_string().into()),
            Self::Lease(lease) => lease.map_or(dash, |lease| lease.to_string().into()),
            Self::Depths => dash,
        }
    }

    /// The text that the filter searches on the screen.
    pub(crate) fn filter_text(self) -> Cow<'a, str> {
        if self.is_unknown() {
            return Cow::default();
        }
        self.display()
    }

    /// The text for programs; empty where the value is unknown.
    pub(crate) fn plain(self) -> Cow<'a, str> {
        let number =
            |number: Option<u64>| number.map_or_else(Cow::default, |n| n.to_string().into());
        match self {
            Self::State(state) => state.as_str().into(),
            Self::Span(span) => number(span),
            Self::Ttl(ttl) => number(ttl.map(|ttl| ttl.left_ms)),
            Self::Text(_)
            | Self::Owner(_)
            | Self::Count(_)
            | Self::Token(_)
            | Self::Lease(_)
            | Self::Depths => self.filter_text(),
        }
    }

    /// The value is not known. JSON leaves such a field out.
    pub(crate) const fn is_unknown(self) -> bool {
        match self {
            Self::Text(_) | Self::State(_) | Self::Count(_) => false,
            Self::Owner(owner) => owner.is_none(),
            Self::Span(span) => span.is_none(),
            Self::Ttl(ttl) => ttl.is_none(),
            Self::Token(token) => token.is_none(),
            Self::Lease(lease) => lease.is_none(),
            Self::Depths => true,
        }
    }
}

impl Serialize for CellValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Span(span) => span.serialize(serializer),
            Self::Ttl(ttl) => ttl.map(|ttl| ttl.left_ms).serialize(serializer),
            Self::Count(count) => count.serialize(serializer),
            Self::Token(token) => token.serialize(serializer),
            Self::Text(_) | Self::State(_) | Self::Owner(_) | Self::Lease(_) | Self::Depths => {
                self.plain().serialize(serializer)
            }
        }
    }
}
