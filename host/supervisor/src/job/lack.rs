//! Lacks: reasons for which a run cannot start on this host now. Pure.

/// Resource that a run needs and does not have on this host now, with a sentence for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunLack {
    /// A slot: as many guests run on this host as are allowed.
    Slot(String),
    /// A clock that agrees with those of other hosts. It is checked again after a pause, for it may have been set.
    Clock(String),
    /// A secret, a directory or memory. It is checked again after a pause.
    Other(String),
    /// The right to start: an operator paused the job or drained the host. Its end is waited for.
    Held {
        reason: String,
        /// True if the order is to all hosts.
        is_everywhere: bool,
    },
}

impl RunLack {
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Slot(reason)
            | Self::Clock(reason)
            | Self::Other(reason)
            | Self::Held { reason, .. } => reason,
        }
    }

    /// True if other hosts may run the job meanwhile.
    pub(crate) const fn leaves_others(&self) -> bool {
        match self {
            Self::Slot(_) | Self::Clock(_) | Self::Other(_) => true,
            Self::Held { is_everywhere, .. } => !*is_everywhere,
        }
    }

    /// True if both read the same to a person. The numbers in a sentence about slots or clocks change at every check.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Slot(_), Self::Slot(_)) | (Self::Clock(_), Self::Clock(_)) => true,
            (this, other) => this == other,
        }
    }

    pub(crate) fn into_reason(self) -> String {
        match self {
            Self::Slot(reason)
            | Self::Clock(reason)
            | Self::Other(reason)
            | Self::Held { reason, .. } => reason,
        }
    }
}
