//! The ticks of a job: the moments at which one of all hosts runs it, and the handling of missed
//! ones.
//!
//! A tick is named by its own moment, which all hosts compute alike, whatever their clocks show.
//! That is why periods count from 1970 and not from the start of a host.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use chrono_tz::Tz;
use leasehold_diagnostics::ConfigError;
use leasehold_records::whole_millis;

use super::cron::{self, Cron};
use super::node::Node;
use super::read::{self, LONGEST, format_duration};
use super::section::{Field, InvalidField, Section};
use crate::wall::UnixMs;

/// Shortest period: a job that runs more often is one that keeps running.
const SHORTEST_PERIOD: Duration = Duration::from_millis(100);
/// Ticks of an expression that are compared to find the two closest ones: enough for every minute
/// of an hour and every hour of a week, after which the pattern repeats.
const SAMPLE: usize = 250;

/// Times of a job's ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beat {
    /// A period, counted from 1970: whole milliseconds, at least 100: `every = "30s"`.
    Every(Duration),
    /// `cron = "0 3 * * *"`.
    Cron(Cron),
}

/// Handling of a tick that passes while no host can run it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTicks {
    /// The tick is left out: `"skip"`, the default.
    #[default]
    Skip,
    /// The newest one is run as soon as it can be, once: `"catch-up"`.
    CatchUp,
}

/// The ticks of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticks {
    beat: Beat,
    jitter: Duration,
    missed: MissedTicks,
}

impl Ticks {
    /// Times of the ticks.
    pub const fn beat(&self) -> &Beat {
        &self.beat
    }

    /// Largest random delay of a run after its tick; less than the time between two ticks.
    pub const fn jitter(&self) -> Duration {
        self.jitter
    }

    /// Handling of missed ticks.
    pub const fn missed(&self) -> MissedTicks {
        self.missed
    }

    /// Returns the value of `key` as a configuration has it, if these ticks have one.
    pub(super) fn shown(&self, key: &str) -> Option<serde_json::Value> {
        let text = match (key, &self.beat) {
            ("every", Beat::Every(period)) => format_duration(*period),
            ("cron", Beat::Cron(cron)) => cron.text().to_owned(),
            ("tz", Beat::Cron(cron)) => cron.tz().to_owned(),
            ("jitter", _) => format_duration(self.jitter),
            ("missed", _) => match self.missed {
                MissedTicks::Skip => "skip".to_owned(),
                MissedTicks::CatchUp => "catch-up".to_owned(),
            },
            _ => return None,
        };
        Some(text.into())
    }
}

impl Beat {
    /// Returns the first tick after `after`; `None` if the calendar ends before it.
    pub fn next(&self, after: UnixMs) -> Option<UnixMs> {
        match self {
            Self::Every(period) => {
                let period = period_ms(*period);
                let slot = after.as_u64() / period + 1;
                slot.checked_mul(period).map(UnixMs::new)
            }
            Self::Cron(cron) => cron.next(after),
        }
    }

    /// Returns the first tick that is not before `at`.
    pub fn first(&self, at: UnixMs) -> Option<UnixMs> {
        self.next(at.before(Duration::from_millis(1)))
    }

    /// Returns the last tick that is not after `at`.
    pub fn newest(&self, at: UnixMs) -> Option<UnixMs> {
        match self {
            Self::Every(period) => {
                let period = period_ms(*period);
                Some(UnixMs::new(at.as_u64() / period * period))
            }
            Self::Cron(cron) => cron.newest(at),
        }
    }

    /// Returns true if the ticks are a period, in whose current slot a job starts.
    pub const fn is_period(&self) -> bool {
        matches!(self, Self::Every(_))
    }

    /// Returns the shortest time between two ticks.
    fn shortest(&self) -> Duration {
        match self {
            Self::Every(period) => *period,
            Self::Cron(cron) => {
                let start = cron.next(UnixMs::new(1_735_689_600_000));
                let ticks = std::iter::successors(start, |tick| cron.next(*tick));
                let ticks: Vec<UnixMs> = ticks.take(SAMPLE).collect();
                let gaps = ticks.windows(2).map(|pair| pair[1].since(pair[0]));
                gaps.min().unwrap_or(LONGEST)
            }
        }
    }
}

/// Prints the ticks in one line. Equal ones print alike.
impl fmt::Display for Beat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(period) => write!(f, "every {}", format_duration(*period)),
            Self::Cron(cron) => write!(f, "cron {cron}"),
        }
    }
}

/// A period in milliseconds: at least one.
fn period_ms(period: Duration) -> u64 {
    whole_millis(period).max(1)
}

/// Tick keys of one table.
#[derive(Clone, Debug)]
pub(super) struct RawTicks {
    every: Field<Duration>,
    cron: Field<Cron>,
    tz: Field<Tz>,
    jitter: Field<Duration>,
    missed: Field<MissedTicks>,
}

impl RawTicks {
    /// Reads `every`, `cron` and the keys that belong to them. The second value is true if the table has
    /// at most one of `every`, `cron` and `once`.
    pub(super) fn read(section: &Section<'_>, once: &Field<bool>) -> (Self, bool) {
        let mut raw = Self {
            every: section.offer("every", every),
            cron: section.offer("cron", cron::cron),
            tz: section.offer("tz", cron::tz),
            jitter: section.offer("jitter", |node| {
                read::duration(node, Duration::ZERO, LONGEST)
            }),
            missed: section.offer("missed", missed),
        };
        let is_once = matches!(once, Field::Value(once) if *once.get_ref());
        let alone = only_one(
            section,
            [
                ("every", raw.every.span()),
                ("cron", raw.cron.span()),
                ("once", once.span().filter(|_| is_once)),
            ],
        );
        if alone.is_err() {
            raw.every = Field::Invalid;
            raw.cron = Field::Invalid;
        }
        (raw, alone.is_ok())
    }

    /// Returns true if this sets the times of ticks.
    pub(super) const fn chooses(&self) -> bool {
        self.has_every() || self.has_cron()
    }

    const fn has_every(&self) -> bool {
        !matches!(self.every, Field::Absent)
    }

    const fn has_cron(&self) -> bool {
        !matches!(self.cron, Field::Absent)
    }

    /// Takes absent keys from `fallback`. Of `every` and `cron`, the one set here replaces the
    /// other, with its zone.
    pub(super) fn or(self, fallback: &Self) -> Self {
        let takes_beat = !self.chooses();
        let takes_zone = if takes_beat {
            fallback.has_cron()
        } else {
            self.has_cron()
        };
        Self {
            every: if takes_beat {
                fallback.every.clone()
            } else {
                self.every
            },
            cron: if takes_beat {
                fallback.cron.clone()
            } else {
                self.cron
            },
            tz: if takes_zone {
                self.tz.or(&fallback.tz)
            } else {
                self.tz
            },
            jitter: self.jitter.or(&fallback.jitter),
            missed: self.missed.or(&fallback.missed),
        }
    }

    /// Visits each key with the position of its value.
    pub(super) fn each(&self, visit: &mut dyn FnMut(String, Option<Range<usize>>)) {
        visit("every".into(), self.every.span());
        visit("cron".into(), self.cron.span());
        visit("tz".into(), self.tz.span());
        visit("jitter".into(), self.jitter.span());
        visit("missed".into(), self.missed.span());
    }

    /// Returns the ticks, if the job has any.
    ///
    /// # Errors
    ///
    /// A value is invalid, or a key is set that has no meaning without ticks.
    pub(super) fn settle(self, section: &Section<'_>) -> Result<Option<Ticks>, InvalidField> {
        let mut fit = true;
        if !self.has_cron() {
            let help = "add `cron`, or remove it: no other schedule depends on a zone";
            fit &= belongs(section, "tz", self.tz.span(), "no `cron`", help);
        }
        if !self.chooses() {
            let places = [
                ("jitter", self.jitter.span()),
                ("missed", self.missed.span()),
            ];
            for (key, place) in places {
                let help = "add one of them, or remove it: only ticks can be late or missed";
                fit &= belongs(section, key, place, "neither `every` nor `cron`", help);
            }
        }
        let place = self.every.span().or(self.cron.span());
        let jitter_place = self.jitter.span();
        let (tz, jitter, missed) = (
            self.tz.optional(),
            self.jitter.or_default(Duration::ZERO),
            self.missed.or_default(MissedTicks::Skip),
        );
        let beat = match (self.every.optional()?, self.cron.optional()?) {
            (Some(period), _) => Some(Beat::Every(period)),
            (None, Some(cron)) => Some(Beat::Cron(match tz? {
                Some(tz) => cron.in_zone(tz),
                None => cron,
            })),
            (None, None) => None,
        };
        let (jitter, missed) = (jitter.ok_or(InvalidField)?, missed.ok_or(InvalidField)?);
        if !fit {
            return Err(InvalidField);
        }
        let Some(beat) = beat else {
            return Ok(None);
        };
        if !jitter.is_zero() {
            jitter_fits(section, jitter, jitter_place, &beat, place)?;
        }
        Ok(Some(Ticks {
            beat,
            jitter,
            missed,
        }))
    }
}

fn every(node: &Node<'_>) -> Option<Duration> {
    let period = read::duration(node, SHORTEST_PERIOD, LONGEST)?;
    if period.subsec_nanos() % 1_000_000 == 0 {
        return Some(period);
    }
    let whole = Duration::from_millis(period_ms(period));
    node.reject(
        "must be whole milliseconds",
        format!("write \"{}\"", format_duration(whole)),
    )
}

fn missed(node: &Node<'_>) -> Option<MissedTicks> {
    match node.value() {
        toml::de::DeValue::String(text) if text == "skip" => Some(MissedTicks::Skip),
        toml::de::DeValue::String(text) if text == "catch-up" => Some(MissedTicks::CatchUp),
        toml::de::DeValue::String(_) => node.reject(
            "is none of its words",
            "write \"skip\" (a tick that passes is left out) or \"catch-up\" (the newest one is run late, once)",
        ),
        _ => node.wrong_kind("\"skip\" or \"catch-up\"", "\"catch-up\""),
    }
}

/// Reports the last of several keys that exclude each other.
fn only_one<const N: usize>(
    section: &Section<'_>,
    raw: [(&str, Option<Range<usize>>); N],
) -> Result<(), InvalidField> {
    let mut raw: Vec<(&str, Range<usize>)> = raw
        .into_iter()
        .filter_map(|(key, place)| Some((key, place?)))
        .collect();
    let Some((last, place)) = raw.pop().filter(|_| !raw.is_empty()) else {
        return Ok(());
    };
    let names: Vec<String> = raw.iter().map(|(key, _)| format!("`{key}`")).collect();
    let both = if raw.len() == 1 { "both " } else { "" };
    let names = names.join(", ");
    let message = format!("{} has {both}{names} and `{last}`", section.shown());
    let mut finding = ConfigError::at(place, message);
    for (key, place) in raw {
        finding = finding.note(place, format!("`{key}` is here"));
    }
    let help = "keep one of them; with neither, the job keeps running";
    section.context().report(finding.help(help));
    Err(InvalidField)
}

/// Reports `key`, which has no meaning by itself. Returns true if it is absent.
fn belongs(
    section: &Section<'_>,
    key: &str,
    place: Option<Range<usize>>,
    without: &str,
    help: &str,
) -> bool {
    let Some(place) = section.key_place(key).or(place) else {
        return true;
    };
    let table = if section.has(key) {
        section.shown()
    } else {
        "the manifest".to_owned()
    };
    let message = format!("{table} has `{key}` and {without}");
    section
        .context()
        .report(ConfigError::at(place, message).help(help));
    false
}

fn jitter_fits(
    section: &Section<'_>,
    jitter: Duration,
    jitter_place: Option<Range<usize>>,
    beat: &Beat,
    beat_place: Option<Range<usize>>,
) -> Result<(), InvalidField> {
    let shortest = beat.shortest();
    if jitter < shortest {
        return Ok(());
    }
    let (long, short) = (format_duration(jitter), format_duration(shortest));
    let table = if section.has("jitter") && !section.name().is_empty() {
        format!(" in {}", section.shown())
    } else {
        String::new()
    };
    let message = format!("`jitter`{table} is {long}, and two ticks may be {short} apart");
    let mut finding = ConfigError::at(jitter_place.unwrap_or(0..0), message);
    if let Some(place) = beat_place {
        finding = finding.note(place, "the ticks are here");
    }
    let help = format!("write less than \"{short}\": a run must start before the next is due");
    section.context().report(finding.help(help));
    Err(InvalidField)
}
