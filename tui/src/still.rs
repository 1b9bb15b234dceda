//! One moment of a recording as a picture: for the README, and for whoever has to show an incident on paper.

use std::path::Path;

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::app::{App, Setup, Source, View};
use crate::error::TopError;
use crate::keymap::Keymap;
use crate::model::Model;
use crate::picture::svg;
use crate::source::read;
use crate::theme::{Theme, ThemeName};
use crate::view::draw;

/// Draws the moment `after` milliseconds into a recording, as it was shown live, as an SVG.
///
/// # Errors
///
/// [`TopError::Recording`] when the recording cannot be read.
pub fn still(
    recording: &Path,
    after: u64,
    size: (u16, u16),
    view: View,
) -> Result<String, TopError> {
    let recording = read(recording)?;
    let began = recording.facts.first().map_or(0, |fact| fact.at);
    let now = began + after;
    let mut model = Model::new(recording.scope);
    for fact in recording.facts {
        if fact.at <= now {
            model.take(fact);
        }
    }
    let env = |name: &str| (name == "TERM").then(|| "xterm-256color".to_owned());
    let setup = Setup {
        keymap: Keymap::default(),
        theme: Theme::choose(ThemeName::Dark, &env),
        env,
        mouse: false,
        allow_write: false,
        source: Source::Store("127.0.0.1:2379".into()),
        operator: String::new(),
    };
    let mut app = App::new(model, setup);
    app.view = view;
    let Ok(mut terminal) = Terminal::new(TestBackend::new(size.0, size.1));
    let Ok(_) = terminal.draw(|frame| draw(frame, &mut app, now));
    Ok(svg(terminal.backend().buffer(), "The dashboard"))
}
