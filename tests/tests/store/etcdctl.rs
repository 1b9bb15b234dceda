//! The operator's own tool, of both release lines, on the embedded store: its output is the same as on the
//! real etcd of its line. Only ids, addresses, sizes and the rest of a lease may differ.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use leasehold_store::{RevisionFloor, StoreOptions, restore_backup};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::etcdctl::Etcdctl;
use rustix::process::Signal;
use serde_json::Value;

use crate::embedded::Embedded;

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(20);

/// One etcdctl on its own etcd, and the same one on ours.
struct Both {
    etcd: Etcd,
    ours: Embedded,
    version: Version,
}

impl Both {
    fn start(version: Version) -> Result<Self> {
        Ok(Self {
            etcd: Etcd::start(version)?,
            ours: Embedded::start()?,
            version,
        })
    }

    fn each(&self) -> Result<[Etcdctl; 2]> {
        Ok([self.etcd.ctl()?, self.ours.ctl(self.version)?])
    }

    /// Runs a command on both and compares its output.
    fn same(&self, args: &[&str]) -> Result<String> {
        self.same_with(args, "")
    }

    fn same_with(&self, args: &[&str], input: &str) -> Result<String> {
        let [theirs, ours] = self.each()?.map(|ctl| {
            let said = if input.is_empty() {
                ctl.run(args)
            } else {
                ctl.run_with_input(args, input)
            };
            plain(&said)
        });
        let command = args.join(" ");
        ensure!(
            theirs == ours,
            "etcdctl {command}\n--- etcd\n{theirs}\n--- embedded\n{ours}"
        );
        Ok(ours)
    }
}

/// Output without the parts that differ between any two servers.
fn plain(said: &Result<String>) -> String {
    let text = match said {
        Ok(text) => text.clone(),
        // A tool that fails also writes a log, with times.
        Err(error) => {
            let error = error.to_string();
            let last = error.lines().find_map(|line| line.split_once("Error: "));
            format!("failed: {}", last.map_or(error.as_str(), |(_, why)| why))
        }
    };
    let lines = text.lines().map(|line| {
        let words = line.split(' ').map(|word| {
            let hex = word.len() >= 15 && word.chars().all(|c| c.is_ascii_hexdigit());
            if hex {
                "ID".to_owned()
            } else if word.starts_with("remaining(") {
                "remaining(LEFT),".to_owned()
            } else {
                word.to_owned()
            }
        });
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Makes two tests, one a version, of each `fn(Version) -> Result<()>` named.
macro_rules! with_both_etcdctls {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use leasehold_tests::etcd::Version;

            #[test]
            fn of_3_4() -> anyhow::Result<()> {
                super::$name(Version::V3_4)
            }

            #[test]
            fn of_3_5() -> anyhow::Result<()> {
                super::$name(Version::V3_5)
            }
        }
    )+};
}

with_both_etcdctls!(
    keys_and_transactions_print_the_same,
    leases_print_the_same,
    watches_print_the_same,
    locks_and_elections_are_handed_over,
    an_operator_can_look_after_it,
    a_saved_snapshot_can_be_restored,
);

fn keys_and_transactions_print_the_same(version: Version) -> Result<()> {
    let both = Both::start(version)?;
    for (key, value) in [
        ("a", "1"),
        ("b", "2"),
        ("dir/x", "3"),
        ("dir/y", "4"),
        ("a", "5"),
    ] {
        both.same(&["put", key, value])?;
    }
    both.same(&["put", "--prev-kv", "a", "6"])?;
    both.same(&["put", "--ignore-value", "a"])?;
    both.same(&["put", "--ignore-value", "missing"])?;
    both.same(&["put", "--lease=123", "a", "7"])?;
    both.same(&["get", "a"])?;
    both.same(&["get", "missing"])?;
    both.same(&["get", "--prefix", "dir/"])?;
    both.same(&["get", "--prefix", "", "--keys-only"])?;
    both.same(&["get", "--from-key", "b", "--limit=2"])?;
    both.same(&["get", "--prefix", "", "--sort-by=MODIFY", "--order=DESCEND"])?;
    for ctl in both.each()? {
        let fields = ctl.run(&["get", "--prefix", "", "-w", "fields"])?;
        ensure!(fields.contains("\"Count\" : 4"), "{fields}");
    }
    both.same(&["get", "a", "--rev=2"])?;
    both.same(&["get", "a", "--rev=100"])?;
    let input = "version(\"a\") = \"3\"\n\nput a then\nget a\n\nput a else\nget a\ndel b\n";
    both.same_with(&["txn"], input)?;
    both.same_with(&["txn"], input)?;
    both.same_with(&["txn", "--interactive=false"], "\nput a 1\nput a 2\n\n")?;
    both.same(&["del", "a"])?;
    both.same(&["del", "--prefix", "--prev-kv", "dir/"])?;
    both.same(&["del", "--prefix", ""])?;
    both.same(&["compact", "5"])?;
    both.same(&["compact", "5"])?;
    both.same(&["compact", "1000"])?;
    both.same(&["get", "a", "--rev=4"])?;
    let said = both.same(&["get", "a", "--rev=5"])?;
    ensure!(said == "a\n1", "a revision that is kept reads {said:?}");
    Ok(())
}

fn leases_print_the_same(version: Version) -> Result<()> {
    let both = Both::start(version)?;
    let granted = both.same(&["lease", "grant", "100"])?;
    ensure!(granted == "lease ID granted with TTL(100s)", "{granted}");
    for ctl in both.each()? {
        let list = ctl.run(&["lease", "list"])?;
        let id = list.lines().nth(1).context("no lease is listed")?;
        ctl.run(&["put", "--lease", id, "with", "lease"])?;
        let told = ctl.run(&["lease", "timetolive", "--keys", id])?;
        let told = plain(&Ok(told));
        ensure!(
            told == "lease ID granted with TTL(100s), remaining(LEFT), attached keys([with])",
            "{told}"
        );
        let kept = plain(&ctl.run(&["lease", "keep-alive", "--once", id]));
        ensure!(kept == "lease ID keepalived with TTL(100)", "{kept}");
        let revoked = plain(&ctl.run(&["lease", "revoke", id]));
        ensure!(revoked == "lease ID revoked", "{revoked}");
        ensure!(ctl.run(&["get", "with"])?.is_empty(), "its key is left");
    }
    both.same(&["lease", "list"])?;
    both.same(&["lease", "revoke", "1234"])?;
    both.same(&["lease", "timetolive", "1234"])?;
    both.same(&["lease", "keep-alive", "--once", "1234"])?;
    both.same(&["lease", "grant", "9000000001"])?;
    Ok(())
}

fn watches_print_the_same(version: Version) -> Result<()> {
    let both = Both::start(version)?;
    let mut told = Vec::new();
    for ctl in both.each()? {
        ctl.run(&["put", "w/a", "0"])?;
        let watch = ctl.spawn(&["watch", "--prefix", "--prev-kv", "--rev=2", "w/"])?;
        watch.wait_line(SLACK, |line| line == "w/a")?;
        ctl.run(&["put", "w/a", "1"])?;
        ctl.run(&["put", "elsewhere", "1"])?;
        ctl.run(&["del", "w/a"])?;
        ctl.run(&["put", "w/end", "end"])?;
        watch.wait_line(SLACK, |line| line == "end")?;
        told.push(watch.lines());
        ctl.run(&["compact", "4"])?;
        let mut late = ctl.spawn(&["watch", "--rev=3", "w/a"])?;
        late.wait_exit(SLACK)?;
        let why = late.stderr();
        ensure!(
            why.contains("has been compacted"),
            "a late watch said {why}"
        );
    }
    ensure!(
        told[0] == told[1],
        "etcd: {:?}\nembedded: {:?}",
        told[0],
        told[1]
    );
    Ok(())
}

fn locks_and_elections_are_handed_over(version: Version) -> Result<()> {
    let ours = Embedded::start()?;
    let ctl = ours.ctl(version)?;
    let mut first = ctl.spawn(&["lock", "job"])?;
    let held = first.wait_line(SLACK, |line| line.starts_with("job/"))?;
    let second = ctl.spawn(&["lock", "job"])?;
    let other = ctl.spawn(&["lock", "other"])?;
    other.wait_line(SLACK, |line| line.starts_with("other/"))?;
    ensure!(
        second.lines().is_empty(),
        "two hold it: {:?}",
        second.lines()
    );
    first.process().signal(Signal::INT)?;
    let next = second.wait_line(SLACK, |line| line.starts_with("job/"))?;
    ensure!(next != held, "the same entry twice");

    let mut leader = ctl.spawn(&["elect", "chair", "ann"])?;
    leader.wait_line(SLACK, |line| line == "ann")?;
    let heir = ctl.spawn(&["elect", "chair", "bob"])?;
    let listener = ctl.spawn(&["elect", "--listen", "chair"])?;
    listener.wait_line(SLACK, |line| line == "ann")?;
    leader.process().signal(Signal::INT)?;
    heir.wait_line(SLACK, |line| line == "bob")?;
    listener.wait_line(SLACK, |line| line == "bob")?;
    Ok(())
}

fn an_operator_can_look_after_it(version: Version) -> Result<()> {
    let ours = Embedded::start()?;
    let ctl = ours.ctl(version)?;
    ctl.run(&["put", "a", "1"])?;
    let members = ctl.run(&["member", "list"])?;
    let columns: Vec<_> = members.split(", ").collect();
    ensure!(
        columns.len() == 6 && columns[1] == "started" && columns[5] == "false",
        "{members}"
    );
    let json = |args: &[&str]| -> Result<Value> {
        let said = ctl.run(args)?;
        serde_json::from_str(&said).with_context(|| format!("{args:?} said {said:?}"))
    };
    let status = json(&["endpoint", "status", "-w", "json"])?;
    let status = &status[0]["Status"];
    ensure!(status["header"]["revision"] == 2, "{status}");
    ensure!(
        status["leader"] == status["header"]["member_id"],
        "{status}"
    );
    ensure!(
        status["version"]
            .as_str()
            .is_some_and(|v| v.starts_with("3.")),
        "{status}"
    );
    ctl.run(&["endpoint", "status", "-w", "table"])?;
    ctl.run(&["endpoint", "health"])?;
    let hash = json(&["endpoint", "hashkv", "-w", "json"])?;
    let again = json(&["endpoint", "hashkv", "-w", "json"])?;
    ensure!(
        hash[0]["HashKV"]["hash"] == again[0]["HashKV"]["hash"],
        "{hash} {again}"
    );
    ctl.run(&["put", "a", "2"])?;
    let other = json(&["endpoint", "hashkv", "-w", "json"])?;
    ensure!(
        hash[0]["HashKV"]["hash"] != other[0]["HashKV"]["hash"],
        "{hash} {other}"
    );
    ctl.run(&["compact", "3"])?;
    let said = ctl.run(&["defrag"])?;
    ensure!(said.starts_with("Finished defragmenting"), "{said}");
    ensure!(ctl.run(&["alarm", "list"])?.is_empty(), "there are alarms");
    ensure!(
        ctl.run(&["get", "a", "--print-value-only"])? == "2",
        "the value is lost"
    );
    Ok(())
}

fn a_saved_snapshot_can_be_restored(version: Version) -> Result<()> {
    let files = tempfile::tempdir()?;
    let (file, dir) = (files.path().join("snapshot"), files.path().join("store"));
    let ours = Embedded::start()?;
    let ctl = ours.ctl(version)?;
    // More than one message.
    for key in ["a", "b"] {
        ctl.run(&["put", key, &"x".repeat(50_000)])?;
    }
    ctl.run(&["snapshot", "save", &file.to_string_lossy()])?;
    ctl.run(&["put", "later", "1"])?;
    let restored = restore_backup(&file, &dir, RevisionFloor::Clock, SystemTime::now())?;
    ensure!(restored.backup.revision == 3, "{restored:?}");
    let again = Embedded::open(StoreOptions::directory(&dir))?;
    let ctl = again.ctl(version)?;
    let keys = ctl.run(&["get", "", "--prefix", "--keys-only"])?;
    ensure!(keys.split_whitespace().eq(["a", "b"]), "{keys}");
    let put: Value = serde_json::from_str(&ctl.run(&["put", "c", "1", "-w", "json"])?)?;
    let revision = put["header"]["revision"].as_i64();
    ensure!(revision == Some(restored.revision + 1), "{put}");
    // etcd's own tool does not take it for one of its own.
    ensure!(
        ctl.run(&["snapshot", "status", &file.to_string_lossy()])
            .is_err()
    );
    Ok(())
}
