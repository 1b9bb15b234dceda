//! The Heatmap view: depth of each lock's queue over time, up to the shown moment.
//!
//! ```text
//! | LOCK                  MAX  ...::--==++**##%%@@                     |
//! | billing/invoice-07     17  |    .::::---===+++***###               |
//! |                            -8m       -6m       -4m       -2m   now |
//! | waiting: . free  : 0  - 1  = 2  + 3  * 5  # 8  % 13  @ 21   5s each |
//! ```

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use leasehold_records::UnixMs;

use super::layout::{inside, window};
use super::paint::{self, TextPiece};
use super::scene::ViewScene;
use super::table;
use super::{cells, empty, locks, pane};
use crate::app::{App, RowKey};
use crate::text;

/// Span of a column, in milliseconds.
const BUCKET: u64 = 5_000;
/// Most columns: the statistics of a lock seldom reach further back.
const MOST: usize = 360;
/// Columns between two times on the axis.
const TICK: usize = 12;
/// Lines below the rows: the axis and the legend.
const BELOW: u16 = 2;

/// Widths of the parts of a row.
#[derive(Clone, Copy)]
struct HeatmapLayout {
    label: usize,
    buckets: usize,
}

impl HeatmapLayout {
    /// Columns of the mark, the deepest queue, and the gaps.
    const OTHERS: usize = 1 + 1 + 5 + 2;

    fn fit(width: u16) -> Self {
        let width = usize::from(width);
        let label = (width / 4).clamp(12, 44);
        let buckets = width.saturating_sub(label + Self::OTHERS).min(MOST);
        Self { label, buckets }
    }

    const fn left(self) -> usize {
        self.label + Self::OTHERS
    }
}

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, app: &mut App, now: UnixMs) {
    let inner = inside(area);
    let below = BELOW.min(inner.height);
    let list_area = Rect {
        height: inner.height - below,
        ..inner
    };
    let (rows, range) = window(app, list_area, 1);
    let scene = ViewScene::new(app, now);
    let list = app.list();
    let title = locks::title(&scene);
    pane::list(frame, area, &scene, &title, &pane::place(list));
    let columns = HeatmapLayout::fit(inner.width);
    let buffer = frame.buffer_mut();
    head(buffer, inner, &scene, columns);
    let first = range.start;
    for (at, key) in list.rows().iter().enumerate().take(range.end).skip(first) {
        let RowKey::Lock(name) = key else {
            continue;
        };
        let line = paint::row(rows, u16::try_from(at - first).unwrap_or(u16::MAX));
        row(buffer, line, &scene, columns, name);
        if list.position() == Some(at) {
            // The depths keep their own styles: reversed, light and heavy would be mixed up.
            let label = u16::try_from(columns.left())
                .unwrap_or(u16::MAX)
                .min(line.width);
            table::select(
                buffer,
                Rect {
                    width: label,
                    ..line
                },
                scene.theme,
            );
        }
    }
    let foot = Rect::new(inner.x, rows.bottom(), inner.width, below);
    axis(buffer, foot, &scene, columns);
    legend(buffer, foot, &scene);
    empty::render(frame, rows, &scene);
}

fn head(buffer: &mut Buffer, area: Rect, scene: &ViewScene<'_>, columns: HeatmapLayout) {
    let label = text::fit("LOCK", columns.label);
    let head = format!(" {label} {}  ENTRIES OVER TIME", text::fit_right("MOST", 5));
    paint::line(buffer, area, 0, &[TextPiece::new(head, scene.theme.header)]);
}

fn row(buffer: &mut Buffer, area: Rect, scene: &ViewScene<'_>, columns: HeatmapLayout, name: &str) {
    let theme = scene.theme;
    let history = scene.app.model.lock_stats(name);
    let depths = history.map_or_else(Vec::new, |history| {
        history.depths(scene.shown.now, BUCKET, columns.buckets)
    });
    let most = depths
        .iter()
        .flatten()
        .max()
        .map_or("-".to_owned(), u16::to_string);
    let label = text::fit(&scene.label(name), columns.label);
    let head = format!(" {label} {}  ", text::fit_right(&most, 5));
    let mut pieces = vec![TextPiece::new(head, theme.text)];
    for depth in depths {
        let (sign, style) = match depth {
            Some(depth) => {
                let level = cells::level(depth);
                (cells::sign(level), theme.heat(level))
            }
            None => (' ', Style::new()),
        };
        match pieces.last_mut() {
            Some(last) if last.style == style && last.text.len() < columns.buckets => {
                last.text.push(sign);
            }
            _ => pieces.push(TextPiece::new(sign, style)),
        }
    }
    paint::line(buffer, area, 0, &pieces);
}

/// Times below the columns, at their right ends.
fn axis(buffer: &mut Buffer, area: Rect, scene: &ViewScene<'_>, columns: HeatmapLayout) {
    let mut line = vec![b' '; columns.buckets];
    let mut end = columns.buckets;
    while end > 0 {
        let ago = (columns.buckets - end) as u64 * BUCKET;
        let tick = match (ago, scene.shown.is_live) {
            (0, true) => "now".to_owned(),
            (0, false) => text::clock_time(scene.shown.now),
            _ if ago.is_multiple_of(60_000) => format!("-{}m", ago / 60_000),
            _ => format!("-{}", text::age(ago)),
        };
        let tick = format!("{tick}^");
        if let Some(start) = end.checked_sub(tick.len()) {
            line[start..end].copy_from_slice(tick.as_bytes());
        }
        let Some(next) = end.checked_sub(TICK.max(tick.len() + 1)) else {
            break;
        };
        end = next;
    }
    let line = String::from_utf8(line).unwrap_or_default();
    let text = format!("{}{line}", " ".repeat(columns.left()));
    paint::line(buffer, area, 0, &[TextPiece::new(text, scene.theme.dim)]);
}

fn legend(buffer: &mut Buffer, area: Rect, scene: &ViewScene<'_>) {
    let theme = scene.theme;
    let mut pieces = vec![
        TextPiece::new(" waiting: ", theme.dim),
        TextPiece::new(cells::sign(0), theme.heat(0)),
        TextPiece::new(" free", theme.dim),
    ];
    for level in 1..crate::theme::HEAT_LEVELS {
        let Some(waiting) = cells::waiting_at(level) else {
            continue;
        };
        pieces.push(TextPiece::new(
            format!("  {}", cells::sign(level)),
            theme.heat(level),
        ));
        let more = if level > 4 { "+" } else { "" };
        pieces.push(TextPiece::new(format!(" {waiting}{more}"), theme.dim));
    }
    let each = text::age(BUCKET);
    pieces.push(TextPiece::new(format!("   each {each}"), theme.dim));
    paint::line(buffer, area, 1, &pieces);
}
