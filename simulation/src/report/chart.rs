//! Small charts as SVG text. Colours come from the page, so that they follow light and dark.

use std::fmt::Write as _;

use super::text::{escape, short};

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 62.0;
const BOTTOM: f64 = 40.0;
const TOP: f64 = 12.0;
const RIGHT: f64 = 14.0;

/// A step of 1, 2 or 5 times a power of ten that gives about five ticks.
fn tick_step(span: f64) -> f64 {
    let raw = (span / 5.0).max(1e-9);
    let power = 10f64.powf(raw.log10().floor());
    let factor = raw / power;
    power
        * if factor <= 1.0 {
            1.0
        } else if factor <= 2.0 {
            2.0
        } else if factor <= 5.0 {
            5.0
        } else {
            10.0
        }
}

struct Frame {
    low: (f64, f64),
    high: (f64, f64),
    logarithmic: bool,
}

impl Frame {
    fn over(points: impl Iterator<Item = (f64, f64)>, logarithmic: bool) -> Self {
        let (mut low, mut high) = ((f64::MAX, 0.0), (f64::MIN, f64::MIN));
        for (x, y) in points {
            low = (f64::min(low.0, x), f64::min(low.1, y));
            high = (f64::max(high.0, x), f64::max(high.1, y));
        }
        if high.0 <= low.0 {
            high.0 = low.0 + 1.0;
        }
        if high.1 <= low.1 {
            high.1 = low.1 + 1.0;
        }
        Self { low, high, logarithmic }
    }

    fn across(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.logarithmic { (value + 1.0).ln() } else { value };
        let share = (scale(value) - scale(self.low.0)) / (scale(self.high.0) - scale(self.low.0));
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    fn up(&self, value: f64) -> f64 {
        let share = (value - self.low.1) / (self.high.1 - self.low.1);
        HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
    }

    fn axes(&self, svg: &mut String, across: &str, up: &str, ticks: &[f64]) {
        let step = tick_step(self.high.1 - self.low.1);
        let mut value = (self.low.1 / step).ceil() * step;
        while value <= self.high.1 + step * 1e-6 {
            let y = self.up(value);
            let _ = write!(
                svg,
                "<line class=grid x1={LEFT} x2={:.1} y1={y:.1} y2={y:.1} /><text class=tick x={:.1} y={:.1} text-anchor=end>{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                short(value)
            );
            value += step;
        }
        for tick in ticks {
            let _ = write!(
                svg,
                "<text class=tick x={:.1} y={:.1} text-anchor=middle>{}</text>",
                self.across(*tick),
                HEIGHT - BOTTOM + 16.0,
                short(*tick)
            );
        }
        let _ = write!(
            svg,
            "<text class=label x={:.1} y={:.1} text-anchor=middle>{}</text><text class=label x=14 y={:.1} text-anchor=middle transform=\"rotate(-90 14 {:.1})\">{}</text>",
            f64::midpoint(LEFT, WIDTH - RIGHT),
            HEIGHT - 6.0,
            escape(across),
            HEIGHT / 2.0,
            HEIGHT / 2.0,
            escape(up)
        );
    }
}

fn open(title: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"{0}\"><title>{0}</title>",
        escape(title)
    )
}

/// Lines through points, with a mark at each point. `x` may be logarithmic.
pub(super) fn lines(
    title: &str,
    across: &str,
    up: &str,
    series: &[(&str, Vec<(f64, f64)>)],
    logarithmic: bool,
) -> String {
    let frame =
        Frame::over(series.iter().flat_map(|(_, points)| points.iter().copied()), logarithmic);
    let mut svg = open(title);
    let ticks: Vec<f64> = match series.first() {
        Some((_, points)) if points.len() <= 9 => points.iter().map(|point| point.0).collect(),
        _ => {
            let step = tick_step(frame.high.0 - frame.low.0);
            let first = (frame.low.0 / step).ceil() * step;
            (0..8)
                .map(|index| first + step * f64::from(index))
                .filter(|tick| *tick <= frame.high.0)
                .collect()
        }
    };
    frame.axes(&mut svg, across, up, &ticks);
    for (number, (name, points)) in series.iter().enumerate() {
        let place =
            |point: &(f64, f64)| format!("{:.1},{:.1}", frame.across(point.0), frame.up(point.1));
        let path: Vec<String> = points.iter().map(place).collect();
        let _ = write!(svg, "<polyline class=\"line s{number}\" points=\"{}\" />", path.join(" "));
        if points.len() <= 40 {
            for point in points {
                let _ = write!(
                    svg,
                    "<circle class=\"dot s{number}\" cx={:.1} cy={:.1} r=3.2><title>{} at {}: {}</title></circle>",
                    frame.across(point.0),
                    frame.up(point.1),
                    escape(name),
                    short(point.0),
                    short(point.1)
                );
            }
        }
    }
    svg.push_str("</svg>");
    if series.len() > 1 {
        svg.push_str("<p class=legend>");
        for (number, (name, _)) in series.iter().enumerate() {
            let _ = write!(svg, "<span class=\"key s{number}\"></span>{} ", escape(name));
        }
        svg.push_str("</p>");
    }
    svg
}
