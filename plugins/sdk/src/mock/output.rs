//! What a job said: its log lines and its progress.
//!
//! It must never drop or change any of it; a real host bounds both.

use crate::log::Level;

/// One log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// Its text.
    pub message: String,
    /// Its fields, in their order.
    pub fields: Vec<(String, String)>,
}

impl Line {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// One report of how far a run was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all, where the job knew.
    pub total: Option<u64>,
    /// What was being done.
    pub message: String,
}
