//! Provisions: all that a run needs on this host, obtained before its lock is requested. That is a slot, the values
//! of its secrets, and its directories; the plugin is part of the job's context.
//!
//! A slot is never held while a job waits in a queue: a host with 32 slots may follow a thousand queues. Nor is a
//! lock held by a job that waits for a slot, for that would keep idle hosts from the work. So a slot is reserved
//! for a moment on the way to the lock. It is given up once the job has to queue, and taken again at the grant. If
//! none is free then, the lock goes back at once and the job stands back until it has a slot. It keeps that slot on
//! its way back to the lock, so that a host that is always full starves none of its jobs.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leasehold_records::printable;

use super::context::JobContext;
use super::lack::RunLack;
use leasehold_config::secrets::Secrets;
use leasehold_runtime::{Runtime, Slot};

/// Longest wait of a job for a slot before it stands back. Also the longest reservation of a slot for a job without
/// its lock, and the longest extension of a pause for lack of a slot.
const MOMENT: Duration = Duration::from_secs(1);

/// Resources with which one run is started.
pub(crate) struct RunProvisions {
    pub(crate) slot: Slot,
    pub(crate) secrets: Secrets,
    /// The version of the job that the secrets belong to.
    of: Arc<JobContext>,
}

impl RunProvisions {
    /// Gets the provisions before the lock is requested, or at the end of a pause: waits for a slot, but not for
    /// long.
    pub(crate) async fn get_soon(context: &Arc<JobContext>) -> Result<Self, RunLack> {
        let secrets = read_secrets(context).await?;
        let slot = match try_take_slot(context) {
            Some(slot) => Some(slot),
            None => tokio::time::timeout(MOMENT, take_slot_in_turn(context))
                .await
                .ok(),
        };
        Self::assemble(context, slot, secrets)
    }

    /// Gets the provisions under a lock that others wait for: does not wait for a slot.
    pub(crate) async fn get_now(context: &Arc<JobContext>) -> Result<Self, RunLack> {
        let slot = try_take_slot(context);
        if slot.is_none() {
            return Err(lack_of_slot(context));
        }
        Self::assemble(context, slot, read_secrets(context).await?)
    }

    /// Gets the provisions of a job that stands back: waits for its turn to have a slot.
    pub(crate) async fn get_in_turn(context: &Arc<JobContext>) -> Result<Self, RunLack> {
        let slot = take_slot_in_turn(context).await;
        Self::assemble(context, Some(slot), read_secrets(context).await?)
    }

    /// Returns the same provisions for this version of the job, which may have other secrets.
    pub(crate) async fn renew(self, context: &Arc<JobContext>) -> Result<Self, RunLack> {
        if Arc::ptr_eq(&self.of, context) {
            return Ok(self);
        }
        Self::assemble(context, Some(self.slot), read_secrets(context).await?)
    }

    fn assemble(
        context: &Arc<JobContext>,
        slot: Option<Slot>,
        secrets: Secrets,
    ) -> Result<Self, RunLack> {
        let slot = slot.ok_or_else(|| lack_of_slot(context))?;
        let of = context.clone();
        Ok(Self { slot, secrets, of })
    }
}

impl fmt::Debug for RunProvisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Secrets are not printed.
        f.debug_struct("RunProvisions").finish_non_exhaustive()
    }
}

fn try_take_slot(context: &JobContext) -> Option<Slot> {
    let slots = context.runtime.slots();
    if context.job.is_dropped() {
        slots.try_take_shared()
    } else {
        slots.try_take()
    }
}

async fn take_slot_in_turn(context: &JobContext) -> Slot {
    let slots = context.runtime.slots();
    if context.job.is_dropped() {
        slots.take_shared().await
    } else {
        slots.take().await
    }
}

fn lack_of_slot(context: &JobContext) -> RunLack {
    let slots = context.runtime.slots();
    let (most, reserved) = (slots.most(), slots.reserved());
    RunLack::Slot(if context.job.is_dropped() && reserved > 0 {
        format!(
            "no free slot for a plugin from the folder on this host (max_runs = {most}, of which {reserved} are \
             reserved for configured jobs)"
        )
    } else {
        format!("no free slot on this host (max_runs = {most})")
    })
}

/// Reads the job's secrets as they are now. Fails if a directory cannot be used or the plugin is in quarantine.
async fn read_secrets(context: &JobContext) -> Result<Secrets, RunLack> {
    let sha256 = &context.plugin.facts().sha256;
    if let Some(reason) = context.quarantine.reason(sha256, context.wall.now()).await {
        return Err(RunLack::Other(reason));
    }
    let (references, grants) = (context.job.secrets(), context.job.allow());
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
        Ok(Err(why)) => Err(RunLack::Other(printable::line(&why))),
        Err(error) => Err(RunLack::Other(error.to_string())),
    }
}

/// Provisions that are given up when the lock does not come soon.
pub(crate) struct ProvisionReserve(Mutex<Option<RunProvisions>>);

impl ProvisionReserve {
    pub(crate) const fn new(provisions: RunProvisions) -> Self {
        Self(Mutex::new(Some(provisions)))
    }

    /// Resources that are still reserved.
    pub(crate) fn take(&self) -> Option<RunProvisions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Gives up the reserved resources after a moment.
    pub(crate) async fn expire(&self) -> Infallible {
        tokio::time::sleep(MOMENT).await;
        drop(self.take());
        std::future::pending().await
    }
}
