//! [`JobLocks`]: the locks that a run of a job needs, each with its mode.

use std::fmt;

use leasehold_ids::LockMode;

/// The most locks of one job: they are taken in one transaction of the store.
pub const MOST_JOB_LOCKS: usize = 32;

/// A lock that a run needs.
///
/// Its text is that of a configuration: `"billing"`, `{ name = "billing", mode = "shared" }`,
/// `{ name = "workers", permits = 1, of = 3 }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLock {
    name: String,
    mode: LockMode,
}

impl JobLock {
    pub(super) const fn new(name: String, mode: LockMode) -> Self {
        Self { name, mode }
    }

    /// The name: segments of letters, digits, `.`, `_`, `-` with `/` between, at most 200 bytes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The way a run holds it.
    pub const fn mode(&self) -> LockMode {
        self.mode
    }
}

impl fmt::Display for JobLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.mode {
            LockMode::Exclusive => write!(f, "{name:?}"),
            LockMode::Shared => write!(f, "{{ name = {name:?}, mode = \"shared\" }}"),
            LockMode::Permits(permits) => write!(
                f,
                "{{ name = {name:?}, permits = {}, of = {} }}",
                permits.weight(),
                permits.of()
            ),
        }
    }
}

/// The locks that a run of a job holds together: from 1 to [`MOST_JOB_LOCKS`], in the order of the configuration. None
/// is named twice or lies inside another.
///
/// Their text is that of a configuration; several are an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLocks {
    first: JobLock,
    others: Vec<JobLock>,
}

impl JobLocks {
    /// Returns the default: an exclusive lock of this name.
    pub(super) const fn exclusive(name: String) -> Self {
        Self {
            first: JobLock::new(name, LockMode::Exclusive),
            others: Vec::new(),
        }
    }

    /// Returns these locks; `None` if there is none.
    pub(super) fn new(locks: impl IntoIterator<Item = JobLock>) -> Option<Self> {
        let mut locks = locks.into_iter();
        Some(Self {
            first: locks.next()?,
            others: locks.collect(),
        })
    }

    /// The first lock.
    pub const fn first(&self) -> &JobLock {
        &self.first
    }

    /// All locks, in order.
    pub fn iter(&self) -> impl Iterator<Item = &JobLock> + Clone {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.iter().map(JobLock::name)
    }

    /// Returns the text that records, events and guests have: their names with `+` between.
    pub fn label(&self) -> String {
        leasehold_records::join_lock_names(self.names())
    }

    /// True if another run may hold all of them meanwhile: none is exclusive.
    pub fn are_shareable(&self) -> bool {
        !self.iter().any(|lock| lock.mode.is_exclusive())
    }

    /// True if one of them is called `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.names().any(|own| own == name)
    }
}

impl fmt::Display for JobLocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.others.is_empty() {
            return self.first.fmt(f);
        }
        let texts: Vec<String> = self.iter().map(ToString::to_string).collect();
        write!(f, "[{}]", texts.join(", "))
    }
}
