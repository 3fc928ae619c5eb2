//! Covenants asked ahead, on several threads: the answers are used where nothing has changed, and change nothing.

use crate::guardians::{HOUR_MS, act, guarded_by, set, two_of_three};
use crate::random::Random;
use crate::story::{Story, Threads, address, gcc, pay, units};
use ghostplane_engine::{Closed, OpenBatch, Pushed, Verified};
use ghostplane_ghostcipher::workers::{Serial, Workers};
use ghostplane_shroud::covenant::SCHEMA_VERSION;
use ghostplane_types::{Action, CovenantAt, CovenantText, TransactionBody};
use std::sync::Arc;

fn attach(at: CovenantAt, text: &str) -> [Action; 2] {
    let digest = Some(CovenantText::digest_of(SCHEMA_VERSION, text));
    [Action::PublishCovenant { schema_version: SCHEMA_VERSION, text: text.into() }, Action::SetCovenant { at, digest }]
}

const PEOPLE: usize = 30;

fn name(number: usize) -> String {
    format!("person{number}")
}

/// People whose days are limited, one who takes from few, and rules for all that nobody breaks.
fn plane() -> Story {
    let mut story = guarded_by(two_of_three());
    (0..PEOPLE).for_each(|number| {
        story.deposit(&name(number), gcc(100));
    });
    story.seal();
    let daily = "@id(\"rest\") permit (principal, action, resource);
        @id(\"daily\") forbid (principal, action in Action::\"moves_value\", resource)
        when { context.spent.day + context.amount > 1000 };";
    for number in 0..PEOPLE {
        story.act(&name(number), &attach(CovenantAt::Outgoing, daily));
    }
    let few = format!(
        "permit (principal, action, resource) when {{ principal == Account::\"{}\" || context.amount < 300 }};",
        address("person1")
    );
    story.act("carol", &attach(CovenantAt::Incoming, &few));
    story
        .act("operator", &attach(CovenantAt::Plane, "permit (principal, action, resource) when { context.time > 5 };"));
    story.deposit("operator", gcc(10));
    story.seal().wait(HOUR_MS).deposit("bob", gcc(1)).seal();
    story
}

/// What comes of the same transactions, pushed in groups by these workers; and how many answers were foreseen.
fn filled(story: &Story, given: &[Arc<Verified>], group: usize, workers: &dyn Workers) -> (Vec<Pushed>, Closed, u64) {
    let mut open =
        OpenBatch::open(&story.plane, &story.keystone, story.state, 0, story.time).expect("a time that follows");
    let groups = given.chunks(group).map(|group| open.push_with(workers, group).expect("an honest state"));
    let pushed: Vec<Pushed> = groups.collect::<Vec<_>>().concat();
    let foreseen = open.foreseen();
    (pushed, open.close().expect("something is in it"), foreseen)
}

#[test]
fn what_is_foreseen_changes_nothing() {
    let mut story = plane();
    let mut random = Random(7);
    for round in 0..400 {
        let from = name(random.below(PEOPLE));
        let to = if random.one_in(3) { "carol".to_owned() } else { name(random.below(PEOPLE)) };
        if from == to {
            continue;
        }
        let once = |random: &mut Random| pay(&to, units(1 + random.next() % 400));
        let mut actions = vec![once(&mut random)];
        if random.one_in(5) {
            actions.push(once(&mut random));
            actions.push(pay("bob", units(5)));
        }
        // Rules change on the way.
        if round == 200 {
            actions =
                attach(CovenantAt::Outgoing, "permit (principal, action, resource) when { context.time > 7 };").into();
        }
        let body = story.body(&from, 0, &actions);
        story.send(&from, TransactionBody { gas_limit: 3_000_000, ..body });
        // Alice's guardians agree, and freeze nobody: other facts than addresses and sums.
        if round % 50 == 0 {
            act(&mut story, "alice", &[pay("carol", units(1))], &["gina", "gus"]);
        }
    }
    act(&mut story, "alice", &[set(two_of_three())], &["gina", "gus"]);
    let given: Vec<Arc<Verified>> =
        story.verify(story.pool.clone()).into_iter().map(|one| Arc::new(one.expect("signed"))).collect();
    let (pushed, closed, none) = filled(&story, &given, 400, &Serial);
    assert_eq!(none, 0);
    let codes: Vec<u16> = pushed
        .iter()
        .map(|pushed| match pushed {
            Pushed::Included { outcome, .. } => outcome.code,
            other => panic!("{other:?}"),
        })
        .collect();
    let denied = codes.iter().filter(|code| **code == 280 || **code == 281).count();
    assert!(denied > 40 && denied < 300, "{denied} of {}: {codes:?}", codes.len());
    for (group, threads) in [(400, 2), (400, 5), (100, 3), (64, 2), (63, 2)] {
        let (pushed_ahead, closed_ahead, foreseen) = filled(&story, &given, group, &Threads(threads));
        assert_eq!(pushed_ahead, pushed);
        assert!(closed_ahead.posted == closed.posted);
        assert_eq!(closed_ahead.executed.records(), closed.executed.records());
        assert_eq!(closed_ahead.executed.changes(), closed.executed.changes());
        // Who spends twice in a group is asked again; a group too small to be worth it is not asked ahead.
        let most = given.len() as u64;
        assert!(if group < 64 { foreseen == 0 } else { foreseen > 30 && foreseen < most }, "{group}: {foreseen}");
    }
    story.seal();
}
