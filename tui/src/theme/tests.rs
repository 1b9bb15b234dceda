//! Guarantees of a theme on every terminal.

use super::*;

fn choose(name: ThemeName, variables: &[(&str, &str)]) -> Theme {
    Theme::choose(name, &|wanted| {
        let found = variables.iter().find(|(variable, _)| *variable == wanted);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn styles(theme: &Theme) -> Vec<Style> {
    let mut styles = vec![
        theme.text,
        theme.dim,
        theme.title,
        theme.border,
        theme.border_focused,
        theme.header,
        theme.tab,
        theme.tab_active,
        theme.selected,
        theme.held,
        theme.contend,
        theme.expiring,
        theme.takeover,
        theme.free,
        theme.admin,
        theme.good,
        theme.warn,
        theme.bad,
        theme.key_hint,
        theme.history,
        theme.match_highlight,
        theme.spark,
    ];
    styles.extend((0..HEAT_LEVELS).map(|level| theme.heat(level)));
    styles
}

fn colours(theme: &Theme) -> Vec<Color> {
    styles(theme)
        .into_iter()
        .filter_map(|style| style.fg)
        .collect()
}

const XTERM: (&str, &str) = ("TERM", "xterm");
const XTERM_256: (&str, &str) = ("TERM", "xterm-256color");

#[test]
fn no_color_and_dumb_terminals_always_get_mono() {
    for name in [
        ThemeName::Auto,
        ThemeName::Dark,
        ThemeName::Light,
        ThemeName::Mono,
    ] {
        for variables in [
            [("NO_COLOR", "1"), XTERM_256],
            [("NO_COLOR", ""), ("TERM", "dumb")],
        ] {
            assert_eq!(choose(name, &variables), Theme::mono());
        }
    }
    assert_eq!(
        choose(ThemeName::Dark, &[("NO_COLOR", "")]).name,
        ThemeName::Dark
    );
}

#[test]
fn mono_sets_no_colour_of_any_kind() {
    for style in styles(&Theme::mono()) {
        assert_eq!((style.fg, style.bg), (None, None));
        let weights = Modifier::BOLD | Modifier::DIM | Modifier::REVERSED | Modifier::UNDERLINED;
        assert!(weights.contains(style.add_modifier) && style.sub_modifier.is_empty());
    }
}

#[test]
fn no_theme_paints_the_terminals_background() {
    for name in [ThemeName::Dark, ThemeName::Light, ThemeName::Mono] {
        for term in [XTERM, XTERM_256] {
            assert!(
                styles(&choose(name, &[term]))
                    .iter()
                    .all(|style| style.bg.is_none())
            );
        }
    }
}

#[test]
fn auto_is_light_only_for_a_light_colorfgbg() {
    for (background, name) in [
        ("0;15", ThemeName::Light),
        ("0;default;7", ThemeName::Light),
        ("15;0", ThemeName::Dark),
        ("7;8", ThemeName::Dark),
        ("0;default", ThemeName::Dark),
        ("0;231", ThemeName::Dark),
        ("", ThemeName::Dark),
    ] {
        let theme = choose(ThemeName::Auto, &[("COLORFGBG", background)]);
        assert_eq!(theme.name, name, "{background}");
    }
    assert_eq!(
        choose(ThemeName::Dark, &[("COLORFGBG", "0;15")]).name,
        ThemeName::Dark
    );
}

#[test]
fn sixteen_colours_are_readable_on_every_terminal() {
    use Color::{Blue, Cyan, DarkGray, Gray, Green, LightMagenta, LightRed, Magenta, Red, Yellow};
    let dark = [Gray, Cyan, Green, Yellow, LightRed, LightMagenta];
    assert!(
        colours(&choose(ThemeName::Dark, &[XTERM]))
            .iter()
            .all(|colour| dark.contains(colour))
    );
    let light = [DarkGray, Blue, Magenta, Red];
    assert!(
        colours(&choose(ThemeName::Light, &[XTERM]))
            .iter()
            .all(|colour| light.contains(colour))
    );
}

#[test]
fn indexed_colours_contrast_with_their_background() {
    for promise in [
        XTERM_256,
        ("COLORTERM", "truecolor"),
        ("TERM", "xterm-direct"),
    ] {
        for (name, background) in [(ThemeName::Dark, 0.0), (ThemeName::Light, 1.0)] {
            for colour in colours(&choose(name, &[promise])) {
                let Color::Indexed(index) = colour else {
                    panic!("{colour:?}")
                };
                let (a, b) = (luminance(index) + 0.05, background + 0.05);
                let contrast = if a > b { a / b } else { b / a };
                assert!(contrast >= 4.5, "{name:?} {index}: {contrast}");
            }
        }
    }
}

/// Relative luminance of one of xterm's upper 240 colours, as defined by WCAG.
fn luminance(index: u8) -> f64 {
    let channels = match index {
        232.. => [8 + 10 * (index - 232); 3],
        16.. => [(index - 16) / 36, (index - 16) / 6 % 6, (index - 16) % 6]
            .map(|step| if step == 0 { 0 } else { 55 + 40 * step }),
        _ => panic!("{index} looks different on every terminal"),
    };
    let linear = channels.map(|channel| {
        let part = f64::from(channel) / 255.0;
        if part <= 0.040_45 {
            part / 12.92
        } else {
            ((part + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

#[test]
fn states_differ_from_each_other_in_every_theme() {
    for name in [ThemeName::Dark, ThemeName::Light, ThemeName::Mono] {
        for term in [XTERM, XTERM_256] {
            let t = choose(name, &[term]);
            let states = [t.held, t.contend, t.expiring, t.takeover, t.free, t.admin];
            for (at, state) in states.iter().enumerate() {
                assert!(
                    !states[at + 1..].contains(state),
                    "{name:?} {term:?} {state:?}"
                );
            }
        }
    }
}

#[test]
fn themes_go_round_and_heat_has_an_end() {
    assert_eq!(ThemeName::Auto.next(), ThemeName::Dark);
    assert_eq!(ThemeName::Dark.next().next().next(), ThemeName::Dark);
    let theme = Theme::mono();
    assert_eq!(theme.heat(usize::MAX), theme.heat(HEAT_LEVELS - 1));
}
