//! Turning the events that libraries emit into diagnostics.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::line::{Diagnostic, render_text};
use super::writer::Writer;
use leasehold_runtime::{Level, current};

/// Length of the longest field value, in bytes: a library may log the text of a server.
const LONGEST_FIELD: usize = 2 * 1024;
/// Number of fields of one line.
const MOST_FIELDS: usize = 32;

/// Receiver of the events that libraries log.
pub(super) struct Lines(Arc<Writer>);

impl Lines {
    pub(super) const fn new(writer: Arc<Writer>) -> Self {
        Self(writer)
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = level(*event.metadata().level());
        if current::is_guest() {
            current::library_line(level, || render_text(&diagnostic(level, event)));
        } else {
            self.0.write(diagnostic(level, event));
        }
    }
}

fn level(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::TRACE => Level::Trace,
    }
}

fn diagnostic(level: Level, event: &Event<'_>) -> Diagnostic {
    let mut read = Read {
        target: event.metadata().target().to_owned(),
        ..Read::default()
    };
    event.record(&mut read);
    Diagnostic {
        wall: SystemTime::now(),
        level,
        target: read.target,
        text: read.text,
        fields: read.fields,
    }
}

/// The fields of one event.
#[derive(Default)]
struct Read {
    target: String,
    text: String,
    fields: Vec<(String, String)>,
}

impl Visit for Read {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field.name(), format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field.name(), format_args!("{value}"));
    }
}

impl Read {
    fn take(&mut self, name: &str, value: fmt::Arguments<'_>) {
        let mut text = Bounded::default();
        // Formatting stops when the text is full.
        let _ = text.write_fmt(value);
        match name {
            "message" => self.text = text.0,
            // Lines of the `log` crate have a target of their own, and source locations.
            "log.target" => self.target = text.0,
            name if name.starts_with("log.") => {}
            name if self.fields.len() < MOST_FIELDS => self.fields.push((name.to_owned(), text.0)),
            _ => {}
        }
    }
}

/// A text limited to the length of a field.
#[derive(Default)]
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LONGEST_FIELD.saturating_sub(self.0.len());
        let kept = &text[..text.floor_char_boundary(room)];
        self.0.push_str(kept);
        if kept.len() < text.len() {
            return Err(fmt::Error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// Keeps diagnostics instead of writing them.
    struct Kept(std::sync::Mutex<Vec<Diagnostic>>);

    impl<S: Subscriber> Layer<S> for &'static Kept {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let level = level(*event.metadata().level());
            self.0.lock().unwrap().push(diagnostic(level, event));
        }
    }

    #[test]
    fn an_event_becomes_target_text_and_fields_of_bounded_length() {
        static KEPT: Kept = Kept(std::sync::Mutex::new(Vec::new()));
        let subscriber = tracing_subscriber::registry().with(&KEPT);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(target: "lib", code = 7, name = "x", "refused {}", "y".repeat(9_000));
        });
        let kept = KEPT.0.lock().unwrap();
        let [line] = kept.as_slice() else {
            panic!("{kept:?}");
        };
        assert_eq!((line.level, line.target.as_str()), (Level::Warn, "lib"));
        assert!(line.text.starts_with("refused yyy"));
        assert_eq!(line.text.len(), LONGEST_FIELD);
        let fields = [("code", "7"), ("name", "x")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(line.fields, fields);
    }
}
