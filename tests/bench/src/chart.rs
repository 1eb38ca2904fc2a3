//! The chart: a bar for each variant. Its length is the cost that the variant adds to a request.

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::{
    Error, Result, goals,
    measure::Measured,
    variants::{Variant, id},
};

const WIDTH: u32 = 960;
const ROW: u32 = 30;
/// Space above and below the bars.
const MARGIN: u32 = 50;
/// Beginning of the bars, to the right of their names.
const BARS: i32 = 400;
const FONT: (&str, u32) = ("sans-serif", 15);
/// Readable on a light and on a dark page.
const TEXT: RGBColor = RGBColor(110, 118, 129);
const OURS: RGBColor = RGBColor(26, 127, 100);
const OTHERS: RGBColor = RGBColor(139, 148, 158);

/// The chart as SVG.
pub fn svg(variants: &[Variant], measured: &Measured) -> Result<String> {
    let bars: Vec<_> = variants
        .iter()
        .filter(|variant| variant.id != id::NONE)
        .map(|variant| (variant, goals::added(measured, &variant.id).median()))
        .collect();
    let mut out = String::new();
    draw(&bars, &mut out).map_err(|error| Error::unexpected("the chart", "it to be drawn", error.to_string()))?;
    Ok(out)
}

fn draw(bars: &[(&Variant, f64)], out: &mut String) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let rows = u32::try_from(bars.len())?;
    let area = SVGBackend::with_string(out, (WIDTH, rows * ROW + 2 * MARGIN)).into_drawing_area();
    let text = |horizontal| TextStyle::from(FONT.into_font()).color(&TEXT).pos(Pos::new(horizontal, VPos::Center));
    let title = "CPU time that each adds to a request in Envoy, µs (less is better)";
    area.draw(&Text::new(title, (20, 24), text(HPos::Left)))?;
    let longest = bars.iter().map(|(_, added)| *added).fold(1.0, f64::max);
    let room = f64::from(i32::try_from(WIDTH)? - BARS - 80);
    for ((variant, added), row) in bars.iter().zip(0..) {
        let top = i32::try_from(MARGIN + row * ROW)?;
        let middle = top + i32::try_from(ROW / 2)?;
        #[expect(clippy::cast_possible_truncation, reason = "within the width of the chart")]
        let end = BARS + (added.max(0.0) / longest * room) as i32;
        let color = if variant.id.starts_with("keygate") { OURS } else { OTHERS };
        // A chart has no marks for bold and code.
        let name = variant.title.replace(['*', '`'], "");
        area.draw(&Text::new(name, (BARS - 10, middle), text(HPos::Right)))?;
        area.draw(&Rectangle::new([(BARS, top + 5), (end, top + i32::try_from(ROW)? - 5)], color.filled()))?;
        area.draw(&Text::new(format!("{added:.1}"), (end + 6, middle), text(HPos::Left)))?;
    }
    area.present()?;
    Ok(())
}
