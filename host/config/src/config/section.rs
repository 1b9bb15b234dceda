//! Reader of one table of the file: known keys by name, every other key reported.
//!
//! A reader does not stop at an error. It records it and continues, so that one report holds all of
//! them. `Field::Invalid` distinguishes an invalid value from an absent one.

use std::borrow::Cow;
use std::ops::Range;

use leasehold_diagnostics::{ConfigError, shown, suggest};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::context::Context;
use super::node::{Node, kind};
use super::schema;

/// Value of one key as read from a table.
#[derive(Clone, Debug)]
pub(super) enum Field<T> {
    /// The key is absent.
    Absent,
    /// The key is present and its value is invalid, which was reported.
    Invalid,
    /// The key has this value, at this position.
    Value(Spanned<T>),
}

/// Marker for an invalid value whose error is recorded already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidField;

impl<T> Field<T> {
    /// Returns the value, or `default` if the key is absent; `None` if the value is invalid.
    pub(super) fn or_default(self, default: T) -> Option<T> {
        match self {
            Self::Absent => Some(default),
            Self::Invalid => None,
            Self::Value(value) => Some(value.into_inner()),
        }
    }

    /// Returns the value if the key is present.
    pub(super) fn optional(self) -> Result<Option<T>, InvalidField> {
        match self {
            Self::Absent => Ok(None),
            Self::Invalid => Err(InvalidField),
            Self::Value(value) => Ok(Some(value.into_inner())),
        }
    }

    /// Position of the value, if it is valid.
    pub(super) fn span(&self) -> Option<Range<usize>> {
        match self {
            Self::Value(value) => Some(value.span()),
            Self::Absent | Self::Invalid => None,
        }
    }
}

impl<T: Clone> Field<T> {
    /// Returns this value, or `fallback` if the key is absent here.
    #[must_use]
    pub(super) fn or(self, fallback: &Self) -> Self {
        match self {
            Self::Absent => fallback.clone(),
            raw => raw,
        }
    }
}

/// One table of the file, with a known set of keys.
pub(super) struct Section<'a> {
    name: String,
    keys: &'static [&'static str],
    content: Content<'a>,
    context: &'a Context<'a>,
}

enum Content<'a> {
    /// The file has no such table.
    Absent,
    /// The name has a value that is not a table, which was reported.
    Invalid,
    /// The table and its header.
    Table(&'a DeTable<'a>, Option<Range<usize>>),
}

impl<'a> Section<'a> {
    /// The document itself, whose top may hold these keys.
    pub(super) fn root(
        table: &'a DeTable<'a>,
        keys: &'static [&'static str],
        context: &'a Context<'a>,
    ) -> Self {
        Self {
            name: String::new(),
            keys,
            content: Content::Table(table, None),
            context,
        }
    }

    /// Returns the table that this value is, below the table of its key; reports unknown keys.
    pub(super) fn of(node: &Node<'a>, own: &str, keys: &'static [&'static str]) -> Section<'a> {
        let outer = Section {
            name: node.section.to_string(),
            keys,
            content: Content::Absent,
            context: node.context,
        };
        let name = outer.inner(own);
        outer.open(Some(node.value), name, keys)
    }

    /// Returns the table under `key`, called `name` in messages; reports its unknown keys.
    pub(super) fn table(
        &self,
        key: &'static str,
        name: impl Into<String>,
        keys: &'static [&'static str],
    ) -> Section<'a> {
        let value = match self.content {
            Content::Absent => None,
            Content::Invalid => return self.child(name.into(), keys, Content::Invalid),
            Content::Table(table, _) => table.get(key),
        };
        self.open(value, name.into(), keys)
    }

    /// Returns the tables with free names under `key`, in the order of their names; none if it is
    /// absent.
    pub(super) fn tables(
        &self,
        key: &'static str,
        keys: &'static [&'static str],
    ) -> Result<Vec<(Spanned<&'a str>, Section<'a>)>, InvalidField> {
        let Some((_, value)) = self.lookup(key) else {
            return Ok(Vec::new());
        };
        let DeValue::Table(table) = value.get_ref() else {
            let _ = self.open(Some(value), key.into(), keys);
            return Err(InvalidField);
        };
        let open = |(name, value): (&'a Spanned<Cow<'a, str>>, _)| {
            let section = self.open(
                Some(value),
                format!("{key}.{}", shown(name.get_ref())),
                keys,
            );
            let place = self.context.shift(name.span());
            let name: Spanned<&'a str> = Spanned::new(place, name.get_ref());
            (name, section)
        };
        Ok(table.iter().map(open).collect())
    }

    fn open(
        &self,
        value: Option<&'a Spanned<DeValue<'a>>>,
        name: String,
        keys: &'static [&'static str],
    ) -> Section<'a> {
        let place = |value: &Spanned<_>| self.context.shift(value.span());
        let content = match value.map(|value| (value.get_ref(), place(value))) {
            None => Content::Absent,
            Some((DeValue::Table(table), span)) => Content::Table(table, Some(span)),
            Some((other, span)) => {
                let found = match other {
                    DeValue::Array(array) if array.iter().any(|v| v.get_ref().is_table()) => {
                        "an array of tables"
                    }
                    other => kind(other),
                };
                let own = name.rsplit('.').next().unwrap_or_default();
                let help = if keys.contains(&own) {
                    format!(
                        "`{own}` belongs in {}",
                        schema::tables_with(own).join(" or ")
                    )
                } else {
                    format!("start the table with `[{name}]`")
                };
                let message = format!("[{name}] must be a table, found {found}");
                self.context
                    .report(ConfigError::at(span, message).help(help));
                Content::Invalid
            }
        };
        let section = self.child(name, keys, content);
        section.report_unknown_keys();
        section
    }

    fn child(
        &self,
        name: String,
        keys: &'static [&'static str],
        content: Content<'a>,
    ) -> Section<'a> {
        Section {
            name,
            keys,
            content,
            context: self.context,
        }
    }

    /// State shared by all readers of the file.
    pub(super) const fn context(&self) -> &'a Context<'a> {
        self.context
    }

    /// The table's name without brackets, as in `jobs.ledger`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Name of a table in this one, as in `jobs.ledger.limits`.
    pub(super) fn inner(&self, key: &str) -> String {
        let dot = if self.name.is_empty() { "" } else { "." };
        format!("{}{dot}{key}", self.name)
    }

    /// The table as messages name it.
    pub(super) fn shown(&self) -> String {
        if self.name.is_empty() {
            "the file".to_owned()
        } else {
            format!("[{}]", self.name)
        }
    }

    /// The bytes of the table's header, if it has one.
    pub(super) fn header(&self) -> Option<Range<usize>> {
        match &self.content {
            Content::Table(_, header) => header.clone(),
            Content::Absent | Content::Invalid => None,
        }
    }

    /// Picks the position nearest to this table from the values that make up one error: the first
    /// one inside the table, else the first.
    pub(super) fn nearest_place<const N: usize>(
        &self,
        places: [Option<Range<usize>>; N],
    ) -> Option<Range<usize>> {
        let Content::Table(table, _) = self.content else {
            return None;
        };
        let raw: Vec<_> = places.into_iter().flatten().collect();
        let own = raw.iter().find(|place| holds(table, self.context, place));
        own.or(raw.first()).cloned()
    }

    /// Returns true if the file has no such table.
    pub(super) const fn is_absent(&self) -> bool {
        matches!(self.content, Content::Absent)
    }

    /// Returns true if the table holds `key`, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.lookup(key).is_some()
    }

    /// The bytes of `key` itself, if the table holds it; not those of its value.
    pub(super) fn key_place(&self, key: &str) -> Option<Range<usize>> {
        self.lookup(key)
            .map(|(key, _)| self.context.shift(key.span()))
    }

    /// Reads `key` with `read`, which records errors and then returns `None`.
    pub(super) fn take<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&Node<'_>) -> Option<T>,
    ) -> Field<T> {
        debug_assert!(self.keys.contains(&key), "`{key}` is not in the schema");
        if matches!(self.content, Content::Invalid) {
            return Field::Invalid;
        }
        let Some((_, value)) = self.lookup(key) else {
            return Field::Absent;
        };
        let node = Node {
            key,
            section: self.name.as_str().into(),
            value,
            is_element: false,
            context: self.context,
        };
        match read(&node) {
            Some(read) => Field::Value(Spanned::new(node.span(), read)),
            None => Field::Invalid,
        }
    }

    /// Reads `key` as `take` does, if this kind of table may hold it; otherwise the key counts as
    /// absent.
    pub(super) fn offer<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&Node<'_>) -> Option<T>,
    ) -> Field<T> {
        if self.keys.contains(&key) {
            self.take(key, read)
        } else {
            Field::Absent
        }
    }

    /// Reads `key` as `take` does, and reports its absence; `None` if it is absent or invalid.
    pub(super) fn require<T>(
        &self,
        key: &'static str,
        help: &str,
        read: impl FnOnce(&Node<'_>) -> Option<T>,
    ) -> Option<Spanned<T>> {
        match self.take(key, read) {
            Field::Value(value) => Some(value),
            Field::Invalid => None,
            Field::Absent => {
                // An absent table was reported as a whole.
                if let Some(header) = self.header() {
                    let message = format!("[{}] has no `{key}`", self.name);
                    self.context
                        .report(ConfigError::at(header, message).help(help));
                }
                None
            }
        }
    }

    fn lookup(&self, key: &str) -> Option<(&'a Spanned<Cow<'a, str>>, &'a Spanned<DeValue<'a>>)> {
        match self.content {
            Content::Table(table, _) => table.get_key_value(key),
            Content::Absent | Content::Invalid => None,
        }
    }

    /// Reports every key that is not in the schema.
    pub(super) fn report_unknown_keys(&self) {
        let Content::Table(table, _) = &self.content else {
            return;
        };
        for (key, value) in *table {
            let name = key.get_ref().as_ref();
            if self.keys.contains(&name) {
                continue;
            }
            let noun = match value.get_ref() {
                DeValue::Table(table) if !table.is_empty() => "table",
                _ => "key",
            };
            let place = if self.name.is_empty() {
                "at the top of the file".to_owned()
            } else {
                format!("in [{}]", self.name)
            };
            let message = format!("unknown {noun} `{}` {place}", shown(name));
            let place = self.context.shift(key.span());
            self.context
                .report(ConfigError::at(place, message).help(self.remedy(name)));
        }
    }

    /// Remedy for an unknown key: the table it belongs in, the key it may have meant, or the list
    /// of keys.
    fn remedy(&self, name: &str) -> String {
        let homes = schema::tables_with(name);
        if !homes.is_empty() {
            return format!("`{name}` belongs in {}", homes.join(" or "));
        }
        match suggest(name, self.keys.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.name.is_empty() && self.keys == schema::ROOT => {
                format!("the tables are {}", list(self.keys))
            }
            None => format!("the keys here are {}", list(self.keys)),
        }
    }
}

/// Returns true if `place` is a value of `table`, or of a table in it.
fn holds(table: &DeTable<'_>, context: &Context<'_>, place: &Range<usize>) -> bool {
    table.values().any(|value| match value.get_ref() {
        DeValue::Table(inner) => holds(inner, context, place),
        _ => context.shift(value.span()) == *place,
    })
}

/// Lists names in backticks, separated by commas.
fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
