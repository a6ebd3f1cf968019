//! Random operations against a plain list of events.

use super::*;
use crate::events::Times;

const NAMES: [&str; 3] = ["Web", "db/main", "日本"];

/// Spelled as a sender may spell it.
fn spelled(rng: &mut Rng, name: &str) -> String {
    if rng.chance(0.3) { name.to_uppercase() } else { name.to_owned() }
}

#[test]
fn the_store_holds_what_a_plain_list_holds() {
    for_seeds("the_store_holds_what_a_plain_list_holds", 30, |rng| {
        let bed = Bed::new();
        let columns = events::columns(rng, 6);
        let mut options = StoreOptions { segment_rows_max: 1 + rng.below(200), ..bed.options() };
        options.wal_file_bytes = 1 << rng.between(6, 16);
        let mut store = Store::open(options.clone()).unwrap();
        let mut list: Vec<Vec<Event>> = vec![Vec::new(); NAMES.len()];
        let mut held: Vec<(Snapshot, Vec<String>)> = Vec::new();
        for _ in 0..60 {
            match rng.below(20) {
                0..=9 => {
                    let mut writes = Vec::new();
                    for (i, name) in NAMES.iter().enumerate() {
                        if rng.chance(0.6) {
                            let times = *rng.pick(&[Times::Usual, Times::Same, Times::Decades, Times::Burst]);
                            let n = 1 + rng.below(30);
                            let events = events::events(rng, &columns, times, n);
                            writes.push(write(&spelled(rng, name), &events));
                            list[i].extend(events);
                        }
                    }
                    store.append_blocking(writes).unwrap();
                }
                10..=12 => store.seal_now().unwrap(),
                13 | 14 => drop(store.compact_now().unwrap()),
                15 => {
                    store.close().unwrap();
                    drop(store);
                    store = Store::open(options.clone()).unwrap();
                }
                16 => {
                    drop(store);
                    store = Store::open(options.clone()).unwrap();
                }
                17 => {
                    let i = rng.below(NAMES.len());
                    let gone = store.delete_dataset(NAMES[i]);
                    assert_eq!(gone.is_ok(), store.dataset(NAMES[i]).is_none() && gone.is_ok());
                    list[i].clear();
                }
                18 => held.push((snapshot(&store, &Scope::All), all_rows(&store))),
                _ => drop(held.pop()),
            }
            check(&store, &list);
        }
        for (snapshot, rows) in &held {
            same(&rows_of(snapshot), rows);
        }
        drop(held);
        store.close().unwrap();
        drop(store);
        let summary = ::store::check(&bed.path(), &mut |f| panic!("{f:?}")).unwrap();
        assert_eq!(summary.segment_rows, list.iter().map(|l| l.len() as u64).sum::<u64>());
    });
}

fn check(store: &Store, list: &[Vec<Event>]) {
    // The first spelling may be either.
    let lower = |rows: Vec<String>| -> Vec<String> {
        let mut rows: Vec<String> = rows.into_iter().map(|r| r.replace("WEB ", "Web ").replace("DB/MAIN ", "db/main ")).collect();
        rows.sort();
        rows
    };
    let mut expected: Vec<String> = list.iter().zip(NAMES).flat_map(|(events, name)| events.iter().map(move |e| text(name, e))).collect();
    expected.sort();
    same(&lower(all_rows(store)), &expected);
    for (events, name) in list.iter().zip(NAMES) {
        let Some(info) = store.dataset(name) else {
            assert!(events.is_empty());
            continue;
        };
        assert_eq!(info.n_rows, events.len() as u64);
        let mut cells: BTreeMap<&str, u64> = BTreeMap::new();
        for event in events {
            for name in event.fields.keys() {
                *cells.entry(name).or_default() += 1;
            }
        }
        let columns = store.columns(&Scope::Dataset(name.into())).unwrap();
        let found: BTreeMap<&str, u64> = columns.iter().map(|c| (c.name.as_str(), c.kinds.iter().map(|(_, n)| n).sum())).collect();
        assert_eq!(found, cells);
    }
}
