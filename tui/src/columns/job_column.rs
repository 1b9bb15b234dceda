//! Columns of the Jobs view.

use std::cmp::Ordering;

use leasehold_records::JobRecord;

use super::column_spec::{ColumnSpec, ColumnWidth, SortDirection};

/// A column about a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobColumn {
    Job,
    Host,
    State,
    Since,
    Lock,
    Token,
    Last,
    Next,
    Progress,
    Detail,
}

/// The columns, in the order of the screen.
pub(crate) const JOB_COLUMNS: [ColumnSpec<JobColumn>; 10] = {
    use ColumnWidth as Width;
    use SortDirection::SmallestFirst;
    [
        ColumnSpec::new(JobColumn::Job, "JOB")
            .on_screen(Width::text(10, 30, 0))
            .sorted(SmallestFirst)
            .filtered(),
        ColumnSpec::new(JobColumn::Host, "HOST")
            .on_screen(Width::text(8, 20, 0))
            .sorted(SmallestFirst)
            .filtered(),
        ColumnSpec::new(JobColumn::State, "STATE")
            .on_screen(Width::text(8, 8, 0))
            .sorted(SmallestFirst)
            .filtered(),
        ColumnSpec::new(JobColumn::Since, "SINCE")
            .on_screen(Width::number(6, 7, 0))
            .sorted(SmallestFirst),
        ColumnSpec::new(JobColumn::Lock, "LOCK")
            .on_screen(Width::text(18, 36, 1))
            .filtered(),
        ColumnSpec::new(JobColumn::Token, "TOKEN").on_screen(Width::number(7, 12, 5)),
        ColumnSpec::new(JobColumn::Last, "LAST").on_screen(Width::text(9, 9, 3)),
        ColumnSpec::new(JobColumn::Next, "NEXT").on_screen(Width::text(7, 8, 4)),
        ColumnSpec::new(JobColumn::Progress, "PROGRESS").on_screen(Width::text(9, 26, 2)),
        ColumnSpec::new(JobColumn::Detail, "DETAIL").on_screen(Width::text(10, 400, 6)),
    ]
};

impl JobColumn {
    /// The order of two jobs by this column; progress has none.
    pub(crate) fn compare(self, a: &JobRecord, b: &JobRecord) -> Ordering {
        let last = |job: &JobRecord| job.last.map(leasehold_records::Outcome::as_str);
        match self {
            Self::Job => a.job.cmp(&b.job),
            Self::Host => a.host.cmp(&b.host),
            Self::State => a.state.as_str().cmp(b.state.as_str()),
            Self::Since => a.since_unix_ms.cmp(&b.since_unix_ms),
            Self::Lock => a.lock.cmp(&b.lock),
            Self::Token => a.token.cmp(&b.token),
            Self::Last => last(a).cmp(&last(b)),
            Self::Next => a.next_unix_ms.cmp(&b.next_unix_ms),
            Self::Detail => a.detail.cmp(&b.detail),
            Self::Progress => Ordering::Equal,
        }
    }

    /// The text that the filter searches in this column; empty for one that is not text.
    pub(crate) fn filter_text(self, job: &JobRecord) -> &str {
        match self {
            Self::Job => &job.job,
            Self::Host => &job.host,
            Self::State => job.state.as_str(),
            Self::Lock => &job.lock,
            Self::Detail => &job.detail,
            Self::Since | Self::Token | Self::Last | Self::Next | Self::Progress => "",
        }
    }
}
