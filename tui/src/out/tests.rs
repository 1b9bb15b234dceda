//! The shapes that scripts depend on.

use super::{OutputFormat, StreamLine, once};
use crate::filter::Filter;
use crate::model::fixture::FixtureStore;

fn some() -> FixtureStore {
    let mut teller = FixtureStore::new();
    teller.host("host-1", 1, &["led"]);
    teller.join("billing/ledger", "led", "host-1", 1);
    teller
        .after(61_000)
        .join("billing/ledger", "led", "host-2", 2);
    teller.after(1_500).join_other("etl, \"daily\"", 0x694d);
    teller.ttl(1, 9, 10);
    teller.put("/legacy/=cmd/maintenance", b"", 0);
    teller
}

#[test]
fn once_as_table_json_and_csv() {
    let teller = some();
    let print = |form| once(&teller.model, &Filter::default(), teller.now, form);
    insta::assert_snapshot!("once_table", print(OutputFormat::Table));
    insta::assert_snapshot!("once_json", print(OutputFormat::Json));
    insta::assert_snapshot!("once_csv", print(OutputFormat::Csv));
    let filter = Filter::parse("ledger").unwrap();
    let few = once(&teller.model, &filter, teller.now, OutputFormat::Csv);
    assert_eq!(few.lines().count(), 2);
}

#[test]
fn the_stream_has_one_object_for_each_thing_that_happens() {
    let mut teller = some();
    teller.after(400).leave("billing/ledger", 1);
    let shown = teller.model.shown(teller.now);
    let events = teller.model.events.before(shown.next);
    let mut lines: Vec<String> = events
        .map(|(_, event)| StreamLine::of(event).to_json())
        .collect();
    lines.reverse();
    insta::assert_snapshot!("stream", lines.concat());
}
