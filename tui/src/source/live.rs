//! A live store: keys from one feed, leases and health from periodic requests.
//!
//! Facts go into a bounded queue. While it is full these tasks wait, the feed falls behind, and reads anew later: a
//! paused dashboard costs the store nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{iter, unfold};
use leasehold_lock::{LeaseId, Locks};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{admin_action, host_order, output};
use crate::app::AdminOrder;
use crate::fact::{Fact, FactKind};
use crate::model::KeyScope;

/// Capacity of the queue of facts.
const FACTS: usize = 256;
/// Capacity of the queue of admin orders, and the most that are under way.
const ORDERS: usize = 8;
/// Interval of requests about leases.
const ASK_LEASES: Duration = Duration::from_secs(1);
/// Concurrent requests about leases.
const AT_ONCE: usize = 8;
/// Interval of requests about health.
const ASK_HEALTH: Duration = Duration::from_secs(2);

/// A live store. Ends with [`LiveSource::close`].
pub(crate) struct LiveSource {
    facts: mpsc::Receiver<Fact>,
    wanted: watch::Sender<Vec<LeaseId>>,
    orders: mpsc::Sender<AdminOrder>,
    wanted_output: watch::Sender<Option<String>>,
    tasks: JoinSet<()>,
    cancel: CancellationToken,
    locks: Locks,
}

impl LiveSource {
    /// Starts the tasks. `operator` is the name in records of admin actions.
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
        let (wanted_output, job) = watch::channel(None);
        let (keys, leases, health) = (work.clone(), work.clone(), work.clone());
        let until = |work| cancel.clone().run_until_cancelled_owned(work);
        tasks.spawn(ignore(until(boxed(keys.keys()))));
        tasks.spawn(ignore(until(boxed(leases.leases(wants)))));
        tasks.spawn(ignore(until(boxed(health.health()))));
        let root = scope.root().clone();
        let output = output::follow(locks.clone(), root, operator.into(), job, work.out.clone());
        tasks.spawn(ignore(until(boxed(output))));
        tasks.spawn(ignore(until(boxed(work.orders(inbox)))));
        Self {
            facts,
            wanted,
            orders,
            wanted_output,
            tasks,
            cancel,
            locks: locks.clone(),
        }
    }

    /// The next fact; `None` once the client has closed.
    pub(crate) async fn next(&mut self) -> Option<Fact> {
        self.facts.recv().await
    }

    /// A fact that is ready.
    pub(crate) fn ready(&mut self) -> Option<Fact> {
        self.facts.try_recv().ok()
    }

    /// Sets the leases to request.
    pub(crate) fn want(&self, leases: Vec<LeaseId>) {
        self.wanted.send_if_modified(|wanted| {
            let changed = *wanted != leases;
            *wanted = leases;
            changed
        });
    }

    /// Sets the job whose live output to request.
    pub(crate) fn follow(&self, job: Option<String>) {
        self.wanted_output.send_if_modified(|wanted| {
            let changed = *wanted != job;
            *wanted = job;
            changed
        });
    }

    /// Queues an admin action. Returns false if the queue is full.
    pub(crate) fn order(&self, order: AdminOrder) -> bool {
        self.orders.try_send(order).is_ok()
    }

    /// Stops all tasks.
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

    async fn leases(self, mut wants: watch::Receiver<Vec<LeaseId>>) {
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
                // Without a reply the time is counted down meanwhile.
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

    /// Carries out actions. An order to hosts waits for them, so that several are under way at a time.
    async fn orders(self, inbox: mpsc::Receiver<AdminOrder>) {
        let orders = unfold(inbox, |mut inbox| async move {
            let order = inbox.recv().await?;
            Some((order, inbox))
        });
        let answers = orders.map(|order| self.carry_out(order));
        let mut answers = std::pin::pin!(answers.buffer_unordered(ORDERS));
        while let Some(answer) = answers.next().await {
            if !self.send(FactKind::Answer(answer)).await {
                return;
            }
        }
    }

    async fn carry_out(&self, order: AdminOrder) -> Result<String, String> {
        let (locks, root, by) = (&self.locks, self.scope.root(), &*self.operator);
        match order {
            AdminOrder::Entry(order) => admin_action::execute(locks, root, by, order).await,
            AdminOrder::Hosts(order) => host_order::execute(locks, root, by, order).await,
        }
    }
}
