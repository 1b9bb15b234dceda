//! The time bar: from the oldest kept moment to now, and the shown moment in it.
//!
//! ```text
//!  HIST |==========!====x=======|> now   12:01:10 .. 12:04:31   [ ] step  { } 10s  L live
//! ```

use ratatui::Frame;
use ratatui::layout::Rect;

use leasehold_records::UnixMs;

use super::line_parts::LineParts;
use super::paint::{self, TextPiece};
use super::scene::ViewScene;
use crate::app::FactSource;
use crate::keymap::Command;
use crate::model::StoreLink;
use crate::text;

/// Longest bar, in columns: a longer one shows no more.
const LONGEST: usize = 80;
/// Most events that are searched for trouble.
const LOOKED_AT: usize = 2_000;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>) {
    if area.is_empty() {
        return;
    }
    let (theme, shown) = (scene.theme, scene.shown);
    let width = usize::from(area.width);
    let (from, to) = scene.app.model.time_range(scene.app.present(scene.now));
    let mut parts = LineParts::default();
    let ends = format!("{} .. {}", hours(from), hours(to));
    parts.add(2, ends, theme.dim);
    keys(&mut parts, scene);
    let is_recorded = matches!(scene.app.setup.source, FactSource::Recording { .. });
    let (end, style) = match (shown.is_live, is_recorded) {
        (true, false) => match scene.app.model.link {
            StoreLink::Live => (" live  ".to_owned(), theme.good),
            StoreLink::Loading => (" loading  ".to_owned(), theme.warn),
            StoreLink::Down { .. } => (" lost  ".to_owned(), theme.bad),
        },
        (true, true) => (" end   ".to_owned(), theme.history),
        (false, _) => (format!(" {}  ", text::clock_time(shown.now)), theme.history),
    };
    let begin = " HIST |";
    let others = text::width(begin) + text::width("|>") + text::width(&end);
    // The bar has at least a third of the line.
    let room = width.saturating_sub(others);
    let after = parts.fit(room.saturating_sub(width / 3));
    let used: usize = after.iter().map(|piece| text::width(&piece.text)).sum();
    let length = room.saturating_sub(used).min(LONGEST);
    let mut pieces = vec![TextPiece::new(begin, theme.dim)];
    pieces.extend(bar(scene, from, to, length));
    pieces.push(TextPiece::new("|>", theme.dim));
    pieces.push(TextPiece::new(end, style));
    pieces.extend(after);
    paint::line(frame.buffer_mut(), area, 0, &pieces);
}

/// The bar: `x` is the shown moment, `!` is trouble.
fn bar(scene: &ViewScene<'_>, from: UnixMs, to: UnixMs, length: usize) -> Vec<TextPiece> {
    let theme = scene.theme;
    let column = |at: UnixMs| {
        let part =
            u128::from(at.clamp(from, to).millis_since(from)) * length.saturating_sub(1) as u128;
        let column = part / u128::from(to.millis_since(from).max(1));
        usize::try_from(column).unwrap_or(0)
    };
    let mut signs = vec![('=', theme.dim); length];
    let events = scene.app.model.events.before(u64::MAX).take(LOOKED_AT);
    for (_, event) in events.filter(|(_, event)| event.kind.is_trouble()) {
        if event.at_unix_ms >= from
            && let Some(sign) = signs.get_mut(column(event.at_unix_ms))
        {
            *sign = ('!', theme.bad);
        }
    }
    if !scene.shown.is_live {
        let here = column(scene.shown.now);
        for sign in signs.iter_mut().skip(here + 1) {
            if sign.0 == '=' {
                sign.0 = '-';
            }
        }
        if let Some(sign) = signs.get_mut(here) {
            *sign = ('x', theme.history);
        }
    }
    let mut pieces: Vec<TextPiece> = Vec::new();
    for (sign, style) in signs {
        match pieces.last_mut() {
            Some(last) if last.style == style => last.text.push(sign),
            _ => pieces.push(TextPiece::new(sign, style)),
        }
    }
    pieces
}

fn keys(parts: &mut LineParts, scene: &ViewScene<'_>) {
    use Command as C;
    let keymap = &scene.app.setup.keymap;
    let mut hint = |rank, commands: &[Command], does: &str| {
        let keys: Vec<String> = commands
            .iter()
            .map(|command| keymap.hint(*command))
            .collect();
        let keys = keys.join(" ");
        if keys.trim().is_empty() {
            return;
        }
        let pieces = vec![
            TextPiece::new(keys, scene.theme.key_hint),
            TextPiece::new(format!(" {does}"), scene.theme.dim),
        ];
        parts.after("  ", scene.theme.text, rank, pieces);
    };
    let is_recorded = matches!(scene.app.setup.source, FactSource::Recording { .. });
    hint(3, &[C::StepBack, C::StepForward], "step");
    hint(4, &[C::JumpBack10s, C::JumpForward10s], "10s");
    if is_recorded {
        hint(
            1,
            &[C::Freeze],
            if scene.app.playing.is_some() {
                "pause"
            } else {
                "play"
            },
        );
    } else if scene.shown.is_live {
        hint(2, &[C::Freeze], "freeze");
    }
    if !scene.shown.is_live {
        hint(1, &[C::Live], if is_recorded { "end" } else { "live" });
    }
}

/// Time of day without milliseconds.
fn hours(at: UnixMs) -> String {
    let text = text::clock_time(at);
    text.split('.').next().unwrap_or_default().to_owned()
}
