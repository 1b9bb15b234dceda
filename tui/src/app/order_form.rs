//! Form of an order to hosts: its reason, its end, and the name that confirms it.

use leasehold_orders::{Tz, until};
use leasehold_records::UnixMs;

use super::host_order::{FieldKind, HostOrder, OrderVerb};
use super::text_input::TextInput;

/// Form of an order to hosts, until it is sent or given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OrderForm {
    pub(crate) verb: OrderVerb,
    /// Consequence of the order, in a sentence or two.
    pub(crate) consequence: String,
    pub(crate) fields: Vec<FormField>,
    /// Number of the field with the cursor.
    pub(crate) at: usize,
}

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FormField {
    pub(crate) kind: FieldKind,
    pub(crate) typing: TextInput,
}

impl OrderForm {
    pub(super) fn new(verb: OrderVerb, consequence: String) -> Self {
        let field = |kind| FormField {
            kind,
            typing: TextInput::default(),
        };
        Self {
            fields: verb.fields().into_iter().map(field).collect(),
            verb,
            consequence,
            at: 0,
        }
    }

    /// Moves the cursor to another field; stays at the first and the last.
    pub(super) fn step(&mut self, by: isize) {
        let last = self.fields.len().saturating_sub(1);
        self.at = self.at.saturating_add_signed(by).min(last);
    }

    /// Returns true if the cursor is in the last field.
    pub(super) fn is_at_end(&self) -> bool {
        self.at + 1 >= self.fields.len()
    }

    pub(super) fn typing(&mut self) -> Option<&mut TextInput> {
        self.fields.get_mut(self.at).map(|field| &mut field.typing)
    }

    /// Returns the order as filled in. The error is the reason for which it cannot be sent; the cursor is in the field
    /// to mend then.
    pub(super) fn fill(&mut self, now: UnixMs, zone: Tz) -> Result<HostOrder, String> {
        let mut order = HostOrder {
            verb: self.verb.clone(),
            why: String::new(),
            zone,
        };
        for (at, field) in self.fields.iter().enumerate() {
            let text = field.typing.text().trim().to_owned();
            let filled = match &field.kind {
                FieldKind::Why => {
                    order.why = text;
                    Ok(())
                }
                FieldKind::Until => set_until(&mut order.verb, &text, now, zone),
                FieldKind::Name(name) if text == *name => Ok(()),
                FieldKind::Name(name) => Err(format!("nothing was done: {text:?} is not {name:?}")),
            };
            if let Err(reason) = filled {
                self.at = at;
                return Err(reason);
            }
        }
        Ok(order)
    }
}

/// Sets the end of a pause; an empty text means none.
fn set_until(verb: &mut OrderVerb, text: &str, now: UnixMs, zone: Tz) -> Result<(), String> {
    if let OrderVerb::Pause { until: end, .. } = verb
        && !text.is_empty()
    {
        let parsed = until::parse(text, now, zone);
        *end = Some(parsed.map_err(|error| format!("until: {error}"))?);
    }
    Ok(())
}
