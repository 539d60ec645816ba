//! Who got how many connections, held against who should have.

use std::fmt::Write as _;

/// Members of each pool here.
pub const MEMBERS: usize = 4;

/// What shares are held against.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    /// Draws at random, each apart from the others: Pearson's chi-square, of [`MEMBERS`] - 1 = 3 degrees of freedom, is at
    /// most [`CHI_SQUARE_MAX`].
    Random,
    /// No randomness: nobody is further than so many draws from the share.
    Within(f64),
}

/// A right server exceeds this once in eight million rows: sqrt(2x/pi) e^(-x/2) + erfc(sqrt(x/2)) is 1.2e-7 at 35.
const CHI_SQUARE_MAX: f64 = 35.0;

/// Draws, and the connections that came of each.
#[derive(Debug, Clone)]
pub struct Tally {
    draws: [u64; MEMBERS],
    connections_a_draw: u64,
}

impl Tally {
    /// Of draws that bring so many connections each.
    pub fn new(connections_a_draw: u64) -> Self {
        Tally { draws: [0; MEMBERS], connections_a_draw }
    }

    /// Of counts that somebody else kept, a connection a draw.
    pub fn of(draws: [u64; MEMBERS]) -> Self {
        Tally { draws, connections_a_draw: 1 }
    }

    /// A draw fell on a member.
    pub fn add(&mut self, member: usize) {
        self.draws[member] += 1;
    }

    fn all(&self) -> f64 {
        self.draws.iter().sum::<u64>() as f64
    }

    /// The share of each member that its part of all parts makes, in draws.
    fn wanted(&self, parts: [f64; MEMBERS]) -> [f64; MEMBERS] {
        parts.map(|part| self.all() * part / parts.iter().sum::<f64>())
    }

    /// Of those who are to have any.
    fn chi_square(&self, parts: [f64; MEMBERS]) -> f64 {
        let pairs = self.draws.iter().zip(self.wanted(parts)).filter(|(_, wanted)| *wanted > 0.0);
        pairs.map(|(&drawn, wanted)| (drawn as f64 - wanted).powi(2) / wanted).sum()
    }

    /// How many draws the one is off that is off the most.
    fn most_off(&self, parts: [f64; MEMBERS]) -> f64 {
        let pairs = self.draws.iter().zip(self.wanted(parts));
        pairs.map(|(&drawn, wanted)| (drawn as f64 - wanted).abs()).fold(0.0, f64::max)
    }

    fn is_right(&self, parts: [f64; MEMBERS], bound: Bound) -> bool {
        match bound {
            Bound::Random => {
                let has_nobody_else =
                    self.draws.iter().zip(parts).all(|(&drawn, part)| part > 0.0 || drawn == 0);
                has_nobody_else && self.chi_square(parts) <= CHI_SQUARE_MAX
            }
            Bound::Within(most) => self.most_off(parts) <= most,
        }
    }

    /// Checks the shares, and returns the table's row that begins with `row`: connections, percent due and had, chi-square, or
    /// how many connections the one is off that is off the most.
    pub fn held_against(&self, parts: [f64; MEMBERS], bound: Bound, row: &str) -> String {
        let (wanted, chi_square, most_off) =
            (self.wanted(parts), self.chi_square(parts), self.most_off(parts));
        assert!(
            self.is_right(parts, bound),
            "{row}: chi-square {chi_square}, {most_off} off: {self:?}, not {wanted:?}"
        );
        let connections = self.draws.iter().sum::<u64>() * self.connections_a_draw;
        let due = percent(wanted.map(|wanted| wanted / self.all()));
        let had = percent(self.draws.map(|drawn| drawn as f64 / self.all()));
        let how_far = match bound {
            Bound::Random => format!("{chi_square:.1}"),
            Bound::Within(_) => format!("{:.0} off", most_off * self.connections_a_draw as f64),
        };
        format!("{row} | {connections} | {due} | {had} | {how_far} |")
    }
}

/// Shares as people write them.
fn percent(shares: [f64; MEMBERS]) -> String {
    shares.iter().fold(String::new(), |mut text, share| {
        // Writing to a String cannot fail.
        _ = write!(text, "{}{:.2}", if text.is_empty() { "" } else { ", " }, share * 100.0);
        text
    })
}

#[test]
fn a_share_that_is_off_is_seen() {
    let weights = [1.0, 2.0, 3.0, 10.0];
    let is_right = |draws| Tally::of(draws).is_right(weights, Bound::Random);
    assert!(is_right([125, 250, 375, 1_250]) && is_right([110, 260, 390, 1_240]));
    assert!(!is_right([125, 250, 250, 1_375]), "the heaviest has a tenth too much");
    assert!(!is_right([500, 500, 500, 500]));
    let the_last = [0.0, 0.0, 0.0, 1.0];
    assert!(Tally::of([0, 0, 0, 2_000]).is_right(the_last, Bound::Random));
    assert!(!Tally::of([1, 0, 0, 1_999]).is_right(the_last, Bound::Random), "another was asked");
    assert!(Tally::of([124, 251, 375, 1_250]).is_right(weights, Bound::Within(1.0)));
    assert!(!Tally::of([124, 252, 375, 1_249]).is_right(weights, Bound::Within(1.0)));
}
