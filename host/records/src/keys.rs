//! The layout of keys. Records are outside every lock's prefix, so that no record can be taken for an entry of a
//! queue.

use std::fmt;

use leasehold_ids::Token;

use crate::unix_ms::UnixMs;

/// Digits of a token in a key: enough for any 64-bit number, so that keys sort like tokens.
const TOKEN_DIGITS: usize = 20;

/// The prefix of all keys of one installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root(String);

/// Error for an invalid root.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("root {root:?} must begin and end with '/' and have no empty part")]
pub struct RootError {
    root: String,
}

/// The key of one run: its job, its token, and its number under that token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunKey {
    /// The job.
    pub job: String,
    /// The fencing token of the grant it ran under.
    pub token: Token,
    /// 0 for the first run under a grant; further runs of a job that keeps its lock count up.
    pub sequence: u32,
}

/// Meaning of a key of operators' orders or requested runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ControlKey {
    /// Control of all jobs.
    All,
    /// Control of this job.
    Job(String),
    /// Control of this host.
    Host(String),
    /// A request to end the run of this job under this token.
    Stop(String, Token),
    /// A requested run of this job, with its id.
    Trigger(String, String),
}

impl Default for Root {
    fn default() -> Self {
        Self("/leasehold/".into())
    }
}

impl Root {
    /// Checks a root.
    ///
    /// # Errors
    ///
    /// [`RootError`] when it does not begin and end with `/`, or has an empty part.
    pub fn new(root: impl Into<String>) -> Result<Self, RootError> {
        let root = root.into();
        let usable = root.starts_with('/') && root.ends_with('/') && !root.contains("//");
        if usable {
            Ok(Self(root))
        } else {
            Err(RootError { root })
        }
    }

    /// Returns the root itself, with its slashes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the prefix of all locks.
    pub fn locks(&self) -> String {
        format!("{}locks/", self.0)
    }

    /// Returns the full name of a lock, without a slash at the end.
    pub fn lock(&self, name: &str) -> String {
        format!("{}locks/{name}", self.0)
    }

    /// Returns the short name of a lock, if its full name is under this root.
    pub fn lock_name<'a>(&self, full: &'a str) -> Option<&'a str> {
        full.strip_prefix(&self.0)?.strip_prefix("locks/")
    }

    /// Returns the prefix of all hosts.
    pub fn hosts(&self) -> String {
        format!("{}hosts/", self.0)
    }

    /// Returns the key of one host's record.
    pub fn host(&self, host: &str) -> String {
        format!("{}hosts/{host}", self.0)
    }

    /// Returns the prefix of the claims on hosts' ids.
    pub fn ids(&self) -> String {
        format!("{}ids/", self.0)
    }

    /// Returns the key of the claim on one host's id.
    pub fn id(&self, host: &str) -> String {
        format!("{}ids/{host}", self.0)
    }

    /// Returns the prefix of all jobs.
    pub fn jobs(&self) -> String {
        format!("{}jobs/", self.0)
    }

    /// Returns the key of one job on one host.
    pub fn job(&self, job: &str, host: &str) -> String {
        format!("{}jobs/{job}/{host}", self.0)
    }

    /// Returns the prefix of all runs.
    pub fn runs(&self) -> String {
        format!("{}runs/", self.0)
    }

    /// Returns the prefix of one job's runs.
    pub fn runs_of(&self, job: &str) -> String {
        format!("{}runs/{job}/", self.0)
    }

    /// Returns the key of one run's record.
    pub fn run(&self, key: &RunKey) -> String {
        format!("{}{}", self.runs_of(&key.job), run_name(key))
    }

    /// Parses a run's key.
    pub fn parse_run(&self, key: &str) -> Option<RunKey> {
        parse_run_name(key.strip_prefix(&self.0)?.strip_prefix("runs/")?)
    }

    /// Returns the prefix of all requests for live output.
    pub fn follows(&self) -> String {
        format!("{}follow/", self.0)
    }

    /// Returns the key of one reader's request for the output of a job.
    pub fn follow(&self, job: &str, reader: &str) -> String {
        format!("{}follow/{job}/{reader}", self.0)
    }

    /// Parses the key of a request for live output: its job and its reader.
    pub fn parse_follow<'a>(&self, key: &'a str) -> Option<(&'a str, &'a str)> {
        let rest = key.strip_prefix(&self.0)?.strip_prefix("follow/")?;
        rest.split_once('/')
    }

    /// Returns the prefix of all live output.
    pub fn outputs(&self) -> String {
        format!("{}output/", self.0)
    }

    /// Returns the prefix of the live output of one job.
    pub fn outputs_of(&self, job: &str) -> String {
        format!("{}output/{job}/", self.0)
    }

    /// Returns the key of one chunk of a run's live output; chunks of a run are numbered from 0.
    pub fn output(&self, key: &RunKey, number: u64) -> String {
        let prefix = self.outputs_of(&key.job);
        format!("{prefix}{}/{number:010}", run_name(key))
    }

    /// Parses the key of a chunk of live output: its run and its number.
    pub fn parse_output(&self, key: &str) -> Option<(RunKey, u64)> {
        let rest = key.strip_prefix(&self.0)?.strip_prefix("output/")?;
        let (run, number) = rest.rsplit_once('/')?;
        Some((parse_run_name(run)?, number.parse().ok()?))
    }

    /// Returns the prefix of all jobs' ticks.
    pub fn ticks(&self) -> String {
        format!("{}ticks/", self.0)
    }

    /// Returns the key of the latest tick of one job that a host has begun.
    pub fn tick(&self, job: &str) -> String {
        format!("{}ticks/{job}", self.0)
    }

    /// Returns the prefix of all orders of operators.
    pub fn control(&self) -> String {
        format!("{}control/", self.0)
    }

    /// Returns the key of the control of one job.
    pub fn job_control(&self, job: &str) -> String {
        format!("{}control/jobs/{job}", self.0)
    }

    /// Returns the key of the control of all jobs.
    pub fn all_control(&self) -> String {
        format!("{}control/all", self.0)
    }

    /// Returns the key of the control of one host.
    pub fn host_control(&self, host: &str) -> String {
        format!("{}control/hosts/{host}", self.0)
    }

    /// Returns the key of a request to end the run of a job under this token.
    pub fn stop_request(&self, job: &str, token: Token) -> String {
        format!(
            "{}control/stops/{job}/{:0TOKEN_DIGITS$}",
            self.0,
            token.get()
        )
    }

    /// Returns the prefix of all requested runs.
    pub fn triggers(&self) -> String {
        format!("{}triggers/", self.0)
    }

    /// Returns the prefix of the requested runs of one job.
    pub fn triggers_of(&self, job: &str) -> String {
        format!("{}triggers/{job}/", self.0)
    }

    /// Returns the key of one requested run.
    pub fn trigger(&self, job: &str, id: &str) -> String {
        format!("{}triggers/{job}/{id}", self.0)
    }

    /// Returns the meaning of a key of operators' orders or requested runs.
    pub fn parse_control(&self, key: &str) -> Option<ControlKey> {
        let rest = key.strip_prefix(&self.0)?;
        if let Some(rest) = rest.strip_prefix("triggers/") {
            let (job, id) = rest.split_once('/')?;
            return Some(ControlKey::Trigger(job.to_owned(), id.to_owned()));
        }
        match rest.strip_prefix("control/")?.split_once('/') {
            None => (rest == "control/all").then_some(ControlKey::All),
            Some(("jobs", job)) => Some(ControlKey::Job(job.to_owned())),
            Some(("hosts", host)) => Some(ControlKey::Host(host.to_owned())),
            Some(("stops", stop)) => {
                let (job, token) = stop.split_once('/')?;
                Some(ControlKey::Stop(
                    job.to_owned(),
                    Token::new(token.parse().ok()?),
                ))
            }
            Some(_) => None,
        }
    }

    /// Returns the prefix of the operators' admin actions.
    pub fn admin_actions(&self) -> String {
        format!("{}deeds/", self.0)
    }

    /// Returns the key of one admin action. The time comes first, so that keys sort by it; `mark` distinguishes two
    /// of the same millisecond.
    pub fn admin_action(&self, at: UnixMs, mark: u32) -> String {
        format!("{}deeds/{:015}-{mark:08x}", self.0, at.as_u64())
    }

    /// Returns the prefix of all fenced guest data.
    pub fn kv(&self) -> String {
        format!("{}kv/", self.0)
    }
}

/// Returns the part of a key that names a run of its job.
fn run_name(key: &RunKey) -> String {
    let first = format!("{:0TOKEN_DIGITS$}", key.token);
    if key.sequence == 0 {
        first
    } else {
        format!("{first}.{:06}", key.sequence)
    }
}

/// Parses a job and the name of one of its runs.
fn parse_run_name(text: &str) -> Option<RunKey> {
    let (job, run) = text.split_once('/')?;
    let (token, sequence) = match run.split_once('.') {
        Some((token, sequence)) => (token, sequence.parse().ok()?),
        None => (run, 0),
    };
    Some(RunKey {
        job: job.to_owned(),
        token: Token::new(token.parse().ok()?),
        sequence,
    })
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_runs_sort_like_their_tokens_and_read_back() {
        let root = Root::default();
        let key = |token, sequence| RunKey {
            job: "ledger".into(),
            token: Token::new(token),
            sequence,
        };
        let keys = [key(9, 0), key(9, 1), key(10, 0), key(u64::MAX, 0)];
        let texts: Vec<String> = keys.iter().map(|key| root.run(key)).collect();
        assert!(texts.is_sorted());
        for (key, text) in keys.iter().zip(&texts) {
            assert_eq!(root.parse_run(text).as_ref(), Some(key));
        }
        let chunks = [(&keys[1], 0), (&keys[1], 9), (&keys[1], 10), (&keys[2], 0)];
        let texts = chunks.map(|(key, number)| root.output(key, number));
        assert!(texts.is_sorted());
        for ((key, number), text) in chunks.iter().zip(&texts) {
            assert!(text.starts_with(&root.outputs_of("ledger")));
            assert_eq!(root.parse_output(text), Some(((*key).clone(), *number)));
        }
        let follow = root.follow("ledger", "7");
        assert_eq!(root.parse_follow(&follow), Some(("ledger", "7")));
    }

    #[test]
    fn no_record_has_the_prefix_of_a_queue() {
        let root = Root::default();
        let locks = root.locks();
        let (hosts, jobs, runs) = (root.hosts(), root.jobs(), root.runs());
        let (ids, ticks) = (root.ids(), root.ticks());
        for prefix in [
            hosts,
            ids,
            jobs,
            runs,
            ticks,
            root.control(),
            root.triggers(),
            root.admin_actions(),
            root.follows(),
            root.outputs(),
            root.kv(),
        ] {
            assert!(!prefix.starts_with(&locks) && !locks.starts_with(&prefix));
        }
        assert_eq!(root.lock_name(&root.lock("a/b")), Some("a/b"));
    }

    #[test]
    fn keys_of_control_read_back() {
        let root = Root::default();
        let (job, id) = ("ledger".to_owned(), "7".to_owned());
        for (key, meaning) in [
            (root.all_control(), ControlKey::All),
            (root.job_control("ledger"), ControlKey::Job(job.clone())),
            (root.host_control("web1"), ControlKey::Host("web1".into())),
            (
                root.stop_request("ledger", Token::new(42)),
                ControlKey::Stop(job.clone(), Token::new(42)),
            ),
            (root.trigger("ledger", "7"), ControlKey::Trigger(job, id)),
        ] {
            assert_eq!(root.parse_control(&key), Some(meaning), "{key}");
            let is_followed = [root.control(), root.triggers()]
                .iter()
                .any(|prefix| key.starts_with(prefix));
            assert!(is_followed, "{key}");
        }
        assert!(
            root.trigger("ledger", "7")
                .starts_with(&root.triggers_of("ledger"))
        );
        for other in [
            "/leasehold/control/x",
            "/leasehold/jobs/all",
            "/x/control/all",
        ] {
            assert_eq!(root.parse_control(other), None, "{other}");
        }
    }

    #[test]
    fn a_root_without_its_slashes_is_refused() {
        for bad in ["", "x", "/x", "x/", "/a//b/"] {
            assert!(Root::new(bad).is_err(), "{bad:?}");
        }
        assert!(Root::new("/").is_ok());
    }
}
