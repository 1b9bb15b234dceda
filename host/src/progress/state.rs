//! State of long work: what is under way, for how long, and how much is left.

use std::path::Path;
use std::time::{Duration, Instant};

use leasehold_records::printable;

/// Shortest work whose end is worth a line.
const LONG: Duration = Duration::from_secs(3);

/// Loads of one command.
pub(super) struct LoadState {
    total: usize,
    ended: usize,
    active: Vec<ActiveWork>,
    /// Start of the first work.
    began: Option<Instant>,
    /// Ends of long work that no view has shown.
    news: Vec<String>,
    is_over: bool,
}

/// Work under way.
struct ActiveWork {
    verb: &'static str,
    job: String,
    file: String,
    began: Instant,
}

/// State at one moment, for display.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LoadView {
    /// Number of plugins.
    pub(super) total: usize,
    /// Number of plugins that are loaded or refused.
    pub(super) ended: usize,
    /// Time since the first work began.
    pub(super) lasted: Duration,
    /// Work under way, with the time of each; empty if there is none.
    pub(super) doing: String,
    /// Ends of long work since the last view.
    pub(super) news: Vec<String>,
    pub(super) is_over: bool,
}

impl LoadState {
    pub(super) const fn new(total: usize) -> Self {
        Self {
            total,
            ended: 0,
            active: Vec::new(),
            began: None,
            news: Vec::new(),
            is_over: false,
        }
    }

    pub(super) fn begin(&mut self, verb: &'static str, job: &str, file: &Path, now: Instant) {
        self.began.get_or_insert(now);
        let name = file.file_name().unwrap_or(file.as_os_str());
        self.active.push(ActiveWork {
            verb,
            job: job.to_owned(),
            file: printable::line(&name.to_string_lossy()),
            began: now,
        });
    }

    /// Ends the work for this job, if there is any, and counts its plugin.
    pub(super) fn end(&mut self, job: &str, now: Instant) {
        self.ended += 1;
        let ended = self.active.extract_if(.., |work| work.job == job);
        let longest = ended.max_by_key(|work| now.duration_since(work.began));
        let Some(work) = longest else { return };
        let took = now.duration_since(work.began);
        if took >= LONG {
            let (file, seconds) = (&work.file, took.as_secs_f64());
            let end = format!("{file} took {seconds:.1} s{}", self.left());
            self.news.push(end);
        }
    }

    pub(super) fn end_all(&mut self) {
        self.active.clear();
        self.is_over = true;
    }

    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Returns the state for display.
    pub(super) fn view(&mut self, now: Instant) -> LoadView {
        let mut doing = String::new();
        let mut verb = "";
        for work in &self.active {
            let separator = if doing.is_empty() { "" } else { ", " };
            doing.push_str(separator);
            if work.verb != verb {
                verb = work.verb;
                doing.push_str(verb);
                doing.push(' ');
            }
            let seconds = now.duration_since(work.began).as_secs();
            doing.push_str(&format!("{} {seconds} s", work.file));
        }
        LoadView {
            total: self.total,
            ended: self.ended,
            lasted: self
                .began
                .map_or(Duration::ZERO, |began| now.duration_since(began)),
            doing,
            news: std::mem::take(&mut self.news),
            is_over: self.is_over,
        }
    }

    /// Returns the end of a sentence: the number of plugins that are left, if there are several.
    fn left(&self) -> String {
        left_of(self.total, self.ended)
    }
}

/// Formats how many of several plugins are left.
pub(super) fn left_of(total: usize, ended: usize) -> String {
    if total > 1 {
        format!("; {} of {total} plugins left", total.saturating_sub(ended))
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn view_names_the_work_its_time_and_the_rest() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut state = LoadState::new(3);
        state.end("cached", at(0));
        state.begin("compiling", "a", Path::new("plugins/big.wasm"), at(1));
        state.begin("compiling", "b", Path::new("small\n.wasm"), at(4));
        let view = state.view(at(6));
        assert_eq!(view.doing, "compiling big.wasm 5 s, small⏎.wasm 2 s");
        assert_eq!((view.ended, view.total), (1, 3));
        assert_eq!(view.lasted, Duration::from_secs(5));
        state.end("b", at(5));
        state.end("a", at(9));
        let view = state.view(at(9));
        assert_eq!(view.news, ["big.wasm took 8.0 s; 0 of 3 plugins left"]);
        assert_eq!(view.doing, "");
        assert!(state.view(at(9)).news.is_empty());
    }
}
