//! Settings file: keys, theme and mouse.
//!
//! ```toml
//! theme = "light"
//! mouse = false
//! [keys]
//! quit = ["q", "ctrl-c"]
//! freeze = "space"
//! ```
//!
//! A command in the file has exactly the keys of the file; the others keep theirs. A file with any error is refused
//! as a whole, and nothing unknown in it is ignored.

use std::ops::Range;

use clap::ValueEnum;
use leasehold_diagnostics::{
    ConfigError, SourceText, is_duplicate, is_unquoted, keeps_lines, shown, suggest,
};
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::bindings::KeyBindings;
use super::command::Command;
use super::errors::SettingsErrors;
use super::key_table::Keymap;
use crate::theme::ThemeName;

/// Keys at the top of the file.
const TOP: [&str; 3] = ["keys", "theme", "mouse"];

/// Settings of the user; `None` where the file leaves the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DashboardSettings {
    /// The keys.
    pub(crate) keymap: Keymap,
    /// The colours.
    pub(crate) theme: Option<ThemeName>,
    /// The dashboard captures the mouse.
    pub(crate) mouse: Option<bool>,
}

impl DashboardSettings {
    /// Parses `text`; `file` is its name in messages.
    pub(crate) fn from_toml(text: &str, file: &str) -> Result<Self, SettingsErrors> {
        let (document, errors) = DeTable::parse_recoverable(text);
        let source = SourceText::new(text);
        let line_of = |finding: &ConfigError| {
            let start = finding.span.as_ref().map_or(0, |span| span.start);
            source.line_of(start)
        };
        let mut findings: Vec<ConfigError> = Vec::new();
        for error in &errors {
            let finding = syntax(error, text);
            let repeats = |known: &ConfigError| line_of(known) == line_of(&finding);
            if !findings.last().is_some_and(repeats) {
                findings.push(finding);
            }
        }
        let mut settings = Self::default();
        // With more than these errors the rest of the text would be guessed.
        if errors.iter().all(keeps_lines) {
            let mut meaning = Vec::new();
            settings.read(document.get_ref(), &mut meaning);
            let wrong: Vec<_> = findings.iter().map(line_of).collect();
            meaning.retain(|finding| !wrong.contains(&line_of(finding)));
            findings.append(&mut meaning);
        }
        if findings.is_empty() {
            Ok(settings)
        } else {
            Err(SettingsErrors::new(file, &source, findings))
        }
    }

    fn read(&mut self, table: &DeTable<'_>, findings: &mut Vec<ConfigError>) {
        for (name, value) in table {
            let read = match name.get_ref().as_ref() {
                "keys" => self.read_keys(value, findings),
                "theme" => theme(value).map(|theme| self.theme = Some(theme)),
                "mouse" => mouse(value).map(|mouse| self.mouse = Some(mouse)),
                unknown => Err(unknown_at_top(unknown, name.span())),
            };
            findings.extend(read.err());
        }
    }

    fn read_keys(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        findings: &mut Vec<ConfigError>,
    ) -> Result<(), ConfigError> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(
                ConfigError::at(value.span(), "`keys` must be a table").help(
                    "write `[keys]`, and under it a line for each command, as in `quit = \"q\"`",
                ),
            );
        };
        let mut bindings = KeyBindings::default();
        for (name, value) in table {
            match Command::from_name(name.get_ref()) {
                Some(command) => bindings.read(command, value, findings),
                None => findings.push(unknown_command(name.get_ref(), name.span())),
            }
        }
        bindings.check(findings);
        bindings.apply(&mut self.keymap);
        Ok(())
    }
}

fn theme(value: &Spanned<DeValue<'_>>) -> Result<ThemeName, ConfigError> {
    let names = || {
        ThemeName::value_variants()
            .iter()
            .filter_map(ValueEnum::to_possible_value)
    };
    let listed: Vec<String> = names()
        .map(|name| format!("\"{}\"", name.get_name()))
        .collect();
    let help = format!("write one of {}", listed.join(", "));
    let Some(text) = value.get_ref().as_str() else {
        return Err(ConfigError::at(value.span(), "`theme` must be text").help(help));
    };
    ThemeName::from_str(text, false).map_err(|_| {
        ConfigError::at(value.span(), format!("there is no theme `{}`", shown(text))).help(help)
    })
}

fn mouse(value: &Spanned<DeValue<'_>>) -> Result<bool, ConfigError> {
    value.get_ref().as_bool().ok_or_else(|| {
        ConfigError::at(value.span(), "`mouse` must be true or false")
            .help("without quotes, as in `mouse = false`")
    })
}

fn unknown_at_top(name: &str, span: Range<usize>) -> ConfigError {
    let finding = ConfigError::at(span, format!("unknown key `{}`", shown(name)));
    if Command::from_name(name).is_some() {
        return finding.help("keys of commands are set under `[keys]`");
    }
    match suggest(name, TOP) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help("the file may have `theme`, `mouse` and `[keys]`"),
    }
}

fn unknown_command(name: &str, span: Range<usize>) -> ConfigError {
    let finding = ConfigError::at(span, format!("there is no command `{}`", shown(name)));
    match suggest(name, Command::ALL.iter().map(|command| command.name())) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help("the palette of the dashboard (`:`) lists all commands"),
    }
}

/// Turns a parser error into a finding with a remedy.
fn syntax(error: &Error, text: &str) -> ConfigError {
    let span = error.span().unwrap_or(0..0);
    if is_unquoted(error) {
        return ConfigError::at(span, "text must be in quotes")
            .help("write it as in `quit = \"q\"`");
    }
    if is_duplicate(error) {
        let name = shown(text.get(span.clone()).unwrap_or_default());
        return ConfigError::at(span, format!("`{name}` is here a second time"))
            .help("keep one of them; several keys for one command go into a list, as in `quit = [\"q\", \"ctrl-c\"]`");
    }
    let finding = ConfigError::at(span, format!("this is not TOML: {}", error.message()));
    finding.help("write lines as in `quit = [\"q\", \"ctrl-c\"]`, under `[keys]`")
}
