//! Provisions: all that a run needs on this host, obtained before its lock is requested. That is a slot, the values
//! of its secrets, and its directories; the plugin is part of the job's context.
//!
//! A slot is never held while a job waits in a queue: a host with 32 slots may follow a thousand queues. Nor is a
//! lock held by a job that waits for a slot, for that would keep idle hosts from the work. So a slot is reserved
//! for a moment on the way to the lock. It is given up once the job has to queue, and taken again at the grant. If
//! none is free then, the lock goes back at once and the job stands back until it has a slot. It keeps that slot on
//! its way back to the lock, so that a host that is always full starves none of its jobs.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leasehold_records::printable;

use super::bench::Bench;
use super::machine::Lack;
use leasehold_config::secrets::Secrets;
use leasehold_runtime::{Runtime, Slot};

/// Longest wait of a job for a slot before it stands back. Also the longest reservation of a slot for a job without
/// its lock, and the longest extension of a pause for lack of a slot.
const MOMENT: Duration = Duration::from_secs(1);

/// Resources with which one run is started.
pub(crate) struct Provisions {
    pub(crate) slot: Slot,
    pub(crate) secrets: Secrets,
    /// The version of the job that the secrets belong to.
    of: Arc<Bench>,
}

impl Provisions {
    /// Gets the provisions before the lock is requested, or at the end of a pause: waits for a slot, but not for
    /// long.
    pub(crate) async fn soon(bench: &Arc<Bench>) -> Result<Self, Lack> {
        let secrets = local(bench).await?;
        let slot = match try_slot(bench) {
            Some(slot) => Some(slot),
            None => tokio::time::timeout(MOMENT, slot_in_turn(bench)).await.ok(),
        };
        Self::of(bench, slot, secrets)
    }

    /// Gets the provisions under a lock that others wait for: does not wait for a slot.
    pub(crate) async fn now(bench: &Arc<Bench>) -> Result<Self, Lack> {
        let slot = try_slot(bench);
        if slot.is_none() {
            return Err(no_slot(bench));
        }
        Self::of(bench, slot, local(bench).await?)
    }

    /// Gets the provisions of a job that stands back: waits for its turn to have a slot.
    pub(crate) async fn in_turn(bench: &Arc<Bench>) -> Result<Self, Lack> {
        let slot = slot_in_turn(bench).await;
        Self::of(bench, Some(slot), local(bench).await?)
    }

    /// Returns the same provisions for this version of the job, which may have other secrets.
    pub(crate) async fn renewed(self, bench: &Arc<Bench>) -> Result<Self, Lack> {
        if Arc::ptr_eq(&self.of, bench) {
            return Ok(self);
        }
        Self::of(bench, Some(self.slot), local(bench).await?)
    }

    fn of(bench: &Arc<Bench>, slot: Option<Slot>, secrets: Secrets) -> Result<Self, Lack> {
        let slot = slot.ok_or_else(|| no_slot(bench))?;
        let of = bench.clone();
        Ok(Self { slot, secrets, of })
    }
}

fn try_slot(bench: &Bench) -> Option<Slot> {
    let slots = bench.runtime.slots();
    if bench.job.is_dropped() {
        slots.try_take_shared()
    } else {
        slots.try_take()
    }
}

async fn slot_in_turn(bench: &Bench) -> Slot {
    let slots = bench.runtime.slots();
    if bench.job.is_dropped() {
        slots.take_shared().await
    } else {
        slots.take().await
    }
}

fn no_slot(bench: &Bench) -> Lack {
    let slots = bench.runtime.slots();
    let (most, reserved) = (slots.most(), slots.reserved());
    Lack::Slot(if bench.job.is_dropped() && reserved > 0 {
        format!(
            "no free slot for a plugin from the folder on this host (max_runs = {most}, of which {reserved} are \
             reserved for configured jobs)"
        )
    } else {
        format!("no free slot on this host (max_runs = {most})")
    })
}

/// Reads the job's secrets as they are now. Fails if a directory cannot be used or the plugin is in quarantine.
async fn local(bench: &Bench) -> Result<Secrets, Lack> {
    let sha256 = &bench.plugin.facts().sha256;
    if let Some(reason) = bench.quarantine.reason(sha256, bench.wall.now()).await {
        return Err(Lack::Other(reason));
    }
    let (references, grants) = (bench.job.secrets(), bench.job.allow());
    if references.is_empty() && grants.dirs.is_empty() {
        return Ok(Secrets::default());
    }
    let (references, grants) = (references.clone(), grants.clone());
    let read = tokio::task::spawn_blocking(move || {
        Runtime::check_dirs(&grants)?;
        Secrets::read(&references).map_err(|error| error.to_string())
    });
    match read.await {
        Ok(Ok(secrets)) => Ok(secrets),
        Ok(Err(why)) => Err(Lack::Other(bench.job.at_home(&printable::line(&why)))),
        Err(error) => Err(Lack::Other(error.to_string())),
    }
}

/// Provisions that are given up when the lock does not come soon.
pub(crate) struct Reserve(Mutex<Option<Provisions>>);

impl Reserve {
    pub(crate) const fn new(provisions: Provisions) -> Self {
        Self(Mutex::new(Some(provisions)))
    }

    /// Resources that are still reserved.
    pub(crate) fn take(&self) -> Option<Provisions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Gives up the reserved resources after a moment.
    pub(crate) async fn expire(&self) -> Infallible {
        tokio::time::sleep(MOMENT).await;
        drop(self.take());
        std::future::pending().await
    }
}
