//! Schedule of a job, its wait for the lock, and its restart after a failure.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use leasehold_diagnostics::ConfigError;
use toml::de::DeValue;

use super::node::Node;
use super::read::{self, LONGEST};
use super::schema;
use super::section::{Field, Section};
use super::ticks::{Beat, RawTicks, Ticks};

/// Shortest backoff: restarting sooner is a busy loop.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(10);
/// Longest backoff: a longer one amounts to giving up.
const LONGEST_BACKOFF: Duration = Duration::from_hours(24);

/// Schedule of a job's runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Always: a run that ends is followed by the next. The default.
    KeepRunning,
    /// Once per start of the host: `once = true`.
    Once,
    /// Ticks: moments that all hosts agree on, with one run for each: `every = "30s"` or `cron = "0 3 * * *"`.
    Ticks(Ticks),
}

/// Prints the schedule as a configuration has it, without its zone.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeepRunning => f.write_str("continuous"),
            Self::Once => f.write_str("once = true"),
            Self::Ticks(ticks) => match ticks.beat() {
                Beat::Every(period) => write!(f, "every = \"{}\"", read::format_duration(*period)),
                Beat::Cron(cron) => write!(f, "cron = \"{}\"", cron.text()),
            },
        }
    }
}

/// Time that a job waits for its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// No limit: `"forever"`, the default.
    Forever,
    /// Longest wait; then the run is skipped: `"30s"`.
    AtMost(Duration),
    /// No wait; a contended run is skipped: `"never"`.
    Never,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forever => f.write_str("forever"),
            Self::AtMost(time) => f.write_str(&read::format_duration(*time)),
            Self::Never => f.write_str("never"),
        }
    }
}

/// Time from which a new version of a job counts while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateTime {
    /// The run under way goes on as it began: `"next-run"`, the default.
    NextRun,
    /// The run under way is asked to stop, and the job runs again at once: `"restart"`.
    Restart,
}

/// The word of the configuration.
impl fmt::Display for UpdateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NextRun => "next-run",
            Self::Restart => "restart",
        })
    }
}

/// Reads `update`.
pub(super) fn update(node: &Node<'_>) -> Option<UpdateTime> {
    match node.value() {
        DeValue::String(text) if text == "next-run" => Some(UpdateTime::NextRun),
        DeValue::String(text) if text == "restart" => Some(UpdateTime::Restart),
        DeValue::String(_) => node.reject(
            "is none of its words",
            "write \"next-run\" (the run under way goes on) or \"restart\" (it is asked to stop, and the new version runs)",
        ),
        _ => node.wrong_kind("\"next-run\" or \"restart\"", "\"restart\""),
    }
}

/// The pause before a failed job starts again: it doubles from `min` to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    min: Duration,
    max: Duration,
}

impl Restart {
    /// The first pause. Default 1 s; at least 10 ms.
    pub const fn min(&self) -> Duration {
        self.min
    }

    /// The longest pause, never below `min`. Default 1 min; at most 1 day.
    pub const fn max(&self) -> Duration {
        self.max
    }
}

/// Schedule keys of one table.
#[derive(Clone, Debug)]
pub(super) struct RawSchedule {
    pub(super) once: Field<bool>,
    pub(super) ticks: RawTicks,
}

impl RawSchedule {
    /// Reads the keys of a table, at most one of `every`, `cron` and `once`.
    pub(super) fn read(section: &Section<'_>) -> Self {
        let once = section.offer("once", read::boolean);
        let (ticks, is_one) = RawTicks::read(section, &once);
        // It is unknown which of several was meant.
        let once = if is_one { once } else { Field::Invalid };
        Self { once, ticks }
    }

    fn is_once(&self) -> bool {
        matches!(&self.once, Field::Value(once) if *once.get_ref())
    }

    /// Takes absent keys from `fallback`. A kind of schedule that is set here replaces the other
    /// kind.
    pub(super) fn or(self, fallback: &Self) -> Self {
        let chooses = self.is_once() || self.ticks.chooses();
        let once = if chooses {
            self.once.clone()
        } else {
            self.once.clone().or(&fallback.once)
        };
        let ticks = if self.is_once() {
            self.ticks
        } else {
            self.ticks.or(&fallback.ticks)
        };
        Self { once, ticks }
    }

    /// Visits each key with the position of its value.
    pub(super) fn each(&self, visit: &mut dyn FnMut(String, Option<Range<usize>>)) {
        visit("once".into(), self.once.span());
        self.ticks.each(visit);
    }

    /// Returns the schedule; `None` if any part of it is invalid.
    pub(super) fn settle(self, section: &Section<'_>) -> Option<Schedule> {
        let ticks = self.ticks.settle(section);
        let once = self.once.or_default(false)?;
        Some(match ticks.ok()? {
            Some(ticks) => Schedule::Ticks(ticks),
            None if once => Schedule::Once,
            None => Schedule::KeepRunning,
        })
    }
}

/// Reads the value of `wait`.
pub(super) fn wait(node: &Node<'_>) -> Option<Wait> {
    match node.value() {
        DeValue::String(text) if text == "forever" => Some(Wait::Forever),
        DeValue::String(text) if text == "never" => Some(Wait::Never),
        // Only words and durations get here; the error of `humantime` alone would not mention the
        // words.
        DeValue::String(text) if text.chars().all(char::is_alphabetic) => node.reject(
            "is neither a duration nor one of its words",
            "write \"forever\", \"never\", or a duration such as \"30s\"",
        ),
        DeValue::String(_) => {
            read::duration(node, Duration::from_millis(1), LONGEST).map(Wait::AtMost)
        }
        _ => node.wrong_kind("\"forever\", \"never\" or a duration in quotes", "\"30s\""),
    }
}

/// Keys of `restart` in one table.
#[derive(Clone, Debug)]
pub(super) struct RawRestart {
    pub(super) min: Field<Duration>,
    pub(super) max: Field<Duration>,
}

impl RawRestart {
    /// Reads `restart` of the table.
    pub(super) fn read(section: &Section<'_>) -> Self {
        let restart = section.table("restart", section.inner("restart"), schema::RESTART);
        let pause = |node: &Node<'_>| read::duration(node, SHORTEST_BACKOFF, LONGEST_BACKOFF);
        Self {
            min: restart.take("min", pause),
            max: restart.take("max", pause),
        }
    }

    /// Takes each key that is absent here from `fallback`.
    pub(super) fn or(self, fallback: &Self) -> Self {
        Self {
            min: self.min.or(&fallback.min),
            max: self.max.or(&fallback.max),
        }
    }

    /// Returns the valid pauses; `None` if one is invalid or `min` exceeds `max`.
    pub(super) fn settle(self, section: &Section<'_>) -> Option<Restart> {
        let place = section.nearest_place([self.min.span(), self.max.span()]);
        let min = self.min.or_default(Duration::from_secs(1));
        let max = self.max.or_default(Duration::from_mins(1));
        let (min, max) = (min?, max?);
        if min <= max {
            return Some(Restart { min, max });
        }
        let (shown_min, shown_max) = (read::format_duration(min), read::format_duration(max));
        // The built-in pauses are in order, so at least one of the two has a position.
        let message =
            format!("`restart.min` of {shown_min} is more than `restart.max` of {shown_max}");
        section.context().report(
            ConfigError::at(place.unwrap_or(0..0), message).help(format!(
                "set `max = \"{shown_min}\"` or more, or `min = \"{shown_max}\"` or less"
            )),
        );
        None
    }
}
