//! The store's history compared with the clients' answers: "acknowledged writes equal the watch history".
//!
//! Each life's changes are replayed onto the state before it. A change that no client requested is an error, and so is
//! a missing revision: every one changes something, so a watch of all keys has no gaps.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use etcd_client::{Client, GetOptions, LeaseStatus, LeaseTimeToLiveOptions};

use super::follower::Follower;
use super::ledger::{Lease, Ledger, Said, Wish};
use super::writers::{PAIR, TTL};
use crate::SLACK;
use crate::client::{Changes, Held, State, add, connect, held, next, watch_all};
use crate::server::Server;

/// Leases that are kept although no key has them.
const IDLE: usize = 20;

/// History verified so far.
#[derive(Debug)]
pub(super) struct History {
    last: i64,
    cluster: u64,
    state: State,
    /// Leases that are there, and when each was first seen.
    leases: BTreeMap<i64, Instant>,
    counts: Counts,
}

/// Counts of the events met, to reject a run that tests nothing.
#[derive(Debug, Default)]
struct Counts {
    acknowledged: u64,
    reads: usize,
    leases: usize,
    /// Requests without an answer that had been carried out, and that had not.
    unanswered: [u64; 2],
    oldest_lease: Duration,
}

impl History {
    /// Of a store that is new.
    pub(super) async fn begin(server: &Server) -> Result<Self> {
        let mut client = connect(server).await?;
        let reply = client.get("x", None).await?;
        let header = reply.header().context("no header")?;
        ensure!(header.revision() == 1, "a new store is at {header:?}");
        Ok(Self {
            last: 1,
            cluster: header.cluster_id(),
            state: State::new(),
            leases: BTreeMap::new(),
            counts: Counts::default(),
        })
    }

    pub(super) fn last(&self) -> i64 {
        self.last
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn leases(&self) -> impl Iterator<Item = i64> {
        self.leases.keys().copied()
    }

    /// Compares a killed and restarted store with the clients' earlier answers.
    pub(super) async fn verify(
        &mut self,
        server: &Server,
        ledger: &Ledger,
        follower: &Follower,
        restarted: Instant,
    ) -> Result<()> {
        let mut client = connect(server).await?;
        let said = std::mem::take(&mut *ledger.said());
        // Before anything else: time works against it.
        self.verify_leases(&mut client, &said, restarted).await?;

        let options = GetOptions::new().with_all_keys();
        let all = client.get("\0", Some(options)).await?;
        let header = all.header().context("no header")?;
        let revision = header.revision();
        ensure!(
            header.cluster_id() == self.cluster,
            "another cluster: {header:?}"
        );
        ensure!(
            revision >= said.highest,
            "the revision fell from {} to {revision}",
            said.highest
        );

        let changes = read_history(&mut client, self.last, revision).await?;
        let told = follower.between(self.last, revision).await?;
        if told != changes {
            let odd = changes.iter().find(|(at, what)| told.get(at) != Some(what));
            bail!("the watcher that came back missed or invented something near {odd:?}");
        }
        let acknowledged = said.acknowledged.len() as u64;
        let reads = said.reads.len();
        self.replay(&changes, said, revision)?;
        let shown: State = all.kvs().iter().map(held).collect::<Result<_>>()?;
        ensure!(
            shown == self.state,
            "the keys are not what the history makes them:\n{shown:?}\n{:?}",
            self.state
        );
        let [a, b] = PAIR.map(|key| self.state.get(key).map(|held| &held.value));
        ensure!(a == b, "half a transaction: {a:?} and {b:?}");
        self.verify_attachments(&mut client).await?;
        self.tidy(&mut client).await?;
        self.counts.acknowledged += acknowledged;
        self.counts.reads += reads;
        Ok(())
    }

    /// Every lease that must be there is, with all its time; and none that must not be.
    async fn verify_leases(
        &mut self,
        client: &mut Client,
        said: &Said,
        restarted: Instant,
    ) -> Result<()> {
        let list = client.leases().await?;
        let there: Vec<i64> = list.leases().iter().map(LeaseStatus::id).collect();
        for (id, lease) in &said.leases {
            let is_there = there.contains(id);
            match lease {
                Lease::Granted => ensure!(is_there, "lease {id} was granted and is gone"),
                Lease::Ended => ensure!(!is_there, "lease {id} was revoked and is back"),
                Lease::Asked | Lease::Ending => {}
            }
        }
        for id in &there {
            ensure!(
                said.leases.contains_key(id),
                "no client requested lease {id}"
            );
            let reply = client.lease_time_to_live(*id, None).await?;
            // It counts whole seconds, and began to count at some time after the start.
            let passed = i64::try_from(restarted.elapsed().as_secs())? + 1;
            ensure!(
                reply.granted_ttl() == TTL && reply.ttl() >= TTL - passed,
                "{passed} s after the restart: {reply:?}"
            );
        }
        let now = Instant::now();
        self.leases.retain(|id, _| there.contains(id));
        for id in there {
            let since = *self.leases.entry(id).or_insert(now);
            self.counts.oldest_lease = self.counts.oldest_lease.max(now - since);
        }
        self.counts.leases += self.leases.len();
        Ok(())
    }

    /// Every lease has the keys that the history gives it.
    async fn verify_attachments(&self, client: &mut Client) -> Result<()> {
        for id in self.leases.keys() {
            let options = LeaseTimeToLiveOptions::new().with_keys();
            let reply = client.lease_time_to_live(*id, Some(options)).await?;
            let mut keys: Vec<_> = reply
                .keys()
                .iter()
                .map(|key| String::from_utf8_lossy(key))
                .collect();
            keys.sort_unstable();
            let expected = self.state.iter().filter(|(_, held)| held.lease == *id);
            ensure!(
                keys.iter().eq(expected.map(|(key, _)| key)),
                "lease {id} has {keys:?}"
            );
        }
        Ok(())
    }

    /// Ends leases that nothing hangs on, but for the oldest: or a long test would be about nothing else.
    async fn tidy(&mut self, client: &mut Client) -> Result<()> {
        let mut idle: Vec<(Instant, i64)> = self
            .leases
            .iter()
            .map(|(id, since)| (*since, *id))
            .collect();
        idle.retain(|(_, id)| self.state.values().all(|held| held.lease != *id));
        idle.sort_unstable();
        for (_, id) in idle.into_iter().skip(IDLE) {
            client.lease_revoke(id).await?;
            self.leases.remove(&id);
        }
        Ok(())
    }

    /// Replays a life: each revision was requested by a client, and every acknowledgement and every read of it was
    /// true.
    fn replay(&mut self, changes: &Changes, mut said: Said, revision: i64) -> Result<()> {
        said.reads.sort_unstable_by_key(|read| read.revision);
        let mut reads = said.reads.into_iter().peekable();
        for at in self.last..=revision {
            if at > self.last {
                let happened = changes
                    .get(&at)
                    .with_context(|| format!("no revision {at}"))?;
                let mut wishes: Vec<Wish> = happened.iter().map(wish).collect();
                wishes.sort_unstable();
                if let Some(promised) = said.acknowledged.remove(&at) {
                    ensure!(
                        promised == wishes,
                        "{promised:?} was acknowledged at {at}: {wishes:?}"
                    );
                } else {
                    let asked = said.unanswered.iter().position(|asked| *asked == wishes);
                    let asked =
                        asked.with_context(|| format!("no client requested {wishes:?} at {at}"))?;
                    said.unanswered.swap_remove(asked);
                    self.counts.unanswered[0] += 1;
                }
                for (key, held) in happened {
                    self.apply(at, key, held.as_ref())?;
                }
            }
            while let Some(read) = reads.next_if(|read| read.revision == at) {
                let there = self.state.get(&read.key);
                ensure!(
                    read.held.as_ref() == there,
                    "{read:?} was read; there is {there:?}"
                );
            }
        }
        ensure!(
            said.acknowledged.is_empty(),
            "lost: {:?}",
            said.acknowledged
        );
        let rest = reads.next();
        ensure!(rest.is_none(), "read at no revision: {rest:?}");
        self.counts.unanswered[1] += said.unanswered.len() as u64;
        self.last = revision;
        Ok(())
    }

    fn apply(&mut self, at: i64, key: &str, change: Option<&Held>) -> Result<()> {
        let before = self.state.remove(key);
        let Some(held) = change else {
            ensure!(
                before.is_some(),
                "{key} was deleted at {at} and was not there"
            );
            return Ok(());
        };
        let (created, version) =
            before.map_or((at, 1), |before| (before.created, before.version + 1));
        ensure!(
            (held.created, held.modified, held.version) == (created, at, version),
            "{key} at {at} is {held:?}"
        );
        self.state.insert(key.to_owned(), held.clone());
        Ok(())
    }

    /// Fails if the kills met too few of the events they test.
    pub(super) fn was_worth_it(&self, kills: u64) -> Result<()> {
        let counts = &self.counts;
        ensure!(counts.acknowledged >= kills * 10, "{self}");
        ensure!(counts.reads > 0 && counts.leases > 0, "{self}");
        // With several writers that never pause, a kill that interrupts none of them is rare.
        ensure!(kills < 8 || counts.unanswered != [0, 0], "{self}");
        // Older than the tolerance of the check on its time.
        ensure!(
            kills < 8 || counts.oldest_lease > Duration::from_secs(2),
            "{self}"
        );
        Ok(())
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            acknowledged,
            reads,
            leases,
            unanswered: [done, undone],
            oldest_lease,
        } = &self.counts;
        write!(
            f,
            "revision {}, {acknowledged} acknowledged changes, {reads} reads, {leases} leases (the oldest {oldest_lease:.1?}), without an answer \
             {done} done and {undone} not",
            self.last
        )
    }
}

fn wish((key, held): &(String, Option<Held>)) -> Wish {
    let put = held.as_ref().map(|held| (held.value.clone(), held.lease));
    (key.clone(), put)
}

/// Everything after one revision up to another, by a watch that begins there.
async fn read_history(client: &mut Client, after: i64, until: i64) -> Result<Changes> {
    let (mut changes, mut last) = (Changes::new(), after);
    let mut stream = watch_all(client, after + 1).await?;
    while last < until {
        add(&mut changes, &mut last, &next(&mut stream, SLACK).await?)?;
    }
    Ok(changes)
}
