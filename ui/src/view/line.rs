//! The line: the last hour around the meter at the edge of the home. Above it is what came in, below it what went out, the
//! right edge is now. Own SVG in whole pixels of its own grid; no chart library.

use contract::live::PowerSpan;
use leptos::prelude::*;
use meter_link::units::Milliwatts;

use crate::format;
use crate::live::{Live, Standing};
use crate::text::{decimal_sign, text, with};

/// The grid: one unit a span of ten seconds, and enough height for any screen.
const WIDTH: i64 = 360;
const HEIGHT: i64 = 160;
const SPAN: i64 = 10_000;
/// Least power the half above or below can show, so that a standby load is no mountain range.
const LEAST: i64 = 500_000;

/// The shape of the hour.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    /// Height of the line within the grid.
    zero: i64,
    /// What lies between the line and the most taken in, and between the line and the most given away.
    import: String,
    export: String,
    /// The means, one stroke per stretch without a gap.
    mean: String,
    /// Left and right edge of each gap.
    gaps: Vec<(i64, i64)>,
    /// Where now is.
    bead: Option<(i64, i64)>,
    /// Highest import and export.
    peaks: (i64, i64),
}

/// Brings an area back to the line below or above its last place.
fn close(last: Option<i64>, zero: i64) -> String {
    last.map_or_else(String::new, |last| format!("L{last} {zero}Z"))
}

/// A share as a length of the style sheet, exact to a hundredth of a percent.
fn percent(part: i64, whole: i64) -> String {
    let hundredths = part * 10_000 / whole;
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}

/// Draws spans that end at `now`.
fn shape(spans: &[PowerSpan], now: i64) -> Shape {
    let end = now - now.rem_euclid(SPAN) + SPAN;
    let start = end - WIDTH * SPAN;
    let shown: Vec<&PowerSpan> = spans.iter().filter(|span| span.start_utc_milliseconds >= start).collect();
    let most = shown.iter().map(|span| span.max_milliwatts.count()).max().unwrap_or(0).max(0);
    let least = shown.iter().map(|span| span.min_milliwatts.count()).min().unwrap_or(0).min(0);
    let (above, below) =
        (most.max(if least < 0 { LEAST / 4 } else { LEAST }), (-least).max(if least < 0 { LEAST } else { 0 }));
    let room = HEIGHT - 16;
    let whole = (above + below).max(1);
    let zero = 8 + room * above / whole;
    // The newest span ends at the right edge, which is now.
    let x = |span: &PowerSpan| (span.start_utc_milliseconds - start) / SPAN + 1;
    let y = |power: Milliwatts| zero - room * power.count() / whole;
    let (mut import, mut export, mut mean) = (String::new(), String::new(), String::new());
    let mut gaps = Vec::new();
    let mut last: Option<i64> = None;
    for span in &shown {
        let at = x(span);
        // Three spans: a meter that sends every ten seconds may miss one.
        let joined = last.is_some_and(|last| at - last <= 3);
        match last {
            Some(last) if !joined => gaps.push((last, at)),
            None if at > 3 => gaps.push((0, at)),
            _ => (),
        }
        for (area, edge) in
            [(&mut import, y(span.max_milliwatts).min(zero)), (&mut export, y(span.min_milliwatts).max(zero))]
        {
            if !joined {
                // The area of the stretch before goes back to the line where it ends.
                *area += &close(last, zero);
                *area += &format!("M{} {zero}V{edge}", at - 1);
            }
            *area += &format!("L{at} {edge}");
        }
        mean += &format!("{}{at} {}", if joined { "L" } else { "M" }, y(span.mean_milliwatts));
        last = Some(at);
    }
    import += &close(last, zero);
    export += &close(last, zero);
    if let Some(last) = last.filter(|last| WIDTH - last > 6) {
        gaps.push((last, WIDTH));
    }
    let bead = shown.last().map(|span| (x(span), y(span.mean_milliwatts)));
    Shape { zero, import, export, mean, gaps, bead, peaks: (most, -least) }
}

/// The last hour.
#[component]
pub(crate) fn Line() -> impl IntoView {
    let live = expect_context::<Live>();
    // Moves on by spans, not by seconds.
    let tick = Memo::new(move |_| live.now.get() / SPAN);
    let shape = Memo::new(move |_| live.last_hour.with(|spans| shape(spans, tick.get() * SPAN)));
    let summary = move || {
        let (import, export) = shape.get().peaks;
        let say = |peak| format::power(Milliwatts::saturating(peak), decimal_sign()).joined();
        match export {
            0 => with("line-summary-import", &[("import", say(import).into())]),
            _ => with("line-summary", &[("import", say(import).into()), ("export", say(export).into())]),
        }
    };
    // How high and how deep it goes; a side where nothing went is not named.
    let side = move |class: &'static str, id: &'static str, of: fn((i64, i64)) -> i64| {
        let most = Memo::new(move |_| of(shape.get().peaks));
        move || {
            (most.get() > 0).then(|| {
                let power = format::power(Milliwatts::saturating(most.get()), decimal_sign()).joined();
                view! { <span class=class>{with(id, &[("power", power.into())])}</span> }
            })
        }
    };
    view! {
        <figure class="line">
            <div class="field">
            <svg viewBox=format!("0 0 {WIDTH} {HEIGHT}") preserveAspectRatio="none" role="img" aria-label=summary>
                <path class="import band" d=move || shape.get().import/>
                <path class="export band" d=move || shape.get().export/>
                <path class="zero" d=move || format!("M0 {}H{WIDTH}", shape.get().zero)/>
                <path class="mean" d=move || shape.get().mean/>
                {move || shape.get().gaps.into_iter().map(|(from, to)| view! {
                    <path class="gap" d=format!("M{from} 4V{0}M{to} 4V{0}", HEIGHT - 4)/>
                }).collect_view()}
            </svg>
            // Outside the stretched drawing, so that it stays round.
            {move || shape.get().bead.map(|(x, y)| (x, y, y > shape.get().zero)).map(|(x, y, below)| view! {
                <span class="bead" class:below=below class:still=move || live.standing.get() != Standing::Live
                    style:left=percent(x, WIDTH) style:top=percent(y, HEIGHT)></span>
            })}
            </div>
            <figcaption>
                <span>{text("line-hour-ago")}</span>
                <span>{text("line-now")}</span>
                <span class="sides" aria-hidden="true">
                    {side("import", "line-most-import", |(import, _)| import)}
                    {side("export", "line-most-export", |(_, export)| export)}
                </span>
            </figcaption>
        </figure>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(index: i64, mean: i64) -> PowerSpan {
        let power = Milliwatts::saturating(mean);
        PowerSpan {
            start_utc_milliseconds: index * SPAN,
            min_milliwatts: power,
            mean_milliwatts: power,
            max_milliwatts: power,
        }
    }

    #[test]
    fn a_gap_is_drawn_as_a_gap_and_never_as_zero() {
        let spans: Vec<_> = (0..100).chain(200..361).map(|index| span(index, 300_000)).collect();
        let shape = shape(&spans, 360 * SPAN);
        assert_eq!(shape.gaps, [(99, 200)]);
        assert_eq!(shape.mean.matches('M').count(), 2);
    }

    #[test]
    fn import_is_above_the_line_and_export_below() {
        let shape = shape(&[span(359, 1_000_000), span(360, -1_000_000)], 360 * SPAN);
        let (_, bead) = shape.bead.expect("a reading");
        assert!(bead > shape.zero && shape.import.contains('Z') && shape.export.contains('Z'));
    }
}
