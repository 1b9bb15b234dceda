//! Clients that write and read as fast as they are answered, until the store dies.
//!
//! A writer has keys of its own, so that it knows what its next write does; the pair is contended for. None of
//! them may go on after a request without an answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use etcd_client::{
    Client, Compare, CompareOp, Error, GetOptions, LeaseGrantOptions, PutOptions, Txn, TxnOp,
};
use fastrand::Rng;
use tokio::task::JoinSet;
use tonic::Code;

use super::ledger::{Lease, Ledger, Wish};
use crate::SLACK;
use crate::client::{State, connect, held, revision};
use crate::server::Server;

/// Writers with keys of their own. More than one, so that a commit is shared.
const WRITERS: usize = 5;
/// Keys of each: few, so that most writes replace something.
const KEYS: usize = 6;
/// Writers of the pair.
const RIVALS: usize = 2;
const READERS: usize = 2;

/// Seconds. Nothing may run out during a test.
pub(super) const TTL: i64 = 600;

/// For an answer that was on its way when the store died.
const LAST_WORDS: Duration = Duration::from_millis(300);

pub(super) const PAIR: [&str; 2] = ["pair/a", "pair/b"];

/// End of a client.
struct Over;

/// Everyone at work in one life.
pub(super) struct Crew {
    tasks: JoinSet<()>,
    ledger: Arc<Ledger>,
}

impl Crew {
    pub(super) async fn start(
        server: &Server,
        ledger: &Arc<Ledger>,
        state: &State,
        random: &mut Rng,
    ) -> Result<Self> {
        let mut tasks = JoinSet::new();
        for number in 0..WRITERS + RIVALS + READERS {
            let mut worker = Worker {
                name: format!("w{number}"),
                client: connect(server).await?,
                ledger: Arc::clone(ledger),
                random: random.fork(),
            };
            let mine = state
                .iter()
                .filter(|(key, _)| key.starts_with(&worker.name));
            let mut mine: BTreeMap<_, _> =
                mine.map(|(key, held)| (key.clone(), held.lease)).collect();
            tasks.spawn(async move {
                // Ends with the store, whose end all clients here wait for.
                let _: Result<(), Over> = async {
                    loop {
                        match number {
                            0..WRITERS => worker.write_own(&mut mine).await?,
                            number if number < WRITERS + RIVALS => worker.write_pair().await?,
                            _ => worker.read().await?,
                        }
                    }
                }
                .await;
            });
        }
        Ok(Self {
            tasks,
            ledger: Arc::clone(ledger),
        })
    }

    /// After the store's end: returns when all clients have noticed it.
    pub(super) async fn end(mut self) -> Result<()> {
        self.ledger.dead.cancel();
        tokio::time::timeout(SLACK, async {
            while let Some(ended) = self.tasks.join_next().await {
                ended?;
            }
            anyhow::Ok(())
        })
        .await??;
        let complaints = std::mem::take(&mut self.ledger.said().complaints);
        ensure!(complaints.is_empty(), "{complaints:#?}");
        Ok(())
    }
}

struct Worker {
    name: String,
    client: Client,
    ledger: Arc<Ledger>,
    random: Rng,
}

impl Worker {
    fn own_key(&mut self) -> String {
        format!("{}/k{}", self.name, self.random.usize(..KEYS))
    }

    /// One write to keys of this client alone; `mine` are those that exist, with their leases.
    async fn write_own(&mut self, mine: &mut BTreeMap<String, i64>) -> Result<(), Over> {
        let key = self.own_key();
        let leases: Vec<i64> = mine.values().copied().filter(|lease| *lease != 0).collect();
        match self.random.u32(..10) {
            0..5 => self.put(mine, key, 0).await,
            5..7 => self.delete(mine, key).await,
            7..9 => {
                let lease = match self.random.choice(&leases) {
                    Some(lease) if self.random.bool() => *lease,
                    _ => self.grant().await?,
                };
                self.put(mine, key, lease).await
            }
            _ => match self.random.choice(&leases) {
                Some(lease) => self.revoke(mine, *lease).await,
                None => self.put(mine, key, 0).await,
            },
        }
    }

    async fn put(
        &mut self,
        mine: &mut BTreeMap<String, i64>,
        key: String,
        lease: i64,
    ) -> Result<(), Over> {
        let value = self.ledger.unique().to_string();
        let wishes = vec![(key.clone(), Some((value.clone(), lease)))];
        let options = PutOptions::new().with_lease(lease);
        let call = self.client.put(key.clone(), value, Some(options));
        let reply = settle(&self.ledger, &wishes, call).await?;
        let revision = revision(reply.header());
        self.ledger.acknowledge(revision, wishes);
        mine.insert(key, lease);
        Ok(())
    }

    async fn delete(&mut self, mine: &mut BTreeMap<String, i64>, key: String) -> Result<(), Over> {
        let wishes = vec![(key.clone(), None)];
        let reply = settle(&self.ledger, &wishes, self.client.delete(key.clone(), None)).await?;
        let was_there = mine.remove(&key).is_some();
        if (reply.deleted() == 1) != was_there {
            let deleted = reply.deleted();
            self.ledger
                .complain(format!("{key} is there: {was_there}, deleted: {deleted}"));
        }
        if was_there {
            let revision = revision(reply.header());
            self.ledger.acknowledge(revision, wishes);
        }
        Ok(())
    }

    async fn grant(&mut self) -> Result<i64, Over> {
        let id = self.ledger.unique();
        self.ledger.lease(id, Lease::Asked);
        let options = LeaseGrantOptions::new().with_id(id);
        let call = self.client.lease_grant(TTL, Some(options));
        settle(&self.ledger, &[], call).await?;
        self.ledger.lease(id, Lease::Granted);
        Ok(id)
    }

    async fn revoke(&mut self, mine: &mut BTreeMap<String, i64>, lease: i64) -> Result<(), Over> {
        let with_it = mine.iter().filter(|(_, held)| **held == lease);
        let wishes: Vec<Wish> = with_it.map(|(key, _)| (key.clone(), None)).collect();
        self.ledger.lease(lease, Lease::Ending);
        let reply = settle(&self.ledger, &wishes, self.client.lease_revoke(lease)).await?;
        self.ledger.lease(lease, Lease::Ended);
        mine.retain(|_, held| *held != lease);
        let revision = revision(reply.header());
        self.ledger.acknowledge(revision, wishes);
        Ok(())
    }

    /// Both keys of the pair in one transaction, unless another client was faster.
    async fn write_pair(&mut self) -> Result<(), Over> {
        let mut seen = [0; 2];
        let options = GetOptions::new().with_prefix();
        let reply = settle(&self.ledger, &[], self.client.get("pair/", Some(options))).await?;
        let values: Vec<_> = reply
            .kvs()
            .iter()
            .map(etcd_client::KeyValue::value)
            .collect();
        if !matches!(values[..], [] | [_, _]) || values.first() != values.last() {
            self.ledger
                .complain(format!("half a transaction: {values:?}"));
        }
        for (seen, kv) in seen.iter_mut().zip(reply.kvs()) {
            *seen = kv.mod_revision();
        }
        let value = self.ledger.unique().to_string();
        let wishes = PAIR
            .map(|key| (key.to_owned(), Some((value.clone(), 0))))
            .to_vec();
        let same = |(key, seen)| Compare::mod_revision(key, CompareOp::Equal, seen);
        let transaction = Txn::new()
            .when(PAIR.into_iter().zip(seen).map(same).collect::<Vec<_>>())
            .and_then(PAIR.map(|key| TxnOp::put(key, value.as_str(), None)));
        let reply = settle(&self.ledger, &wishes, self.client.txn(transaction)).await?;
        if reply.succeeded() {
            let revision = revision(reply.header());
            self.ledger.acknowledge(revision, wishes);
        }
        Ok(())
    }

    /// One read of any client's key.
    async fn read(&mut self) -> Result<(), Over> {
        let key = match self.random.usize(..=WRITERS) {
            WRITERS => self.random.choice(PAIR).unwrap_or_default().to_owned(),
            writer => format!("w{writer}/k{}", self.random.usize(..KEYS)),
        };
        let reply = settle(&self.ledger, &[], self.client.get(key.clone(), None)).await?;
        let revision = revision(reply.header());
        match reply.kvs().first().map(held).transpose() {
            Ok(found) => self
                .ledger
                .read(revision, &key, found.map(|(_, held)| held)),
            Err(error) => self.ledger.complain(format!("{key}: {error}")),
        }
        // Reading is cheap, and writers should have most of the machine.
        tokio::time::sleep(Duration::from_millis(2)).await;
        Ok(())
    }
}

/// The answer to a request, unless the store ends first: then its effects are unknown.
async fn settle<T>(
    ledger: &Ledger,
    wishes: &[Wish],
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Over> {
    if ledger.dead.is_cancelled() {
        return Err(Over);
    }
    let died = async {
        ledger.dead.cancelled().await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    let outcome = tokio::select! {
        outcome = call => outcome,
        () = died => Err(Error::Internal("no answer".to_owned())),
        () = tokio::time::sleep(SLACK) => Err(Error::Internal("no answer in all that time".to_owned())),
    };
    outcome.map_err(|error| {
        let text = crate::client::refusal(&error);
        match error {
            Error::GRpcStatus(status) if is_refusal(status.code()) => {
                ledger.complain(format!("{wishes:?}: {text}"));
            }
            _ => ledger.failed(&text),
        }
        if !wishes.is_empty() {
            ledger.unanswered(wishes.to_vec());
        }
        Over
    })
}

/// A store that returns this has read and refused the request; a killed one never returns it.
fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::ResourceExhausted
            | Code::Unimplemented
            | Code::PermissionDenied
    )
}
