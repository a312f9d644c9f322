//! `unevaluatedProperties`: fields of which nothing that is applied to the object says anything (JSON Schema
//! 2020-12 core, section 11.3).

use super::{Check, Id, NESTED, Node, Rules};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

type Names = BTreeSet<String>;

impl Check<'_> {
    /// Applies it, if these rules have it.
    pub(super) fn unevaluated(
        &mut self,
        rules: &Rules,
        value: &Value,
        fields: &Map<String, Value>,
    ) {
        let Some(id) = rules.object.unevaluated else { return };
        let known = self.by_rules(rules, value, fields);
        for (name, value) in fields.iter().filter(|(name, _)| !known.contains(*name)) {
            self.within(name, |check| match check.nodes[id] {
                Node::Always(false) => check.tell("this field is not known"),
                _ => check.apply(id, value),
            });
        }
    }

    /// The fields to which a subschema that fits applies something.
    fn by(&mut self, id: Id, value: &Value, fields: &Map<String, Value>) -> Names {
        let nodes = self.nodes;
        let Node::Rules(rules) = &nodes[id] else { return Names::new() };
        // References may lead in a circle.
        if !self.step() || self.nested == NESTED {
            return Names::new();
        }
        self.nested += 1;
        let mut names = self.by_rules(rules, value, fields);
        self.nested -= 1;
        if rules.object.unevaluated.is_some() {
            names.extend(fields.keys().cloned());
        }
        names
    }

    fn by_rules(&mut self, rules: &Rules, value: &Value, fields: &Map<String, Value>) -> Names {
        let object = &rules.object;
        let is_known = |name: &String| {
            object.additional.is_some()
                || object.properties.iter().any(|(it, _)| it == name)
                || object.patterns.iter().any(|(it, _)| it.is_match(name))
        };
        let mut names: Names = fields.keys().filter(|name| is_known(name)).cloned().collect();
        self.work = self.work.saturating_sub(fields.len());
        for id in self.applied(rules, value) {
            names.extend(self.by(id, value, fields));
        }
        names
    }

    /// The subschemas that are applied to the same value, of alternatives those that fit.
    fn applied(&mut self, rules: &Rules, value: &Value) -> Vec<Id> {
        let combined = &rules.combined;
        let mut ids: Vec<Id> = rules.reference.into_iter().chain(combined.all.clone()).collect();
        let alternatives = combined.any.iter().chain(&combined.one).flatten();
        ids.extend(alternatives.filter(|id| self.fits(**id, value)));
        if let Some(condition) = combined.condition {
            let holds = self.fits(condition, value);
            ids.extend(holds.then_some(condition));
            ids.extend(if holds { combined.then } else { combined.otherwise });
        }
        ids
    }
}
