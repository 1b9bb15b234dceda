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
    /// The right to start: an operator paused the job or drained the host. It is waited for.
    Held(String),
}

impl RunLack {
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Slot(reason) | Self::Clock(reason) | Self::Other(reason) | Self::Held(reason) => {
                reason
            }
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
            Self::Slot(reason) | Self::Clock(reason) | Self::Other(reason) | Self::Held(reason) => {
                reason
            }
        }
    }
}
