//! Output formats that scripts depend on.

use super::{OutputFormat, StreamLine, print_locks};
use crate::filter::Filter;
use crate::model::fixture::FixtureStore;

fn some() -> FixtureStore {
    let mut store = FixtureStore::new();
    store.host("host-1", 1, &["led"]);
    store.join("billing/ledger", "led", "host-1", 1);
    store
        .after(61_000)
        .join("billing/ledger", "led", "host-2", 2);
    store.after(1_500).join_other("etl, \"daily\"", 0x694d);
    store.ttl(1, 9, 10);
    store.put("/legacy/=cmd/maintenance", b"", 0);
    store
}

#[test]
fn once_as_table_json_and_csv() {
    let store = some();
    let print = |form| print_locks(&store.model, &Filter::default(), store.now, form);
    insta::assert_snapshot!("once_table", print(OutputFormat::Table));
    insta::assert_snapshot!("once_json", print(OutputFormat::Json));
    insta::assert_snapshot!("once_csv", print(OutputFormat::Csv));
    let filter = Filter::parse("ledger").unwrap();
    let few = print_locks(&store.model, &filter, store.now, OutputFormat::Csv);
    assert_eq!(few.lines().count(), 2);
}

#[test]
fn stream_has_one_object_per_event() {
    let mut store = some();
    store.after(400).leave("billing/ledger", 1);
    let shown = store.model.shown(store.now);
    let events = store.model.events.before(shown.next);
    let mut lines: Vec<String> = events
        .map(|(_, event)| StreamLine::from_event(event).to_json())
        .collect();
    lines.reverse();
    insta::assert_snapshot!("stream", lines.concat());
}
