//! A screen as a picture: what is drawn, as SVG, for pages about this program.
//!
//! Deterministic: the same screen gives the same bytes. Nothing in it asks for anything from outside, and
//! text is escaped, so that no name on a screen can become a part of the picture.

mod colour;

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, CellWidth};
use ratatui::style::{Modifier, Style};

use colour::{BACKGROUND, FOREGROUND, hex};

/// The width of a column in hundredths of a pixel: 0.6 of the size of the letters, as most fonts have it.
const COLUMN: u32 = 840;
/// The height of a line and the size of the letters, in pixels.
const LINE: u32 = 18;
const LETTER: u32 = 14;
/// Where letters stand in their line, from its top.
const BASE: u32 = 14;
/// What is around it, in pixels.
const MARGIN: u32 = 12;

/// What cells of one kind look like.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    fill: String,
    is_bold: bool,
    is_dim: bool,
    is_underlined: bool,
}

/// Cells of one look in one line.
#[derive(Clone, Debug)]
struct Run {
    x: u16,
    y: u16,
    columns: u16,
    text: String,
}

/// What is drawn of a buffer.
#[derive(Default)]
struct Drawing {
    /// Text, by look, in the order in which looks first appear.
    texts: Vec<(Look, Vec<Run>)>,
    /// Lines of frames, by look.
    frames: Vec<(Look, String)>,
    /// Backgrounds that are not the picture's own.
    backs: Vec<(String, Run)>,
}

/// The picture of a drawn buffer, with a title for those who do not see it.
pub(crate) fn svg(buffer: &Buffer, title: &str) -> String {
    let mut drawing = Drawing::default();
    for y in 0..buffer.area.height {
        drawing.line(buffer, y);
    }
    drawing.trim();
    let width = u32::from(buffer.area.width) * COLUMN / 100 + 2 * MARGIN;
    let height = u32::from(buffer.area.height) * LINE + 2 * MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,monospace\" font-size=\"{LETTER}\" \
         role=\"img\">\n<title>{}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n",
        escaped(title)
    );
    for (fill, run) in &drawing.backs {
        let (x, y) = (left(run.x), top(run.y));
        let wide = hundredths(u32::from(run.columns) * COLUMN);
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{LINE}\" fill=\"{fill}\"/>"
        );
    }
    for (look, path) in &drawing.frames {
        let opacity = if look.is_dim { " opacity=\".6\"" } else { "" };
        let fill = &look.fill;
        let _ = writeln!(
            out,
            "<path d=\"{path}\" stroke=\"{fill}\"{opacity} fill=\"none\"/>"
        );
    }
    for (look, runs) in &drawing.texts {
        let _ = writeln!(out, "<g {}>", attributes(look));
        for run in runs {
            let (x, y) = (left(run.x), top(run.y) + BASE);
            let wide = hundredths(u32::from(run.columns) * COLUMN);
            let _ = writeln!(
                out,
                "<text x=\"{x}\" y=\"{y}\" textLength=\"{wide}\" xml:space=\"preserve\">{}</text>",
                escaped(&run.text)
            );
        }
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

impl Drawing {
    fn line(&mut self, buffer: &Buffer, y: u16) {
        let mut x = 0;
        while x < buffer.area.width {
            let cell = &buffer[(buffer.area.x + x, buffer.area.y + y)];
            let columns = cell.symbol().cell_width().max(1);
            let (look, back) = look(cell.style());
            if let Some(fill) = back {
                self.back(fill, x, y, columns);
            }
            match frame_path(cell.symbol(), x, y) {
                Some(path) => {
                    let mut known = self.frames.iter_mut();
                    match known.find(|(other, _)| *other == look) {
                        Some((_, paths)) => paths.push_str(&path),
                        None => self.frames.push((look, path)),
                    }
                }
                None => self.text(look, x, y, columns, cell.symbol()),
            }
            x += columns;
        }
    }

    /// Takes away the blank that a run ends with.
    fn trim(&mut self) {
        for (look, runs) in &mut self.texts {
            for run in runs.iter_mut().filter(|_| !look.is_underlined) {
                if run.text.ends_with(' ') {
                    run.text.pop();
                    run.columns -= 1;
                }
            }
        }
    }

    fn back(&mut self, fill: String, x: u16, y: u16, columns: u16) {
        if let Some((other, run)) = self.backs.last_mut()
            && *other == fill
            && (run.y, run.x + run.columns) == (y, x)
        {
            run.columns += columns;
            return;
        }
        let text = String::new();
        self.backs.push((
            fill,
            Run {
                x,
                y,
                columns,
                text,
            },
        ));
    }

    /// Adds a cell to the run before it, or begins one; spaces begin none.
    fn text(&mut self, look: Look, x: u16, y: u16, columns: u16, symbol: &str) {
        let is_blank = symbol.trim().is_empty() && !look.is_underlined;
        let at = self.texts.iter().position(|(other, _)| *other == look);
        if let Some(at) = at
            && let Some(run) = self.texts[at].1.last_mut()
            && (run.y, run.x + run.columns) == (y, x)
            // A run of two blanks ends: what follows stands on its own.
            && !(is_blank && run.text.ends_with(' '))
        {
            run.columns += columns;
            run.text.push_str(symbol);
            return;
        }
        if is_blank {
            return;
        }
        let run = Run {
            x,
            y,
            columns,
            text: symbol.to_owned(),
        };
        match at {
            Some(at) => self.texts[at].1.push(run),
            None => self.texts.push((look, vec![run])),
        }
    }
}

/// What a cell looks like, and its background if it is not the picture's.
fn look(style: Style) -> (Look, Option<String>) {
    let has = |modifier| style.add_modifier.contains(modifier);
    let fore = hex(style.fg).unwrap_or_else(|| FOREGROUND.to_owned());
    let back = hex(style.bg);
    let (fill, back) = if has(Modifier::REVERSED) {
        (back.unwrap_or_else(|| BACKGROUND.to_owned()), Some(fore))
    } else {
        (fore, back)
    };
    let look = Look {
        fill,
        is_bold: has(Modifier::BOLD),
        is_dim: has(Modifier::DIM),
        is_underlined: has(Modifier::UNDERLINED),
    };
    (look, back)
}

fn attributes(look: &Look) -> String {
    let mut out = format!("fill=\"{}\"", look.fill);
    for (is_so, attribute) in [
        (look.is_bold, " font-weight=\"bold\""),
        (look.is_dim, " opacity=\".6\""),
        (look.is_underlined, " text-decoration=\"underline\""),
    ] {
        if is_so {
            out.push_str(attribute);
        }
    }
    out
}

/// The lines of a sign of a frame: as text they would have gaps.
fn frame_path(symbol: &str, x: u16, y: u16) -> Option<String> {
    // Whether there is a line to the left, the right, the top and the bottom.
    let [to_left, to_right, up, down] = match symbol {
        "─" => [true, true, false, false],
        "│" => [false, false, true, true],
        "┌" => [false, true, false, true],
        "┐" => [true, false, false, true],
        "└" => [false, true, true, false],
        "┘" => [true, false, true, false],
        _ => return None,
    };
    let middle = (
        MARGIN * 100 + u32::from(x) * COLUMN + COLUMN / 2,
        top(y) * 100 + LINE * 50,
    );
    let (half_wide, half_high) = (COLUMN / 2, LINE * 50);
    let from = (
        middle.0 - if to_left { half_wide } else { 0 },
        middle.1 - if up { half_high } else { 0 },
    );
    let mut path = String::new();
    if to_left || to_right {
        let wide = half_wide * (u32::from(to_left) + u32::from(to_right));
        let _ = write!(
            path,
            "M{} {}h{}",
            hundredths(from.0),
            hundredths(middle.1),
            hundredths(wide)
        );
    }
    if up || down {
        let high = half_high * (u32::from(up) + u32::from(down));
        let _ = write!(
            path,
            "M{} {}v{}",
            hundredths(middle.0),
            hundredths(from.1),
            hundredths(high)
        );
    }
    Some(path)
}

fn left(x: u16) -> String {
    hundredths(MARGIN * 100 + u32::from(x) * COLUMN)
}

fn top(y: u16) -> u32 {
    MARGIN + u32::from(y) * LINE
}

/// Hundredths as a number of pixels, as short as possible.
fn hundredths(value: u32) -> String {
    let text = format!("{}.{:02}", value / 100, value % 100);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

/// A text in which nothing is markup, nor anything that XML forbids.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
