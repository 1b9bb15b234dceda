//! Log lines and progress of a job.
//!
//! The mock keeps all of them unchanged; a real host bounds both.

use crate::types::Level;

/// One log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its importance.
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

/// One progress report of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all, where the job gave them.
    pub total: Option<u64>,
    /// Text for the step at hand.
    pub message: String,
}
