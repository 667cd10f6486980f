//! Figures, and how they are printed.

use crate::measure::load::median;

/// One measured figure.
#[derive(Clone, Debug)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: &'static str,
    /// The least that it can be on this machine, measured in the same run.
    pub floor: Option<f64>,
    /// What was measured of envd for this project, in the same unit.
    pub envd: Option<f64>,
    /// What we promise.
    pub limit: Option<Limit>,
    /// What else is to be said.
    pub note: String,
}

/// A promise.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Figure {
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, floor: None, envd: None, limit: None, note: String::new() }
    }

    pub fn floor(mut self, value: f64) -> Self {
        self.floor = Some(value);
        self
    }

    pub fn envd(mut self, value: f64) -> Self {
        self.envd = Some(value);
        self
    }

    pub fn at_most(mut self, limit: f64) -> Self {
        self.limit = Some(Limit::AtMost(limit));
        self
    }

    pub fn at_least(mut self, limit: f64) -> Self {
        self.limit = Some(Limit::AtLeast(limit));
        self
    }

    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

/// The figures of a group, from all rounds.
#[derive(Default)]
pub struct Table {
    rounds: Vec<Vec<Figure>>,
    beside: Vec<Vec<Figure>>,
}

impl Table {
    pub fn add(&mut self, figures: Vec<Figure>) {
        self.rounds.push(figures);
    }

    pub fn add_beside(&mut self, figures: Vec<Figure>) {
        self.beside.push(figures);
    }

    pub fn print(&self) {
        for figure in &self.rounds[0] {
            let all = values(&self.rounds, &figure.name);
            let value = median(all.iter().copied());
            let mut line = format!("  {:<44} {:>10} {:<6}", figure.name, short(value), figure.unit);
            if all.len() > 1 {
                line += &spread(&all);
            }
            let floors: Vec<_> = named(&self.rounds, &figure.name).filter_map(|figure| figure.floor).collect();
            if !floors.is_empty() {
                let floor = median(floors);
                line += &format!("  floor {}, ratio {}", short(floor), ratio(value, floor));
            }
            let beside = values(&self.beside, &figure.name);
            if !beside.is_empty() {
                let other = median(beside.iter().copied());
                line += &format!("  beside {}{}, ratio {}", short(other), spread(&beside), ratio(value, other));
            }
            if let Some(envd) = figure.envd {
                line += &format!("  envd {}, ratio {}", short(envd), ratio(value, envd));
            }
            line += &figure.limit.map_or_else(String::new, |limit| limit.judge(value));
            println!("{}", line.trim_end());
            if !figure.note.is_empty() {
                println!("    {}", figure.note);
            }
        }
    }
}

impl Table {
    /// Writes each figure as one line of JSON, with the values of all rounds.
    pub fn json(&self, group: &str) -> String {
        let line = |figure: &Figure| {
            serde_json::json!({
                "group": group,
                "name": figure.name,
                "unit": figure.unit,
                "values": values(&self.rounds, &figure.name),
                "beside": values(&self.beside, &figure.name),
                "floor": figure.floor,
                "envd": figure.envd,
            })
        };
        self.rounds[0].iter().map(|figure| format!("{}\n", line(figure))).collect()
    }
}

impl Limit {
    fn judge(self, value: f64) -> String {
        let (kept, words, limit) = match self {
            Self::AtMost(limit) => (value <= limit, "at most", limit),
            Self::AtLeast(limit) => (value >= limit, "at least", limit),
        };
        format!("  [{words} {}{}]", short(limit), if kept { "" } else { ": MISSED" })
    }
}

fn named<'a>(rounds: &'a [Vec<Figure>], name: &'a str) -> impl Iterator<Item = &'a Figure> {
    rounds.iter().flatten().filter(move |figure| figure.name == name)
}

fn values(rounds: &[Vec<Figure>], name: &str) -> Vec<f64> {
    named(rounds, name).map(|figure| figure.value).collect()
}

fn spread(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!(" ({}..{})", short(least), short(most))
}

fn ratio(value: f64, other: f64) -> String {
    if other == 0.0 { "-".into() } else { format!("{:.2}", value / other) }
}

/// Three digits that matter.
fn short(value: f64) -> String {
    match value.abs() {
        size if size == size.trunc() || size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
