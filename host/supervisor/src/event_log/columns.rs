//! Widths of the columns for names: as wide as the widest name so far, up to a bound.
//!
//! A log has no second look at its earlier lines, so a column only grows.

use crate::event::Event;

use super::form::Form;

/// Least and greatest width of the column for hosts and of that for jobs, in a log.
const LOG: [(usize, usize); 2] = [(10, 24), (14, 32)];
/// The same in a story, whose lines fit a terminal.
const STORY: [(usize, usize); 2] = [(7, 16), (10, 24)];

/// Widths of the columns for names in one output.
pub(super) struct NameColumns {
    host: NameWidth,
    job: NameWidth,
}

/// Width of one column, in characters.
struct NameWidth {
    now: usize,
    most: usize,
}

impl NameColumns {
    /// The widths before the first line.
    pub(super) fn of(form: Form) -> Self {
        let bounds = match form {
            Form::Text | Form::Json => LOG,
            Form::Story { .. } => STORY,
        };
        let [host, job] = bounds.map(|(now, most)| NameWidth { now, most });
        Self { host, job }
    }

    /// Makes room for the names of `event`; returns the widths for hosts and for jobs. A name beyond the bound shifts
    /// its own line alone.
    pub(super) fn fit(&mut self, event: &Event) -> (usize, usize) {
        let job = event.context.job.as_deref().unwrap_or_default();
        (self.host.fit(&event.host), self.job.fit(job))
    }
}

impl NameWidth {
    fn fit(&mut self, name: &str) -> usize {
        let needed = name.chars().count();
        if needed <= self.most {
            self.now = self.now.max(needed);
        }
        self.now
    }
}
