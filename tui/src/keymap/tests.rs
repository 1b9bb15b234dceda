//! Bindings, and every message about a settings file.

use std::fmt::Write;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use insta::assert_snapshot;

use super::key::KeyPress;
use super::key_table::FIXED;
use super::*;
use crate::theme::ThemeName;

fn press(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::NONE)
}

fn read(text: &str) -> DashboardSettings {
    DashboardSettings::from_toml(text, "tui.toml").unwrap_or_else(|errors| panic!("{errors}"))
}

fn refusal(text: &str) -> String {
    DashboardSettings::from_toml(text, "tui.toml")
        .unwrap_err()
        .to_string()
}

#[test]
fn commands_have_names_descriptions_and_keys() {
    let keymap = Keymap::default();
    let mut table = String::new();
    for command in Command::ALL {
        let (group, name, does) = (
            command.group().title(),
            command.name(),
            command.description(),
        );
        let keys = keymap.keys_of(*command).join(" ");
        let writes = if command.writes() { " (writes)" } else { "" };
        writeln!(table, "{group:8} {name:17} {keys:9} {does}{writes}").unwrap();
        assert_eq!(Command::from_name(name), Some(*command));
    }
    assert_snapshot!("default_keys", table);
}

#[test]
fn default_keys_parse_and_have_one_command_each() {
    let written: usize = Command::ALL
        .iter()
        .map(|command| command.default_keys().len())
        .sum();
    let keymap = Keymap::default();
    assert_eq!(keymap.bindings.len(), written);
    for (key, command) in &keymap.bindings {
        assert_eq!(keymap.command_of(*key), Some(*command));
    }
    for (name, command) in FIXED {
        assert_eq!(
            keymap.command_of(KeyPress::parse(name).unwrap()),
            Some(command)
        );
    }
}

#[test]
fn key_acts_on_press_and_repeat_but_not_on_release() {
    let keymap = Keymap::default();
    let event = |kind| KeyEvent::new_with_kind(KeyCode::Char('j'), KeyModifiers::NONE, kind);
    assert_eq!(
        keymap.command(event(KeyEventKind::Press)),
        Some(Command::Down)
    );
    assert_eq!(
        keymap.command(event(KeyEventKind::Repeat)),
        Some(Command::Down)
    );
    assert_eq!(keymap.command(event(KeyEventKind::Release)), None);
    assert_eq!(keymap.command(press(KeyCode::Char('Z'))), None);
}

#[test]
fn settings_file_replaces_only_named_commands() {
    let settings = read("[keys]\nquit = [\"ctrl-q\", \"f10\"]\nfreeze = \"z\"\nhelp = []\n");
    let keymap = &settings.keymap;
    assert_eq!(keymap.keys_of(Command::Quit), ["^Q", "F10"]);
    assert_eq!(keymap.hint(Command::Freeze), "z");
    assert_eq!(keymap.hint(Command::Help), "");
    assert_eq!(keymap.command(press(KeyCode::Char('q'))), None);
    assert_eq!(keymap.command(press(KeyCode::Char(' '))), None);
    assert_eq!(keymap.keys_of(Command::Down), ["j", "↓"]);
    assert_eq!((settings.theme, settings.mouse), (None, None));
}

#[test]
fn arrows_move_whatever_the_file_says() {
    let keymap = read("[keys]\nup = \"i\"\ndown = []\npage-up = [\"pgup\", \"u\"]\n").keymap;
    assert_eq!(keymap.keys_of(Command::Up), ["i", "↑"]);
    assert_eq!(keymap.keys_of(Command::Down), ["↓"]);
    assert_eq!(keymap.keys_of(Command::PageUp), ["PgUp", "u"]);
    assert_eq!(keymap.command(press(KeyCode::Char('k'))), None);
    assert_eq!(keymap.command(press(KeyCode::Up)), Some(Command::Up));
}

#[test]
fn keys_may_change_places() {
    let keymap = read("[keys]\nremove-entry = \"X\"\nrevoke-lease = \"x\"\n").keymap;
    assert_eq!(
        keymap.command(press(KeyCode::Char('x'))),
        Some(Command::RevokeLease)
    );
    assert_eq!(
        keymap.command(press(KeyCode::Char('X'))),
        Some(Command::RemoveEntry)
    );
}

#[test]
fn theme_and_mouse_are_read_from_the_top() {
    let settings = read("theme = \"light\"\nmouse = false\n");
    assert_eq!(settings.theme, Some(ThemeName::Light));
    assert_eq!(settings.mouse, Some(false));
    assert_eq!(settings.keymap, Keymap::default());
    assert_eq!(read("  # nothing\n"), DashboardSettings::default());
}

#[test]
fn all_errors_in_keys_are_in_one_report() {
    assert_snapshot!(
        "keys",
        refusal(
            r#"[keys]
qiut = "q"
half_page_up = "u"
teleport = "b"
freeze = ["spcae", "hyper-q", ""]
sort = 5
filter = ["/", true]
open = "ctrl-m"
help = "shift-1"
left = "up"
copy = "c"
describe = "z"
logs = ["w", "z"]
live = ["L", "L"]
top = "漢字	x"
quit = []
"#
        )
    );
}

#[test]
fn all_errors_at_the_top_are_in_one_report() {
    assert_snapshot!(
        "top",
        refusal(
            "theme = \"drak\"\nmouse = \"off\"\nkeys = 1\nmuose = true\nquit = \"q\"\n\"\\u001b[2J\" = 1\n"
        )
    );
    assert_snapshot!("theme_number", refusal("theme = 1"));
}

#[test]
fn syntax_error_does_not_hide_other_errors() {
    assert_snapshot!(
        "duplicates",
        refusal("[keys]\nquit = q\nhelp = \"?\"\nhelp = \"h\"\nqiut = \"q\"\n")
    );
    assert_snapshot!("no_toml", refusal("[keys\nquit = [\"q\"\nhelp = \"?\n"));
}

#[test]
fn malformed_files_are_errors() {
    for text in [
        "\u{0}",
        "[",
        "=",
        "[keys]\n[keys]\n",
        "keys.quit.x = 1",
        "[[keys]]",
        "\"\"\"",
        "é = {",
    ] {
        assert!(DashboardSettings::from_toml(text, "f").is_err(), "{text:?}");
    }
}

#[test]
fn keys_toml_lists_the_defaults_of_every_command() {
    let text = include_str!("../../keys.toml");
    let settings = DashboardSettings::from_toml(text, "keys.toml").unwrap();
    let usual = Keymap::default();
    for command in Command::ALL {
        assert_eq!(settings.keymap.keys_of(*command), usual.keys_of(*command));
        let line = format!("\n{} = ", command.name());
        assert!(text.contains(&line), "{}", command.name());
    }
}
