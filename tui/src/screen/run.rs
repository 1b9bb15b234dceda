//! The loop: inputs and facts in, frames out. It draws only after a change, and at most as often as eyes can follow.

use std::io;
use std::time::Duration;

use crossterm::event::{Event, EventStream};
use crossterm::execute;
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use futures_util::StreamExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::clipboard;
use super::terminal::TerminalScreen;
use crate::app::{App, AppEffect, AppInput};
use crate::fact::Fact;
use crate::source::{LiveSource, Recorder, now};

/// The shortest time between two frames.
const FRAME: Duration = Duration::from_millis(33);
/// Interval of counting down.
const TICK: Duration = Duration::from_secs(1);

/// Source of facts while it runs.
pub(crate) enum ScreenFeed {
    Live {
        live: LiveSource,
        recorder: Option<Recorder>,
    },
    /// All facts are applied already.
    Told,
}

/// Reason for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScreenEnd {
    /// The user quit.
    Quit,
    /// A signal, or a cancellation by the caller.
    Asked,
}

enum LoopEvent {
    Term(Option<io::Result<Event>>),
    Fact(Option<Fact>),
    Tick,
    Draw,
    Asked,
}

/// Runs until the user quits. Must have a thread of its own, since a panic of that thread restores the terminal.
pub(crate) async fn run(
    app: &mut App,
    feed: &mut ScreenFeed,
    until: CancellationToken,
) -> io::Result<ScreenEnd> {
    let mut screen = TerminalScreen::take(app.setup.mouse)?;
    let mut events = EventStream::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let asked = asked(until)?;
    tokio::pin!(asked);
    let (mut drawn, mut is_dirty) = (Instant::now() - FRAME, true);
    loop {
        let wake = tokio::select! {
            biased;
            () = &mut asked => LoopEvent::Asked,
            event = events.next() => LoopEvent::Term(event),
            () = sleep_until(drawn + FRAME), if is_dirty => LoopEvent::Draw,
            fact = next(feed) => LoopEvent::Fact(fact),
            _ = ticks.tick() => LoopEvent::Tick,
        };
        let effects = match wake {
            LoopEvent::Asked | LoopEvent::Term(None) | LoopEvent::Fact(None) => {
                return Ok(ScreenEnd::Asked);
            }
            LoopEvent::Term(Some(event)) => {
                is_dirty = true;
                input(event?).map_or_else(Vec::new, |input| app.update(input, now()))
            }
            LoopEvent::Fact(Some(fact)) => {
                is_dirty = true;
                take(app, feed, fact);
                Vec::new()
            }
            LoopEvent::Tick => {
                is_dirty = true;
                flush(app, feed);
                app.update(AppInput::Tick, now())
            }
            LoopEvent::Draw => {
                draw(&mut screen, app)?;
                (drawn, is_dirty) = (Instant::now(), false);
                if let ScreenFeed::Live { live, .. } = feed {
                    live.want(app.wanted_leases(now()));
                    live.follow(app.wanted_output(now()));
                }
                Vec::new()
            }
        };
        for effect in effects {
            match effect {
                AppEffect::Quit => return Ok(ScreenEnd::Quit),
                AppEffect::Suspend => screen.suspend().await?,
                AppEffect::Copy(text) => clipboard::copy(&text)?,
                AppEffect::Mouse(mouse) => screen.mouse(mouse)?,
                AppEffect::Order(order) => {
                    if let ScreenFeed::Live { live, .. } = feed
                        && !live.order(order)
                    {
                        app.warn(now(), "not done: too many actions are under way");
                    }
                }
            }
        }
    }
}

fn draw(screen: &mut TerminalScreen, app: &mut App) -> io::Result<()> {
    // A whole frame or none, if the terminal supports that.
    execute!(io::stdout(), BeginSynchronizedUpdate)?;
    let drawn = screen
        .terminal
        .draw(|frame| crate::view::draw(frame, app, now()));
    let drawn = drawn.map(drop);
    execute!(io::stdout(), EndSynchronizedUpdate)?;
    drawn
}

/// The next fact; facts that are ready are taken with it, so that a burst costs one frame.
async fn next(feed: &mut ScreenFeed) -> Option<Fact> {
    match feed {
        ScreenFeed::Live { live, .. } => live.next().await,
        ScreenFeed::Told => std::future::pending().await,
    }
}

fn take(app: &mut App, feed: &mut ScreenFeed, fact: Fact) {
    let mut next = Some(fact);
    while let Some(fact) = next {
        if let ScreenFeed::Live { recorder, .. } = feed
            && let Some(writer) = recorder
            && let Err(error) = writer.write(&fact)
        {
            *recorder = None;
            app.warn(now(), format!("the recording has ended: {error}"));
        }
        app.apply(fact);
        next = match feed {
            ScreenFeed::Live { live, .. } => live.ready(),
            ScreenFeed::Told => None,
        };
    }
}

fn flush(app: &mut App, feed: &mut ScreenFeed) {
    if let ScreenFeed::Live { recorder, .. } = feed
        && let Some(writer) = recorder
        && let Err(error) = writer.flush()
    {
        *recorder = None;
        app.warn(now(), format!("the recording has ended: {error}"));
    }
}

fn input(event: Event) -> Option<AppInput> {
    match event {
        Event::Key(key) => Some(AppInput::Key(key)),
        Event::Mouse(mouse) => Some(AppInput::Mouse(mouse)),
        Event::Paste(text) => Some(AppInput::Paste(text)),
        // The next frame uses the new size.
        Event::Resize(..) | Event::FocusGained | Event::FocusLost => None,
    }
}

/// Resolves on a signal or on cancellation by the caller.
async fn asked_by(
    until: CancellationToken,
    mut terminate: tokio::signal::unix::Signal,
    mut interrupt: tokio::signal::unix::Signal,
    mut hangup: tokio::signal::unix::Signal,
) {
    tokio::select! {
        () = until.cancelled() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = hangup.recv() => {}
    }
}

fn asked(until: CancellationToken) -> io::Result<impl Future<Output = ()>> {
    let terminate = signal(SignalKind::terminate())?;
    let interrupt = signal(SignalKind::interrupt())?;
    let hangup = signal(SignalKind::hangup())?;
    Ok(asked_by(until, terminate, interrupt, hangup))
}
