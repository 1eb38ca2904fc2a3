//! Times that people enter. The script tells which moment a time is in the reader's zone; without it the time is in UTC.

use chrono::NaiveDateTime;
use maud::{Markup, html};

use super::{
    form::Form,
    parts::{
        field::{Field, Wrong, hidden, shown},
        time::in_utc,
    },
};

/// The moment that was entered, in Unix seconds; `None` if the field is empty.
pub fn moment(form: &Form, name: &str) -> Result<Option<i64>, Wrong> {
    let typed = form.get(name);
    if typed.is_empty() {
        return Ok(None);
    }
    if let Ok(at) = form.get(&beside(name)).parse() {
        return Ok(Some(at));
    }
    let forms = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"];
    let time = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(typed, form).ok());
    let time = time.ok_or_else(|| Wrong::new(name, "expected a date and a time, such as 2027-01-31T08:00"))?;
    Ok(Some(time.and_utc().timestamp()))
}

/// A moment as the field has it, in UTC. The script shows it in the reader's zone.
pub fn typed(moment: i64) -> String {
    let form = if moment.rem_euclid(60) == 0 { "%Y-%m-%dT%H:%M" } else { "%Y-%m-%dT%H:%M:%S" };
    in_utc(moment, form)
}

/// The field for a moment, with the hidden one that the script fills.
pub fn field(name: &str, label: &str, form: &Form, wrong: &Wrong) -> Markup {
    html! {
        (Field::new(name, label, "In UTC.").typed("datetime-local", form, wrong))
        (hidden(&beside(name), form.get(&beside(name))))
        (shown(name, &first(form, name)))
    }
}

/// The moment that the field had when the form was opened; empty for none.
fn first(form: &Form, name: &str) -> String {
    let before = format!("{name}_shown");
    match form.has(&before) {
        true => form.get(&before).to_owned(),
        false => moment(form, name).ok().flatten().map(|at| at.to_string()).unwrap_or_default(),
    }
}

/// Whether somebody typed another moment than the field had when the form was opened.
pub fn is_typed(form: &Form, name: &str) -> bool {
    match moment(form, name) {
        Ok(None) => false,
        Ok(Some(at)) => form.get(&format!("{name}_shown")) != at.to_string(),
        Err(_) => true,
    }
}

fn beside(name: &str) -> String {
    format!("{name}_at")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_one_that_the_script_tells_or_the_time_in_utc() {
        let read = |text: &str| moment(&Form::parse(text.as_bytes()), "end").ok();
        assert_eq!(read("end="), Some(None));
        assert_eq!(read("end=2025-12-01T08:00"), Some(Some(1_764_576_000)));
        assert_eq!(read("end=2025-12-01T08:00&end_at=1764572400"), Some(Some(1_764_572_400)));
        assert_eq!(read("end=2025-12-01T08:00&end_at=x"), Some(Some(1_764_576_000)));
        assert_eq!(read("end=2025-12-01T08:00:07"), Some(Some(1_764_576_007)));
        assert_eq!(read("end=2025-12-01+08:00"), Some(Some(1_764_576_000)));
        for moment in [0, 1_764_576_000, 1_764_576_007, 253_402_300_799] {
            assert_eq!(read(&format!("end={}", typed(moment))), Some(Some(moment)));
        }
        assert_eq!(read("end=tomorrow"), None);
        // A moment without the time that a person sees is not meant.
        assert_eq!(read("end_at=1764572400"), Some(None));
    }
}
