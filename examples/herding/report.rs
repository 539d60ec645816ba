//! What came out, as tables: for a terminal, for a program, for docs/.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::fleet::Spread;
use super::pool::Result;
use super::study::{
    Caches, Capacities, Contender, HALF_LIVES_MS, HEARTBEATS_MS, Place, REPORTED_CACHES, Study,
};

/// Every figure.
pub fn json(study: &Study) -> Value {
    let one = |(place, spread): &(Place, Spread)| {
        json!({
            "capacities": place.capacities.name(),
            "contender": place.contender.name,
            "resolvers": place.caches.resolvers,
            "ttl_s": place.caches.ttl_s,
            "heartbeat_ms": place.heartbeat_ms,
            "load_half_life_ms": place.half_life_ms,
            "spread_mean": spread.mean,
            "spread_worst": spread.worst,
            "overflow": spread.overflow,
        })
    };
    let trials: Vec<Value> = study.spreads.iter().map(one).collect();
    json!({ "seconds": study.seconds, "trials": trials })
}

/// The tables alone, in columns.
pub fn terminal(study: &Study) -> String {
    let mut out = String::new();
    for (heading, table) in tables(study) {
        _ = writeln!(out, "{heading}\n\n{}", table.columns());
    }
    out
}

/// The page: what the tables mean, around them.
pub fn markdown(study: &Study) -> Result<String> {
    let mut page = with_figures(include_str!("page.md"), study)?;
    for (name, (heading, table)) in ["EQUAL", "UNEQUAL", "FULL", "REPORTS"].iter().zip(tables(study)) {
        page = page.replace(&format!("{{{name}}}"), &format!("{heading}:\n\n{}", table.markdown()));
    }
    Ok(page.replace("{SECONDS}", &study.seconds.to_string()))
}

/// A text with the mean spread in the place of each `[[CAPACITIES/CONTENDER/RESOLVERS/TTL]]`, or with `/MILLISECONDS` between
/// heartbeats at its end: what the page says is what came out.
fn with_figures(text: &str, study: &Study) -> Result<String> {
    let mut out = String::new();
    for (number, piece) in text.split("[[").enumerate() {
        let (place, rest) = match number {
            0 => ("", piece),
            _ => piece.split_once("]]").ok_or_else(|| format!("a figure without an end: {piece}"))?,
        };
        if number > 0 {
            let spread = figure(place, study).ok_or_else(|| format!("no such figure: {place}"))?;
            _ = write!(out, "{:.2}", spread.mean);
        }
        out.push_str(rest);
    }
    Ok(out)
}

fn figure(place: &str, study: &Study) -> Option<Spread> {
    let mut words = place.split('/');
    let capacities = words.next()?;
    let capacities = Capacities::ALL.into_iter().find(|known| known.name() == capacities)?;
    let contender = words.next()?;
    let contender = Contender::ALL.into_iter().find(|known| known.name == contender)?;
    let caches = Caches { resolvers: words.next()?.parse().ok()?, ttl_s: words.next()?.parse().ok()? };
    let plain = Place::plain(capacities, contender, caches);
    let heartbeat_ms = words.next().map_or(Some(plain.heartbeat_ms), |text| text.parse().ok())?;
    study.spread(&Place { heartbeat_ms, ..plain })
}

fn tables(study: &Study) -> [(String, Table); 4] {
    let mean_and_worst = |spread: Spread| format!("{:.2} ({:.2})", spread.mean, spread.worst);
    let full = |spread: Spread| format!("{:.1}", spread.overflow * 100.0);
    let [equal, unequal] = Capacities::ALL;
    let spread = |capacities: Capacities| {
        let heading =
            format!("Spread with {} capacities: mean, and in brackets the worst moment", capacities.name());
        (heading, by_caches(study, capacities, mean_and_worst))
    };
    let heading = "Clients that came to a server that was full, per cent, with equal capacities";
    let reports =
        "Spread (equal capacities) by heartbeat interval and `load_half_life`: mean, and the worst moment";
    [
        spread(equal),
        spread(unequal),
        (heading.to_owned(), by_caches(study, equal, full)),
        (reports.to_owned(), by_reports(study, mean_and_worst)),
    ]
}

/// A row a contender, a column a way to ask.
fn by_caches(study: &Study, capacities: Capacities, cell: impl Fn(Spread) -> String) -> Table {
    let column = |caches: Caches| match (caches.resolvers, caches.ttl_s) {
        (_, 0) => "TTL 0".to_owned(),
        (1, ttl_s) => format!("1 resolver, {ttl_s} s"),
        (resolvers, ttl_s) => format!("{resolvers} resolvers, {ttl_s} s"),
    };
    let mut table = Table::new("", Caches::all().map(column));
    let clients = Caches::all().map(|caches| format!("{:.0}", caches.clients_an_answer()));
    table.push("clients an answer", clients);
    for contender in Contender::ALL {
        let places = Caches::all().map(|caches| Place::plain(capacities, contender, caches));
        table.push(contender.name, places.map(|place| study.spread(&place).map_or_else(String::new, &cell)));
    }
    table
}

/// A row a contender and an interval, a column a half life.
fn by_reports(study: &Study, cell: impl Fn(Spread) -> String) -> Table {
    let columns =
        REPORTED_CACHES.iter().flat_map(|caches| HALF_LIVES_MS.map(|half_life_ms| (*caches, half_life_ms)));
    let title = |(caches, half_life_ms): (Caches, u32)| {
        let at = match caches.ttl_s {
            0 => "TTL 0".to_owned(),
            ttl_s => format!("{} resolvers, {ttl_s} s", caches.resolvers),
        };
        format!("{at}, half life {} s", half_life_ms / 1000)
    };
    let mut table = Table::new("", columns.clone().map(title));
    for contender in Contender::REPORTING {
        for heartbeat_ms in HEARTBEATS_MS {
            let spreads = columns.clone().map(|(caches, half_life_ms)| {
                let plain = Place::plain(Capacities::Equal, contender, caches);
                study.spread(&Place { heartbeat_ms, half_life_ms, ..plain })
            });
            let row = format!("{}, every {} s", contender.name, heartbeat_ms / 1000);
            table.push(&row, spreads.map(|spread| spread.map_or_else(String::new, &cell)));
        }
    }
    table
}

/// Rows of cells, the first row being titles and the first column names.
struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(corner: &str, titles: impl Iterator<Item = String>) -> Self {
        let mut table = Table { rows: Vec::new() };
        table.push(corner, titles);
        table
    }

    fn push(&mut self, name: &str, cells: impl Iterator<Item = String>) {
        self.rows.push(std::iter::once(name.to_owned()).chain(cells).collect());
    }

    fn markdown(&self) -> String {
        let mut out = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            _ = writeln!(out, "| {} |", row.join(" | "));
            if number == 0 {
                _ = writeln!(out, "|---|{}", "---:|".repeat(row.len() - 1));
            }
        }
        out.trim_end().to_owned()
    }

    /// Each column as wide as its widest cell.
    fn columns(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            for (number, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                _ = match number {
                    0 => write!(out, "{cell:width$}"),
                    _ => write!(out, "  {cell:>width$}"),
                };
            }
            out.push('\n');
        }
        out
    }
}
