//! Processes below this one, and signals to them.
//!
//! A process that collects orphans (`PR_SET_CHILD_SUBREAPER`) has every descendant below it, also those that made a
//! session of their own. A signal to one process goes to the one that was found, where the kernel has handles of processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, kill_process, kill_process_group, pidfd_open,
    pidfd_send_signal, wait, waitpid,
};

/// A process as `/proc` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FoundProcess {
    pid: Pid,
    parent: i32,
    group: i32,
    /// Start time in ticks since boot, which distinguishes it from a later process with its number.
    started: u64,
    /// False while any of its threads runs.
    has_ended: bool,
}

impl FoundProcess {
    pub(super) const fn pid(&self) -> Pid {
        self.pid
    }

    /// True if it is in this process group.
    pub(super) const fn is_in(&self, group: Pid) -> bool {
        self.group == group.as_raw_nonzero().get()
    }

    /// Sends it a signal. One that has ended takes none.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), Errno> {
        // The number may belong to another process since it was found.
        let is_same = || read(self.pid).is_some_and(|now| now.started == self.started);
        let sent = match pidfd_open(self.pid, PidfdFlags::empty()) {
            Ok(handle) if is_same() => pidfd_send_signal(handle, signal),
            // An old kernel, or a container that does not pass the call on.
            Err(Errno::NOSYS | Errno::PERM) if is_same() => kill_process(self.pid, signal),
            Ok(_) | Err(Errno::NOSYS | Errno::PERM) => Ok(()),
            Err(error) => Err(error),
        };
        match sent {
            Err(Errno::SRCH) => Ok(()),
            sent => sent,
        }
    }
}

/// Returns the descendants of a process that have not ended.
pub(super) fn living(of: Pid) -> Vec<FoundProcess> {
    let found = find(of);
    found
        .into_iter()
        .filter(|process| !process.has_ended)
        .collect()
}

/// Kills every descendant of a process once. Those that cannot be killed live on.
pub(super) fn kill(of: Pid) {
    let found = find(of);
    let pids: BTreeSet<i32> = found.iter().map(|process| raw(process.pid)).collect();
    // A group takes the signal as a whole, with children that are being made. It is a group of descendants alone if
    // its leader is one, ended or not.
    let groups: BTreeSet<i32> = found.iter().map(|process| process.group).collect();
    for group in groups.intersection(&pids) {
        if let Some(group) = Pid::from_raw(*group) {
            // What cannot be killed is found below.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
    for process in found.iter().filter(|process| !process.has_ended) {
        // Only processes of other users are spared, which callers find as living.
        let _ = process.signal(Signal::KILL);
    }
}

/// Collects children that have ended. Returns true if there is no child left, and so no descendant.
pub(super) fn collect() -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

/// Collects children of a process that have ended, except one.
pub(super) fn collect_except(of: Pid, except: Pid) {
    let found = find(of);
    let orphans = found
        .iter()
        .filter(|process| process.has_ended && process.parent == raw(of) && process.pid != except);
    for orphan in orphans {
        // Nothing else collects it.
        let _ = waitpid(Some(orphan.pid), WaitOptions::NOHANG);
    }
}

/// Returns the descendants of a process, those that have ended and were not collected included.
fn find(of: Pid) -> Vec<FoundProcess> {
    let mut by_parent: BTreeMap<i32, Vec<FoundProcess>> = BTreeMap::new();
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    for folder in folders {
        let pid = folder
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(process) = pid.and_then(Pid::from_raw).and_then(read) {
            by_parent.entry(process.parent).or_default().push(process);
        }
    }
    let mut found = Vec::new();
    let mut parents = vec![raw(of)];
    while let Some(parent) = parents.pop() {
        // Taken out, so that numbers which were used again meanwhile make no circle.
        let children = by_parent.remove(&parent).unwrap_or_default();
        parents.extend(children.iter().map(|child| raw(child.pid)));
        found.extend(children);
    }
    found
}

fn read(pid: Pid) -> Option<FoundProcess> {
    let text = fs::read_to_string(format!("/proc/{}/stat", raw(pid))).ok()?;
    parse(pid, &text)
}

/// Parses a line of `/proc/PID/stat`. The program's name in it may hold blanks and parentheses.
fn parse(pid: Pid, text: &str) -> Option<FoundProcess> {
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let threads: u32 = fields.get(17)?.parse().ok()?;
    Some(FoundProcess {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
        // That is the state of the first thread; others may go on after it.
        has_ended: matches!(*fields.first()?, "Z" | "X") && threads <= 1,
    })
}

fn raw(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn name_with_parentheses_does_not_shift_the_fields() {
        let line = "12 (a) Z (b) S 3 4 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2";
        let pid = Pid::from_raw(12).unwrap();
        let found = parse(pid, line).unwrap();
        assert_eq!((found.parent, found.group, found.started), (3, 4, 987_654));
        assert!(!found.has_ended);
        assert_eq!(parse(pid, "12 (a) S 3"), None);
    }

    /// Fails if a process counts as ended once its first thread has.
    #[test]
    fn process_ends_with_its_last_thread() {
        let line = |state: &str, threads: u32| {
            format!("12 (a) {state} 3 4 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 {threads} 0 987654 1 2")
        };
        let pid = Pid::from_raw(12).unwrap();
        let has_ended = |state, threads| parse(pid, &line(state, threads)).unwrap().has_ended;
        assert!(has_ended("Z", 1) && has_ended("X", 0));
        assert!(!has_ended("Z", 2) && !has_ended("S", 1));
    }

    #[test]
    fn grandchild_is_found_and_signalled() {
        let script = "sleep 600 & wait";
        let mut shell = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let own = rustix::process::getpid();
        let of_shell = Pid::from_child(&shell);
        let sleeper = loop {
            if let [sleeper] = living(of_shell)[..] {
                break sleeper;
            }
            std::thread::yield_now();
        };
        assert!(living(own).contains(&sleeper));
        sleeper.signal(Signal::TERM).unwrap();
        assert!(shell.wait().is_ok());
        // A process that has ended takes a signal without an error.
        sleeper.signal(Signal::TERM).unwrap();
    }

    #[test]
    fn signal_spares_a_later_process_with_the_same_number() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let mut earlier = read(pid).unwrap();
        earlier.started -= 1;
        earlier.signal(Signal::KILL).unwrap();
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
