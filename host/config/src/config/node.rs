//! One value of the file, with its position and kind, and the errors about it.
//!
//! Readers get a `Node` and nothing else, so every error carries its position. The meaning of a
//! value is the readers' matter.

use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

use leasehold_diagnostics::{ConfigError, shown};
use toml::Spanned;
use toml::de::{DeArray, DeValue};

use super::context::Context;

/// One value of the file and its position.
#[derive(Clone)]
pub(super) struct Node<'a> {
    /// The key, for messages.
    pub(super) key: &'a str,
    /// The table, for messages.
    pub(super) section: Rc<str>,
    /// The value and its bytes.
    pub(super) value: &'a Spanned<DeValue<'a>>,
    /// True if this is one of several values of an array under the key.
    pub(super) is_element: bool,
    /// Collector of errors.
    pub(super) context: &'a Context<'a>,
}

impl<'a> Node<'a> {
    /// The bytes of the value.
    pub(super) fn span(&self) -> Range<usize> {
        self.context.shift(self.value.span())
    }

    /// The value.
    pub(super) fn value(&self) -> &'a DeValue<'a> {
        self.value.get_ref()
    }

    /// State shared by all readers of the file.
    pub(super) const fn context(&self) -> &'a Context<'a> {
        self.context
    }

    /// The key and its table, as messages name them.
    pub(super) fn name(&self) -> String {
        let part = if self.is_element { "a value of " } else { "" };
        // Keys at the top of a manifest or a sidecar are in no table.
        if self.section.is_empty() {
            format!("{part}`{}`", shown(self.key))
        } else {
            format!("{part}`{}` in [{}]", shown(self.key), self.section)
        }
    }

    /// Reports an error about the value: "`key` in [table] {what}", with a remedy.
    pub(super) fn reject<T>(&self, what: &str, help: impl Into<String>) -> Option<T> {
        let message = format!("{} {what}", self.name());
        self.context
            .report(ConfigError::at(self.span(), message).help(help));
        None
    }

    /// Reports that the value has the wrong type: `wanted` is a noun with its article.
    pub(super) fn wrong_kind<T>(&self, wanted: &str, example: &str) -> Option<T> {
        let what = format!("must be {wanted}, found {}", kind(self.value()));
        let help = if self.is_element {
            format!("write it as in `{example}`")
        } else {
            format!("write it as in `{} = {example}`", shown(self.key))
        };
        self.reject(&what, help)
    }

    /// Returns the elements of an array, each as a value of the same key; an array of `of`.
    pub(super) fn items(&self, of: &str, example: &str) -> Option<Vec<Self>> {
        match self.value() {
            DeValue::Array(array) => Some(self.each(array)),
            _ => self.wrong_kind(&format!("an array of {of}"), example),
        }
    }

    fn each(&self, array: &'a DeArray<'a>) -> Vec<Self> {
        let node = |value| Self {
            value,
            is_element: true,
            ..self.clone()
        };
        array.iter().map(node).collect()
    }

    /// Returns the entries of a table with free names, each as a value of its own key.
    pub(super) fn entries(&self) -> Option<Vec<(Spanned<&'a str>, Self)>> {
        self.entries_like("{ NAME = \"value\" }")
    }

    /// Returns the same as [`Node::entries`]; the error shows an example of such a table.
    pub(super) fn entries_like(&self, example: &str) -> Option<Vec<(Spanned<&'a str>, Self)>> {
        let DeValue::Table(table) = self.value() else {
            return self.wrong_kind("a table", example);
        };
        let dot = if self.section.is_empty() { "" } else { "." };
        let section: Rc<str> = format!("{}{dot}{}", self.section, shown(self.key)).into();
        let entry = |(key, value): (&'a Spanned<Cow<'a, str>>, _)| {
            let name: &'a str = key.get_ref();
            let node = Self {
                key: name,
                value,
                is_element: false,
                section: section.clone(),
                ..*self
            };
            (Spanned::new(self.context.shift(key.span()), name), node)
        };
        Some(table.iter().map(entry).collect())
    }
}

/// Name of a value's type in messages.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
