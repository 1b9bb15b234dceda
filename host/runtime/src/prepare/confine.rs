//! Limits and confinement of the process that prepares a plugin.
//!
//! Every system supports the limits, so a failure to set one is an error. System calls and files are confined as far
//! as the kernel supports it. The process cannot undo anything that is set here.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus,
};
use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// Added to the niceness of this process, which gives it a third of the host's share of a processor that both use.
const NICE: i32 = 5;
/// Number of files open at once: three pipes and a few files of the compiler.
const MOST_FILES: u64 = 64;
/// Largest number of cores of one preparation: its memory grows with them, and the host needs some too.
pub(super) const MOST_CORES: usize = 4;
/// Version of the access rights in the rules below. A kernel that supports fewer rights enforces those.
const RIGHTS: ABI = ABI::V5;

/// System calls that reach other processes, the network or other programs. Compiling needs none of them.
const FORBIDDEN: &[i64] = &[
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_io_uring_setup,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_pidfd_getfd,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_setrlimit,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
];

/// Limits memory, processor time and files of this process, and has it killed when the host ends.
pub(super) fn limit(memory_bytes: u64, processor_seconds: u64) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let set = |resource, most| {
        let most = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        rustix::process::setrlimit(resource, most)
    };
    set(Resource::Core, 0)?;
    // Address space is reserved in large amounts and costs nothing. Only writable memory is limited.
    set(Resource::Data, memory_bytes)?;
    set(Resource::Cpu, processor_seconds)?;
    set(Resource::Fsize, memory_bytes)?;
    set(Resource::Nofile, MOST_FILES)?;
    // Runs and the store have priority over a preparation. The call may be refused.
    let _ = rustix::process::nice(NICE);
    // If the machine runs out of memory, this process is killed first. The write may be refused.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    Ok(())
}

/// Restricts this process to a few cores, which differ between processes. The call may be refused.
pub(super) fn share_cores() {
    let Ok(all) = sched_getaffinity(None) else {
        return;
    };
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU)
        .filter(|core| all.is_set(*core))
        .collect();
    if cores.len() <= MOST_CORES {
        return;
    }
    let first = usize::try_from(std::process::id()).unwrap_or(0) * MOST_CORES % cores.len();
    let mut some = CpuSet::new();
    for core in cores.iter().cycle().skip(first).take(MOST_CORES) {
        some.set(*core);
    }
    let _ = sched_setaffinity(None, &some);
}

/// Forbids system calls that reach out of the process, for this thread and the threads that it starts.
pub(super) fn forbid_calls() -> Result<(), String> {
    let fails = |error: &dyn std::fmt::Display| format!("no filter of system calls: {error}");
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        FORBIDDEN.iter().map(|call| (*call, Vec::new())).collect();
    // The process may send a signal to itself, and to no other process.
    let us = u64::from(std::process::id());
    let another = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, us)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(|error| fails(&error))?;
    rules.insert(libc::SYS_tgkill, vec![another]);
    // Setting limits, for this process or others, is denied. Reading its own limits stays allowed.
    let changing = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(|error| fails(&error))?;
    rules.insert(libc::SYS_prlimit64, vec![changing]);
    let denied = SeccompAction::Errno(u32::try_from(libc::EPERM).unwrap_or(1));
    let arch = std::env::consts::ARCH
        .try_into()
        .map_err(|error| fails(&error))?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, arch)
        .map_err(|error| fails(&error))?;
    let program: BpfProgram = filter.try_into().map_err(|error| fails(&error))?;
    seccompiler::apply_filter(&program).map_err(|error| fails(&error))
}

/// Restricts this thread, and the threads that it starts, to one directory of the file system and to no port.
pub(super) fn leave_files(dir: Option<&Path>) -> Result<(), String> {
    let fails = |error: &dyn std::fmt::Display| format!("no confinement to a directory: {error}");
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(RIGHTS))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(RIGHTS)))
        .and_then(Ruleset::create)
        .map_err(|error| fails(&error))?;
    if let Some(dir) = dir {
        let fd = PathFd::new(dir).map_err(|error| fails(&error))?;
        let all = AccessFs::from_all(RIGHTS) & !AccessFs::Execute;
        rules = rules
            .add_rule(PathBeneath::new(fd, all))
            .map_err(|error| fails(&error))?;
    }
    let status = rules.restrict_self().map_err(|error| fails(&error))?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err(fails(&"this kernel has no Landlock"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpStream, UdpSocket};
    use std::os::unix::net::UnixStream;
    use std::process::Command;
    use std::thread;

    use super::*;

    #[test]
    fn a_thread_that_forbade_itself_reaches_no_one() {
        let open = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = open.local_addr().unwrap();
        let confined = thread::spawn(move || {
            forbid_calls().unwrap();
            let refused = |what: io::Result<()>| {
                let error = what.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
            };
            refused(TcpStream::connect(address).map(drop));
            refused(UdpSocket::bind("127.0.0.1:0").map(drop));
            refused(UnixStream::connect("/run/none.sock").map(drop));
            refused(Command::new("/bin/true").status().map(drop));
            let parent = rustix::process::getppid().unwrap();
            refused(rustix::process::test_kill_process(parent).map_err(Into::into));
            // Threads that it starts are confined too.
            let child = thread::spawn(move || TcpStream::connect(address).is_err());
            assert!(child.join().unwrap());
        });
        confined.join().unwrap();
        TcpStream::connect(address).expect("other threads are as before");
    }

    #[test]
    fn a_thread_with_one_directory_sees_nothing_else() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (own, other) = (own.path().to_owned(), other.path().to_owned());
        std::fs::create_dir_all(&own).unwrap();
        std::fs::create_dir_all(&other).unwrap();
        let confined = thread::spawn(move || {
            if let Err(why) = leave_files(Some(&own)) {
                // On an old kernel, the host logs this and continues.
                assert!(why.contains("no confinement"), "{why}");
                return;
            }
            std::fs::write(own.join("new"), "x").unwrap();
            std::fs::rename(own.join("new"), own.join("newer")).unwrap();
            assert!(std::fs::write(other.join("new"), "x").is_err());
            assert!(std::fs::read("/etc/passwd").is_err());
        });
        confined.join().unwrap();
    }
}
