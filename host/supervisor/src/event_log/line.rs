//! One event as one line, in each form; a report takes a line for each of its own. The text of the log becomes
//! printable here, whatever its origin. No event can break a line in two or move a terminal's cursor.

use std::fmt::Write as _;

use leasehold_lock::BootTime;
use leasehold_records::printable;
use serde::Serialize;

use super::Form;
use crate::event::{Event, EventContext, EventKind};

/// Colours of hosts in a story: blue, green, magenta, cyan and yellow, which differ well on both dark and light
/// backgrounds.
const COLOURS: [u8; 5] = [34, 32, 35, 36, 33];

/// Formats an event as its line, or lines, with their ends; empty when this form leaves the event out.
pub(super) fn of(event: &Event, form: Form) -> String {
    match form {
        Form::Json => json(event),
        Form::Text => text(event),
        Form::Story { began, colours } => story(event, began, colours),
    }
}

#[derive(Serialize)]
struct JsonLine<'a> {
    time: String,
    boot_ns: u64,
    host: &'a str,
    #[serde(flatten)]
    context: &'a EventContext,
    #[serde(flatten)]
    kind: &'a EventKind,
}

fn json(event: &Event) -> String {
    let line = JsonLine {
        time: humantime::format_rfc3339_millis(event.wall).to_string(),
        boot_ns: event.at.as_nanos(),
        host: &event.host,
        context: &event.context,
        kind: &event.kind,
    };
    printable::json_line(&line)
}

fn text(event: &Event) -> String {
    let host = &event.host;
    let time = humantime::format_rfc3339_millis(event.wall);
    let job = event.context.job.as_deref().unwrap_or("-");
    let head = printable::whole(&format!("{time} {host:<10} {job:<14}"));
    let mut line = format!("{head} {}", sentence(&event.kind));
    if let Some(token) = event.context.token
        && !matches!(
            event.kind,
            EventKind::Guest { .. } | EventKind::Progress { .. }
        )
    {
        let _ = write!(line, "  (token {token})");
    }
    let mut line = printable::whole(&line);
    line.push('\n');
    for further in more(&event.kind) {
        let _ = writeln!(line, "{}", format!("{head}  | {further}").trim_end());
    }
    line
}

fn story(event: &Event, began: BootTime, colours: bool) -> String {
    // The line before shows this already.
    if matches!(
        event.kind,
        EventKind::RunStarted { .. } | EventKind::Progress { .. } | EventKind::Blocked { .. }
    ) {
        return String::new();
    }
    let paint = |code: u8, text: String| {
        let text = printable::whole(&text);
        if colours {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text
        }
    };
    let seconds = event.at.since(began).as_secs_f64();
    let kind = match &event.kind {
        EventKind::Note { text } => {
            return format!("{seconds:8.3} {}\n", paint(1, format!(">>> {text}")));
        }
        // A narrow terminal has no room for the holder, and the line above shows it.
        EventKind::Waiting { place, .. } => format!("WAITING    {place} ahead"),
        // The fields repeat the other columns.
        EventKind::Guest {
            stream,
            level,
            text,
            ..
        } => printable::whole(&format!("{}| {text}", level.unwrap_or(stream))),
        EventKind::Acquired { .. } => {
            let token = event.context.token.unwrap_or_default();
            paint(1, format!("{}  (token {token})", sentence(&event.kind)))
        }
        kind => printable::whole(&sentence(kind)),
    };
    let number = event
        .host
        .bytes()
        .fold(0, |sum: usize, byte| sum + usize::from(byte));
    let host = paint(
        COLOURS[number % COLOURS.len()],
        format!("{:<7}", event.host),
    );
    let job = printable::whole(event.context.job.as_deref().unwrap_or("-"));
    let head = format!("{seconds:8.3} {host} {job:<10}");
    let mut line = format!("{head} {kind}\n");
    for further in more(&event.kind) {
        let _ = writeln!(line, "{}", format!("{head}  | {further}").trim_end());
    }
    line
}

fn sentence(kind: &EventKind) -> String {
    match kind {
        EventKind::HostStarted { pid, version, jobs } => {
            format!("HOST       leasehold {version} started, pid {pid}, {jobs} job(s)")
        }
        EventKind::StoreConnected { .. }
        | EventKind::StoreOpened { .. }
        | EventKind::StoreClosed
        | EventKind::StoreTrouble { .. }
        | EventKind::StoreLost { .. }
        | EventKind::StoreBack { .. } => store(kind),
        EventKind::IdBusy { .. }
        | EventKind::IdTaken { .. }
        | EventKind::IdLost { .. }
        | EventKind::IdRegained { .. } => host_id(kind),
        EventKind::Waiting { place, holder } => match holder {
            Some(holder) => format!("WAITING    {place} ahead, held by {holder}"),
            None => format!("WAITING    {place} ahead"),
        },
        EventKind::Blocked { by, .. } => format!("BLOCKED    by {by}, who holds the lock"),
        EventKind::Acquired { wait_ms } => format!("ACQUIRED   after {wait_ms} ms"),
        EventKind::RunStarted {
            attempt,
            trigger,
            tick,
            ..
        } => {
            let mut line = format!("RUN        attempt {attempt}, {trigger}");
            if let Some(tick) = tick {
                let _ = write!(line, " of {tick}");
            }
            line
        }
        EventKind::Guest {
            stream,
            level,
            text,
            fields,
        } => {
            let mut line = format!("{}| {text}", level.unwrap_or(stream));
            for (name, value) in fields {
                let _ = write!(line, " {name}={value}");
            }
            line
        }
        EventKind::Progress {
            done,
            total,
            message,
        } => match total {
            Some(total) => format!("progress   {done}/{total} {message}"),
            None => format!("progress   {done} {message}"),
        },
        EventKind::LockLost { reason } => format!("LOST       {reason}"),
        EventKind::RunEnded {
            outcome,
            detail,
            refused,
            ..
        } => {
            let mut line = format!("ENDED      {outcome}");
            if !detail.is_empty() {
                let _ = write!(line, ": {detail}");
            }
            if *refused > 0 {
                let _ = write!(line, " [{refused} late call(s) refused]");
            }
            line
        }
        EventKind::Released { confirmed: true } => "RELEASED".into(),
        EventKind::Released { confirmed: false } => {
            "RELEASED   not confirmed by the store yet; the entry is deleted with its lease at the latest"
                .into()
        }
        EventKind::Skipped { .. }
        | EventKind::TickUnmarked { .. }
        | EventKind::TickDisbelieved { .. }
        | EventKind::StandingBack { .. }
        | EventKind::Quarantined { .. }
        | EventKind::Backoff { .. } => no_run(kind),
        EventKind::JobFailed { error } => format!("FAILED     {error}"),
        EventKind::JobFinished => "FINISHED".into(),
        EventKind::JobAdded { .. }
        | EventKind::JobChanged { .. }
        | EventKind::JobRemoved
        | EventKind::PluginRefused { .. }
        | EventKind::ConfigRefused { .. }
        | EventKind::ConfigGone { .. }
        | EventKind::ConfigReloaded { .. } => change(kind),
        EventKind::SignalIgnored { signal } => format!(
            "SIGNAL     {signal} is ignored, now and later; SIGTERM stops the host, SIGHUP reloads"
        ),
        EventKind::HostStopping { reason } => format!("STOPPING   {reason}"),
        EventKind::HostStopped => "STOPPED".into(),
        EventKind::Note { text } => format!("NOTE       {text}"),
        EventKind::LinesDropped { count } => {
            format!("LOG        {count} line(s) dropped because this log was not read")
        }
    }
}

/// Formats events about the connection to the store.
fn store(kind: &EventKind) -> String {
    match kind {
        EventKind::StoreConnected {
            endpoint,
            cluster_id,
            certificate_until,
        } => {
            let mut line = format!("STORE      connected to {endpoint}, cluster {cluster_id}");
            if let Some(until) = certificate_until {
                let _ = write!(line, "; our certificate holds until {until}");
            }
            line
        }
        EventKind::StoreOpened { data, endpoints } => {
            let mut line = format!("STORE      {data}; endpoints = {endpoints:?}");
            if let Some(address) = endpoints.iter().find(|at| at.starts_with("http")) {
                let _ = write!(line, "; etcdctl --endpoints {address}");
            }
            line
        }
        EventKind::StoreClosed => "STORE      closed".into(),
        EventKind::StoreTrouble { error } => format!("STORE      trouble: {error}"),
        EventKind::StoreLost { silent_ms } => format!(
            "STORE      lost: no answer for {silent_ms} ms; runs go on until their locks' deadlines"
        ),
        EventKind::StoreBack { away_ms } => format!("STORE      back after {away_ms} ms"),
        _ => String::new(),
    }
}

/// Formats events about the host's id.
fn host_id(kind: &EventKind) -> String {
    match kind {
        EventKind::IdBusy { id, holder } => {
            format!("HOST       waiting to see whether {holder}, which has the id {id}, is alive")
        }
        EventKind::IdTaken { id, name, holder } => {
            format!("HOST       the id {id} belongs to {holder}; this process is {name}")
        }
        EventKind::IdLost { id, holder } => format!(
            "HOST       the id {id} was taken by {holder} while this host could not renew it; the records of \
             both overwrite each other: stop one of them"
        ),
        EventKind::IdRegained { id } => format!("HOST       has the id {id} again"),
        _ => String::new(),
    }
}

/// Formats events about a run that did not start, or that may start a second time.
fn no_run(kind: &EventKind) -> String {
    match kind {
        EventKind::Skipped { reason } => format!("SKIPPED    {reason}"),
        EventKind::TickUnmarked { tick, error } => {
            format!("UNMARKED   the tick of {tick} may be run again: {error}")
        }
        EventKind::TickDisbelieved {
            tick,
            by,
            its_clock,
            our_clock,
        } => format!(
            "CLOCK      {by} claimed the tick of {tick} when its clock showed {its_clock}, and ours shows {our_clock}: \
             it is not believed and written over; set the clock of {by}, and keep it right with chrony or ntpd"
        ),
        EventKind::StandingBack { reason } => {
            format!("STANDBACK  other hosts may run it meanwhile: {reason}")
        }
        EventKind::Quarantined {
            sha256,
            until,
            file,
        } => format!(
            "QUARANTINE this host's process died while plugin sha256 {} was in its first run: it is not run before \
             {until}, unless its file is replaced or {file} removed",
            short(sha256)
        ),
        EventKind::Backoff { delay_ms, reason } => {
            format!("BACKOFF    again in {delay_ms} ms: {reason}")
        }
        _ => String::new(),
    }
}

/// Formats changes of the jobs of a running host.
fn change(kind: &EventKind) -> String {
    match kind {
        EventKind::JobAdded { plugin, sha256 } => {
            format!("ADDED      {plugin}, sha256 {}", short(sha256))
        }
        EventKind::JobChanged {
            plugin,
            sha256,
            from,
            why,
        } => {
            let mut line = format!("CHANGED    {from}; {plugin}, sha256 {}", short(sha256));
            if let Some(why) = why {
                let _ = write!(line, ": {why}");
            }
            line
        }
        EventKind::JobRemoved => "REMOVED".into(),
        EventKind::PluginRefused { file, error, kept } => {
            let goes_on = if *kept {
                "; the version before goes on"
            } else {
                ""
            };
            if is_report(error) {
                format!("REFUSED    {file}{goes_on}:")
            } else {
                format!("REFUSED    {file}: {}{goes_on}", error.trim_end())
            }
        }
        EventKind::ConfigRefused { .. } => {
            "REFUSED    the configuration; everything goes on as before:".into()
        }
        EventKind::ConfigGone { file } => {
            format!("CONFIG     {file} is missing; everything goes on as before, until a restart")
        }
        EventKind::ConfigReloaded {
            added,
            changed,
            removed,
            restart,
        } => {
            let mut line =
                format!("RELOADED   {added} added, {changed} changed, {removed} removed");
            if let Some(restart) = restart {
                let _ = write!(line, "; {restart}");
            }
            line
        }
        _ => String::new(),
    }
}

/// Returns the start of a digest: enough to distinguish two.
fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

/// True for the report of a configuration or of a file beside a plugin, whose line ends are kept. Line ends in any
/// other text come from elsewhere, such as the name of a file.
fn is_report(error: &str) -> bool {
    error.starts_with("error: ") && error.trim_end().contains('\n')
}

/// Returns further lines of an event: a report that is read line by line.
fn more(kind: &EventKind) -> impl Iterator<Item = String> {
    let report = match kind {
        EventKind::ConfigRefused { error } => error.as_str(),
        EventKind::PluginRefused { error, .. } if is_report(error) => error,
        _ => "",
    };
    report.lines().map(printable::line)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn event(host: &str, token: Option<u64>, kind: EventKind) -> Event {
        Event {
            host: host.into(),
            at: BootTime::from_nanos(5_250_000_000),
            wall: SystemTime::UNIX_EPOCH + Duration::from_millis(1_500),
            context: EventContext {
                job: Some("ledger".into()),
                token,
                ..EventContext::default()
            },
            kind,
        }
    }

    fn guest() -> EventKind {
        EventKind::Guest {
            stream: "log",
            level: Some("info"),
            text: "moved 5".into(),
            fields: vec![("token".into(), "7".into())],
        }
    }

    #[test]
    fn every_form_names_the_host_that_spoke() {
        let text = of(&event("dev-1", Some(7), guest()), Form::Text);
        insta::assert_snapshot!(
            text,
            @"1970-01-01T00:00:01.500Z dev-1      ledger         info| moved 5 token=7"
        );
        let blocked = EventKind::Blocked {
            by: "ledger@dev-2".into(),
            holder: "/leasehold/locks/ledger/7".into(),
        };
        let text = of(&event("dev-1", None, blocked), Form::Text);
        insta::assert_snapshot!(
            text,
            @"1970-01-01T00:00:01.500Z dev-1      ledger         BLOCKED    by ledger@dev-2, who holds the lock"
        );
        let json = of(&event("dev-1", Some(7), guest()), Form::Json);
        let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
        assert_eq!(
            (&json["host"], &json["event"]),
            (&"dev-1".into(), &"guest".into())
        );
        assert_eq!(json["boot_ns"], 5_250_000_000_u64);
    }

    /// Escape, line end, bell, C1 and a direction mark, as the name of a file or the message of a server may
    /// contain them.
    const HOSTILE: &str = "x\u{1b}]0;owned\u{7}\n1970-01-01T00:00:02.000Z dev-1 ledger RELEASED\u{9b}2J\u{202e}\u{2028}";

    #[test]
    fn no_text_forges_a_line_or_reaches_the_terminal_raw() {
        let host = |name: &str| event(name, None, EventKind::HostStopped);
        let events = [
            host(HOSTILE),
            event(
                "dev-1",
                None,
                EventKind::PluginRefused {
                    file: HOSTILE.into(),
                    error: HOSTILE.into(),
                    kept: false,
                },
            ),
            event(
                "dev-1",
                None,
                EventKind::StoreTrouble {
                    error: HOSTILE.into(),
                },
            ),
            event(
                "dev-1",
                None,
                EventKind::Waiting {
                    place: 1,
                    holder: Some(HOSTILE.into()),
                },
            ),
            event(
                "dev-1",
                None,
                EventKind::Note {
                    text: HOSTILE.into(),
                },
            ),
        ];
        let story = |colours| Form::Story {
            began: BootTime::from_nanos(0),
            colours,
        };
        for event in &events {
            for form in [Form::Text, Form::Json, story(false), story(true)] {
                let line = of(event, form);
                assert_eq!(line.matches('\n').count(), 1, "{line:?}");
                for escape in [
                    "\u{1b}]", "\u{7}", "\u{9b}", "\u{202e}", "\u{2028}", "\n1970",
                ] {
                    assert!(!line.contains(escape), "{line:?}");
                }
            }
        }
        let json: serde_json::Value = serde_json::from_str(&of(&events[2], Form::Json)).unwrap();
        assert_eq!(json["error"], HOSTILE);
    }

    #[test]
    fn refused_configuration_is_a_report_with_a_log_line_for_each_line() {
        let error = "error: unknown key `x\u{1b}`\n --> one.toml:1:1\n\n1 error in one.toml";
        let refused = EventKind::ConfigRefused {
            error: error.into(),
        };
        let text = of(&event("dev-1", None, refused.clone()), Form::Text);
        let head = "1970-01-01T00:00:01.500Z dev-1      ledger        ";
        let lines: Vec<&str> = text
            .lines()
            .map(|line| line.strip_prefix(head).unwrap())
            .collect();
        assert_eq!(
            lines,
            [
                " REFUSED    the configuration; everything goes on as before:",
                "  | error: unknown key `x\u{fffd}`",
                "  |  --> one.toml:1:1",
                "  |",
                "  | 1 error in one.toml",
            ]
        );
        let json = of(&event("dev-1", None, refused), Form::Json);
        assert_eq!(json.lines().count(), 1);
        let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
        assert_eq!(json["error"], error);
    }

    #[test]
    fn a_wrong_clock_and_a_lack_are_told_with_host_cause_and_remedy() {
        let disbelieved = EventKind::TickDisbelieved {
            tick: "2031-01-08T00:00:00Z".into(),
            by: "web3".into(),
            its_clock: "2031-01-08T00:00:01Z".into(),
            our_clock: "2026-11-30T00:00:02Z".into(),
        };
        insta::assert_snapshot!(
            sentence(&disbelieved),
            @"CLOCK      web3 claimed the tick of 2031-01-08T00:00:00Z when its clock showed 2031-01-08T00:00:01Z, and ours shows 2026-11-30T00:00:02Z: it is not believed and written over; set the clock of web3, and keep it right with chrony or ntpd"
        );
        let lacking = EventKind::StandingBack {
            reason: "no free slot on this host (max_runs = 32)".into(),
        };
        insta::assert_snapshot!(
            sentence(&lacking),
            @"STANDBACK  other hosts may run it meanwhile: no free slot on this host (max_runs = 32)"
        );
    }

    #[test]
    fn a_story_has_seconds_and_bold_acquisitions_and_leaves_out_what_repeats() {
        let story = |colours| Form::Story {
            began: BootTime::from_nanos(1_000_000_000),
            colours,
        };
        let events = [
            event("dev-1", Some(7), EventKind::Acquired { wait_ms: 12 }),
            event("dev-1", Some(7), guest()),
            event(
                "dev-2",
                None,
                EventKind::Waiting {
                    place: 1,
                    holder: Some("ledger@dev-1".into()),
                },
            ),
            event(
                "dev-2",
                None,
                EventKind::RunStarted {
                    attempt: 1,
                    trigger: "restart",
                    tick: None,
                    plugin_sha256: "00".into(),
                },
            ),
            event(
                "dev",
                None,
                EventKind::Note {
                    text: "dev-1 is cut off".into(),
                },
            ),
        ];
        let lines = |form| {
            events
                .iter()
                .map(|event| of(event, form))
                .collect::<String>()
        };
        let plain = lines(story(false));
        insta::assert_snapshot!(plain.trim_start(), @r"
        4.250 dev-1   ledger     ACQUIRED   after 12 ms  (token 7)
           4.250 dev-1   ledger     info| moved 5
           4.250 dev-2   ledger     WAITING    1 ahead
           4.250 >>> dev-1 is cut off
        ");
        let coloured = lines(story(true));
        assert!(
            coloured.contains("\u{1b}[1mACQUIRED   after 12 ms  (token 7)\u{1b}[0m"),
            "{coloured}"
        );
    }
}
