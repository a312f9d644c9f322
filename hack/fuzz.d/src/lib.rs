//! What several targets need.

use serde_json::Value;

/// How often what ends with a tilde is repeated.
const TIMES: usize = 300;

/// The text with its first tildes grown: inputs are short, and bounds are not.
pub fn grown(text: &str) -> String {
    text.replacen('~', &"x".repeat(TIMES), 4)
}

/// The value with the first text that ends with a tilde grown, and the first list that does.
pub fn grow(value: &mut Value) {
    grow_first(value, &mut [true; 2]);
}

fn grow_first(value: &mut Value, left: &mut [bool; 2]) {
    match value {
        Value::String(text) if left[0] && text.ends_with('~') => {
            left[0] = false;
            *text = text.repeat(TIMES);
        }
        Value::Array(list) => {
            list.iter_mut().for_each(|value| grow_first(value, left));
            let ends = list.last().and_then(Value::as_str).is_some_and(|text| text.ends_with('~'));
            if left[1] && ends && list.len() > 1 {
                left[1] = false;
                *list = list.iter().take(3).cycle().take(3 * TIMES).cloned().collect();
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(|value| grow_first(value, left)),
        _ => {}
    }
}

/// Whether two values are the same, but for the last digit of a number: that is the parser's.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(x), Some(y)) => x == y || (x - y).abs() <= 1e-12 * x.abs(),
            _ => a == b,
        },
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Values in a value, the names of fields included; the longest list or object; the depth.
pub fn measure(value: &Value) -> (usize, usize, usize) {
    let inner: Vec<_> = match value {
        Value::Array(list) => list.iter().map(measure).collect(),
        Value::Object(fields) => fields.values().map(measure).collect(),
        _ => return (1, 0, 0),
    };
    let names = if value.is_object() { inner.len() } else { 0 };
    let values = 1 + names + inner.iter().map(|(values, ..)| values).sum::<usize>();
    let longest = inner.iter().map(|(_, longest, _)| *longest).max().unwrap_or_default();
    let depth = 1 + inner.iter().map(|(.., depth)| *depth).max().unwrap_or_default();
    (values, longest.max(inner.len()), depth)
}

/// That what is told of an input is on one line and short.
pub fn told(text: &str, most: usize) {
    assert!(!text.is_empty());
    assert!(text.len() <= most, "{} bytes are told", text.len());
    assert!(!text.contains(char::is_control), "{text:?} is not on one line");
}
