//! Drawing of progress: one line of a terminal that is redrawn and cleared, or lines of a log.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike as _};

use super::short_line::ShortLine;
use super::state::{LoadView, left_of};
use crate::sink;

/// Time that work may take before a bar appears.
const BAR_AFTER: Duration = Duration::from_millis(300);
/// Time that work may take before the first line is printed.
const LINE_AFTER: Duration = Duration::from_secs(3);
/// Time between two lines about the same work.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// The bar without colours.
const BAR: &str = "[{bar:10}] {pos}/{len} {msg}";

/// Writer of progress.
pub(super) enum Painter {
    /// A line of a terminal.
    Bar(ProgressBar),
    /// Lines of a log, with the time of the last one since the work began.
    Lines(Option<Duration>),
}

impl Painter {
    /// Chooses a bar if standard error is a terminal that can move its cursor, and notes are wanted there.
    pub(super) fn for_stderr() -> Self {
        let can_redraw = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        if !can_redraw || !io::stderr().is_terminal() || sink::is_quiet() {
            return Self::Lines(None);
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template(BAR);
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        Self::Bar(bar.with_style(style.progress_chars("=> ")))
    }

    pub(super) fn paint(&mut self, view: &LoadView) {
        match self {
            Self::Bar(bar) if view.is_over => bar.finish_and_clear(),
            Self::Bar(bar) => {
                if view.lasted >= BAR_AFTER {
                    bar.set_length(view.total as u64);
                    bar.set_position(view.ended as u64);
                    bar.set_message(message(view, ShortLine::of_stderr().width()));
                    if bar.is_hidden() {
                        // Not before, so that the first drawing is whole.
                        let terminal = Box::new(ShortLine::of_stderr());
                        bar.set_draw_target(ProgressDrawTarget::term_like(terminal));
                    }
                    bar.tick();
                }
            }
            Self::Lines(last) => {
                for line in lines(last, view) {
                    sink::print_warning(&format!("loading: {line}\n"));
                }
            }
        }
    }
}

/// Returns the text after the bar, cut so that it fits one line of a terminal.
fn message(view: &LoadView, columns: u16) -> String {
    let head = format!("[----------] {}/{} ", view.ended, view.total).len();
    let room = usize::from(columns).saturating_sub(head);
    if room == 0 {
        return String::new();
    }
    console::truncate_str(&view.doing, room, "…").into_owned()
}

/// Returns the lines to print now. `last` is the time of the last line.
fn lines(last: &mut Option<Duration>, view: &LoadView) -> Vec<String> {
    let mut lines = view.news.clone();
    let is_due = match last {
        None => view.lasted >= LINE_AFTER,
        Some(last) => view.lasted >= *last + LINE_EVERY,
    };
    if is_due && !view.doing.is_empty() {
        let left = left_of(view.total, view.ended);
        lines.push(format!("{}{left}", view.doing));
    }
    if !lines.is_empty() {
        *last = Some(view.lasted);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(seconds: u64, doing: &str, news: &[&str]) -> LoadView {
        LoadView {
            total: 2,
            ended: 0,
            lasted: Duration::from_secs(seconds),
            doing: doing.to_owned(),
            news: news.iter().map(|text| (*text).to_owned()).collect(),
            is_over: false,
        }
    }

    #[test]
    fn message_is_cut_to_the_terminals_line() {
        let view = view(2, "compiling a.wasm 2 s", &[]);
        assert_eq!(message(&view, 72), "compiling a.wasm 2 s");
        assert_eq!(message(&view, 32), "compiling a.wa…");
        assert_eq!(message(&view, 10), "");
    }

    #[test]
    fn quick_work_prints_nothing_and_long_work_a_line_now_and_then() {
        let mut last = None;
        assert!(lines(&mut last, &view(2, "compiling a.wasm 2 s", &[])).is_empty());
        assert_eq!(
            lines(&mut last, &view(3, "compiling a.wasm 3 s", &[])),
            ["compiling a.wasm 3 s; 2 of 2 plugins left"]
        );
        assert!(lines(&mut last, &view(32, "compiling a.wasm 32 s", &[])).is_empty());
        assert_eq!(
            lines(&mut last, &view(32, "", &["a.wasm took 32.0 s"])).len(),
            1
        );
        assert!(lines(&mut last, &view(61, "compiling b.wasm 29 s", &[])).is_empty());
        assert_eq!(
            lines(&mut last, &view(62, "compiling b.wasm 30 s", &[])).len(),
            1
        );
        assert!(lines(&mut last, &view(99, "", &[])).is_empty());
    }
}
