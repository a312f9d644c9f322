//! A ServerReadinessRule that is deleted takes its taint with it.

use kube::core::{Selector, SelectorExt as _};
use metal_api::{Server, ServerReadinessRule, Taint};

/// The taints of a server without that of a rule that is being deleted, if the server has it
/// because of the rule. It stays if one of `others` puts the same taint on the same server.
pub fn taints_without(
    server: &Server,
    rule: &ServerReadinessRule,
    others: &[&ServerReadinessRule],
) -> Option<Vec<Taint>> {
    let same = |taint: &Taint| is_same(taint, &rule.spec.taint);
    let wanted = |other: &&ServerReadinessRule| same(&other.spec.taint) && selects(other, server);
    if !selects(rule, server) || others.iter().any(wanted) {
        return None;
    }
    let taints = &server.spec.taints;
    let rest: Vec<_> = taints.iter().filter(|taint| !same(taint)).cloned().collect();
    (rest.len() < taints.len()).then_some(rest)
}

fn is_same(one: &Taint, other: &Taint) -> bool {
    one.key == other.key
        && one.value.as_deref().unwrap_or_default() == other.value.as_deref().unwrap_or_default()
        && one.effect.unwrap_or_default() == other.effect.unwrap_or_default()
}

/// A selector from another version that cannot be parsed selects nothing.
fn selects(rule: &ServerReadinessRule, server: &Server) -> bool {
    let labels = server.metadata.labels.clone().unwrap_or_default();
    Selector::try_from(rule.spec.server_selector.clone()).is_ok_and(|it| it.matches(&labels))
}
