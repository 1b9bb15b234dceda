//! The ticks of a job: the moments at which one of all hosts runs it, and what becomes of those that pass.
//!
//! A tick is named by its own moment, which all hosts compute alike, whatever their clocks show. That is
//! why periods count from 1970 and not from anybody's start.

use std::ops::Range;
use std::time::Duration;

use chrono_tz::Tz;

use super::context::Finding;
use super::cron::{self, Cron};
use super::node::Node;
use super::read::{self, LONGEST, format_duration};
use super::section::{Said, Section, Wrong};
use crate::wall::UnixMs;

/// A job that runs more often than this is a job that keeps running.
const SHORTEST_PERIOD: Duration = Duration::from_millis(100);
/// Ticks of an expression that are looked at for the two that are closest together: enough for every minute
/// of an hour and every hour of a week, whose pattern then repeats.
const SAMPLE: usize = 250;

/// When a job's ticks come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beat {
    /// This often, counted from 1970: whole milliseconds, at least 100: `every = "30s"`.
    Every(Duration),
    /// `cron = "0 3 * * *"`.
    Cron(Cron),
}

/// What becomes of a tick that passes while nobody can run it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTicks {
    /// It is left out: `"skip"`, the default.
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
    /// When they come.
    pub const fn beat(&self) -> &Beat {
        &self.beat
    }

    /// The most that a run starts after its tick, by chance; less than the time between two ticks.
    pub const fn jitter(&self) -> Duration {
        self.jitter
    }

    /// What becomes of those that pass.
    pub const fn missed(&self) -> MissedTicks {
        self.missed
    }
}

impl Beat {
    /// The first tick after `after`; `None` when time is over.
    pub fn next(&self, after: UnixMs) -> Option<UnixMs> {
        match self {
            Self::Every(period) => {
                let period = millis(*period);
                let slot = after.as_u64() / period + 1;
                slot.checked_mul(period).map(UnixMs::new)
            }
            Self::Cron(cron) => cron.next(after),
        }
    }

    /// The first tick that is not before `at`.
    pub fn first(&self, at: UnixMs) -> Option<UnixMs> {
        self.next(at.before(Duration::from_millis(1)))
    }

    /// The last tick that is not after `at`.
    pub fn newest(&self, at: UnixMs) -> Option<UnixMs> {
        match self {
            Self::Every(period) => {
                let period = millis(*period);
                Some(UnixMs::new(at.as_u64() / period * period))
            }
            Self::Cron(cron) => cron.newest(at),
        }
    }

    /// Whether the ticks are a period, whose current slot is what a job begins with.
    pub const fn is_period(&self) -> bool {
        matches!(self, Self::Every(_))
    }

    /// The shortest time between two ticks.
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

fn millis(period: Duration) -> u64 {
    u64::try_from(period.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// What a table says about ticks.
#[derive(Clone, Debug)]
pub(super) struct SaidTicks {
    every: Said<Duration>,
    cron: Said<Cron>,
    tz: Said<Tz>,
    jitter: Said<Duration>,
    missed: Said<MissedTicks>,
}

impl SaidTicks {
    /// Reads `every`, `cron` and what belongs to them. `once` is the third of which a table may have one;
    /// whether it has no more is the second answer.
    pub(super) fn read(section: &Section<'_>, once: &Said<bool>) -> (Self, bool) {
        let mut said = Self {
            every: section.offer("every", every),
            cron: section.offer("cron", cron::cron),
            tz: section.offer("tz", cron::tz),
            jitter: section.offer("jitter", |node| {
                read::duration(node, Duration::ZERO, LONGEST)
            }),
            missed: section.offer("missed", missed),
        };
        let is_once = matches!(once, Said::This(once) if *once.get_ref());
        let alone = only_one(
            section,
            [
                ("every", said.every.span()),
                ("cron", said.cron.span()),
                ("once", once.span().filter(|_| is_once)),
            ],
        );
        if alone.is_err() {
            said.every = Said::Wrong;
            said.cron = Said::Wrong;
        }
        (said, alone.is_ok())
    }

    /// Whether this says when ticks come.
    pub(super) const fn chooses(&self) -> bool {
        self.has_every() || self.has_cron()
    }

    const fn has_every(&self) -> bool {
        !matches!(self.every, Said::Nothing)
    }

    const fn has_cron(&self) -> bool {
        !matches!(self.cron, Said::Nothing)
    }

    /// What `fallback` says where this says nothing; of the two beats, the one that is chosen here
    /// replaces the other, with the zone that belongs to it.
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

    /// Each key and where its value stands.
    pub(super) fn each(&self, visit: &mut dyn FnMut(String, Option<Range<usize>>)) {
        visit("every".into(), self.every.span());
        visit("cron".into(), self.cron.span());
        visit("tz".into(), self.tz.span());
        visit("jitter".into(), self.jitter.span());
        visit("missed".into(), self.missed.span());
    }

    /// The ticks, if the job has any.
    ///
    /// # Errors
    ///
    /// Anything about them is wrong, or something is said that means nothing without them.
    pub(super) fn settle(self, section: &Section<'_>) -> Result<Option<Ticks>, Wrong> {
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
        let (jitter, missed) = (jitter.ok_or(Wrong)?, missed.ok_or(Wrong)?);
        if !fit {
            return Err(Wrong);
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
    let whole = Duration::from_millis(millis(period));
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

/// Objects to the last of several keys that exclude each other.
fn only_one<const N: usize>(
    section: &Section<'_>,
    said: [(&str, Option<Range<usize>>); N],
) -> Result<(), Wrong> {
    let mut said: Vec<(&str, Range<usize>)> = said
        .into_iter()
        .filter_map(|(key, place)| Some((key, place?)))
        .collect();
    let Some((last, place)) = said.pop().filter(|_| !said.is_empty()) else {
        return Ok(());
    };
    let names: Vec<String> = said.iter().map(|(key, _)| format!("`{key}`")).collect();
    let both = if said.len() == 1 { "both " } else { "" };
    let names = names.join(", ");
    let message = format!("{} has {both}{names} and `{last}`", section.shown());
    let mut finding = Finding::at(place, message);
    for (key, place) in said {
        finding = finding.note(place, format!("`{key}` is here"));
    }
    let help = "keep one of them; with neither, the job keeps running";
    section.context().object(finding.help(help));
    Err(Wrong)
}

/// Objects to `key`, which means nothing by itself. Returns whether it is absent or of no matter.
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
        .object(Finding::at(place, message).help(help));
    false
}

fn jitter_fits(
    section: &Section<'_>,
    jitter: Duration,
    jitter_place: Option<Range<usize>>,
    beat: &Beat,
    beat_place: Option<Range<usize>>,
) -> Result<(), Wrong> {
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
    let mut finding = Finding::at(jitter_place.unwrap_or(0..0), message);
    if let Some(place) = beat_place {
        finding = finding.note(place, "the ticks are here");
    }
    let help = format!("write less than \"{short}\": a run must start before the next is due");
    section.context().object(finding.help(help));
    Err(Wrong)
}
