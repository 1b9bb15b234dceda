//! Orders to hosts: pauses, drains, requests to end a run, and requested runs.

use leasehold_orders::Tz;
use leasehold_records::{AdminAction, UnixMs};

/// An order to hosts, and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostOrder {
    pub(crate) verb: OrderVerb,
    /// The operator's reason; empty if none was given.
    pub(crate) why: String,
    /// The zone in which times are shown.
    pub(crate) zone: Tz,
}

/// An order to hosts, and its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OrderVerb {
    /// One run of a job, on any host.
    Trigger { job: String },
    /// No new run of a job, or of all jobs, until the moment or for good.
    Pause {
        job: Option<String>,
        until: Option<UnixMs>,
    },
    /// The end of the pause of a job, or of all jobs.
    Resume { job: Option<String> },
    /// The end of a job's run on a host.
    Stop { job: String, host: String },
    /// The end of a job's run on a host, and another run.
    Restart { job: String, host: String },
    /// No new run on a host.
    Drain { host: String },
    /// The end of the drain of a host.
    Undrain { host: String },
}

impl OrderVerb {
    /// Returns the order's word, as in commands and records.
    pub(crate) const fn as_str(&self) -> &'static str {
        let action = match self {
            Self::Trigger { .. } => AdminAction::Trigger,
            Self::Pause { .. } => AdminAction::Pause,
            Self::Resume { .. } => AdminAction::Resume,
            Self::Stop { .. } => AdminAction::Stop,
            Self::Restart { .. } => AdminAction::Restart,
            Self::Drain { .. } => AdminAction::Drain,
            Self::Undrain { .. } => AdminAction::Undrain,
        };
        action.as_str()
    }

    /// Returns the target, as in `ledger`, `ledger on web1` or `all jobs`.
    pub(crate) fn target(&self) -> String {
        match self {
            Self::Trigger { job } => job.clone(),
            Self::Pause { job, .. } | Self::Resume { job } => {
                job.clone().unwrap_or_else(|| "all jobs".to_owned())
            }
            Self::Stop { job, host } | Self::Restart { job, host } => format!("{job} on {host}"),
            Self::Drain { host } | Self::Undrain { host } => host.clone(),
        }
    }

    /// Returns the name to type as the confirmation of an order that ends runs or holds many jobs.
    fn confirmation(&self) -> Option<String> {
        match self {
            Self::Pause { job: None, .. } => Some("all jobs".to_owned()),
            Self::Stop { job, .. } | Self::Restart { job, .. } => Some(job.clone()),
            Self::Drain { host } => Some(host.clone()),
            Self::Trigger { .. }
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Undrain { .. } => None,
        }
    }

    /// Returns the fields of the form for this order.
    pub(super) fn fields(&self) -> Vec<FieldKind> {
        let until = matches!(self, Self::Pause { .. }).then_some(FieldKind::Until);
        let name = self.confirmation().map(FieldKind::Name);
        let fields = [Some(FieldKind::Why), until, name];
        fields.into_iter().flatten().collect()
    }
}

/// Meaning of a field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FieldKind {
    /// The reason.
    Why,
    /// The end of a pause.
    Until,
    /// This name, as the confirmation.
    Name(String),
}
