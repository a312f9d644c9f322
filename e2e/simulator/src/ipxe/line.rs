//! Lines, words and variables of a script.

use super::Variables;
use std::collections::VecDeque;

/// When a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunCondition {
    Always,
    And,
    Or,
}

/// One command of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) joint: RunCondition,
    pub(super) words: Vec<String>,
}

/// The logical lines of a script: continuation lines are joined to the first one and leave empty
/// lines, so that line numbers stay right. `None` if it is not a script.
pub(super) fn logical(text: &str) -> Option<Vec<String>> {
    if !text.starts_with("#!ipxe") && !text.starts_with("#!gpxe") {
        return None;
    }
    let mut lines: Vec<String> = Vec::new();
    let mut first: Option<usize> = None;
    for line in text.lines() {
        let line = line.trim();
        let (part, continues) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        if let Some(first) = first {
            lines[first].push_str(part);
            lines.push(String::new());
        } else {
            lines.push(part.to_owned());
        }
        first = continues.then(|| first.unwrap_or(lines.len() - 1));
    }
    Some(lines)
}

/// The commands of a line.
pub(super) fn steps(line: &str) -> VecDeque<Step> {
    let mut steps = VecDeque::from([Step { joint: RunCondition::Always, words: Vec::new() }]);
    if line.starts_with(':') {
        return VecDeque::new();
    }
    for word in line.split_whitespace() {
        let joint = match word {
            "||" => Some(RunCondition::Or),
            "&&" => Some(RunCondition::And),
            ";" => Some(RunCondition::Always),
            _ if word.starts_with('#') => break,
            _ => None,
        };
        match (joint, steps.back_mut()) {
            (Some(joint), _) => steps.push_back(Step { joint, words: Vec::new() }),
            (None, Some(step)) => step.words.push(word.to_owned()),
            (None, None) => {}
        }
    }
    steps.retain(|step| !step.words.is_empty());
    steps
}

/// The word with its variables, innermost first. An unknown variable is empty.
pub(crate) fn expand(word: &str, variables: &Variables) -> String {
    let mut word = word.to_owned();
    while let Some(end) = word.find('}') {
        let Some(start) = word[..end].rfind("${") else { break };
        let value = value(&word[start + 2..end], variables);
        word.replace_range(start..=end, &value);
    }
    word
}

/// `name` or `name:type`.
fn value(setting: &str, variables: &Variables) -> String {
    let (name, kind) = setting.split_once(':').unwrap_or((setting, ""));
    let value = variables.get(name).map_or("", String::as_str);
    match kind {
        "hexhyp" => value.replace(':', "-"),
        "hexraw" => value.replace(':', ""),
        "uristring" => url::form_urlencoded::byte_serialize(value.as_bytes())
            .collect::<String>()
            .replace('+', "%20"),
        _ => value.to_owned(),
    }
}
