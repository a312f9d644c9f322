//! Applies subschemas to a configuration.

mod evaluated;

use super::{
    DEPTH, NESTED, PROBLEMS, WORK,
    node::{Bounds, Combined, Count, Format, Id, List, Node, Object, Rules, Text, Type},
};
use crate::{lines::escaped, problem::Problem};
use serde_json::{Map, Number, Value};
use std::{
    cmp::Ordering,
    net::{Ipv4Addr, Ipv6Addr},
};

/// What is wrong with this configuration.
pub(super) fn check(nodes: &[Node], configuration: &Value) -> Vec<Problem> {
    if depth(configuration) > DEPTH {
        return vec![Problem::new("", format!("nested deeper than {DEPTH}"))];
    }
    let mut check = Check { nodes, work: WORK, nested: 0, place: String::new(), found: vec![] };
    check.apply(0, configuration);
    if check.work == 0 {
        check.found.insert(0, Problem::new("", "takes too long to check against the schema"));
    }
    check.found.truncate(PROBLEMS);
    check.found
}

/// The nesting of a value, which the parser has limited.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

struct Check<'a> {
    nodes: &'a [Node],
    /// What may still be done.
    work: usize,
    /// How many subschemas are being applied.
    nested: usize,
    place: String,
    found: Vec<Problem>,
}

impl Check<'_> {
    /// Counts a step; false if there are none left.
    fn step(&mut self) -> bool {
        self.work = self.work.saturating_sub(1);
        self.work > 0
    }

    fn tell(&mut self, what: impl Into<String>) {
        if self.found.len() < PROBLEMS {
            self.found.push(Problem::new(&self.place, what));
        }
    }

    fn apply(&mut self, id: Id, value: &Value) {
        if !self.step() {
            return;
        }
        if self.nested == NESTED {
            // A reference that leads to itself.
            self.work = 0;
            return;
        }
        self.nested += 1;
        match &self.nodes[id] {
            Node::Always(true) => {}
            Node::Always(false) => self.tell("must not be there"),
            Node::Rules(rules) => self.rules(rules, value),
        }
        self.nested -= 1;
    }

    /// Whether a value fits, without anything being told.
    fn fits(&mut self, id: Id, value: &Value) -> bool {
        let before = std::mem::take(&mut self.found);
        self.apply(id, value);
        let found = std::mem::replace(&mut self.found, before);
        found.is_empty() && self.work > 0
    }

    fn rules(&mut self, rules: &Rules, value: &Value) {
        if !rules.types.is_empty() && !rules.types.iter().any(|it| it.has(value)) {
            let names: Vec<_> = rules.types.iter().copied().map(Type::name).collect();
            return self.tell(format!("must be {}", names.join(" or ")));
        }
        if let Some(allowed) = &rules.allowed
            && !allowed.iter().any(|it| self.same(it, value))
        {
            let all: Vec<_> = allowed.iter().map(Value::to_string).collect();
            self.tell(format!("must be one of {}", all.join(", ")));
        }
        if let Some(constant) = &rules.constant
            && !self.same(constant, value)
        {
            self.tell(format!("must be {constant}"));
        }
        if let Some(id) = rules.reference {
            self.apply(id, value);
        }
        self.combined(&rules.combined, value);
        match value {
            Value::Object(fields) => {
                self.object(&rules.object, fields);
                self.unevaluated(rules, value, fields);
            }
            Value::Array(list) => self.list(&rules.list, list),
            Value::String(text) => self.text(&rules.text, text),
            Value::Number(number) => self.number(&rules.number, number),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn combined(&mut self, combined: &Combined, value: &Value) {
        for id in &combined.all {
            self.apply(*id, value);
        }
        if let Some(any) = &combined.any
            && !any.iter().any(|id| self.fits(*id, value))
        {
            self.alternatives(any, value);
        }
        if let Some(one) = &combined.one {
            match one.iter().filter(|id| self.fits(**id, value)).count() {
                0 => self.alternatives(one, value),
                1 => {}
                count => self.tell(format!("fits {count} alternatives of which it must fit one")),
            }
        }
        if combined.not.is_some_and(|id| self.fits(id, value)) {
            self.tell("is excluded by \"not\"");
        }
        if let Some(condition) = combined.condition {
            let holds = self.fits(condition, value);
            let then = if holds { combined.then } else { combined.otherwise };
            if let Some(id) = then {
                self.apply(id, value);
            }
        }
    }

    /// Says why a value fits none of these: with a single one, that is known.
    fn alternatives(&mut self, all: &[Id], value: &Value) {
        match all {
            [one] => self.apply(*one, value),
            all => self.tell(format!("fits none of {} alternatives", all.len())),
        }
    }

    fn object(&mut self, object: &Object, fields: &Map<String, Value>) {
        for name in object.required.iter().filter(|name| !fields.contains_key(*name)) {
            self.tell(format!("{name:?} is missing"));
        }
        for (name, needed) in object.dependent.iter().filter(|(it, _)| fields.contains_key(it)) {
            for missing in needed.iter().filter(|it| !fields.contains_key(*it)) {
                self.tell(format!("{missing:?} is missing, which {name:?} needs"));
            }
        }
        self.count(object.count, fields.len(), "fields");
        for (name, value) in fields {
            if let Some(names) = object.names
                && !self.fits(names, &Value::String(name.clone()))
            {
                self.within(name, |check| check.tell("this name is not allowed"));
            }
            let declared = object.properties.iter().find(|(it, _)| it == name).map(|(_, id)| *id);
            let matching = object.patterns.iter().filter(|(it, _)| it.is_match(name));
            let ids: Vec<_> = declared.into_iter().chain(matching.map(|(_, id)| *id)).collect();
            let additional = object.additional.filter(|_| ids.is_empty());
            self.work = self.work.saturating_sub(object.properties.len() / 8);
            self.within(name, |check| {
                for id in &ids {
                    check.apply(*id, value);
                }
                match additional {
                    Some(id) if matches!(check.nodes[id], Node::Always(false)) => {
                        check.tell("this field is not known");
                    }
                    Some(id) => check.apply(id, value),
                    None => {}
                }
            });
        }
    }

    fn list(&mut self, list: &List, values: &[Value]) {
        self.count(list.count, values.len(), "entries");
        for (at, value) in values.iter().enumerate() {
            let id = list.first.get(at).copied().or(list.items);
            if let Some(id) = id {
                self.within(&at.to_string(), |check| check.apply(id, value));
            }
        }
        if let Some(id) = list.contains {
            let fit = values.iter().filter(|value| self.fits(id, value)).count();
            let least = list.contained.least.or(Some(1));
            self.count(Count { least, ..list.contained }, fit, "entries that fit \"contains\"");
        }
        if list.is_unique {
            let twice = (0..values.len()).find_map(|at| {
                let before = &values[..at];
                before.iter().position(|it| self.same(it, &values[at])).map(|first| (first, at))
            });
            if let Some((first, second)) = twice {
                self.tell(format!("entries {first} and {second} are the same"));
            }
        }
    }

    fn text(&mut self, rules: &Text, text: &str) {
        self.count(rules.length, text.chars().count(), "characters");
        self.work = self.work.saturating_sub(text.len() / 64);
        if let Some(pattern) = rules.pattern.as_ref().filter(|it| !it.is_match(text)) {
            self.tell(format!("must match {}", pattern.as_str()));
        }
        let (fits, name) = match rules.format {
            None => return,
            Some(Format::Ipv4) => (text.parse::<Ipv4Addr>().is_ok(), "IPv4"),
            Some(Format::Ipv6) => (text.parse::<Ipv6Addr>().is_ok(), "IPv6"),
        };
        if !fits {
            self.tell(format!("must be an {name} address"));
        }
    }

    fn number(&mut self, bounds: &Bounds, number: &Number) {
        let is = |limit: &Option<Number>, wrong: &[Ordering]| {
            let limit = limit.as_ref()?;
            wrong.contains(&compare(number, limit)).then(|| limit.clone())
        };
        let (less, greater, same) = (Ordering::Less, Ordering::Greater, Ordering::Equal);
        let found = [
            (is(&bounds.minimum, &[less]), "at least"),
            (is(&bounds.maximum, &[greater]), "at most"),
            (is(&bounds.above, &[less, same]), "greater than"),
            (is(&bounds.below, &[greater, same]), "less than"),
        ];
        for (limit, what) in found {
            if let Some(limit) = limit {
                self.tell(format!("must be {what} {limit}"));
            }
        }
        if let Some(multiple) = bounds.multiple
            && !is_multiple(number, multiple)
        {
            self.tell(format!("must be a multiple of {multiple}"));
        }
    }

    fn count(&mut self, count: Count, is: usize, of: &str) {
        let is = is as u64;
        if let Some(least) = count.least.filter(|least| is < *least) {
            self.tell(format!("must have at least {least} {of}"));
        }
        if let Some(most) = count.most.filter(|most| is > *most) {
            self.tell(format!("must have at most {most} {of}"));
        }
    }

    fn within(&mut self, name: &str, work: impl FnOnce(&mut Self)) {
        let before = self.place.len();
        self.place.push('/');
        self.place.push_str(&escaped(name));
        work(self);
        self.place.truncate(before);
    }

    /// Whether two values are equal, numbers by their value (JSON Schema 2020-12 core, section
    /// 4.2.2).
    fn same(&mut self, one: &Value, other: &Value) -> bool {
        if !self.step() {
            return false;
        }
        match (one, other) {
            (Value::Number(one), Value::Number(other)) => compare(one, other) == Ordering::Equal,
            (Value::Array(one), Value::Array(other)) => {
                one.len() == other.len()
                    && one.iter().zip(other).all(|(one, other)| self.same(one, other))
            }
            (Value::Object(one), Value::Object(other)) => {
                one.len() == other.len()
                    && one
                        .iter()
                        .all(|(name, it)| other.get(name).is_some_and(|other| self.same(it, other)))
            }
            (one, other) => one == other,
        }
    }
}

fn compare(one: &Number, other: &Number) -> Ordering {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => one.cmp(&other),
        // JSON has no NaN.
        _ => one.as_f64().partial_cmp(&other.as_f64()).unwrap_or(Ordering::Equal),
    }
}

fn is_multiple(number: &Number, of: u64) -> bool {
    match number.as_i128() {
        Some(number) => number % i128::from(of) == 0,
        #[expect(clippy::cast_precision_loss, reason = "as precise as the number itself")]
        None => number.as_f64().is_some_and(|number| number % of as f64 == 0.0),
    }
}
