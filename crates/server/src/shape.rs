//! What a document that people write may look like, said as data.
//!
//! Owns: checking a JSON value against a shape, with everything that is wrong and where. Never does: look anything up.

use crate::error::Problem;
use serde_json::{Map, Value as Json};

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Text of so many characters.
    Text { min: usize, max: usize },
    /// Text of a form that is told in words.
    Formed(fn(&str) -> bool, &'static str),
    /// One of these.
    Word(&'static [&'static str]),
    /// A whole number from 0.
    Count,
    /// True or false.
    Flag,
    /// Any JSON.
    Any,
    /// So many values of one shape.
    List { min: usize, max: usize, of: &'static Shape },
    /// These parts; others are left out, as clients send back what they read.
    Object(&'static [Part]),
}

/// A part of an object.
#[derive(Debug)]
pub(crate) struct Part {
    name: &'static str,
    shape: Shape,
    required: bool,
}

/// A part that may be missing.
pub(crate) const fn may(name: &'static str, shape: Shape) -> Part {
    Part { name, shape, required: false }
}

/// A part that must be there.
pub(crate) const fn must(name: &'static str, shape: Shape) -> Part {
    Part { name, shape, required: true }
}

/// A value in its shape, without nulls and unknown parts; what does not fit is told and left out.
pub(crate) fn fit(shape: &Shape, value: &Json, at: &str, problems: &mut Vec<Problem>) -> Json {
    match told(shape, value) {
        Ok(()) => {}
        Err((code, expected)) => {
            problems.push(Problem { field: at.to_owned(), code, description: format!("must be {expected}") });
            return Json::Null;
        }
    }
    match (shape, value) {
        (Shape::List { of, .. }, Json::Array(values)) => {
            values.iter().enumerate().map(|(i, v)| fit(of, v, &format!("{at}[{i}]"), problems)).collect()
        }
        (Shape::Object(parts), Json::Object(values)) => {
            let mut taken = Map::new();
            for part in *parts {
                let at = if at.is_empty() { part.name.to_owned() } else { format!("{at}.{}", part.name) };
                match values.get(part.name).filter(|v| !v.is_null()) {
                    Some(value) => drop(taken.insert(part.name.to_owned(), fit(&part.shape, value, &at, problems))),
                    None if part.required => problems.push(Problem { field: at, code: "missing", description: "is missing".to_owned() }),
                    None => {}
                }
            }
            Json::Object(taken)
        }
        _ => value.clone(),
    }
}

/// Whether a value fits, its parts left aside; else what is wrong and what was expected.
fn told(shape: &Shape, value: &Json) -> Result<(), (&'static str, String)> {
    let fits = |of_type: bool, fits: bool, expected: &dyn Fn() -> String| match (of_type, fits) {
        (false, _) => Err(("incorrect_type", expected())),
        (true, false) => Err(("invalid", expected())),
        (true, true) => Ok(()),
    };
    let text = value.as_str();
    match shape {
        Shape::Text { min, max } => {
            let n = text.map_or(0, |t| t.chars().count());
            fits(text.is_some(), (*min..=*max).contains(&n), &|| match min {
                0 => format!("a text of at most {max} characters"),
                _ => format!("a text of {min} to {max} characters"),
            })
        }
        Shape::Formed(form, words) => fits(text.is_some(), text.is_some_and(form), &|| (*words).to_owned()),
        Shape::Word(words) => fits(text.is_some(), text.is_some_and(|t| words.contains(&t)), &|| format!("one of {}", words.join(", "))),
        Shape::Count => fits(value.is_number(), value.as_u64().is_some(), &|| "a whole number from 0".into()),
        Shape::Flag => fits(value.is_boolean(), true, &|| "true or false".into()),
        Shape::Any => Ok(()),
        Shape::List { min, max, .. } => {
            let n = value.as_array().map_or(0, Vec::len);
            fits(value.is_array(), (*min..=*max).contains(&n), &|| match (*min, *max) {
                (0, usize::MAX) => "a list".into(),
                (_, usize::MAX) => format!("a list of at least {min}"),
                (0, _) => format!("a list of at most {max}"),
                _ => format!("a list of {min} to {max}"),
            })
        }
        Shape::Object(_) => fits(value.is_object(), true, &|| "an object".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, Shape, fit, may, must};
    use serde_json::{Value as Json, json};

    static INNER: Shape = Shape::Object(&[must("n", Shape::Count), may("on", Shape::Flag)]);
    static PARTS: &[Part] = &[
        must("name", Shape::Text { min: 1, max: 3 }),
        may("kind", Shape::Word(&["a", "b"])),
        may("inner", Shape::List { min: 0, max: 2, of: &INNER }),
        may("code", Shape::Formed(|t| t.starts_with('x'), "a code with x in front")),
        may("any", Shape::Any),
    ];

    fn check(value: Json) -> (Json, Vec<String>) {
        let mut problems = Vec::new();
        let taken = fit(&Shape::Object(PARTS), &value, "", &mut problems);
        (taken, problems.into_iter().map(|p| format!("{} {} {}", p.code, p.field, p.description)).collect())
    }

    #[test]
    fn what_fits_is_taken_without_nulls_and_strangers() {
        let value =
            json!({ "name": "äöü", "kind": null, "inner": [{ "n": 0, "more": 1, "on": false }], "code": "x1", "any": [1], "else": 2 });
        let (taken, problems) = check(value);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(taken, json!({ "name": "äöü", "inner": [{ "n": 0, "on": false }], "code": "x1", "any": [1] }));
    }

    #[test]
    fn everything_wrong_is_told_at_once_with_its_place() {
        let (_, problems) = check(json!({ "kind": "c", "inner": [{ "n": -1 }, { "on": 1 }], "code": "y" }));
        assert_eq!(
            problems,
            [
                "missing name is missing",
                "invalid kind must be one of a, b",
                "invalid inner[0].n must be a whole number from 0",
                "missing inner[1].n is missing",
                "incorrect_type inner[1].on must be true or false",
                "invalid code must be a code with x in front",
            ]
        );
        assert_eq!(
            check(json!({ "name": "four", "inner": [1, 2, 3] })).1,
            ["invalid name must be a text of 1 to 3 characters", "invalid inner must be a list of at most 2"]
        );
        assert_eq!(check(json!([])).1, ["incorrect_type  must be an object"]);
    }
}
