//! The views of the dashboard.

/// A view of the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum View {
    /// Every lock in a line.
    Locks,
    /// The queue of one lock, and who blocks whom.
    Queue,
    /// Leases, and what ends with each.
    Sessions,
    /// Jobs, their runs and their output.
    Jobs,
    /// Events, newest first.
    Events,
    /// Locks over time.
    Heatmap,
}

impl View {
    pub(crate) const ALL: [Self; 6] = [
        Self::Locks,
        Self::Queue,
        Self::Sessions,
        Self::Jobs,
        Self::Events,
        Self::Heatmap,
    ];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Locks => "Locks",
            Self::Queue => "Queue",
            Self::Sessions => "Sessions",
            Self::Jobs => "Jobs",
            Self::Events => "Events",
            Self::Heatmap => "Heatmap",
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}
