//! Takeovers: two real hosts with one config on a real etcd, and everything that can come between them.
//!
//! Each scenario is a function over an etcd version, named after its promise, and runs on both versions.
//! Bounds are how long we are willing to wait; order is judged by the boot-time clock that all processes
//! share. No scenario may pass without guest effects to look at: [`scene::Duel::end`] sees to that.

/// Makes a test of each scenario for each etcd version, so that a failure is named by both.
macro_rules! on_each_version {
    ($($scenario:ident),+ $(,)?) => { $(
        mod $scenario {
            #[test]
            fn etcd_3_4() -> anyhow::Result<()> {
                super::$scenario(leasehold_tests::etcd::Version::V3_4)
            }

            #[test]
            fn etcd_3_5() -> anyhow::Result<()> {
                super::$scenario(leasehold_tests::etcd::Version::V3_5)
            }
        }
    )+ };
}

mod bank;
mod compaction;
mod contention;
mod deadline;
mod freeze;
mod lost_reply;
mod network;
mod scene;
mod shutdown;
mod store_paused;
mod store_restarted;
mod waiter;
