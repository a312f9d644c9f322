//! What the container image of a program gives it: the variables that the Dockerfile sets.

use std::collections::BTreeMap;

const DOCKERFILE: &str = include_str!("../../../Dockerfile");

/// The variables in the image of this program.
pub(super) fn variables(program: &str) -> BTreeMap<String, String> {
    of_stage(DOCKERFILE, program)
}

/// The variables of a stage, with those of what it is made from. No value of an image of ours has a space.
fn of_stage(dockerfile: &str, stage: &str) -> BTreeMap<String, String> {
    let mut stages = BTreeMap::<&str, BTreeMap<String, String>>::new();
    let mut current = "";
    for line in dockerfile.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["FROM", from, "AS", name] => {
                let inherited = stages.get(from).cloned().unwrap_or_default();
                stages.insert(*name, inherited);
                current = *name;
            }
            ["ENV", pairs @ ..] => {
                let pairs = pairs.iter().filter_map(|pair| pair.split_once('='));
                let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
                stages.entry(current).or_default().extend(pairs);
            }
            _ => {}
        }
    }
    stages.remove(stage).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_the_variables_of_its_stage_and_of_what_that_is_made_from() {
        let dockerfile = "FROM scratch AS base\nENV A=1 B=2\nFROM base AS program\n# ENV D=4\n\
                          ENV B=3 C=x=y\nFROM base AS other\nENTRYPOINT [\"/other\"]\n";
        let of = |stage| {
            let variables = of_stage(dockerfile, stage).into_iter();
            variables.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(of("program"), ["A=1", "B=3", "C=x=y"]);
        assert_eq!(of("other"), ["A=1", "B=2"]);
        assert_eq!(of("unknown"), [""; 0]);
    }

    #[test]
    fn the_allocator_of_metal_operator_is_set_by_its_image() {
        let variables = variables("metal-operator");
        assert_eq!(variables.get("MALLOC_ARENA_MAX").map(String::as_str), Some("1"));
    }
}
