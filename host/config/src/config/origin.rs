//! Origins of a job's values.
//!
//! For people: no decision depends on an origin, and an origin holds no value.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::source_map::{SourceMap, TextRole};

/// Layer that a value came from: the first of these that sets it wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The job's own table in the configuration file.
    Job,
    /// The sidecar file beside a dropped-in plugin.
    Sidecar,
    /// The manifest inside the plugin.
    Manifest,
    /// `[defaults]`.
    Defaults,
    /// `[plugins]`: values that hold for every dropped-in job.
    Plugins,
    /// No file sets it.
    BuiltIn,
}

impl Layer {
    /// Name of the layer in machine-readable output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Sidecar => "sidecar",
            Self::Manifest => "manifest",
            Self::Defaults => "defaults",
            Self::Plugins => "plugins",
            Self::BuiltIn => "built-in",
        }
    }
}

/// Origin of one value. `Display` is for people, as in `[defaults] leasehold.toml:12`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    layer: Layer,
    table: Arc<str>,
    file: Arc<str>,
    line: usize,
}

impl Origin {
    /// Origin of a value that no file sets.
    pub(super) fn built_in() -> Self {
        Self {
            layer: Layer::BuiltIn,
            table: "".into(),
            file: "".into(),
            line: 0,
        }
    }

    /// The layer.
    pub const fn layer(&self) -> Layer {
        self.layer
    }

    /// The file and the line, counted from 1; `None` for a built-in value.
    pub fn place(&self) -> Option<(&str, usize)> {
        (self.layer != Layer::BuiltIn).then_some((&*self.file, self.line))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            Layer::BuiltIn => f.write_str("built in"),
            Layer::Sidecar | Layer::Manifest => write!(f, "{}:{}", self.file, self.line),
            Layer::Job | Layer::Defaults | Layer::Plugins => {
                write!(f, "[{}] {}:{}", self.table, self.file, self.line)
            }
        }
    }
}

/// The origins of a job's values, by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// The origin of the value under `key`.
    pub(super) fn of(&self, key: &str) -> Origin {
        self.0.get(key).cloned().unwrap_or_else(Origin::built_in)
    }

    /// Records that the value under `key` came from `span`, which is in `table` if it is in the
    /// configuration file.
    pub(super) fn note(
        &mut self,
        key: impl Into<String>,
        span: &Range<usize>,
        layer: Layer,
        table: &str,
        texts: &SourceMap,
    ) {
        let Some(text) = texts.at(span.start) else {
            return;
        };
        let origin = Origin {
            layer: match text.role {
                TextRole::Manifest => Layer::Manifest,
                TextRole::Sidecar => Layer::Sidecar,
                TextRole::Main => layer,
            },
            table: table.into(),
            line: text.line(span.start),
            file: text.label,
        };
        self.0.insert(key.into(), origin);
    }
}
