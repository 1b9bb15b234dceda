//! Picture of a screen as SVG, for pages about this program.
//!
//! Deterministic: equal screens give equal bytes. The picture loads nothing from outside, and text is escaped, so
//! that no name on a screen can become markup.

mod colour;

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, CellWidth};
use ratatui::style::{Modifier, Style};

use colour::{BACKGROUND, FOREGROUND, hex};

/// Width of a column in hundredths of a pixel: 0.6 of the font size, as most fonts have it.
const COLUMN: u32 = 840;
/// Height of a line and font size, in pixels.
const HIGH: u32 = 18;
const LETTER: u32 = 14;
/// Baseline of a line, from its top.
const BASE: u32 = 14;
/// Margin, in pixels.
const MARGIN: u32 = 12;

/// Appearance of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CellLook {
    fill: String,
    is_bold: bool,
    is_dim: bool,
    is_underlined: bool,
}

/// Cells of one appearance in one line.
#[derive(Clone, Debug)]
struct TextRun {
    x: u16,
    y: u16,
    columns: u16,
    text: String,
}

/// A line of a frame, in hundredths of a pixel.
#[derive(Clone, Copy, Debug)]
struct FrameLine {
    x: u32,
    y: u32,
    length: u32,
    is_level: bool,
}

impl FrameLine {
    /// Returns true if `other` begins where this one ends. Vertical lines have lines of other columns between them,
    /// and stay apart.
    const fn goes_on_with(&self, other: &Self) -> bool {
        self.is_level && other.is_level && self.y == other.y && self.x + self.length == other.x
    }
}

/// Elements of the picture.
#[derive(Default)]
struct Drawing {
    /// Text, by appearance, in the order of first use.
    texts: Vec<(CellLook, Vec<TextRun>)>,
    /// Lines of frames, by appearance.
    frames: Vec<(CellLook, Vec<FrameLine>)>,
    /// Backgrounds that differ from the picture's own.
    backs: Vec<(String, TextRun)>,
}

/// Renders a buffer, with a title for screen readers.
pub(crate) fn render(buffer: &Buffer, title: &str) -> String {
    let mut drawing = Drawing::default();
    for y in 0..buffer.area.height {
        drawing.line(buffer, y);
    }
    drawing.trim();
    let width = u32::from(buffer.area.width) * COLUMN / 100 + 2 * MARGIN;
    let height = u32::from(buffer.area.height) * HIGH + 2 * MARGIN;
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
            "<rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{HIGH}\" fill=\"{fill}\"/>"
        );
    }
    for (look, lines) in &drawing.frames {
        let opacity = if look.is_dim { " opacity=\".6\"" } else { "" };
        let (fill, path) = (&look.fill, path(lines));
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
                Some(path) => self.frame(look, &path),
                None => self.text(look, x, y, columns, cell.symbol()),
            }
            x += columns;
        }
    }

    /// Removes the blank at the end of each run.
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

    /// Adds a piece of a frame; a piece that continues the last one extends it.
    fn frame(&mut self, look: CellLook, piece: &[FrameLine]) {
        let at = self.frames.iter().position(|(other, _)| *other == look);
        let at = at.unwrap_or_else(|| {
            self.frames.push((look, Vec::new()));
            self.frames.len() - 1
        });
        let lines = &mut self.frames[at].1;
        for line in piece {
            match lines.last_mut() {
                Some(last) if last.goes_on_with(line) => last.length += line.length,
                _ => lines.push(*line),
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
            TextRun {
                x,
                y,
                columns,
                text,
            },
        ));
    }

    /// Adds a cell to the run before it, or begins a run; spaces begin none.
    fn text(&mut self, look: CellLook, x: u16, y: u16, columns: u16, symbol: &str) {
        let is_blank = symbol.trim().is_empty() && !look.is_underlined;
        let at = self.texts.iter().position(|(other, _)| *other == look);
        if let Some(at) = at
            && let Some(run) = self.texts[at].1.last_mut()
            && (run.y, run.x + run.columns) == (y, x)
            // Two blanks end a run: the text after them is placed on its own.
            && !(is_blank && run.text.ends_with(' '))
        {
            run.columns += columns;
            run.text.push_str(symbol);
            return;
        }
        if is_blank {
            return;
        }
        let run = TextRun {
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

/// Appearance of a cell, and its background if it differs from the picture's.
fn look(style: Style) -> (CellLook, Option<String>) {
    let has = |modifier| style.add_modifier.contains(modifier);
    let fore = hex(style.fg).unwrap_or_else(|| FOREGROUND.to_owned());
    let back = hex(style.bg);
    let (fill, back) = if has(Modifier::REVERSED) {
        (back.unwrap_or_else(|| BACKGROUND.to_owned()), Some(fore))
    } else {
        (fore, back)
    };
    let look = CellLook {
        fill,
        is_bold: has(Modifier::BOLD),
        is_dim: has(Modifier::DIM),
        is_underlined: has(Modifier::UNDERLINED),
    };
    (look, back)
}

fn attributes(look: &CellLook) -> String {
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

/// Lines of a box-drawing character: as text they would have gaps.
fn frame_path(symbol: &str, x: u16, y: u16) -> Option<Vec<FrameLine>> {
    // 1 for a line to the left, the right, the top and the bottom.
    let [to_left, to_right, up, down] = match symbol {
        "─" => [1, 1, 0, 0],
        "│" => [0, 0, 1, 1],
        "┌" => [0, 1, 0, 1],
        "┐" => [1, 0, 0, 1],
        "└" => [0, 1, 1, 0],
        "┘" => [1, 0, 1, 0],
        _ => return None,
    };
    let (half_wide, half_high) = (COLUMN / 2, HIGH * 50);
    let x = MARGIN * 100 + u32::from(x) * COLUMN + half_wide;
    let y = top(y) * 100 + half_high;
    let level = FrameLine {
        x: x - half_wide * to_left,
        y,
        length: half_wide * (to_left + to_right),
        is_level: true,
    };
    let upright = FrameLine {
        x,
        y: y - half_high * up,
        length: half_high * (up + down),
        is_level: false,
    };
    let lines = [level, upright].into_iter();
    Some(lines.filter(|line| line.length > 0).collect())
}

/// SVG path of lines.
fn path(lines: &[FrameLine]) -> String {
    let mut out = String::new();
    for line in lines {
        let direction = if line.is_level { 'h' } else { 'v' };
        let (x, y) = (hundredths(line.x), hundredths(line.y));
        let _ = write!(out, "M{x} {y}{direction}{}", hundredths(line.length));
    }
    out
}

fn left(x: u16) -> String {
    hundredths(MARGIN * 100 + u32::from(x) * COLUMN)
}

fn top(y: u16) -> u32 {
    MARGIN + u32::from(y) * HIGH
}

/// Hundredths as a number of pixels, as short as possible.
fn hundredths(value: u32) -> String {
    let text = format!("{}.{:02}", value / 100, value % 100);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

/// Escapes markup, and replaces characters that XML forbids.
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
