//! Overlays of a view: filter prompt, help, palette, description, output, confirmation.

use super::admin_order::EntryOrder;
use super::order_form::OrderForm;
use super::text_input::TextInput;
use crate::keymap::Command;

/// The overlay that covers the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OpenOverlay {
    /// The filter prompt; the filter applies at once. Esc restores the filter from before.
    Filter { typing: TextInput, before: String },
    /// Help about keys, from this line on.
    Help { top: usize },
    /// Commands by name: the typed text, and the number of the chosen match.
    Palette { typing: TextInput, at: usize },
    /// Description of the selected row, from this line on.
    Describe { top: usize },
    /// Output of the selected job's last run, this many lines up from its end.
    Logs { up: usize },
    /// Confirmation of a change to another client: it is made once the name is typed.
    Confirm {
        order: EntryOrder,
        typing: TextInput,
    },
    /// Form of an order to hosts.
    Form(OrderForm),
}

/// Commands that match the typed text.
pub(crate) fn matching_commands(typed: &str, allow_write: bool) -> Vec<Command> {
    let typed = typed.to_lowercase();
    let mut found: Vec<Command> = Command::ALL
        .iter()
        .copied()
        .filter(|command| allow_write || !command.writes())
        .filter(|command| {
            let text = format!("{} {}", command.name(), command.description()).to_lowercase();
            typed.split_whitespace().all(|word| text.contains(word))
        })
        .collect();
    // Matching names come before matching descriptions.
    found.sort_by_key(|command| !command.name().contains(typed.trim()));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn palette_finds_names_and_descriptions_of_permitted_commands() {
        assert_eq!(
            matching_commands("view-heat", false),
            [Command::ViewHeatmap]
        );
        assert!(
            matching_commands("lease", false)
                .iter()
                .all(|command| !command.writes())
        );
        assert!(matching_commands("revoke", true).contains(&Command::RevokeLease));
    }
}
