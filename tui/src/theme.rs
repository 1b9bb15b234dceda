//! Colours and weights, by meaning.
//!
//! Colour is never the only sign of a state: the views write the word as well, and [`ThemeName::Mono`] has no colours
//! at all. Backgrounds belong to the terminal: nothing here sets one, marks are reversed instead. This file must
//! never query the terminal; it reads the given environment.

use clap::ValueEnum;
use ratatui::style::{Color, Modifier, Style};

/// Name of a theme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ThemeName {
    /// Light if the environment names a light background, dark otherwise.
    #[default]
    Auto,
    /// For dark backgrounds.
    Dark,
    /// For light backgrounds.
    Light,
    /// Without colours: bold, dim, underlined and reversed only.
    Mono,
}

impl ThemeName {
    /// The next theme for the key that switches themes.
    pub(crate) const fn next(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light => Self::Mono,
            Self::Auto | Self::Mono => Self::Dark,
        }
    }
}

/// Number of colours of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColorDepth {
    /// The sixteen that every terminal has, in shades of its own.
    Sixteen,
    /// The 256 of xterm, whose upper 240 look the same everywhere.
    Indexed256,
}

/// The steps of the heatmap, from nothing to the most.
pub(crate) const HEAT_LEVELS: usize = 9;

/// Styles by meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Theme {
    /// Name of the theme; never `Auto`.
    pub(crate) name: ThemeName,
    /// Ordinary text.
    pub(crate) text: Style,
    /// Text of less importance.
    pub(crate) dim: Style,
    /// The title of a pane.
    pub(crate) title: Style,
    /// The frame of a pane.
    pub(crate) border: Style,
    /// The frame of the pane that has the keys.
    pub(crate) border_focused: Style,
    /// The heads of columns.
    pub(crate) header: Style,
    /// A view that is not shown.
    pub(crate) tab: Style,
    /// The view that is shown.
    pub(crate) tab_active: Style,
    /// The row under the cursor, over the styles of its cells.
    pub(crate) selected: Style,
    /// A lock that is held without waiters.
    pub(crate) held: Style,
    /// A lock with waiters.
    pub(crate) contend: Style,
    /// A lock whose lease is about to end.
    pub(crate) expiring: Style,
    /// A lock that was taken over after its holder's lease ended.
    pub(crate) takeover: Style,
    /// A free lock.
    pub(crate) free: Style,
    /// An administrative hold.
    pub(crate) admin: Style,
    /// A success.
    pub(crate) good: Style,
    /// A warning.
    pub(crate) warn: Style,
    /// An error.
    pub(crate) bad: Style,
    /// A key in a hint.
    pub(crate) key_hint: Style,
    /// The mark of a past moment.
    pub(crate) history: Style,
    /// Text that matches the filter.
    pub(crate) match_highlight: Style,
    /// The line of the last minute.
    pub(crate) spark: Style,
    heat: [Style; HEAT_LEVELS],
}

impl Theme {
    /// The theme for `name` in the environment that `env` looks up.
    ///
    /// A non-empty `NO_COLOR` and a `TERM` of `dumb` mean no colours, whatever the name.
    pub(crate) fn choose(name: ThemeName, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let of = |variable| env(variable).unwrap_or_default();
        if !of("NO_COLOR").is_empty() || of("TERM") == "dumb" {
            return Self::mono();
        }
        let depth = ColorDepth::detect(&of("COLORTERM"), &of("TERM"));
        match name {
            ThemeName::Mono => Self::mono(),
            ThemeName::Light => Self::light(depth),
            ThemeName::Auto if is_light(&of("COLORFGBG")) => Self::light(depth),
            ThemeName::Auto | ThemeName::Dark => Self::dark(depth),
        }
    }

    /// Style of a step of the heatmap; steps beyond the last have the style of the last.
    pub(crate) fn heat(&self, level: usize) -> Style {
        self.heat[level.min(HEAT_LEVELS - 1)]
    }

    /// Blue and bright black are left out of the sixteen: many terminals show them black on black.
    fn dark(depth: ColorDepth) -> Self {
        use Color::{Cyan, Gray, Green, LightMagenta, LightRed, Yellow};
        let pick = |named, index| foreground(depth, named, index);
        Self {
            dim: pick(Gray, 245),
            border: pick(Gray, 243),
            border_focused: pick(Cyan, 80),
            header: pick(Cyan, 80).add_modifier(Modifier::BOLD),
            tab: pick(Gray, 245),
            held: pick(Green, 114),
            contend: pick(Yellow, 221),
            expiring: pick(LightRed, 203).add_modifier(Modifier::BOLD),
            takeover: pick(LightMagenta, 177),
            free: pick(Gray, 245),
            admin: pick(Cyan, 80),
            good: pick(Green, 114),
            warn: pick(Yellow, 221),
            bad: pick(LightRed, 203).add_modifier(Modifier::BOLD),
            key_hint: pick(Cyan, 80).add_modifier(Modifier::BOLD),
            history: pick(Yellow, 221).add_modifier(Modifier::REVERSED),
            match_highlight: pick(Yellow, 221).add_modifier(Modifier::UNDERLINED),
            spark: pick(Cyan, 80),
            heat: [
                pick(Gray, 243),
                pick(Cyan, 67),
                pick(Cyan, 73),
                pick(Green, 79),
                pick(Green, 114),
                pick(Yellow, 150),
                pick(Yellow, 221),
                pick(LightRed, 215),
                pick(LightRed, 203).add_modifier(Modifier::BOLD),
            ],
            ..Self::plain(ThemeName::Dark)
        }
    }

    /// Only five of the sixteen are dark on every terminal: not green, cyan or yellow.
    fn light(depth: ColorDepth) -> Self {
        use Color::{Blue, DarkGray, Magenta, Red};
        let pick = |named, index| foreground(depth, named, index);
        Self {
            dim: pick(DarkGray, 242),
            border: pick(DarkGray, 243),
            border_focused: pick(Blue, 25),
            header: pick(Blue, 25).add_modifier(Modifier::BOLD),
            tab: pick(DarkGray, 242),
            held: pick(Blue, 28),
            contend: pick(Magenta, 130),
            expiring: pick(Red, 160).add_modifier(Modifier::BOLD),
            takeover: pick(Magenta, 127).add_modifier(Modifier::BOLD),
            free: pick(DarkGray, 242),
            admin: pick(Blue, 24).add_modifier(Modifier::UNDERLINED),
            good: pick(Blue, 28),
            warn: pick(Magenta, 130),
            bad: pick(Red, 160).add_modifier(Modifier::BOLD),
            key_hint: pick(Blue, 25).add_modifier(Modifier::BOLD),
            history: pick(Magenta, 127).add_modifier(Modifier::REVERSED),
            match_highlight: pick(Magenta, 127).add_modifier(Modifier::UNDERLINED),
            spark: pick(Blue, 25),
            heat: [
                pick(DarkGray, 243),
                pick(Blue, 25),
                pick(Blue, 24),
                pick(Blue, 28),
                pick(Magenta, 58),
                pick(Magenta, 130),
                pick(Magenta, 125),
                pick(Red, 160),
                pick(Red, 124).add_modifier(Modifier::BOLD),
            ],
            ..Self::plain(ThemeName::Light)
        }
    }

    fn mono() -> Self {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let dim = Style::new().add_modifier(Modifier::DIM);
        let underlined = Style::new().add_modifier(Modifier::UNDERLINED);
        let reversed = Style::new().add_modifier(Modifier::REVERSED);
        let none = Style::new();
        Self {
            dim,
            border: dim,
            border_focused: bold,
            contend: bold,
            expiring: bold.patch(underlined),
            takeover: underlined,
            free: dim,
            admin: dim.patch(underlined),
            warn: bold,
            bad: bold.patch(underlined),
            key_hint: bold,
            history: reversed,
            match_highlight: bold.patch(underlined),
            heat: [
                dim,
                dim,
                none,
                none,
                none,
                bold,
                bold,
                bold,
                bold.patch(reversed),
            ],
            ..Self::plain(ThemeName::Mono)
        }
    }

    /// Common styles of all themes, without colours.
    fn plain(name: ThemeName) -> Self {
        let none = Style::new();
        let bold = none.add_modifier(Modifier::BOLD);
        let reversed = none.add_modifier(Modifier::REVERSED);
        Self {
            name,
            text: none,
            dim: none,
            title: bold,
            border: none,
            border_focused: none,
            header: bold,
            tab: none,
            tab_active: reversed.patch(bold),
            selected: reversed,
            held: none,
            contend: none,
            expiring: none,
            takeover: none,
            free: none,
            admin: none,
            good: none,
            warn: none,
            bad: none,
            key_hint: none,
            history: none,
            match_highlight: none,
            spark: none,
            heat: [none; HEAT_LEVELS],
        }
    }
}

impl ColorDepth {
    /// Detects the depth from `COLORTERM` and `TERM`.
    fn detect(colorterm: &str, term: &str) -> Self {
        let promised = matches!(colorterm, "truecolor" | "24bit")
            || term.contains("256color")
            || term.ends_with("-direct");
        if promised {
            Self::Indexed256
        } else {
            Self::Sixteen
        }
    }
}

fn foreground(depth: ColorDepth, named: Color, index: u8) -> Style {
    Style::new().fg(match depth {
        ColorDepth::Sixteen => named,
        ColorDepth::Indexed256 => Color::Indexed(index),
    })
}

/// Returns true if `COLORFGBG`, as in `0;15` or `0;default;15`, ends with a light background.
fn is_light(colorfgbg: &str) -> bool {
    let background = colorfgbg.rsplit(';').next().unwrap_or_default();
    // Of the sixteen, the first seven and the bright black are dark.
    matches!(background.parse(), Ok(7_u8 | 9..=15))
}

#[cfg(test)]
mod tests;
