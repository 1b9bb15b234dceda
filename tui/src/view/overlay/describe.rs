//! Description of the selected row, in full: text is wrapped, not cut.

use leasehold_records::{JobRecord, RunRecord, UnixMs, printable};
use ratatui::Frame;
use ratatui::layout::Rect;

use super::super::layout::inside;
use super::super::paint::TextPiece;
use super::super::scene::ViewScene;
use super::super::{cells, job_reasons, paint, queue_pane, scene, sessions};
use super::scroll::{OverlayLine, plain, scrolled};
use crate::app::RowKey;
use crate::model::{LeaveReason, ObservedLock, QueueEntry, QueueRole, StoreEvent};
use crate::text;

/// Most entries of a queue that are described; the Queue view has all.
const ENTRIES: usize = 500;
/// Columns of a field's name.
const NAME: usize = 13;

/// Lines of a description.
struct Description<'a> {
    scene: &'a ViewScene<'a>,
    width: usize,
    lines: Vec<OverlayLine>,
}

impl Description<'_> {
    /// Adds a field and all of its text.
    fn field(&mut self, name: &str, text: &str) {
        let theme = self.scene.theme;
        let width = self.width.saturating_sub(NAME + 2);
        for (at, line) in paint::wrap(text, width).into_iter().enumerate() {
            let name = if at == 0 { name } else { "" };
            self.lines.push(vec![
                TextPiece::new(format!(" {}", text::fit(name, NAME)), theme.dim),
                TextPiece::new(line, theme.text),
            ]);
        }
    }

    fn head(&mut self, text: &str) {
        if !self.lines.is_empty() {
            self.lines.push(OverlayLine::new());
        }
        self.lines
            .push(plain(format!(" {text}"), self.scene.theme.title));
    }

    /// Adds a moment, and the time since then.
    fn moment(&mut self, name: &str, at: UnixMs) {
        let ago = text::age(self.scene.ago(at));
        self.field(name, &format!("{}, {ago} ago", text::clock_time(at)));
    }
}

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>, top: usize) {
    let mut story = Description {
        scene,
        width: inside(area).width.into(),
        lines: Vec::new(),
    };
    let title = match scene.app.list().selected() {
        None => "Nothing is selected".to_owned(),
        Some(row) => tell(&mut story, row),
    };
    let lines = std::mem::take(&mut story.lines);
    scrolled(frame, area, scene, &title, &lines, top);
}

/// Describes a row, and returns the title.
fn tell(story: &mut Description<'_>, row: &RowKey) -> String {
    let scene = story.scene;
    let state = scene.shown.state;
    match row {
        RowKey::Lock(name) => match state.locks.get(name) {
            Some(found) => lock(story, found),
            None => "This lock no longer exists".into(),
        },
        RowKey::Entry(name, key) => {
            let found = state.locks.get(name).and_then(|lock| {
                let (role, entry) = lock.queue.find(key)?;
                Some((lock, role, entry))
            });
            match found {
                Some((lock, role, found)) => {
                    story.field("lock", &printable::line(&lock.name));
                    entry(story, lock, role, found);
                    runs(story, scene.app.job(scene.now));
                    format!("{} in the queue of {}", found.who.label(), lock.label)
                }
                None => "This entry has been deleted".into(),
            }
        }
        RowKey::Session(lease) => {
            let sessions = scene.app.model.sessions_of(scene.shown, &[*lease]);
            match sessions.iter().find(|session| session.lease == *lease) {
                Some(session) => {
                    let lines = sessions::story(scene, session);
                    story.lines.extend(lines);
                    format!("Session of {}: what goes with its lease", session.whose)
                }
                None => "This session has ended".into(),
            }
        }
        RowKey::Job(name, host) => {
            match scene::job_of(state, name, host) {
                Some(found) => job(story, found),
                None => story.field("job", "its record has been deleted"),
            }
            runs(story, Some((name.clone(), host.clone())));
            format!("Job {name}@{host}")
        }
        RowKey::Event(number) => match scene.app.model.events.get(*number) {
            Some(found) => event(story, found),
            None => "This event is not remembered any more".into(),
        },
    }
}

fn lock(story: &mut Description<'_>, lock: &ObservedLock) -> String {
    let scene = story.scene;
    let row = scene.app.model.row(scene.shown, lock);
    story.field("full name", &printable::line(&lock.name));
    story.field("state", row.state.word());
    match lock.tenancy.since_unix_ms {
        Some(since) => story.moment("so since", since),
        None => story.field("so since", "before this was started"),
    }
    if let Some((before, parting)) = &lock.tenancy.before {
        let how = match parting {
            LeaveReason::Released => "gave it back",
            LeaveReason::Expired => "its lease ended",
            LeaveReason::Forced => "was forced out",
        };
        let text = format!(
            "{}, token {}: {how}",
            before.who.label(),
            before.create_revision
        );
        story.field("before", &text);
    }
    let blast: String = queue_pane::blast(scene, &lock.name)
        .into_iter()
        .map(|piece| piece.text)
        .collect();
    story.field("blocks", blast.trim().trim_start_matches("blast radius: "));
    if let Some(history) = scene.app.model.lock_stats(&lock.name) {
        let now = scene.shown.now;
        let spans = [
            ("held for", &history.holds),
            ("waited for", &history.waits),
            ("hand-off", &history.handoffs),
        ];
        for (name, spans) in spans {
            let of = |percent| cells::span(spans.percentile(percent, now));
            let text = match spans.count(now) {
                0 => "none seen yet".to_owned(),
                count => format!(
                    "p50 {}  p95 {}  of {} seen",
                    of(50),
                    of(95),
                    text::count(count as u64)
                ),
            };
            story.field(name, &text);
        }
        story.field(
            "takeovers",
            &text::count(history.takeovers.count(now) as u64),
        );
    }
    for (role, found) in lock.queue.roles().take(ENTRIES) {
        entry(story, lock, role, found);
    }
    if let Some(more) = lock
        .queue
        .len()
        .checked_sub(ENTRIES)
        .filter(|more| *more > 0)
    {
        story.head(&format!("and {} more", text::count(more as u64)));
    }
    format!("Lock {}", lock.label)
}

fn entry(story: &mut Description<'_>, lock: &ObservedLock, role: QueueRole, entry: &QueueEntry) {
    let scene = story.scene;
    let head = match role {
        QueueRole::Holder => format!("holds: {}", entry.who.label()),
        QueueRole::Waiter(place) => format!("waits at place {place}: {}", entry.who.label()),
    };
    story.head(&head);
    story.field("key", &printable::line(&entry.key));
    story.field(
        "revision",
        &format!("{} (create revision, fencing token)", entry.create_revision),
    );
    if entry.lease.is_none() {
        story.field("lease", "none: it exists until it is deleted");
    } else {
        let ttl = cells::ttl_of(scene.app.model.leases.ttl(entry.lease, scene.shown.now));
        story.field("lease", &format!("{}  ttl {ttl}", entry.lease));
    }
    match entry.since_unix_ms {
        Some(since) => story.moment("joined", since),
        None => story.field("joined", "before this was started"),
    }
    if let Some(also) = queue_pane::also(scene, lock, role, entry, usize::MAX) {
        story.field("also", &also);
    }
}

fn job(story: &mut Description<'_>, job: &JobRecord) {
    story.field("job", &job.job);
    story.field("host", &job.host);
    story.field("lock", &job.lock);
    story.field("state", job.state.as_str());
    story.moment("since", job.since_unix_ms);
    if let Some(token) = job.token {
        story.field("token", &token.to_string());
    }
    if let Some(next) = job.next_unix_ms {
        story.field("next", &text::clock_time(next));
    }
    if let Some(last) = job.last {
        story.field("last run", last.as_str());
    }
    let state = story.scene.shown.state;
    let ran = scene::newest_run(state, &job.job, |run| run.tick_unix_ms.is_some());
    if let Some((ran, tick)) = ran.and_then(|ran| Some((ran, ran.tick_unix_ms?))) {
        let outcome = ran.outcome.as_str();
        let tick = format!("{} on {}: {outcome}", text::clock_time(tick), ran.host);
        story.field("last tick", &tick);
    }
    if let Some(progress) = &job.progress {
        let total = progress
            .total
            .map_or_else(String::new, |total| format!(" of {}", text::count(total)));
        let done = text::count(progress.done);
        story.field("progress", &format!("{done}{total}: {}", progress.message));
    }
    if !job.detail.is_empty() {
        story.field("detail", &job.detail);
    }
    reasons(story, &job.job);
}

/// Adds the reasons for which a job runs or does not, on all hosts.
fn reasons(story: &mut Description<'_>, job: &str) {
    story.head("why it runs or does not");
    for reason in &job_reasons::explain_job(story.scene, job).reasons {
        let hosts = reason.hosts.iter().map(|host| printable::line(host));
        let hosts: Vec<String> = hosts.collect();
        let place = if hosts.is_empty() {
            "everywhere".into()
        } else {
            hosts.join(", ")
        };
        story.field("", &format!("{place}: {}", reason.text));
    }
}

/// Adds the newest run of a job on a host.
fn runs(story: &mut Description<'_>, job: Option<(String, String)>) {
    let Some((job, host)) = job else {
        return;
    };
    let state = story.scene.shown.state;
    if let Some(found) = scene::newest_run(state, &job, |run| run.host == host) {
        run(story, found);
    }
}

fn run(story: &mut Description<'_>, run: &RunRecord) {
    story.head("newest run here");
    story.field("run", &printable::line(&run.run_id));
    story.field("outcome", run.outcome.as_str());
    if let Some(merged) = &run.merged {
        let runs = text::count(merged.runs);
        let since = text::clock_time(merged.first_started_unix_ms);
        let tokens = format!("since {since}, from token {} on", merged.first_token);
        story.field(
            "one of",
            &format!("{runs} like it {tokens}; this is the last"),
        );
    }
    if !run.detail.is_empty() {
        story.field("why", &run.detail);
    }
    story.field(
        "token",
        &format!(
            "{}, run {} under it",
            run.token,
            u64::from(run.sequence) + 1
        ),
    );
    story.field("attempt", &run.attempt.to_string());
    story.moment("started", run.started_unix_ms);
    let Some(ended) = run.ended_unix_ms else {
        story.field("host calls", "counted when it ends");
        run_of_what(story, run);
        return;
    };
    story.moment("ended", ended);
    let calls = format!(
        "{} let through, {} refused",
        text::count(run.calls_admitted),
        text::count(run.calls_refused)
    );
    story.field("host calls", &calls);
    story.field("memory", &text::bytes(run.peak_memory_bytes));
    run_of_what(story, run);
}

/// Adds the plugin of a run and the entry of its lock.
fn run_of_what(story: &mut Description<'_>, run: &RunRecord) {
    story.field("plugin", &printable::line(&run.plugin_sha256));
    if !run.lock_key.is_empty() {
        story.field("entry", &printable::line(&run.lock_key));
    }
}

fn event(story: &mut Description<'_>, event: &StoreEvent) -> String {
    story.moment("seen", event.at_unix_ms);
    if event.revision.is_none() {
        story.field("revision", "none: nothing in the store changed");
    } else {
        story.field("revision", &event.revision.to_string());
    }
    if let Some(lock) = &event.lock {
        story.field("lock", lock);
    }
    story.field("what", &event.kind.sentence());
    if event.kind.is_trouble() {
        story.field("", "this needs attention");
    }
    format!("Event {}", event.kind.word())
}
