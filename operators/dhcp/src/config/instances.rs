//! The section `instances`: two servers for one network.

use super::{
    field::{ConfigError, fail, scalar},
    raw,
};
use crate::sharding::{Instances, Part};

pub(super) fn parse(raw: &raw::Instances) -> Result<Instances, ConfigError> {
    let mode = scalar(&raw.mode, "instances.mode", "`standby` or `split`", "standby")?;
    let part = match raw.part.value {
        1 => Part::First,
        2 => Part::Second,
        other => {
            let problem = format!(
                "there are only two instances, so there is no part {other}; use 1 for one \
                 instance, and 2 for the other"
            );
            return Err(fail(&raw.part, "instances.part", problem));
        }
    };
    Ok(Instances { mode, part })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, sharding::Sharing};

    fn instances(section: &str) -> Result<Option<Instances>, String> {
        let text = format!("interfaces: [eth1]\nsubnets: []\n{section}\n");
        Config::parse(&text).map(|it| it.instances).map_err(|error| error.to_string())
    }

    #[test]
    fn without_the_section_there_is_one_instance() {
        assert_eq!(instances(""), Ok(None));
        let split = Instances { mode: Sharing::Split, part: Part::Second };
        assert_eq!(instances("instances: { mode: split, part: 2 }"), Ok(Some(split)));
        let standby = Instances { mode: Sharing::Standby, part: Part::First };
        assert_eq!(instances("instances: { mode: standby, part: 1 }"), Ok(Some(standby)));
    }

    #[test]
    fn mistakes_name_line_field_and_fix() {
        for (section, text) in [
            (
                "instances: { mode: both, part: 1 }",
                "line 3: instances.mode: `both` is not `standby` or `split`; use, for example, \
                 `standby`",
            ),
            (
                "instances:\n  mode: split\n  part: 3",
                "line 5: instances.part: there are only two instances, so there is no part 3; use 1",
            ),
            ("instances: { mode: split, part: 0 }", "no part 0"),
            ("instances: { mode: split }", "missing field `part`"),
            ("instances: { part: 1 }", "missing field `mode`"),
            ("instances: { mode: split, part: one }", "line 3"),
            ("instances: { mode: split, part: 1, of: 3 }", "of"),
        ] {
            let error = instances(section).unwrap_err();
            assert!(error.contains(text), "{section}: {error}");
        }
    }
}
