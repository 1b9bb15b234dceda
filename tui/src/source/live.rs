//! A store that is listened to: keys by one feed, leases and health by asking now and then.
//!
//! Facts go into a bounded queue. When nobody takes them, these tasks wait, the feed falls behind on its
//! own, and reads anew later: a dashboard that stands still costs nobody anything.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use leasehold_lock::Locks;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::admin_action;
use crate::app::AdminOrder;
use crate::fact::{Fact, FactKind};
use crate::model::KeyScope;

/// Facts that may wait to be taken in.
const FACTS: usize = 256;
/// Orders that may wait.
const ORDERS: usize = 8;
/// How often leases are asked about.
const ASK_LEASES: Duration = Duration::from_secs(1);
/// Questions about leases that are under way at once.
const AT_ONCE: usize = 8;
/// How often the store is asked how it is.
const ASK_HEALTH: Duration = Duration::from_secs(2);

/// A store that is listened to. Ends with [`LiveSource::close`].
pub(crate) struct LiveSource {
    facts: mpsc::Receiver<Fact>,
    wanted: watch::Sender<Vec<i64>>,
    orders: mpsc::Sender<AdminOrder>,
    tasks: JoinSet<()>,
    cancel: CancellationToken,
    locks: Locks,
}

impl LiveSource {
    /// Begins to listen. `operator` is who is named for deeds.
    pub(crate) fn start(locks: &Locks, scope: &KeyScope, operator: &str) -> Self {
        let (out, facts) = mpsc::channel(FACTS);
        let (wanted, wants) = watch::channel(Vec::new());
        let (orders, inbox) = mpsc::channel(ORDERS);
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let work = LiveTasks {
            locks: locks.clone(),
            scope: scope.clone(),
            operator: operator.into(),
            out,
        };
        let (keys, leases, health) = (work.clone(), work.clone(), work.clone());
        let until = |work| cancel.clone().run_until_cancelled_owned(work);
        tasks.spawn(ignore(until(boxed(keys.keys()))));
        tasks.spawn(ignore(until(boxed(leases.leases(wants)))));
        tasks.spawn(ignore(until(boxed(health.health()))));
        tasks.spawn(ignore(until(boxed(work.orders(inbox)))));
        Self {
            facts,
            wanted,
            orders,
            tasks,
            cancel,
            locks: locks.clone(),
        }
    }

    /// The next fact; `None` when the client has closed.
    pub(crate) async fn next(&mut self) -> Option<Fact> {
        self.facts.recv().await
    }

    /// A fact that is there already.
    pub(crate) fn ready(&mut self) -> Option<Fact> {
        self.facts.try_recv().ok()
    }

    /// Says which leases are looked at.
    pub(crate) fn want(&self, leases: Vec<i64>) {
        self.wanted.send_if_modified(|wanted| {
            let changed = *wanted != leases;
            *wanted = leases;
            changed
        });
    }

    /// Asks for something to be done. False when too much is asked already.
    pub(crate) fn order(&self, order: AdminOrder) -> bool {
        self.orders.try_send(order).is_ok()
    }

    /// Stops listening.
    pub(crate) async fn close(mut self) {
        self.cancel.cancel();
        self.facts.close();
        while self.tasks.join_next().await.is_some() {}
        self.locks.close().await;
    }
}

type Boxed = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn boxed(work: impl Future<Output = ()> + Send + 'static) -> Boxed {
    Box::pin(work)
}

async fn ignore<T>(work: impl Future<Output = T>) {
    let _ = work.await;
}

#[derive(Clone)]
struct LiveTasks {
    locks: Locks,
    scope: KeyScope,
    operator: Arc<str>,
    out: mpsc::Sender<Fact>,
}

impl LiveTasks {
    async fn send(&self, kind: FactKind) -> bool {
        let at = super::clock::now();
        self.out
            .send(Fact {
                at_unix_ms: at,
                kind,
            })
            .await
            .is_ok()
    }

    async fn keys(self) {
        let mut feed = super::key_feed::feed(&self.locks, &self.scope);
        while let Some(item) = feed.next().await {
            if !self.send(FactKind::Keys(item)).await {
                return;
            }
        }
    }

    async fn leases(self, mut wants: watch::Receiver<Vec<i64>>) {
        let mut ticks = interval(ASK_LEASES);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let wanted = wants.borrow_and_update().clone();
            let asked = wanted.into_iter().map(|lease| {
                let locks = self.locks.clone();
                async move { (lease, locks.lease_ttl(lease).await) }
            });
            let mut answers = iter(asked).buffer_unordered(AT_ONCE);
            while let Some((lease, answer)) = answers.next().await {
                // What is not answered is counted down meanwhile.
                if let Ok(answer) = answer
                    && !self.send(FactKind::Ttl(lease, answer)).await
                {
                    return;
                }
            }
        }
    }

    async fn health(self) {
        let mut ticks = interval(ASK_HEALTH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let health = self.locks.health().await.map_err(|error| error.to_string());
            if !self.send(FactKind::Health(health)).await {
                return;
            }
        }
    }

    async fn orders(self, mut inbox: mpsc::Receiver<AdminOrder>) {
        while let Some(order) = inbox.recv().await {
            let root = self.scope.root();
            let answer = admin_action::execute(&self.locks, root, &self.operator, order).await;
            if !self.send(FactKind::Answer(answer)).await {
                return;
            }
        }
    }
}
