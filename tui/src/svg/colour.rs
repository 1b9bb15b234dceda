//! Colours of a picture: those of a terminal, with fixed values.

use ratatui::style::Color;

/// Background of the picture.
pub(super) const BACKGROUND: &str = "#15181e";
/// Colour of text without a colour.
pub(super) const FOREGROUND: &str = "#d7dae0";

/// The first sixteen colours; terminals differ in them, a picture may not.
const NAMED: [&str; 16] = [
    "#000000", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#abb2bf",
    "#5c6370", "#ff7b86", "#b5e890", "#ffd68a", "#7cc4ff", "#e29bf5", "#6fd8e6", "#ffffff",
];
/// Steps of the cube of 216 colours.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// A colour as SVG writes it; `None` for the terminal's own.
pub(super) fn hex(color: Option<Color>) -> Option<String> {
    let named = |at: usize| NAMED.get(at).map(|hex| (*hex).to_owned());
    match color? {
        Color::Reset => None,
        Color::Rgb(red, green, blue) => Some(format!("#{red:02x}{green:02x}{blue:02x}")),
        Color::Indexed(index) => match index {
            0..16 => named(index.into()),
            16..232 => {
                let index = index - 16;
                let step = |part: u8| STEPS[usize::from(part % 6)];
                let (red, green, blue) = (step(index / 36), step(index / 6), step(index));
                Some(format!("#{red:02x}{green:02x}{blue:02x}"))
            }
            232.. => {
                let gray = 8 + 10 * (index - 232);
                Some(format!("#{gray:02x}{gray:02x}{gray:02x}"))
            }
        },
        Color::Black => named(0),
        Color::Red => named(1),
        Color::Green => named(2),
        Color::Yellow => named(3),
        Color::Blue => named(4),
        Color::Magenta => named(5),
        Color::Cyan => named(6),
        Color::Gray => named(7),
        Color::DarkGray => named(8),
        Color::LightRed => named(9),
        Color::LightGreen => named(10),
        Color::LightYellow => named(11),
        Color::LightBlue => named(12),
        Color::LightMagenta => named(13),
        Color::LightCyan => named(14),
        Color::White => named(15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_256_colours_are_those_of_xterm() {
        let of = |index| hex(Some(Color::Indexed(index))).unwrap();
        assert_eq!(of(16), "#000000");
        assert_eq!(of(80), "#5fd7d7");
        assert_eq!(of(203), "#ff5f5f");
        assert_eq!(of(231), "#ffffff");
        assert_eq!(of(245), "#8a8a8a");
        assert_eq!(of(255), "#eeeeee");
        assert_eq!(hex(Some(Color::Reset)), None);
        assert_eq!(hex(Some(Color::Rgb(1, 2, 3))).unwrap(), "#010203");
    }
}
