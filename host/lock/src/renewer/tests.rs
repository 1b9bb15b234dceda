//! Calls of the observer by a renewer whose store answers with empty messages.

use leasehold_ids::LeaseId;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::connect::ConnectOptions;
use crate::connectivity::ConnectivityMonitor;
use crate::link::tests::link_with;
use crate::observer::RecordingObserver;
use crate::renewal::ReplyOrigin;
use crate::requests::StoreReply;
use crate::session::{LeasePurpose, LeaseTerms};

const TTL: Duration = Duration::from_secs(9);
const ORIGIN: ReplyOrigin = ReplyOrigin { member: 1, term: 2 };

struct Bench {
    clock: Arc<ManualClock>,
    recorder: Arc<RecordingObserver>,
    session: Arc<LeaseSession>,
    renewer: LeaseRenewer,
}

async fn bench() -> Bench {
    let (recorder, _) = RecordingObserver::new();
    let options = ConnectOptions::new(["a", "b", "c"]).observer(recorder.clone());
    let (link, _) = link_with(options).await;
    let clock = Arc::new(ManualClock::at(BootTime::from_nanos(1_000)));
    let shared: Arc<dyn Clock> = clock.clone();
    let monitor = ConnectivityMonitor::new(shared.clone(), TTL);
    let requests = StoreRequests::new(link, Arc::default(), monitor, TTL, "/probe");
    let terms = LeaseTerms {
        ttl: TTL,
        drift: 0.0,
    };
    let session = LeaseSession::for_test(LeaseId::new(0xa), terms, LeasePurpose::Entries, shared);
    let renewer = LeaseRenewer::new(session.clone(), requests);
    Bench {
        clock,
        recorder,
        session,
        renewer,
    }
}

fn read(renewer: &mut LeaseRenewer) -> RenewalCheck {
    RenewalCheck::Read {
        sent: renewer.renewals.reading(renewer.now()),
        key: "/probe".into(),
        result: Ok(StoreReply::for_test(ORIGIN)),
    }
}

#[tokio::test]
async fn proven_renewal_is_reported_with_its_duration() {
    let mut bench = bench().await;
    let mut backoff = Backoff::reconnect();
    let check = read(&mut bench.renewer);
    assert!(matches!(
        bench.renewer.checked(check, &mut backoff),
        Ok(false)
    ));
    assert!(bench.recorder.take().is_empty(), "nothing was proven");
    bench.renewer.renewals.renewing(bench.renewer.now());
    bench.clock.advance(Duration::from_secs(2));
    let sent = bench.renewer.renewals.replied().unwrap();
    bench.renewer.renewals.answered(sent, TTL, ORIGIN);
    let check = read(&mut bench.renewer);
    assert!(matches!(
        bench.renewer.checked(check, &mut backoff),
        Ok(false)
    ));
    assert_eq!(bench.recorder.take(), ["renewal_confirmed a 2s"]);
}

#[tokio::test]
async fn lost_session_is_reported_and_a_released_one_is_not() {
    let lost = bench().await;
    lost.clock.advance(TTL);
    lost.renewer.run(CancellationToken::new()).await;
    assert_eq!(
        lost.recorder.take(),
        ["session_lost a the lease was not renewed before its deadline"]
    );
    let released = bench().await;
    released.session.end(EndReason::Released);
    released.renewer.run(CancellationToken::new()).await;
    assert!(released.recorder.take().is_empty());
}
