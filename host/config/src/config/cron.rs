//! `cron` and `tz`: an expression, its time zone, and the moments that both define.
//!
//! The library interprets an expression; this file reports the faults of one, field by field. An
//! expression is refused if the library would interpret it differently from how it reads.
//!
//! When a clock is put forward, some times do not occur; when it is put back, some occur twice. A
//! single time of day (`30 2 * * *`) still runs once: at the first moment after the gap, or at the
//! first of the two occurrences. An expression that repeats within a day follows the clock on the
//! wall.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Offset as _, TimeDelta, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use croner::parser::{CronParser, Seconds, Year};
use leasehold_diagnostics::{shown, suggest};

use super::node::Node;
use super::read;
use crate::wall::UnixMs;

/// Words that can replace an expression.
const WORDS: [&str; 6] = [
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@hourly",
];
const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
/// Moment after which an expression must have an occurrence. Any moment will do, if it is always
/// the same.
const TRIAL: i64 = 1_735_689_600;

/// An expression that occurs again and again, in its time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    text: Arc<str>,
    pattern: Arc<croner::Cron>,
    tz: Tz,
}

impl Cron {
    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name of its time zone in the IANA database.
    pub fn tz(&self) -> &str {
        self.tz.name()
    }

    /// Seconds by which the zone's clock is ahead of UTC at this moment; `None` outside of the calendar.
    pub fn offset_s(&self, at: UnixMs) -> Option<i32> {
        Some(self.local(at)?.offset().fix().local_minus_utc())
    }

    pub(super) fn in_zone(self, tz: Tz) -> Self {
        Self { tz, ..self }
    }

    /// Returns the first moment after `after`; `None` if the calendar ends before it.
    pub(crate) fn next(&self, after: UnixMs) -> Option<UnixMs> {
        let from = self.local(after)?;
        // The library fails for a zone that leaves out a whole day, as Samoa's did in 2011: search
        // after the gap.
        let found = self
            .pattern
            .find_next_occurrence(&from, false)
            .or_else(|_| {
                let beyond = from + TimeDelta::days(1);
                self.pattern.find_next_occurrence(&beyond, true)
            });
        found.ok().and_then(|found| unix(&found))
    }

    /// Returns the last moment that is not after `at`.
    pub fn newest(&self, at: UnixMs) -> Option<UnixMs> {
        let from = self.local(at)?;
        let found = self.pattern.find_previous_occurrence(&from, true);
        found.ok().and_then(|found| unix(&found))
    }

    /// Time of the zone's clock at this moment, in whole seconds: expressions have no shorter unit.
    fn local(&self, at: UnixMs) -> Option<DateTime<Tz>> {
        let seconds = i64::try_from(at.as_u64() / 1000).ok()?;
        let at: DateTime<Utc> = DateTime::from_timestamp(seconds, 0)?;
        Some(at.with_timezone(&self.tz))
    }
}

/// Prints the expression, with the zone unless that is the default.
impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.tz.name())
    }
}

fn unix(at: &DateTime<Tz>) -> Option<UnixMs> {
    u64::try_from(at.timestamp_millis()).ok().map(UnixMs::new)
}

/// Reads the value of `tz`.
pub(super) fn tz(node: &Node<'_>) -> Option<Tz> {
    let text = read::words(node)?;
    if let Ok(tz) = text.parse() {
        return Some(tz);
    }
    let what = format!("is not a time zone: \"{}\"", shown(&text));
    let help = match near_zone(&text) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "write a name of the IANA database, such as \"Europe/Berlin\" or \"UTC\"".into(),
    };
    node.reject(&what, help)
}

/// Finds the zone that was probably meant: in other letters, by its city alone, or with a typing
/// error.
fn near_zone(text: &str) -> Option<&'static str> {
    let names: Vec<&'static str> = TZ_VARIANTS.iter().map(|tz| tz.name()).collect();
    let same = |name: &&&str| name.eq_ignore_ascii_case(text);
    let city = |name: &&&str| {
        let last = name.rsplit('/').next().unwrap_or_default();
        name.contains('/') && last.eq_ignore_ascii_case(text)
    };
    let found = names.iter().find(same).or_else(|| names.iter().find(city));
    found
        .copied()
        .or_else(|| suggest(text, names.iter().copied()))
}

/// Reads the value of `cron`; the zone is UTC until `tz` is applied.
pub(super) fn cron(node: &Node<'_>) -> Option<Cron> {
    let toml::de::DeValue::String(text) = node.value() else {
        return node.wrong_kind("a cron expression in quotes", "\"0 3 * * *\"");
    };
    match parse(text) {
        Ok(cron) => Some(cron),
        Err(fault) => node.reject(&fault.what, fault.help),
    }
}

/// Fault of an expression, to end a sentence about it, and the remedy.
#[derive(Debug)]
struct Fault {
    what: String,
    help: String,
}

fn fault<T>(what: impl Into<String>, help: impl Into<String>) -> Result<T, Fault> {
    let (what, help) = (what.into(), help.into());
    Err(Fault { what, help })
}

fn parse(text: &str) -> Result<Cron, Fault> {
    let upper = text.to_uppercase();
    let fields: Vec<&str> = upper.split_whitespace().collect();
    if text.contains('@') {
        check_word(text)?;
    } else if !(5..=6).contains(&fields.len()) {
        return fault(
            format!("has {} fields: \"{}\"", fields.len(), shown(text)),
            "write five fields (minute, hour, day, month, weekday), six with the second first, or a word such as \"@daily\"",
        );
    } else {
        check_fields(&fields)?;
    }
    let Ok(pattern) = understand(&upper) else {
        // Each field is valid by itself, and no two of them can conflict.
        return fault(
            format!("is not understood: \"{}\"", shown(text)),
            "write it as in \"0 3 * * *\"",
        );
    };
    let trial = DateTime::from_timestamp(TRIAL, 0).map(|at| at.with_timezone(&Tz::UTC));
    let comes = trial.is_some_and(|trial| pattern.find_next_occurrence(&trial, false).is_ok());
    if !comes {
        return fault(
            format!("never comes: \"{}\"", shown(text)),
            "no month that it names has such a day; `L` is the last day of every month",
        );
    }
    Ok(Cron {
        text: text.trim().into(),
        pattern: Arc::new(pattern),
        tz: Tz::UTC,
    })
}

fn understand(text: &str) -> Result<croner::Cron, croner::errors::CronError> {
    CronParser::builder()
        .seconds(Seconds::Optional)
        .year(Year::Disallowed)
        .build()
        .parse(text)
}

fn check_word(text: &str) -> Result<(), Fault> {
    let word = text.trim();
    if WORDS.iter().any(|known| known.eq_ignore_ascii_case(word)) {
        return Ok(());
    }
    let help = if word.starts_with("@every") {
        "write it as `every = \"…\"`".to_owned()
    } else {
        let words = WORDS.map(|word| format!("\"{word}\"")).join(", ");
        format!("the words are {words}")
    };
    fault(format!("is none of its words: \"{}\"", shown(text)), help)
}

/// One field of an expression: its name, the values it takes, and the function that checks its
/// words.
struct Field {
    name: &'static str,
    wants: &'static str,
    is_part: fn(&str) -> bool,
}

/// Fields in the order of an expression with seconds.
const FIELDS: [Field; 6] = [
    Field {
        name: "second",
        wants: "0 to 59, as in `0`, `*/15` or `0,30`",
        is_part: is_number,
    },
    Field {
        name: "minute",
        wants: "0 to 59, as in `0`, `*/15`, `0-20` or `0,30`",
        is_part: is_number,
    },
    Field {
        name: "hour",
        wants: "0 to 23, as in `3`, `*/6`, `8-17` or `6,18`",
        is_part: is_number,
    },
    Field {
        name: "day",
        wants: "1 to 31, as in `1`, `*/2`, `1-7`, `L` (the last) or `15W` (the weekday nearest to the 15th)",
        is_part: is_day,
    },
    Field {
        name: "month",
        wants: "1 to 12 or JAN to DEC, as in `1`, `*/3`, `APR-SEP` or `1,7`",
        is_part: is_month,
    },
    Field {
        name: "weekday",
        wants: "0 to 7 or SUN to SAT (0 and 7 are Sunday), as in `MON-FRI`, `6,0`, `FRI#2` (the second Friday) or `5L` (the last)",
        is_part: is_weekday,
    },
];

/// Returns an error for the first field that is wrong.
fn check_fields(fields: &[&str]) -> Result<(), Fault> {
    let known = &FIELDS[FIELDS.len() - fields.len()..];
    for (at, (field, known)) in fields.iter().zip(known).enumerate() {
        let plain = field.strip_prefix('+').filter(|_| known.name == "weekday");
        let parts = plain.unwrap_or(field).split([',', '-', '/']);
        let is_read = || {
            // Every other field is `*`.
            let mut alone = vec!["*"; fields.len()];
            alone[at] = field;
            understand(&alone.join(" ")).is_ok()
        };
        let mut parts = parts;
        if !parts.all(known.is_part) || !is_read() {
            let Field { name, wants, .. } = known;
            return fault(
                format!("has a wrong {name}: `{}`", shown(field)),
                format!("field {} is the {name}: {wants}", at + 1),
            );
        }
    }
    Ok(())
}

fn is_number(part: &str) -> bool {
    part == "*" || !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_day(part: &str) -> bool {
    let number = part.strip_suffix('W').unwrap_or(part);
    is_number(number) || matches!(part, "L" | "LW" | "?")
}

fn is_month(part: &str) -> bool {
    is_number(part) || MONTHS.contains(&part)
}

fn is_weekday(part: &str) -> bool {
    let is_name = |name: &str| is_number(name) || WEEKDAYS.contains(&name);
    match part.split_once('#') {
        Some((name, which)) => is_name(name) && (is_number(which) || which == "L"),
        None => matches!(part, "L" | "?") || is_name(part.strip_suffix('L').unwrap_or(part)),
    }
}

#[cfg(test)]
mod tests;
