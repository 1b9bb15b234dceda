//! Tables of columns against what is derived from them.

use super::*;

fn titles<C>(specs: &[ColumnSpec<C>]) -> Vec<&'static str> {
    let sorted = specs.iter().filter(|spec| spec.sort.is_some());
    sorted.map(|spec| spec.title).collect()
}

#[test]
fn sorted_columns_after_the_first_have_ranks() {
    use crate::model::fixture::FixtureStore;
    let mut store = FixtureStore::new();
    store.join("a", "led", "host-1", 1);
    let shown = store.model.shown(store.now);
    let lock = shown.state.locks.values().next().unwrap();
    let row = store.model.row(shown, lock);
    let sorted = LOCK_COLUMNS.iter().filter(|spec| spec.sort.is_some());
    let unranked = sorted.filter(|spec| spec.column.value(&row).rank().is_none());
    assert_eq!(
        unranked.map(|spec| spec.title).collect::<Vec<_>>(),
        ["LOCK"]
    );
    let brief = crate::model::Model::session_briefs(shown)[0];
    let sorted = SESSION_COLUMNS.iter().filter(|spec| spec.sort.is_some());
    let unranked = sorted.filter(|spec| spec.column.rank(&brief, || None).is_none());
    assert_eq!(
        unranked.map(|spec| spec.title).collect::<Vec<_>>(),
        ["SESSION"]
    );
}

#[test]
fn titles_and_json_positions_are_unique() {
    let mut all = titles(&LOCK_COLUMNS);
    all.sort_unstable();
    let count = all.len();
    all.dedup();
    assert_eq!(all.len(), count);
    let mut positions: Vec<u8> = LOCK_COLUMNS
        .iter()
        .filter_map(|spec| spec.json.map(|(position, _)| position))
        .collect();
    positions.sort_unstable();
    assert!(
        positions
            .iter()
            .copied()
            .eq(0..u8::try_from(positions.len()).unwrap())
    );
}
