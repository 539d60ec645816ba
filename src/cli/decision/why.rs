//! In words: why an answer shows whom it shows.

use super::report::{MemberReport, Report, Rule};
use crate::policy::{Policy, Shown};
use crate::query::status::line::{Instead, PoolLine};
use crate::wire::Rtype;

/// Names that a sentence lists; the table has all of them.
const NAMED_MAX: usize = 4;

/// The reason, as the end of a sentence.
pub(super) fn why(report: &Report) -> String {
    let pool = report.pool.as_ref();
    match report.rule {
        Rule::Ordinary if report.is_elsewhere => {
            "the answer ends with the alias, and whoever asks looks for its target elsewhere".to_owned()
        }
        Rule::Ordinary => match report.records.len() {
            0 => "nobody registered such a record, and the zone's file has none".to_owned(),
            _ => "no policy picks here, so all records of this name and type are shown".to_owned(),
        },
        Rule::Member if report.records.is_empty() => "the member has no such record".to_owned(),
        Rule::Member => match report.members.first().map(|member| member.state) {
            Some("draining") => "a member's own name shows what it registered, also while it drains",
            Some("lost") => "a member's own name shows what it registered while its pool's answers have it",
            _ => "a member's own name shows what it registered, whatever the policy",
        }
        .to_owned(),
        Rule::Bindings if report.records.is_empty() => "no member in service registered any".to_owned(),
        Rule::Bindings => {
            "all that members in service registered is shown: clients choose by the records' own priority"
                .to_owned()
        }
        Rule::OnAllDown => match pool.and_then(|pool| pool.on_all_down.as_ref()) {
            Some(instead) => last_resort(instead),
            None => String::new(),
        },
        Rule::All | Rule::Policy if report.records.is_empty() => nobody(report),
        Rule::All if is_cut(report) => "as many as 64 KB hold are shown, in a stable order".to_owned(),
        Rule::All => {
            "whoever is here and does not drain is shown, also who weighs nothing, whatever the policy"
                .to_owned()
        }
        Rule::Policy => match pool {
            Some(pool) => policy_says(report, pool.policy, pool.answers),
            None => String::new(),
        },
    }
}

fn nobody(report: &Report) -> String {
    let family = match report.rtype {
        Rtype::A => "an IPv4 address",
        Rtype::AAAA => "an IPv6 address",
        _ => "this service",
    };
    match report.pool.as_ref() {
        Some(PoolLine { on_all_down: Some(instead), .. }) if report.rule == Rule::Policy => {
            let answer = instead.name();
            format!("nobody is fit to serve, and on_all_down = \"{answer}\" finds nobody with {family}")
        }
        Some(pool) if pool.up > 0 => format!("nobody in service has {family}"),
        Some(pool) if pool.out > 0 => "whoever is here weighs nothing (weight=0)".to_owned(),
        Some(pool) if pool.draining > 0 => "whoever is here drains".to_owned(),
        _ => "nobody is here".to_owned(),
    }
}

/// What is answered when nobody is fit, and what the operator chose for it.
fn last_resort(instead: &Instead) -> String {
    let what = match instead {
        Instead::Fallback(pool) => format!("{pool} answers instead"),
        Instead::LastGood(Some(left_s)) => format!("who was good last is shown, for {left_s} s more"),
        Instead::LastGood(None) => "who was good last is shown".to_owned(),
        Instead::All => "whoever lives and does not drain is shown, though it weighs nothing".to_owned(),
        Instead::ServFail => "whoever asks is to ask elsewhere, or to use what it remembers".to_owned(),
        Instead::NoData => "nothing is answered".to_owned(),
    };
    format!("nobody is fit to serve, and on_all_down = \"{}\": {what}", instead.name())
}

fn policy_says(report: &Report, policy: Policy, answers: Shown) -> String {
    let shows_all = answers == Shown::All;
    if report.rtype == Rtype::SRV && shows_all {
        let whom = if is_cut(report) {
            "as many as 64 KB hold are shown, in the policy's order"
        } else {
            "all in service are shown"
        };
        let chooses = "and a client chooses by priority and weight in the records (RFC 2782)";
        return format!("{whom}, {chooses}, {}", written(policy));
    }
    let picked = report.picked();
    // Places count from 1, also those of members that are not told of.
    let first = picked.first().filter(|first| first.answer == Some(1));
    let Some(first) = first else {
        return match report.not_shown {
            0 => "whose records these are has joined since `_status` was asked for".to_owned(),
            _ => "whose records these are is among those that the server had no room to tell of".to_owned(),
        };
    };
    let alike = picked.iter().filter(|one| one.answer == Some(1) && one.name != first.name);
    if alike.count() > 0 {
        return "members share the address that is first, and which of them was picked it does not say"
            .to_owned();
    }
    let name = &first.name;
    let reason = match policy {
        Policy::RoundRobin => format!("it is {name}'s turn to be the first, and each has as many"),
        Policy::Random => format!("{name} was drawn first, where each is as likely as any other"),
        Policy::WeightedRoundRobin => {
            format!("it is {name}'s turn, and turns go by weight: {} of them are its", share(first))
        }
        Policy::WeightedRandom => {
            format!("{name} was drawn first, and draws go by weight: {} of them are its", share(first))
        }
        Policy::RandomizedLeastUsed => {
            format!(
                "{name} was drawn first, and draws go by what is to spare: {} of them are its",
                share(first)
            )
        }
        Policy::Priority => {
            let priority = first.priority.unwrap_or(0);
            ranked(report, first, &format!("the highest priority, {priority}"))
        }
        Policy::LeastUsed => ranked(report, first, &format!("the least load, {}", first.level())),
        Policy::LeastUsedDegradation => {
            let picks = first.picks.unwrap_or(0);
            let since = format!("{picks} {} since it registered", if picks == 1 { "pick" } else { "picks" });
            ranked(
                report,
                first,
                &format!("the least load with what was asked of it, {} ({since})", first.level()),
            )
        }
        Policy::PriorityLeastUsed => {
            ranked(report, first, &format!("the least load if it is asked once more, {}", first.level()))
        }
    };
    // A member with several ports has a row for each, and is picked once.
    let mut picked = picked;
    picked.dedup_by(|one, before| one.name == before.name);
    let rest = match (shows_all, picked.len()) {
        (true, 2..) => "; all in service are shown".to_owned(),
        (false, 2..) => format!("; the answer has {}, in this order", names(&picked)),
        _ => String::new(),
    };
    reason + &rest
}

/// Whether a service has more records than its answer. A few less than this many are of members that went meanwhile.
fn is_cut(report: &Report) -> bool {
    /// SRV records whose targets are as long as can be, in a message that is full (12 + 6 + 255 octets of 65535).
    const FULL: usize = 200;
    let of_pool =
        report.pool.as_ref().map_or(0, |pool| pool.up + if report.rule == Rule::All { pool.out } else { 0 });
    report.rtype == Rtype::SRV && (FULL..of_pool).contains(&report.records.len())
}

/// What a policy writes into SRV records.
fn written(policy: Policy) -> &'static str {
    match policy {
        Policy::RoundRobin => "which are those that members registered",
        Policy::Random => "which are alike",
        Policy::WeightedRoundRobin | Policy::WeightedRandom => {
            "which are in proportion to what members weigh"
        }
        Policy::Priority => "the best priority being the least number there",
        Policy::LeastUsed
        | Policy::LeastUsedDegradation
        | Policy::PriorityLeastUsed
        | Policy::RandomizedLeastUsed => "which are in proportion to what members have to spare, 1 - load",
    }
}

/// Of a policy that puts the best first: that this one is, alone or in turn with its equals. Another may have become so
/// between the two questions.
fn ranked(report: &Report, first: &MemberReport, best: &str) -> String {
    let equals: Vec<_> = report.members.iter().filter(|one| one.rank == Some(1)).collect();
    let name = &first.name;
    match (first.rank, equals.len()) {
        (Some(1), 2..) => format!("{} have {best}, and take turns: it is {name}'s", names(&equals)),
        (Some(1), _) => format!("{name} has {best}"),
        _ => {
            format!("{name} was the first when the question came: ranks have moved since they were asked for")
        }
    }
}

fn share(member: &MemberReport) -> String {
    member.share.map_or_else(|| "some".to_owned(), |share| share.percent())
}

fn names(members: &[&MemberReport]) -> String {
    let named: Vec<_> = members.iter().take(NAMED_MAX).map(|member| member.name.as_str()).collect();
    match (named.split_last(), members.len().saturating_sub(NAMED_MAX)) {
        (Some((last, [])), 0) => (*last).to_owned(),
        (Some((last, others)), 0) => format!("{} and {last}", others.join(", ")),
        (_, more) => format!("{} and {more} more", named.join(", ")),
    }
}
