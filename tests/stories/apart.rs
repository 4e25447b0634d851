//! Tenants never meet: any interleaving of two tenants with the same names gives what each gives alone.

use std::fmt::Write as _;

use serde_json::Value;

use crate::replayed::replay;
use crate::tale::{FAR, HOME, HOTEL, MINUTE, Tale};

/// Time passes equally far for all, so that the same wake-ups are due.
const FLAGS: &[&str] = &["--scores", "--until", "2026-06-01T00:00:00Z"];

fn tale(tenant: &str, seed: u64) -> Tale {
    let mut tale = Tale::of(tenant).with_history("alice");
    let mut draw = Draw(seed);
    for round in 0..40 {
        let desk = [HOME, HOTEL, FAR][draw.below(3)];
        let session = ["s-1", "s-2"][draw.below(2)];
        let pause = MINUTE * i64::try_from(1 + draw.below(20)).unwrap();
        tale.wait(pause);
        match draw.below(5) {
            0 => tale.login("alice", session, desk, &["pwd"]),
            1 => tale.login("alice", session, desk, &["pwd", "mfa", "otp"]),
            2 => tale.failed_login("alice", desk, "bad_password"),
            3 => tale.health("laptop-1", serde_json::json!({"firewall": round % 2 == 0})),
            _ => tale.access("alice", session, desk),
        };
    }
    tale
}

/// A small generator (SplitMix64), so that a failing seed can be repeated.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

/// Both tales' events in the order of their times; of equal ones the seed decides.
fn interleaved(a: &Tale, b: &Tale, draw: &mut Draw) -> String {
    let (mut a, mut b) = (a.lines().iter().peekable(), b.lines().iter().peekable());
    let mut text = String::new();
    loop {
        let next = match (a.peek(), b.peek()) {
            (None, None) => return text,
            (Some(_), None) => a.next(),
            (None, Some(_)) => b.next(),
            (Some(first), Some(second)) => {
                let times = (first["time"].as_i64(), second["time"].as_i64());
                let is_first = times.0 < times.1 || (times.0 == times.1 && draw.below(2) == 0);
                if is_first { a.next() } else { b.next() }
            }
        };
        writeln!(text, "{}", next.unwrap()).unwrap();
    }
}

fn of_tenant(lines: &[Value], tenant: &str) -> Vec<String> {
    let own = |line: &&Value| match line["type"].as_str() {
        Some("score") => line["event"]
            .as_str()
            .unwrap()
            .starts_with(&format!("{tenant}-")),
        _ => line["tenant"] == tenant,
    };
    lines.iter().filter(own).map(Value::to_string).collect()
}

#[test]
fn two_tenants_with_the_same_names_never_meet() {
    for seed in 0..12 {
        let (a, b) = (tale("acme", seed), tale("bolt", seed + 1_000));
        let alone = [&a, &b].map(|tale| replay(&[], FLAGS, &tale.text()).lines);
        let text = interleaved(&a, &b, &mut Draw(seed));
        let together = replay(&[], FLAGS, &text);
        assert_eq!(together.code, 0, "{}", together.stderr);
        for (tenant, alone) in ["acme", "bolt"].into_iter().zip(&alone) {
            let (own, expected) = (of_tenant(&together.lines, tenant), of_tenant(alone, tenant));
            assert_eq!(own.len(), expected.len(), "seed {seed}, {tenant}");
            for (own, expected) in own.iter().zip(&expected) {
                assert_eq!(own, expected, "seed {seed}, {tenant}");
            }
        }
    }
}
