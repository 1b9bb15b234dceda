//! Guests that would go on for ever, each in its own way: a timeout ends them, and so does the loss of the lock.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::guests::{self, Job};
use leasehold_tests::wait::boot_ns;
use tempfile::TempDir;

use crate::{SLACK, STOP_BOUND, Scene, detail, since};

const TIMEOUT: Duration = Duration::from_millis(700);

/// Makes two tests of each mode of the stubborn plugin, and of the module that never finishes starting.
macro_rules! held_guests {
    ($($name:ident: $job:expr),+ $(,)?) => {$(
        mod $name {
            #[test]
            fn is_stopped_by_its_timeout() -> anyhow::Result<()> {
                super::times_out($job)
            }

            #[test]
            fn is_stopped_when_its_lease_is_revoked() -> anyhow::Result<()> {
                super::is_forced_out($job)
            }
        }
    )+};
}

held_guests! {
    a_spinning_guest: super::stubborn("spin"),
    a_guest_blocked_in_a_host_call: super::stubborn("block"),
    a_sleeping_guest: super::stubborn("sleep"),
    a_guest_filling_64_mib: super::stubborn("fill"),
    a_flooding_guest: super::stubborn("flood"),
    a_guest_that_ignores_requests: super::stubborn("ignore-stop"),
    an_endless_start: super::endless_start,
}

fn stubborn(mode: &'static str) -> impl FnOnce(Job, &Path) -> Result<Job> {
    move |job, _| {
        let job = job.plugin(&guests::stubborn()?).config("mode", mode);
        // Room for 64 MiB beside the guest's own memory.
        Ok(job.config("mib", 64).limit("memory", "96MiB"))
    }
}

/// A command that never gets to its `_start`.
fn endless_start(job: Job, dir: &Path) -> Result<Job> {
    let module =
        r#"(module (func $for_ever (loop (br 0))) (start $for_ever) (func (export "_start")))"#;
    let file = dir.join("endless.wasm");
    std::fs::write(&file, wat::parse_str(module)?)?;
    Ok(job.plugin(&file))
}

/// Starts a scene with this job, and whatever else it is given. Its files live as long as the directory.
fn start(
    job: impl FnOnce(Job, &Path) -> Result<Job>,
    more: impl FnOnce(Job) -> Job,
) -> Result<(Scene, TempDir)> {
    let dir = tempfile::tempdir()?;
    let mut made = Ok(());
    let scene = Scene::start(|common| match job(common.clone(), dir.path()) {
        Ok(job) => more(job),
        Err(error) => {
            made = Err(error);
            common
        }
    });
    made?;
    let scene = scene?;
    scene.host.wait_for(SLACK, |event| {
        event.is("run-started") && event.job() == Some("subject")
    })?;
    Ok((scene, dir))
}

fn times_out(job: impl FnOnce(Job, &Path) -> Result<Job>) -> Result<()> {
    let (scene, _dir) = start(job, |job| job.timeout("700ms"))?;
    let ended = scene.ended()?;
    ensure!(ended.outcome() == Some("timeout"), "{ended}");
    ensure!(detail(&ended) == "it ran longer than its timeout");
    let started = ended.u64("started_ns").context("no start")?;
    let ran = since(started, ended.stopped_ns())?;
    println!("it ran {ran:?}");
    ensure!(ran >= TIMEOUT && ran <= TIMEOUT + STOP_BOUND, "{ran:?}");
    // Its lock was released and the failure logged, before anything else.
    scene.host.wait_for(SLACK, |event| {
        event.is("released") && event.job() == Some("subject")
    })?;
    scene.host.wait_for(SLACK, |event| {
        event.is("job-failed") && event.job() == Some("subject")
    })?;
    scene.lives_on(&ended, 1)
}

fn is_forced_out(job: impl FnOnce(Job, &Path) -> Result<Job>) -> Result<()> {
    let (scene, _dir) = start(job, |job| job)?;
    std::thread::sleep(Duration::from_millis(300));
    let key = scene.etcd.wait_holder("/leasehold/locks/subject/", SLACK)?;
    let lease = key.rsplit('/').next().unwrap_or_default();
    scene.etcd.revoke(lease)?;
    let revoked_ns = boot_ns();
    let ended = scene.ended()?;
    ensure!(ended.outcome() == Some("lost"), "{ended}");
    let late = since(revoked_ns, ended.stopped_ns())?;
    let lost = scene.host.wait_for(SLACK, |event| event.is("lock-lost"))?;
    let lost_ns = lost.boot_ns().context("no time")?;
    println!(
        "stopped {late:?} after etcdctl's return, {:?} after the loss",
        since(lost_ns, ended.stopped_ns())?
    );
    ensure!(late <= STOP_BOUND, "stopped {late:?} after the revocation");
    for part in [key.as_str(), "host-a", "revoked"] {
        ensure!(detail(&ended).contains(part), "{ended}");
    }
    // It queues again and runs again: the host stops it a second time, when it is asked to stop itself.
    scene.host.wait_for(SLACK, |event| {
        event.is("run-started") && event.u64("attempt") == Some(2)
    })?;
    scene.lives_on(&ended, 0)
}
