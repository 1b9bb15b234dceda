//! `log`: structured lines.

use leasehold_records::printable;

use super::super::event;
use super::super::host_state::HostState;
use super::wit::log;

/// Largest number of fields that one line keeps. Lines with more are unreadable.
const FIELDS: usize = 32;
/// Largest number of bytes that the fields of one line keep, so that unread lines stay small.
const FIELD_BYTES: usize = printable::LONGEST_TEXT;

impl log::Host for HostState {
    async fn emit(
        &mut self,
        level: log::Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Trace => event::Level::Trace,
            log::Level::Debug => event::Level::Debug,
            log::Level::Info => event::Level::Info,
            log::Level::Warn => event::Level::Warn,
            log::Level::Error => event::Level::Error,
        };
        let fields = bounded(&fields, |text| self.output.clean(text));
        self.output.log(level, &message, fields);
        Ok(())
    }
}

/// Returns the first fields that fit, and a remark if some did not.
fn bounded(fields: &[(String, String)], clean: impl Fn(&str) -> String) -> Vec<(String, String)> {
    let mut room = FIELD_BYTES;
    let mut kept = Vec::new();
    for (name, value) in fields.iter().take(FIELDS) {
        let Some(left) = room.checked_sub(name.len() + value.len()) else {
            break;
        };
        room = left;
        kept.push((clean(name), clean(value)));
    }
    let left_out = fields.len() - kept.len();
    if left_out > 0 {
        kept.push(("…".to_owned(), format!("{left_out} fields left out")));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_or_too_large_fields_are_left_out_with_a_remark() {
        let field = |size| ("n".to_owned(), "v".repeat(size));
        let many = bounded(&vec![field(1); FIELDS + 5], str::to_owned);
        assert_eq!(many.len(), FIELDS + 1);
        assert_eq!(many[FIELDS].1, "5 fields left out");
        let large = bounded(&[field(10), field(FIELD_BYTES), field(10)], str::to_owned);
        assert_eq!(large.len(), 2);
        assert_eq!(large[1].1, "2 fields left out");
    }
}
