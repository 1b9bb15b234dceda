//! Remedies that name a setting of a job, as values, and their text for the job's source.
//!
//! The source decides which file has the setting. A remedy becomes text once the source is known, so no text is
//! searched for a table's name: a guest's own words are never changed.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::limits::LimitKey;

/// Source of a job's settings, with the job's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobSource {
    /// The table `[jobs.NAME]` of the main file.
    Table {
        /// The job's name.
        job: String,
    },
    /// A plugin in the folder: its manifest, the sidecar beside it, and the policy of `[plugins]` over both.
    Dropped {
        /// The job's name.
        job: String,
        /// The sidecar's path. The file may be missing.
        sidecar: PathBuf,
    },
}

impl JobSource {
    /// Makes the source of a job that the main file names.
    pub fn table(job: &str) -> Self {
        Self::Table {
            job: job.to_owned(),
        }
    }

    /// Makes the source of a job that was dropped into the folder as the file `plugin`.
    pub fn dropped(job: &str, plugin: &Path) -> Self {
        Self::Dropped {
            job: job.to_owned(),
            sidecar: plugin.with_extension("toml"),
        }
    }

    /// Returns the job's name.
    pub fn job(&self) -> &str {
        match self {
            Self::Table { job } | Self::Dropped { job, .. } => job,
        }
    }
}

/// Remedy that changes a setting of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Raise a limit.
    Raise(LimitKey),
    /// Add a line to the job's grants, or do something else.
    Grant {
        /// The line, in TOML.
        line: String,
        /// An alternative, beginning with a comma. Empty if there is none.
        otherwise: &'static str,
    },
    /// Add an element to a list of the job's grants.
    Extend {
        /// The element, in TOML or described.
        element: String,
        /// The list.
        key: &'static str,
    },
    /// Name the authority that a server's certificate is from.
    TrustAuthority,
    /// Allow fenced writes under shared locks.
    WriteShared,
    /// Change a key of the job, or do something else first.
    Change {
        /// The alternative, ending with "or ". Empty if there is none.
        instead: &'static str,
        /// The key.
        key: &'static str,
    },
}

impl Remedy {
    /// Returns the remedy as text for a job from this source.
    pub const fn for_source<'a>(&'a self, source: &'a JobSource) -> RemedyText<'a> {
        RemedyText {
            remedy: self,
            source,
        }
    }
}

/// A remedy with the source of its job, as text.
#[derive(Clone, Copy, Debug)]
pub struct RemedyText<'a> {
    remedy: &'a Remedy,
    source: &'a JobSource,
}

impl fmt::Display for RemedyText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.remedy {
            Remedy::Raise(limit) => {
                write!(f, "raise `{limit}` ")?;
                match self.source {
                    JobSource::Table { job } => write!(f, "in [jobs.{job}.limits]"),
                    JobSource::Dropped { sidecar, .. } => write!(
                        f,
                        "under [limits] in {}, and in [plugins.limits] if that allows less",
                        sidecar.display()
                    ),
                }
            }
            Remedy::Grant { line, otherwise } => {
                write!(f, "add `{line}` ")?;
                match self.source {
                    JobSource::Table { job } => write!(f, "under [jobs.{job}.allow]")?,
                    JobSource::Dropped { sidecar, .. } => requested(f, sidecar)?,
                }
                f.write_str(otherwise)
            }
            Remedy::Extend { element, key } => {
                write!(f, "add {element} to `{key}` ")?;
                match self.source {
                    JobSource::Table { job } => write!(f, "in [jobs.{job}.allow]"),
                    JobSource::Dropped { sidecar, .. } => requested(f, sidecar),
                }
            }
            Remedy::TrustAuthority => {
                f.write_str("name its authority with `http_ca` ")?;
                match self.source {
                    JobSource::Table { job } => write!(f, "in [jobs.{job}.allow]"),
                    // A path of the host: no plugin may name it.
                    JobSource::Dropped { .. } => f.write_str("in [plugins.allow]"),
                }
            }
            Remedy::WriteShared => {
                f.write_str("set `kv_shared = true` ")?;
                match self.source {
                    JobSource::Table { job } => write!(f, "in [jobs.{job}.allow]"),
                    // It concerns the keys of others too: no plugin decides it.
                    JobSource::Dropped { .. } => f.write_str("in [plugins.allow]"),
                }
            }
            Remedy::Change { instead, key } => {
                write!(f, "{instead}change `{key}` ")?;
                match self.source {
                    JobSource::Table { job } => write!(f, "in [jobs.{job}]"),
                    JobSource::Dropped { sidecar, .. } => write!(f, "in {}", sidecar.display()),
                }
            }
        }
    }
}

/// Writes the places where a dropped-in plugin requests a grant.
fn requested(f: &mut fmt::Formatter<'_>, sidecar: &Path) -> fmt::Result {
    write!(
        f,
        "under [allow] in {}, or [needs] of its manifest, and [plugins.allow] must cover it",
        sidecar.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(remedy: &Remedy) -> String {
        let table = JobSource::table("hello");
        let dropped = JobSource::dropped("dropped.hello", Path::new("plugins/hello.wasm"));
        format!(
            "{}\n{}",
            remedy.for_source(&table),
            remedy.for_source(&dropped)
        )
    }

    #[test]
    fn limit_to_raise_is_named_where_the_job_comes_from() {
        insta::assert_snapshot!(text(&Remedy::Raise(LimitKey::Memory)), @"
        raise `memory` in [jobs.hello.limits]
        raise `memory` under [limits] in plugins/hello.toml, and in [plugins.limits] if that allows less
        ");
    }

    #[test]
    fn grant_to_add_is_named_where_the_job_comes_from() {
        let remedy = Remedy::Grant {
            line: "kv = [\"hello/\"]".to_owned(),
            otherwise: ", or build it without storage",
        };
        insta::assert_snapshot!(text(&remedy), @r#"
        add `kv = ["hello/"]` under [jobs.hello.allow], or build it without storage
        add `kv = ["hello/"]` under [allow] in plugins/hello.toml, or [needs] of its manifest, and [plugins.allow] must cover it, or build it without storage
        "#);
    }

    #[test]
    fn list_to_extend_is_named_where_the_job_comes_from() {
        let remedy = Remedy::Extend {
            element: "its prefix".to_owned(),
            key: "kv",
        };
        insta::assert_snapshot!(text(&remedy), @"
        add its prefix to `kv` in [jobs.hello.allow]
        add its prefix to `kv` under [allow] in plugins/hello.toml, or [needs] of its manifest, and [plugins.allow] must cover it
        ");
        insta::assert_snapshot!(text(&Remedy::TrustAuthority), @"
        name its authority with `http_ca` in [jobs.hello.allow]
        name its authority with `http_ca` in [plugins.allow]
        ");
    }

    #[test]
    fn right_to_write_under_shared_locks_is_the_operators() {
        insta::assert_snapshot!(text(&Remedy::WriteShared), @"
        set `kv_shared = true` in [jobs.hello.allow]
        set `kv_shared = true` in [plugins.allow]
        ");
    }

    #[test]
    fn key_to_change_is_named_where_the_job_comes_from() {
        let remedy = Remedy::Change {
            instead: "install the pinned build or ",
            key: "sha256",
        };
        insta::assert_snapshot!(text(&remedy), @"
        install the pinned build or change `sha256` in [jobs.hello]
        install the pinned build or change `sha256` in plugins/hello.toml
        ");
    }
}
