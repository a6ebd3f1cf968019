//! The fleet keeps its promises: the same for the same seed, wide, real OTLP, and the story only where all of it holds.

use super::{
    otlp::Export,
    request::{Endpoint, Plan},
    rng::Rng,
    world::{IMAGE_EXPORT, N_USERS, SERVICES, STORY_BUILD, STORY_BUTTON, STORY_COUNTRIES, STORY_PACK, User, World},
};
use model::{Batch, Limits};
use std::collections::{BTreeMap, BTreeSet};

const HISTORY_S: f64 = 7200.0;
const RATE: f64 = 50.0;

fn plans(world: &World, from: u64, n: u64) -> impl Iterator<Item = Plan> {
    (from..from + n).map(move |i| {
        let at_s = i as f64 / RATE;
        Plan::draw(world, i, 1_790_000_000_000_000_000 + (at_s * 1e9) as i64, at_s)
    })
}

/// Export requests of some traces, decoded as the server decodes them.
fn decoded(world: &World, plans: impl Iterator<Item = Plan>) -> BTreeMap<String, Vec<Batch>> {
    let mut exports: BTreeMap<(usize, usize), Export> = BTreeMap::new();
    for plan in plans {
        for placed in plan.trace(4) {
            let build = world.build(placed.service, placed.instance, plan.at_s);
            exports
                .entry((placed.service, placed.instance))
                .or_insert_with(|| Export::new(world.resource(placed.service, placed.instance, build), SERVICES[placed.service].scope))
                .push(&placed.span);
        }
    }
    let mut body = Vec::new();
    let n: usize = exports.values_mut().map(|e| e.drain(&mut body)).sum();
    let limits = Limits::default();
    let context = ingest::Context::new(1_800_000_000_000_000_000, &limits);
    let out = ingest::otlp::traces(&body, ingest::otlp::Encoding::Protobuf, ingest::otlp::Routing::default(), &context).unwrap();
    assert_eq!((out.accepted, out.rejected, out.message.as_str()), (n, 0, ""));
    let mut batches: BTreeMap<String, Vec<Batch>> = BTreeMap::new();
    for (dataset, batch) in out.writes {
        batches.entry(dataset).or_default().push(batch);
    }
    batches
}

#[test]
fn the_same_seed_makes_the_same_fleet() {
    let bytes = |seed| {
        let world = World::new(seed, HISTORY_S, 0);
        let mut out = Vec::new();
        for plan in plans(&world, 100_000, 50) {
            plan.trace(1).iter().for_each(|placed| placed.span.write(&mut out));
        }
        out
    };
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
    // A second run of the same fleet does the same under other ids.
    let plan = |run| plans(&World::new(1, HISTORY_S, run), 7, 1).next().unwrap();
    let (one, two) = (plan(0).trace(1), plan(1).trace(1));
    assert_eq!(one.len(), two.len());
    assert!(one.iter().zip(&two).all(|(a, b)| a.span.name == b.span.name && a.span.id != b.span.id && a.span.trace_id != b.span.trace_id));
}

#[test]
fn only_all_conditions_together_make_the_story() {
    let world = World::new(789_782, HISTORY_S, 0);
    let (mut n_story, mut n_errors_elsewhere) = (0, 0);
    // Requests for which all conditions hold but the one of that index.
    let mut all_but = [0; 7];
    for plan in plans(&world, 0, (HISTORY_S * RATE) as u64) {
        let build = world.build(IMAGE_EXPORT, plan.instances[IMAGE_EXPORT], plan.at_s);
        let holds = [
            plan.user.os == "iOS 11",
            plan.user.language_pack == STORY_PACK,
            STORY_COUNTRIES.contains(&plan.user.country.0),
            plan.endpoint == Endpoint::Export,
            build == STORY_BUILD,
            plan.user.last_name.starts_with("MC"),
            plan.button == STORY_BUTTON,
        ];
        assert_eq!(plan.story, holds == [true; 7]);
        n_story += usize::from(plan.story);
        n_errors_elsewhere += usize::from(plan.fault.is_some());
        if holds.iter().filter(|h| !**h).count() == 1 {
            all_but[holds.iter().position(|h| !h).unwrap()] += 1;
        }
    }
    assert!(n_story > 200, "{n_story}");
    assert!(n_errors_elsewhere > 5 * n_story, "{n_errors_elsewhere}");
    // Without the export service there is no such button, so that pair goes together.
    for (i, n) in all_but.into_iter().enumerate().filter(|(i, _)| *i != 3) {
        assert!(n > 10, "condition {i}: {n}");
    }
}

#[test]
fn a_story_request_is_slow_and_fails_through_all_its_callers() {
    let world = World::new(789_782, HISTORY_S, 0);
    let plan = plans(&world, 150_000, 200_000).find(|p| p.story).unwrap();
    let spans = plan.trace(1);
    let call = spans.iter().find(|s| s.span.exception.is_some_and(|e| e.kind == "ExportJobNotFound")).unwrap();
    assert_eq!((call.service, call.span.name), (IMAGE_EXPORT, "SELECT export_jobs"));
    let ms = (call.span.end_ns - call.span.start_ns) / 1_000_000;
    assert!((500..12_000).contains(&ms), "{ms}");
    // Up to the root, every span on the way is in error and encloses its child.
    let mut child = &call.span;
    while let Some(parent) = child.parent {
        let next = &spans.iter().find(|s| s.span.id == parent).unwrap().span;
        assert!(next.error.is_some() && next.start_ns <= child.start_ns && next.end_ns >= child.end_ns, "{}", next.name);
        child = next;
    }
    assert_eq!(child.name, "POST /export");
}

#[test]
fn datasets_are_wide_and_their_spans_too() {
    let world = World::new(5, HISTORY_S, 0);
    let datasets = decoded(&world, plans(&world, 200_000, 1500));
    assert_eq!(datasets.len(), SERVICES.len());
    let mut all = BTreeSet::new();
    for (dataset, batches) in &datasets {
        let names: BTreeSet<&str> = batches.iter().flat_map(|b| &b.columns).map(|c| &*c.name).collect();
        assert!(names.len() >= 150, "{dataset} has {} fields", names.len());
        let (rows, cells) = batches
            .iter()
            .fold((0, 0), |(rows, cells), b| (rows + b.n_rows, cells + b.columns.iter().map(|c| c.cells.len()).sum::<usize>()));
        assert!((55..150).contains(&(cells / rows)), "{dataset} has {} cells a row", cells / rows);
        assert!(batches.iter().all(|b| b.sample_rates.iter().all(|r| *r == 4.0) && !b.sample_rates.is_empty()));
        all.extend(names.into_iter().map(str::to_owned));
    }
    assert!(all.len() >= 300, "{}", all.len());
}

#[test]
fn there_are_a_million_users_and_each_stays_the_same() {
    let mut rng = Rng::new(1, 1);
    let ids: BTreeSet<u64> = (0..200_000).map(|_| User::draw(9, &mut rng).id).collect();
    assert!(ids.len() > 100_000 && ids.iter().all(|id| *id < N_USERS), "{}", ids.len());
    let twice = [User::of(9, 4711), User::of(9, 4711)].map(|u| format!("{u:?}"));
    assert_eq!(twice[0], twice[1]);
}

#[test]
fn deploys_roll_out_instance_by_instance_and_go_on_live() {
    let world = World::new(1, HISTORY_S, 0);
    let at = 0.41 * HISTORY_S;
    assert_ne!(world.build(IMAGE_EXPORT, 0, at - 1.0), STORY_BUILD);
    assert_eq!([0, 1, 4].map(|i| world.build(IMAGE_EXPORT, i, at + 15.0) == STORY_BUILD), [true, false, false]);
    assert_eq!([0, 2, 3, 4].map(|i| world.build(IMAGE_EXPORT, i, HISTORY_S * 9.0) == STORY_BUILD), [true, true, false, false]);
    assert!(world.deploys.is_sorted_by(|a, b| a.at_s <= b.at_s));
}
