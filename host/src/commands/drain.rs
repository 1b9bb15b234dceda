//! `leasehold drain`: keeps a host from starting runs.

use clap::Args;
use leasehold_lock::{Batch, KeyValue, LeaseId};
use leasehold_records::{AdminAction, DrainMark, HoldKind, HostControl, JobRecord, UnixMs};

use super::pause::shows;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::orders::hold::{ConcernedRuns, HoldOrder};
use crate::orders::{OrderArgs, OrderDesk, now};
use crate::show_format::print;

/// Arguments of `leasehold drain`.
#[derive(Args)]
pub(crate) struct DrainArgs {
    /// The host's id.
    host: String,
    /// Let the host go on without runs, instead of ending when its last run has ended.
    #[arg(long)]
    keep: bool,
    /// Ask the runs that are under way to stop, within their grace time.
    #[arg(long)]
    stop: bool,
    #[command(flatten)]
    order: OrderArgs,
}

/// Drains the host, and waits until it has seen that.
pub(crate) async fn run(args: DrainArgs) -> Result<Exit, Failure> {
    let desk = OrderDesk::open(&args.order).await?;
    let drained = drain(&desk, &args).await;
    desk.close(drained).await
}

async fn drain(desk: &OrderDesk, args: &DrainArgs) -> Result<Exit, Failure> {
    let host = args.host.as_str();
    desk.know_host(host).await?;
    let key = desk.root().host_control(host);
    let (found, revision) = desk.read(&key).await?;
    let known = known_drain(found.as_ref(), now());
    if let Some(known) = known.filter(|known| known.keep == args.keep && !args.stop) {
        let sentence = format!(
            "{host} is drained already, {}; nothing was changed\n",
            known.mark
        );
        return print(&sentence);
    }
    let drain = DrainMark {
        mark: desk.mark(None),
        keep: args.keep,
    };
    let control = HostControl {
        drain: Some(drain.clone()),
    };
    let mut batch = Batch::default();
    batch.put(&key, &control.to_json(), LeaseId::NONE);
    let mut action = desk.action(AdminAction::Drain);
    action.host = Some(host.to_owned());
    let order = HoldOrder {
        key: (&key, revision),
        name: format!("the drain of {host}"),
        job: None,
        host: Some(host),
        stop: args.stop,
    };
    let has_seen = |job: &JobRecord| shows(job, HoldKind::Drained, &drain.mark);
    let (before, _) = desk.read(&desk.root().host(host)).await?;
    let (seen, runs) = order.write(desk, batch, &action, has_seen).await?;
    let (after, _) = desk.read(&desk.root().host(host)).await?;
    let presence = if after.is_some() || !seen.jobs.is_empty() {
        HostPresence::Alive
    } else if before.is_some() {
        HostPresence::Ended
    } else {
        HostPresence::Absent
    };
    let printed = print(&describe(args, presence, &runs));
    seen.warn();
    printed
}

/// Returns the drain in a record, if it is in force.
pub(crate) fn known_drain(found: Option<&KeyValue>, now: UnixMs) -> Option<DrainMark> {
    let control = HostControl::from_json(&found?.value).ok()?;
    control.drain.filter(|drain| drain.mark.is_in_force(now))
}

/// The drained host while the order was given.
#[derive(Clone, Copy)]
enum HostPresence {
    /// It still runs.
    Alive,
    /// It ran, and has ended since.
    Ended,
    /// It did not run.
    Absent,
}

fn describe(args: &DrainArgs, presence: HostPresence, runs: &ConcernedRuns) -> String {
    let host = &args.host;
    let runs = runs.describe();
    match presence {
        HostPresence::Alive => {
            let then = if args.keep {
                "goes on without runs"
            } else {
                "ends when its runs have ended"
            };
            let runs = runs.unwrap_or_else(|| "no run is under way there".to_owned());
            format!("{host} is drained: it starts nothing new and {then}; {runs}\n")
        }
        HostPresence::Ended => {
            let runs = runs.map_or_else(String::new, |runs| format!("{runs}; "));
            format!(
                "{host} is drained and has ended; {runs}it stands by when it starts, until `leasehold undrain {host}`\n"
            )
        }
        HostPresence::Absent => format!(
            "{host} is drained; it does not run now, and stands by when it starts, until `leasehold undrain {host}`\n"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(keep: bool) -> DrainArgs {
        DrainArgs {
            host: "web1".into(),
            keep,
            stop: false,
            order: OrderArgs {
                why: String::new(),
                config: None,
            },
        }
    }

    #[test]
    fn drain_reads_with_the_end_of_the_host() {
        insta::assert_snapshot!(
            describe(&args(false), HostPresence::Alive, &ConcernedRuns::default()),
            @"web1 is drained: it starts nothing new and ends when its runs have ended; no run is under way there"
        );
        insta::assert_snapshot!(
            describe(&args(true), HostPresence::Alive, &ConcernedRuns::default()),
            @"web1 is drained: it starts nothing new and goes on without runs; no run is under way there"
        );
        insta::assert_snapshot!(
            describe(&args(false), HostPresence::Absent, &ConcernedRuns::default()),
            @"web1 is drained; it does not run now, and stands by when it starts, until `leasehold undrain web1`"
        );
        insta::assert_snapshot!(
            describe(&args(false), HostPresence::Ended, &ConcernedRuns::default()),
            @"web1 is drained and has ended; it stands by when it starts, until `leasehold undrain web1`"
        );
    }
}
