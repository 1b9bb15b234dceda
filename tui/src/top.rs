//! Modes of the dashboard: screen, one print, stream, and replay.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use leasehold_lock::{ConnectOptions, FeedItem, LeaseId, Locks, StoreError};
use leasehold_records::{Root, UnixMs};
use tokio_util::sync::CancellationToken;

use crate::app::{App, AppSetup, FactSource};
use crate::args::DashboardArgs;
use crate::error::TopError;
use crate::fact::{Fact, FactKind};
use crate::filter::Filter;
use crate::keymap::DashboardSettings;
use crate::model::{KeyScope, Model, StoreLink};
use crate::out::{OutputFormat, StreamLine, print_locks};
use crate::screen::{ScreenEnd, ScreenFeed, run};
use crate::source::{self, LiveSource, Recorder, now, read_recording};
use crate::theme::{Theme, ThemeName};

/// Time limit of the first reading in `--once`.
const PATIENCE: Duration = Duration::from_secs(15);
/// Concurrent requests about leases in `--once`.
const AT_ONCE: usize = 16;

/// Runs the dashboard as `args` select, on the store that `options` reach.
///
/// # Errors
///
/// [`TopError`] when the store, the terminal or a file cannot be used.
pub async fn top(options: ConnectOptions, root: Root, args: DashboardArgs) -> Result<(), TopError> {
    if args.replay.is_some() {
        return replay(args).await;
    }
    check_terminal(&args)?;
    let filter = parse_filter(&args)?;
    let scope = KeyScope::new(root, args.prefix.clone());
    if args.needs_terminal() {
        // Errors in the settings are reported before the store is used.
        read_settings(&args)?;
    }
    let locks = Locks::connect(options).await?;
    if args.once {
        let printed = print_once(
            &locks,
            scope,
            &filter,
            args.format.unwrap_or(OutputFormat::Table),
        )
        .await;
        locks.close().await;
        return printed;
    }
    if args.stream {
        let recorder = create_recorder(&locks, &scope, &args)?;
        return print_on(locks, scope, &filter, recorder).await;
    }
    show(locks, scope, args, CancellationToken::new())
        .await
        .map(drop)
}

/// Shows a store that is connected already, until the user quits or `until` is cancelled. Returns true if the user
/// quit.
///
/// # Errors
///
/// [`TopError`] when the terminal or a file cannot be used.
pub async fn watch(
    locks: Locks,
    root: Root,
    args: DashboardArgs,
    until: CancellationToken,
) -> Result<bool, TopError> {
    let scope = KeyScope::new(root, args.prefix.clone());
    Ok(show(locks, scope, args, until).await? == ScreenEnd::Quit)
}

async fn show(
    locks: Locks,
    scope: KeyScope,
    args: DashboardArgs,
    until: CancellationToken,
) -> Result<ScreenEnd, TopError> {
    let recorder = create_recorder(&locks, &scope, &args)?;
    let setup = build_setup(&args, FactSource::Store(locks.endpoints().join(", ")))?;
    let live = LiveSource::start(&locks, &scope, &setup.operator);
    let app = apply_args(App::new(Model::new(scope), setup), &args)?;
    run_on_screen(app, ScreenFeed::Live { live, recorder }, until).await
}

fn create_recorder(
    locks: &Locks,
    scope: &KeyScope,
    args: &DashboardArgs,
) -> Result<Option<Recorder>, TopError> {
    let create = |file| Recorder::create(file, scope, &locks.endpoints().join(", "));
    Ok(args.record.as_deref().map(create).transpose()?)
}

async fn replay(args: DashboardArgs) -> Result<(), TopError> {
    check_terminal(&args)?;
    let Some(path) = &args.replay else {
        return Ok(());
    };
    let recording = read_recording(path)?;
    let began = recording
        .facts
        .first()
        .map_or(UnixMs::default(), |fact| fact.at_unix_ms);
    let ended = recording
        .facts
        .last()
        .map_or(UnixMs::default(), |fact| fact.at_unix_ms);
    let file = path.display().to_string();
    let setup = build_setup(&args, FactSource::Recording { file, ended })?;
    let most = recording.changes + 1;
    let mut model = Model::bounded(recording.scope, most, most * 2);
    for fact in recording.facts {
        model.apply(fact);
    }
    model.seek(ended, began);
    let app = apply_args(App::new(model, setup), &args)?;
    let until = CancellationToken::new();
    run_on_screen(app, ScreenFeed::Told, until).await.map(drop)
}

/// Runs on a thread of its own, which has the terminal.
async fn run_on_screen(
    mut app: App,
    mut feed: ScreenFeed,
    until: CancellationToken,
) -> Result<ScreenEnd, TopError> {
    let handle = tokio::runtime::Handle::current();
    let shown = tokio::task::spawn_blocking(move || {
        let ended = handle.block_on(run(&mut app, &mut feed, until));
        (ended, feed)
    });
    match shown.await {
        Ok((ended, feed)) => {
            if let ScreenFeed::Live { live, recorder } = feed {
                live.close().await;
                if let Some(mut recorder) = recorder {
                    recorder.flush()?;
                }
            }
            ended.map_err(TopError::Terminal)
        }
        Err(error) => Err(TopError::Terminal(io::Error::other(error))),
    }
}

fn check_terminal(args: &DashboardArgs) -> Result<(), TopError> {
    if !args.needs_terminal() {
        return Ok(());
    }
    let is_there = io::stdin().is_terminal() && io::stdout().is_terminal();
    let lack = if !is_there {
        "there is no terminal to draw on"
    } else if !can_draw() {
        "this terminal cannot be drawn on: TERM is `dumb`; set TERM to what it is, as in TERM=xterm-256color"
    } else {
        return Ok(());
    };
    Err(TopError::Usage(format!(
        "{lack}\n  = help: --once prints every lock, --stream prints what happens"
    )))
}

/// Returns true if the terminal can move its cursor, by its name in `TERM`.
pub fn can_draw() -> bool {
    std::env::var_os("TERM").is_none_or(|name| name != "dumb")
}

fn parse_filter(args: &DashboardArgs) -> Result<Filter, TopError> {
    let text = args.filter.as_deref().unwrap_or("");
    Filter::parse(text).map_err(|error| TopError::Usage(format!("--filter: {error}")))
}

fn read_settings(args: &DashboardArgs) -> Result<DashboardSettings, TopError> {
    let Some(file) = &args.keys else {
        return Ok(DashboardSettings::default());
    };
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|error| TopError::Usage(format!("cannot read {name}: {error}")))?;
    DashboardSettings::from_toml(&text, &name).map_err(|errors| TopError::Keys(errors.to_string()))
}

fn build_setup(args: &DashboardArgs, source: FactSource) -> Result<AppSetup, TopError> {
    let settings = read_settings(args)?;
    let env = |name: &str| std::env::var(name).ok();
    let theme = args.theme.or(settings.theme).unwrap_or(ThemeName::Auto);
    Ok(AppSetup {
        keymap: settings.keymap,
        theme: Theme::choose(theme, &env),
        env,
        mouse: !args.no_mouse && settings.mouse.unwrap_or(true),
        allow_write: args.allow_write,
        source,
        operator: operator(),
        zone: leasehold_orders::until::local_zone(),
    })
}

/// Returns the name of the operator in records of actions: the user and the machine of this process.
pub fn operator() -> String {
    let env = |name: &str| std::env::var(name).ok();
    let user = env("USER").or_else(|| env("LOGNAME"));
    let system = rustix::system::uname();
    operator_name(user, &system.nodename().to_string_lossy())
}

/// Name of the operator in the audit: the user's number if the environment has no name.
fn operator_name(user: Option<String>, machine: &str) -> String {
    let user = user.filter(|name| !name.is_empty());
    let user = user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    format!("{user}@{machine}")
}

fn apply_args(mut app: App, args: &DashboardArgs) -> Result<App, TopError> {
    app.filter = parse_filter(args)?;
    if let Some(view) = args.view {
        app.view = view;
    }
    Ok(app)
}

async fn print_once(
    locks: &Locks,
    scope: KeyScope,
    filter: &Filter,
    form: OutputFormat,
) -> Result<(), TopError> {
    let mut feed = source::feed(locks, &scope);
    let mut model = Model::new(scope);
    let slow = || StoreError::Unknown(format!("nothing was read within {PATIENCE:?}"));
    let until = tokio::time::Instant::now() + PATIENCE;
    while model.link != StoreLink::Live {
        let next = tokio::time::timeout_at(until, feed.next()).await;
        match next.map_err(|_| slow())?.ok_or_else(slow)? {
            FeedItem::Down { reason } => return Err(TopError::Unread(reason)),
            item => model.apply(Fact {
                at_unix_ms: now(),
                kind: FactKind::Keys(item),
            }),
        }
    }
    warn_denied(&model.denied);
    let leases = holder_leases(&model, now());
    let requests = leases
        .into_iter()
        .map(|lease| async move { (lease, locks.lease_ttl(lease).await) });
    let mut answers = iter(requests).buffer_unordered(AT_ONCE);
    while let Some((lease, answer)) = answers.next().await {
        let kind = match answer {
            Ok(answer) => FactKind::Ttl(lease, answer),
            // A missing permission hides the time that is left, and nothing else.
            Err(StoreError::Refused { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        model.apply(Fact {
            at_unix_ms: now(),
            kind,
        });
    }
    print(&print_locks(&model, filter, now(), form)).map(drop)
}

async fn print_on(
    locks: Locks,
    scope: KeyScope,
    filter: &Filter,
    mut recorder: Option<Recorder>,
) -> Result<(), TopError> {
    let mut live = LiveSource::start(&locks, &scope, "");
    let mut model = Model::new(scope);
    let mut printed = 0;
    while let Some(fact) = live.next().await {
        if let Some(recorder) = &mut recorder {
            recorder.write(&fact)?;
            // A recording needs the leases' times too; requesting them costs little.
            if matches!(fact.kind, FactKind::Health(_)) {
                recorder.flush()?;
                live.want(holder_leases(&model, fact.at_unix_ms));
            }
        }
        let before = model.denied.len();
        model.apply(fact);
        if model.denied.len() != before {
            warn_denied(&model.denied);
        }
        let mut lines = String::new();
        for number in printed..model.events.total() {
            if let Some(event) = model.events.get(number) {
                let lock = event.lock.as_deref().unwrap_or("");
                if filter.matches(&[lock, event.kind.word(), &event.kind.sentence()]) {
                    lines.push_str(&StreamLine::from_event(event).to_json());
                }
            }
        }
        printed = model.events.total();
        if !lines.is_empty() && !print(&lines)? {
            break;
        }
    }
    live.close().await;
    Ok(())
}

/// Leases of holders, each once.
fn holder_leases(model: &Model, now: UnixMs) -> Vec<LeaseId> {
    let shown = model.shown(now);
    let holders = shown.state.locks.values().filter_map(|lock| lock.holder());
    let mut leases: Vec<LeaseId> = holders
        .map(|holder| holder.lease)
        .filter(|lease| !lease.is_none())
        .collect();
    leases.sort_unstable();
    leases.dedup();
    leases
}

/// Names the prefixes that are left out on standard error, which programs that read the output do not parse.
fn warn_denied(denied: &[String]) {
    for prefix in denied {
        let prefix = leasehold_records::printable::line(prefix);
        // A closed standard error is not a reason to fail.
        let _ = writeln!(
            io::stderr().lock(),
            "warning: not permitted to read {prefix}: it is left out"
        );
    }
}

/// Prints; returns false if the reader has closed the pipe.
fn print(text: &str) -> Result<bool, TopError> {
    // Lines of CSV end with both characters.
    let lines = text.split("\r\n").map(leasehold_records::printable::lines);
    let text = lines.collect::<Vec<_>>().join("\r\n");
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(TopError::Terminal(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operator_without_a_name_is_a_user_number() {
        assert_eq!(operator_name(Some("ann".into()), "vm"), "ann@vm");
        let own = format!("uid {}@vm", rustix::process::getuid().as_raw());
        assert_eq!(operator_name(None, "vm"), own);
        assert_eq!(operator_name(Some(String::new()), "vm"), own);
    }
}
