//! The event lines of a host, parsed. An absent field is `None`.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// One line of `leasehold run --log-format json`.
#[derive(Clone, PartialEq)]
pub struct Event(Arc<Value>);

/// Name of the event made of a line that is not one, so that checks can refuse it. Its text is the line.
pub const MALFORMED: &str = "malformed";

impl Event {
    /// Parses one line; one that is not a JSON object with an event name becomes a [`MALFORMED`] event.
    pub fn parse(line: &str) -> Self {
        match serde_json::from_str::<Value>(line) {
            Ok(value) if value["event"].is_string() => Self(Arc::new(value)),
            _ => Self(Arc::new(
                serde_json::json!({ "event": MALFORMED, "text": line }),
            )),
        }
    }

    /// Name of the event: `acquired`, `guest`, …
    pub fn name(&self) -> &str {
        self.str("event").unwrap_or_default()
    }

    /// True for an event of that name.
    pub fn is(&self, name: &str) -> bool {
        self.name() == name
    }

    /// Time of the event, in nanoseconds on the boot-time clock.
    pub fn boot_ns(&self) -> Option<u64> {
        self.u64("boot_ns")
    }

    /// The host that wrote it.
    pub fn host(&self) -> Option<&str> {
        self.str("host")
    }

    /// The job it is about.
    pub fn job(&self) -> Option<&str> {
        self.str("job")
    }

    /// The lock it is about.
    pub fn lock(&self) -> Option<&str> {
        self.str("lock")
    }

    /// The fencing token.
    pub fn token(&self) -> Option<u64> {
        self.u64("token")
    }

    /// The run's id.
    pub fn run(&self) -> Option<&str> {
        self.str("run")
    }

    /// Text that a guest wrote.
    pub fn text(&self) -> Option<&str> {
        self.str("text")
    }

    /// Outcome of a run.
    pub fn outcome(&self) -> Option<&str> {
        self.str("outcome")
    }

    /// Reason of a loss, a skip or a stop.
    pub fn reason(&self) -> Option<&str> {
        self.str("reason")
    }

    /// Time until which a run's host calls were admitted, from `run-ended`.
    pub fn deadline_ns(&self) -> Option<u64> {
        self.u64("deadline_ns")
    }

    /// Time at which a run's guest was seen stopped, from `run-ended`.
    pub fn stopped_ns(&self) -> Option<u64> {
        self.u64("stopped_ns")
    }

    /// Time of a run's last admitted host call, from `run-ended`; absent or null when there was none.
    pub fn last_admitted_ns(&self) -> Option<u64> {
        self.u64("last_admitted_ns")
    }

    /// Any field that is text.
    pub fn str(&self, field: &str) -> Option<&str> {
        self.0[field].as_str()
    }

    /// Any field that is a whole, non-negative number.
    pub fn u64(&self, field: &str) -> Option<u64> {
        self.0[field].as_u64()
    }

    /// The same event with its host named after the number of its process as well, as `host#3`.
    #[must_use]
    pub fn of_process(&self, number: usize) -> Self {
        let mut value = Value::clone(&self.0);
        if let Some(host) = self.host() {
            value["host"] = format!("{host}#{number}").into();
        }
        Self(Arc::new(value))
    }

    /// The whole line.
    pub fn value(&self) -> &Value {
        &self.0
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The events of several hosts in the order of the one clock they share. Ties keep each host's own order.
pub fn merge(logs: impl IntoIterator<Item = Vec<Event>>) -> Vec<Event> {
    let mut all: Vec<Event> = logs.into_iter().flatten().collect();
    all.sort_by_key(|event| event.boot_ns().unwrap_or_default());
    all
}

/// Events as text for an error, one a line, the last `most` of them.
pub fn last_lines(events: &[Event], most: usize) -> String {
    let skipped = events.len().saturating_sub(most);
    let lines: Vec<_> = events[skipped..].iter().map(Event::to_string).collect();
    let head = if skipped == 0 {
        String::new()
    } else {
        format!("({skipped} earlier ones)\n")
    };
    head + &lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_types_and_absence_is_none() {
        let event = Event::parse(
            r#"{"event":"acquired","boot_ns":5,"host":"a","token":18446744073709551615}"#,
        );
        assert!(event.is("acquired"));
        assert_eq!(
            (event.boot_ns(), event.host(), event.token()),
            (Some(5), Some("a"), Some(u64::MAX))
        );
        assert_eq!(
            (event.job(), event.run(), event.deadline_ns()),
            (None, None, None)
        );
    }

    #[test]
    fn a_line_that_is_not_an_event_is_kept_as_malformed() {
        for line in ["panicked at", "{}", "[1]", r#"{"event":3}"#, ""] {
            let event = Event::parse(line);
            assert_eq!((event.name(), event.text()), (MALFORMED, Some(line)));
        }
    }

    #[test]
    fn merge_orders_by_clock_and_keeps_a_hosts_order_on_ties() {
        let line =
            |at: u64, name: &str| Event::parse(&format!(r#"{{"event":"{name}","boot_ns":{at}}}"#));
        let merged = merge([
            vec![line(1, "a"), line(3, "b"), line(3, "c")],
            vec![line(2, "d")],
        ]);
        let names: Vec<_> = merged.iter().map(Event::name).collect();
        assert_eq!(names, ["a", "d", "b", "c"]);
    }

    #[test]
    fn an_errors_log_counts_the_lines_left_out() {
        let events = vec![Event::parse("x"), Event::parse("y")];
        assert!(last_lines(&events, 1).starts_with("(1 earlier ones)\n"));
        assert!(last_lines(&events, 2).contains("\"x\""));
    }
}
