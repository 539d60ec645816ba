//! What came out, as a picture: a panel for each fleet and number of resolvers, a line for each policy.

use std::fmt::Write as _;

use super::study::{Caches, Capacities, Contender, Place, RESOLVERS, SERVERS, Study, TTLS_S};

/// The picture's size, and a panel's inside it, with room around for what stands at its axes.
const SIZE: (f64, f64) = (1080.0, 670.0);
const PANEL: (f64, f64) = (210.0, 230.0);
const FIRST: (f64, f64) = (80.0, 70.0);
const STEP: (f64, f64) = (250.0, 310.0);
const LEGEND: (f64, f64) = (830.0, 80.0);
/// Spreads that have a line of their own on the logarithmic axis; the last is all load on one server.
const MARKS: [u32; 5] = [1, 2, 5, 10, SERVERS as u32];

/// Who is drawn, in which colour on light and dark, in which stroke. Those that are left out lie on one that is drawn, or
/// beside it.
const LINES: [(Contender, &str, &str, &str); 8] = [
    (Contender::ROUND_ROBIN_ALL, "#1b1b1b", "#f0f0f0", ""),
    (Contender::ROUND_ROBIN, "#8a8a8a", "#9a9a9a", "6 3"),
    (Contender::WEIGHTED_RANDOM, "#b8860b", "#e6b422", "2 3"),
    (Contender::RANDOMIZED, "#0072b2", "#56b4e9", ""),
    (Contender::RANDOMIZED_FEW, "#0072b2", "#56b4e9", "6 3"),
    (Contender::LEAST_USED, "#c0392b", "#ff7f6a", ""),
    (Contender::DEGRADATION_FITTED, "#00805a", "#3fd0a0", ""),
    (Contender::SERVICE_RANDOMIZED, "#8e44ad", "#cf9bf0", "6 3"),
];

/// The whole picture. It brings its own background, so that it reads the same wherever it is shown.
pub fn svg(study: &Study) -> String {
    let mut out = String::new();
    let (width, height) = SIZE;
    _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>Load spread of policies behind caching resolvers</title>\n<style>\n{}</style>\n\
         <rect class=\"page\" width=\"{width}\" height=\"{height}\"/>",
        style()
    );
    put_text(&mut out, (FIRST.0, 24.0), "title", "Busiest server's load over the mean, by TTL (1 is even)");
    for (row, capacities) in (0_u8..).zip(Capacities::ALL) {
        for (column, resolvers) in (0_u8..).zip(RESOLVERS) {
            let at = (FIRST.0 + STEP.0 * f64::from(column), FIRST.1 + STEP.1 * f64::from(row));
            let plural = if resolvers == 1 { "" } else { "s" };
            let title = format!("{resolvers} resolver{plural}, {} capacities", capacities.name());
            put_text(&mut out, (at.0, at.1 - 10.0), "", &title);
            put_axes(&mut out, at);
            for (number, (contender, ..)) in LINES.iter().enumerate() {
                put_line(&mut out, at, number, &points(study, capacities, *contender, resolvers));
            }
        }
        let middle = FIRST.1 + STEP.1 * f64::from(row) + PANEL.1 / 2.0;
        _ = writeln!(
            out,
            "<text class=\"middle\" transform=\"translate(26 {middle:.1}) rotate(-90)\">spread, max / mean</text>"
        );
    }
    put_legend(&mut out);
    out.push_str("</svg>\n");
    out
}

fn style() -> String {
    let mut light = String::from(
        ".page { fill: #ffffff } text { fill: #24292f } .title { font-size: 16px; font-weight: bold }\n\
         .middle { text-anchor: middle } .end { text-anchor: end }\n\
         .grid { stroke: #d8dee4 } .axis { stroke: #6e7781 } polyline { fill: none; stroke-width: 2 }\n",
    );
    let mut dark = String::from(
        ".page { fill: #0d1117 } text { fill: #e6edf3 } .grid { stroke: #30363d } .axis { stroke: #8b949e }\n",
    );
    for (number, (_, on_light, on_dark, dashes)) in LINES.iter().enumerate() {
        _ = writeln!(light, ".l{number} {{ stroke: {on_light}; stroke-dasharray: {} }}", or_none(dashes));
        _ = writeln!(light, ".d{number} {{ fill: {on_light} }}");
        _ = writeln!(dark, ".l{number} {{ stroke: {on_dark} }} .d{number} {{ fill: {on_dark} }}");
    }
    format!("{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n")
}

fn or_none(dashes: &str) -> &str {
    if dashes.is_empty() { "none" } else { dashes }
}

/// By TTL, what a contender came to.
fn points(study: &Study, capacities: Capacities, contender: Contender, resolvers: usize) -> Vec<(f64, f64)> {
    let spread = |(number, ttl_s): (u8, u32)| {
        // Where nothing is cached it does not matter how many ask.
        let resolvers = if ttl_s == 0 { 1 } else { resolvers };
        let place = Place::plain(capacities, contender, Caches { resolvers, ttl_s });
        study.spread(&place).map(|spread| (across(number), up(spread.mean)))
    };
    (0_u8..).zip(TTLS_S).filter_map(spread).collect()
}

/// Where a TTL stands in its panel: side by side, for no scale has both 0 and 30.
fn across(number: u8) -> f64 {
    20.0 + f64::from(number) * (PANEL.0 - 40.0) / (TTLS_S.len() - 1) as f64
}

/// Where a spread stands in its panel, from its upper edge: a logarithmic scale.
fn up(spread: f64) -> f64 {
    PANEL.1 * (1.0 - spread.max(1.0).ln() / (SERVERS as f64).ln())
}

fn put_text(out: &mut String, (x, y): (f64, f64), class: &str, text: &str) {
    _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{}</text>",
        text.replace('"', "&quot;")
    );
}

fn put_axes(out: &mut String, (x, y): (f64, f64)) {
    for mark in MARKS {
        let at = y + up(f64::from(mark));
        let class = if mark == 1 { "axis" } else { "grid" };
        _ = writeln!(
            out,
            "<line class=\"{class}\" x1=\"{x:.1}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\"/>",
            x + PANEL.0
        );
        put_text(out, (x - 8.0, at + 4.0), "end", &mark.to_string());
    }
    for (number, ttl_s) in (0_u8..).zip(TTLS_S) {
        put_text(out, (x + across(number), y + PANEL.1 + 18.0), "middle", &ttl_s.to_string());
    }
    put_text(out, (x + PANEL.0 / 2.0, y + PANEL.1 + 36.0), "middle", "TTL, seconds");
}

fn put_line(out: &mut String, (x, y): (f64, f64), number: usize, points: &[(f64, f64)]) {
    let points: Vec<_> = points.iter().map(|(right, down)| (x + right, y + down)).collect();
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    _ = writeln!(out, "<polyline class=\"l{number}\" points=\"{}\"/>", path.join(" "));
    for (x, y) in points {
        _ = writeln!(out, "<circle class=\"d{number}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
    }
}

fn put_legend(out: &mut String) {
    let (x, mut y) = LEGEND;
    for (number, (contender, ..)) in LINES.iter().enumerate() {
        put_line(out, (x, y), number, &[(0.0, 0.0), (32.0, 0.0)]);
        // A long name takes two lines.
        let (name, rest) = contender.name.split_once(", ").unwrap_or((contender.name, ""));
        put_text(out, (x + 42.0, y + 4.0), "", name);
        put_text(out, (x + 42.0, y + 20.0), "", rest);
        y += if rest.is_empty() { 30.0 } else { 46.0 };
    }
}
