//! The loop: inputs and facts in, frames out. It draws only when something has changed, and not more often
//! than eyes can follow.

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
use super::terminal::Screen;
use crate::app::{App, Effect, Input};
use crate::fact::Fact;
use crate::source::{Live, Recorder, now};

/// The shortest time between two frames.
const FRAME: Duration = Duration::from_millis(33);
/// How often things are counted down.
const TICK: Duration = Duration::from_secs(1);

/// Where facts come from while it runs.
pub(crate) enum Feed {
    Live {
        live: Live,
        recorder: Option<Recorder>,
    },
    /// Everything has been told already.
    Told,
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Somebody quit.
    Quit,
    /// A signal, or whoever started it.
    Asked,
}

enum Wake {
    Term(Option<io::Result<Event>>),
    Fact(Option<Fact>),
    Tick,
    Draw,
    Asked,
}

/// Runs until somebody quits. Must have a thread of its own, since a panic of that thread gives the terminal
/// back.
pub(crate) async fn run(
    app: &mut App,
    feed: &mut Feed,
    until: CancellationToken,
) -> io::Result<Ended> {
    let mut screen = Screen::take(app.setup.mouse)?;
    let mut events = EventStream::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let asked = asked(until)?;
    tokio::pin!(asked);
    let (mut drawn, mut is_dirty) = (Instant::now() - FRAME, true);
    loop {
        let wake = tokio::select! {
            biased;
            () = &mut asked => Wake::Asked,
            event = events.next() => Wake::Term(event),
            () = sleep_until(drawn + FRAME), if is_dirty => Wake::Draw,
            fact = next(feed) => Wake::Fact(fact),
            _ = ticks.tick() => Wake::Tick,
        };
        let effects = match wake {
            Wake::Asked | Wake::Term(None) | Wake::Fact(None) => return Ok(Ended::Asked),
            Wake::Term(Some(event)) => {
                is_dirty = true;
                input(event?).map_or_else(Vec::new, |input| app.update(input, now()))
            }
            Wake::Fact(Some(fact)) => {
                is_dirty = true;
                take(app, feed, fact);
                Vec::new()
            }
            Wake::Tick => {
                is_dirty = true;
                flush(app, feed);
                app.update(Input::Tick, now())
            }
            Wake::Draw => {
                draw(&mut screen, app)?;
                (drawn, is_dirty) = (Instant::now(), false);
                if let Feed::Live { live, .. } = feed {
                    live.want(app.wanted(now()));
                }
                Vec::new()
            }
        };
        for effect in effects {
            match effect {
                Effect::Quit => return Ok(Ended::Quit),
                Effect::Suspend => screen.suspend().await?,
                Effect::Copy(text) => clipboard::copy(&text)?,
                Effect::Mouse(mouse) => screen.mouse(mouse)?,
                Effect::Order(order) => {
                    if let Feed::Live { live, .. } = feed
                        && !live.order(order)
                    {
                        app.complain(now(), "not done: too much is asked of the store already");
                    }
                }
            }
        }
    }
}

fn draw(screen: &mut Screen, app: &mut App) -> io::Result<()> {
    // All of a frame or nothing of it, where the terminal can.
    execute!(io::stdout(), BeginSynchronizedUpdate)?;
    let drawn = screen
        .terminal
        .draw(|frame| crate::view::draw(frame, app, now()));
    let drawn = drawn.map(drop);
    execute!(io::stdout(), EndSynchronizedUpdate)?;
    drawn
}

/// The next fact; what is there already is taken with it, so that a burst costs one frame.
async fn next(feed: &mut Feed) -> Option<Fact> {
    match feed {
        Feed::Live { live, .. } => live.next().await,
        Feed::Told => std::future::pending().await,
    }
}

fn take(app: &mut App, feed: &mut Feed, fact: Fact) {
    let mut next = Some(fact);
    while let Some(fact) = next {
        if let Feed::Live { recorder, .. } = feed
            && let Some(writer) = recorder
            && let Err(error) = writer.write(&fact)
        {
            *recorder = None;
            app.complain(now(), format!("the recording has ended: {error}"));
        }
        app.take(fact);
        next = match feed {
            Feed::Live { live, .. } => live.ready(),
            Feed::Told => None,
        };
    }
}

fn flush(app: &mut App, feed: &mut Feed) {
    if let Feed::Live { recorder, .. } = feed
        && let Some(writer) = recorder
        && let Err(error) = writer.flush()
    {
        *recorder = None;
        app.complain(now(), format!("the recording has ended: {error}"));
    }
}

fn input(event: Event) -> Option<Input> {
    match event {
        Event::Key(key) => Some(Input::Key(key)),
        Event::Mouse(mouse) => Some(Input::Mouse(mouse)),
        Event::Paste(text) => Some(Input::Paste(text)),
        // The next frame has the size it then is.
        Event::Resize(..) | Event::FocusGained | Event::FocusLost => None,
    }
}

/// Resolves when a signal asks us to end, or whoever started us.
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
