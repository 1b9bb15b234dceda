//! The `[keys]` table of a file: parsing, and conflicts between bindings.
//!
//! Nothing here may take a key away from a command without an error.

use std::ops::Range;

use leasehold_diagnostics::{ConfigError, shown, suggest};
use toml::Spanned;
use toml::de::DeValue;

use super::command::Command;
use super::key::{BadKey, KeyPress};
use super::key_table::{Keymap, fixed};

/// Bindings of the file so far.
#[derive(Debug, Default)]
pub(super) struct KeyBindings {
    named: Vec<CommandKeys>,
}

/// A command and its keys in the file.
#[derive(Debug)]
struct CommandKeys {
    command: Command,
    /// Bytes of the value.
    span: Range<usize>,
    keys: Vec<WrittenKey>,
    /// Some of its keys could not be parsed.
    is_in_doubt: bool,
}

/// A key, as written in the file.
#[derive(Clone, Debug)]
struct WrittenKey {
    key: KeyPress,
    text: String,
    span: Range<usize>,
}

impl KeyBindings {
    /// Reads the keys of one command.
    pub(super) fn read(
        &mut self,
        command: Command,
        value: &Spanned<DeValue<'_>>,
        findings: &mut Vec<ConfigError>,
    ) {
        let mut named = CommandKeys {
            command,
            span: value.span(),
            keys: Vec::new(),
            is_in_doubt: false,
        };
        let items = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        for item in items {
            match read_key(command, item) {
                Ok(written) => named.keys.push(written),
                Err(finding) => {
                    named.is_in_doubt = true;
                    findings.push(finding);
                }
            }
        }
        self.named.push(named);
    }

    /// Reports keys with two meanings, and a missing key for quitting.
    pub(super) fn check(&self, findings: &mut Vec<ConfigError>) {
        let mut all: Vec<(Command, &WrittenKey)> = Vec::new();
        for named in &self.named {
            all.extend(named.keys.iter().map(|written| (named.command, written)));
            if named.command == Command::Quit && named.keys.is_empty() && !named.is_in_doubt {
                findings.push(
                    ConfigError::at(named.span.clone(), "`quit` has no key")
                        .help("give it one, as in `quit = [\"q\", \"ctrl-c\"]`"),
                );
            }
        }
        all.sort_by_key(|(_, written)| written.span.start);
        for (at, (command, written)) in all.iter().enumerate() {
            let earlier = all[..at]
                .iter()
                .find(|(_, earlier)| earlier.key == written.key);
            if let Some((first, earlier)) = earlier {
                findings.push(bound_twice(*command, written, *first, earlier));
            } else if let Some(owner) = self.default_owner(*command, written.key) {
                findings.push(bound_by_default(*command, written, owner));
            }
        }
    }

    /// Applies the bindings to `keymap`.
    pub(super) fn apply(self, keymap: &mut Keymap) {
        for named in self.named {
            let keys: Vec<KeyPress> = named.keys.iter().map(|written| written.key).collect();
            keymap.rebind(named.command, &keys);
        }
    }

    /// Finds the other command that has `key` by default, unless the file gives it other keys.
    fn default_owner(&self, command: Command, key: KeyPress) -> Option<Command> {
        let owner = Keymap::default().command_of(key)?;
        let is_named = self.named.iter().any(|named| named.command == owner);
        (owner != command && !is_named).then_some(owner)
    }
}

fn read_key(command: Command, item: &Spanned<DeValue<'_>>) -> Result<WrittenKey, ConfigError> {
    let name = command.name();
    let Some(text) = item.get_ref().as_str() else {
        let message = format!("`{name}` must be a key or a list of keys");
        return Err(ConfigError::at(item.span(), message).help(format!(
            "in quotes, as in `{name} = \"f5\"` or `{name} = [\"f5\", \"ctrl-x\"]`"
        )));
    };
    let key = KeyPress::parse(text).map_err(|bad| no_key(text, bad, item.span()))?;
    match fixed(key) {
        Some(owner) if owner != command => {
            let message = format!("`{}` cannot be bound to `{name}`", shown(text));
            Err(ConfigError::at(item.span(), message).help(format!(
                "it always means `{}`; with \"ctrl-\", \"alt-\" or \"shift-\" before it, it is free",
                owner.name()
            )))
        }
        _ => Ok(WrittenKey {
            key,
            text: shown(text),
            span: item.span(),
        }),
    }
}

fn no_key(text: &str, bad: BadKey, span: Range<usize>) -> ConfigError {
    let text = shown(text);
    match bad {
        BadKey::Unknown => {
            let finding = ConfigError::at(span, format!("there is no key `{text}`"));
            match suggest(&text, KeyPress::names()) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(
                    "write a character, as in \"q\", or a name, as in \"space\", \"pgdn\" or \"f5\", \
                     with \"ctrl-\", \"alt-\" or \"shift-\" before it",
                ),
            }
        }
        BadKey::SentAs(other) => {
            ConfigError::at(span, format!("terminals send `{text}` as `{other}`"))
                .help(format!("write \"{other}\", or another key"))
        }
        BadKey::ShiftedCharacter => {
            ConfigError::at(span, format!("what `{text}` is depends on the keyboard"))
                .help("write the character that it types, as in \"!\"")
        }
    }
}

fn bound_twice(
    command: Command,
    written: &WrittenKey,
    first: Command,
    earlier: &WrittenKey,
) -> ConfigError {
    let key = &written.text;
    let (message, help) = if first == command {
        let message = format!("`{key}` is bound to `{}` twice", command.name());
        (message, "remove one of them")
    } else {
        let message = format!(
            "`{key}` is bound to `{}` and to `{}`",
            first.name(),
            command.name()
        );
        (message, "choose another key for one of them")
    };
    ConfigError::at(written.span.clone(), message)
        .note(earlier.span.clone(), "first bound here")
        .help(help)
}

fn bound_by_default(command: Command, written: &WrittenKey, owner: Command) -> ConfigError {
    let (key, name, owner) = (&written.text, command.name(), owner.name());
    let message = format!("`{key}` is bound to `{name}` here, and to `{owner}` by default");
    ConfigError::at(written.span.clone(), message).help(format!(
        "choose another key, or give `{owner}` other keys in this file; `{owner} = []` gives it none"
    ))
}
