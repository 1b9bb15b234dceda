//! Orders of operators to hosts: pauses, drains, requests to end a run, and requested runs.
//!
//! The commands of `leasehold` and the dashboard write them here, in the same form, with a record of the action.
//!
//! - [`OrderDesk`]: a connection in the name of one operator, with a reason.
//! - [`pause`], [`resume`], [`drain`], [`undrain`], [`stop`], [`restart`], [`request_run`]: the orders. Each returns an
//!   [`OrderReport`] once the hosts have seen it, or after a few seconds.
//! - [`until`]: times as operators write them.
//! - [`OrderError`]: the reason for which an order was not written.

mod desk;
mod drain;
mod error;
mod held_run;
mod hold;
mod pause;
mod refusal;
mod report;
mod restart;
mod resume;
mod run_end;
mod seen;
mod sentence;
mod stop;
mod trigger;
mod undrain;
pub mod until;

pub use chrono_tz::Tz;
pub use desk::OrderDesk;
pub use drain::{DrainOrder, drain};
pub use error::OrderError;
pub use pause::{PauseOrder, pause};
pub use report::OrderReport;
pub use restart::restart;
pub use resume::resume;
pub use run_end::RunEndOrder;
pub use stop::stop;
pub use trigger::{RequestedRun, RunRequest, request_run};
pub use undrain::undrain;
