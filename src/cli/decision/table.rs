//! The members in a table: a column for each thing that the policy counts, and none for the others.

use std::io::{self, Write};

use super::report::{MemberReport, Report, Rule};
use crate::policy::Policy;
use crate::wire::Rtype;

/// Which side the words of a column keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

struct Column {
    head: &'static str,
    side: Side,
    cells: Vec<String>,
}

/// Writes the table of a report's members.
pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let columns = columns(report);
    let width = |column: &Column| {
        let cells = column.cells.iter().map(|cell| cell.chars().count());
        cells.chain([column.head.len()]).max().unwrap_or(0)
    };
    let mut write_row = |cell: &dyn Fn(&Column) -> String| {
        let words = columns.iter().map(|column| match (column.side, cell(column), width(column)) {
            (Side::Left, word, width) => format!("{word:<width$}"),
            (Side::Right, word, width) => format!("{word:>width$}"),
        });
        writeln!(out, "{}", words.collect::<Vec<_>>().join("  ").trim_end())
    };
    write_row(&|column| column.head.to_owned())?;
    (0..report.members.len())
        .try_for_each(|row| write_row(&|column| column.cells.get(row).cloned().unwrap_or_default()))
}

fn columns(report: &Report) -> Vec<Column> {
    let members = &report.members;
    let mut columns = Vec::new();
    let mut column = |head, side, is_wanted: bool, cell: &dyn Fn(&MemberReport) -> Option<String>| {
        if is_wanted {
            let cells = members.iter().map(|member| cell(member).unwrap_or_else(|| "-".to_owned()));
            columns.push(Column { head, side, cells: cells.collect() });
        }
    };
    let has = |of: &dyn Fn(&MemberReport) -> bool| members.iter().any(of);
    let policy = report.pool.as_ref().map(|pool| pool.policy);
    let is_ranked = report.rule == Rule::OnAllDown && has(&|one| one.rank.is_some());
    let picks = report.rule == Rule::Policy || is_ranked;
    let is = |wanted: Policy| picks && policy == Some(wanted);
    let goes_by_load = picks && policy.is_some_and(Policy::ranks_by_load);
    let is_service = report.rtype == Rtype::SRV;
    // What a pick costs does not move the weights in SRV records.
    let degrades = is(Policy::LeastUsedDegradation) || is(Policy::PriorityLeastUsed);
    let (costs, counts) = (degrades && !is_service, is(Policy::LeastUsedDegradation) && !is_service);

    column("#", Side::Right, true, &|one| one.answer.map(|place| place.to_string()));
    column("rank", Side::Right, picks, &|one| one.rank.map(|rank| rank.to_string()));
    column("share", Side::Right, picks, &|one| one.share.map(|share| share.percent()));
    column("member", Side::Left, true, &|one| Some(one.name.clone()));
    // Whoever is up is so because it registered.
    column("state", Side::Left, true, &|one| match one.state {
        "up" => Some(one.state.to_owned()),
        state => Some(format!("{state} {}", one.reason)),
    });
    let by_weight = picks && policy.is_some_and(Policy::picks_by_weight);
    column("weight", Side::Right, by_weight, &|one| Some(one.weight.to_string()));
    column("priority", Side::Right, is(Policy::Priority), &|one| one.priority.map(|value| value.to_string()));
    column("load", Side::Right, goes_by_load, &|one| match one.load {
        None if one.load_unsaid => Some("unsaid".to_owned()),
        load => load.map(|load| load.to_string()),
    });
    let is_smoothed = goes_by_load && has(&|one| one.smoothed.is_some());
    column("smoothed", Side::Right, is_smoothed, &|one| Some(one.counted_load().to_string()));
    column("a pick", Side::Right, costs, &|one| one.degradation.map(|cost| format!("+{cost}")));
    column("picks", Side::Right, counts, &|one| one.picks.map(|picks| picks.to_string()));
    let has_level = goes_by_load && has(&|one| one.level.is_some());
    column("level", Side::Right, has_level, &|one| Some(one.level().to_string()));
    column("warm", Side::Right, picks && has(&|one| one.warming.is_some()), &|one| {
        Some(one.warming.map_or_else(|| "100%".to_owned(), |warming| warming.percent()))
    });
    column("SRV", Side::Left, is_service, &|one| {
        Some(format!("{} {} {}", one.srv_priority?, one.srv_weight?, one.port?))
    });
    column("lease", Side::Right, true, &|one| {
        Some(match one.lease_s {
            _ if one.held => "held".to_owned(),
            Some(lease_s) => format!("{lease_s}s"),
            None => "none".to_owned(),
        })
    });
    columns
}
