//! When a job runs, how long it waits for its lock, and how soon it comes back after a failure.

use std::ops::Range;
use std::time::Duration;

use toml::de::DeValue;

use super::context::Finding;
use super::node::Node;
use super::read::{self, LONGEST};
use super::schema;
use super::section::{Said, Section};
use super::ticks::{SaidTicks, Ticks};

/// A restart sooner than this is a loop that helps nobody.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(10);
/// Backing off longer than a day is giving up.
const LONGEST_BACKOFF: Duration = Duration::from_hours(24);

/// When a job runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Always: a run that ends is followed by the next. The default.
    KeepRunning,
    /// Once per start of the host: `once = true`.
    Once,
    /// At moments that all hosts agree on, one run for each: `every = "30s"` or `cron = "0 3 * * *"`.
    Ticks(Ticks),
}

/// How long a job waits for its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until the lock is ours: `"forever"`, the default.
    Forever,
    /// At most this long; then the run is skipped: `"30s"`.
    AtMost(Duration),
    /// Not at all; a contended run is skipped: `"never"`.
    Never,
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

/// What a table says about when a job runs.
#[derive(Clone, Debug)]
pub(super) struct SaidSchedule {
    pub(super) once: Said<bool>,
    pub(super) ticks: SaidTicks,
}

impl SaidSchedule {
    /// Reads what a table says, of `every`, `cron` and `once` one at most.
    pub(super) fn read(section: &Section<'_>) -> Self {
        let once = section.offer("once", read::boolean);
        let (ticks, is_one) = SaidTicks::read(section, &once);
        // Which of several was meant is not known.
        let once = if is_one { once } else { Said::Wrong };
        Self { once, ticks }
    }

    fn is_once(&self) -> bool {
        matches!(&self.once, Said::This(once) if *once.get_ref())
    }

    /// What `fallback` says where this says nothing. Who chooses a kind of schedule replaces the other.
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

    /// Each key and where its value stands.
    pub(super) fn each(&self, visit: &mut dyn FnMut(String, Option<Range<usize>>)) {
        visit("once".into(), self.once.span());
        self.ticks.each(visit);
    }

    /// The schedule; `None` if anything about it is wrong.
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
        // Only words and durations get here; `humantime` alone would not mention the words.
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

/// What a table says about `restart`.
#[derive(Clone, Debug)]
pub(super) struct SaidRestart {
    pub(super) min: Said<Duration>,
    pub(super) max: Said<Duration>,
}

impl SaidRestart {
    /// Reads `restart` of the table.
    pub(super) fn read(section: &Section<'_>) -> Self {
        let restart = section.table("restart", section.inner("restart"), schema::RESTART);
        let pause = |node: &Node<'_>| read::duration(node, SHORTEST_BACKOFF, LONGEST_BACKOFF);
        Self {
            min: restart.take("min", pause),
            max: restart.take("max", pause),
        }
    }

    /// What `fallback` says where this says nothing.
    pub(super) fn or(self, fallback: &Self) -> Self {
        Self {
            min: self.min.or(&fallback.min),
            max: self.max.or(&fallback.max),
        }
    }

    /// The valid pauses; `None` if one is wrong or they are the wrong way round.
    pub(super) fn settle(self, section: &Section<'_>) -> Option<Restart> {
        let place = section.nearest_place([self.min.span(), self.max.span()]);
        let min = self.min.or_default(Duration::from_secs(1));
        let max = self.max.or_default(Duration::from_mins(1));
        let (min, max) = (min?, max?);
        if min <= max {
            return Some(Restart { min, max });
        }
        let (shown_min, shown_max) = (read::format_duration(min), read::format_duration(max));
        // The built-in pauses are the right way round, so at least one has a place.
        let message =
            format!("`restart.min` of {shown_min} is more than `restart.max` of {shown_max}");
        section
            .context()
            .object(Finding::at(place.unwrap_or(0..0), message).help(format!(
                "set `max = \"{shown_min}\"` or more, or `min = \"{shown_max}\"` or less"
            )));
        None
    }
}
