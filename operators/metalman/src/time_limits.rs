//! How long reboots and installations may take.

use jiff::SignedDuration;
use metal_machine::operations::Limits;
use metal_runtime::args;
use std::time::Duration;

/// The longest without progress: a step that is [`OUTDATED`](metal_machine::operations::OUTDATED) is given
/// up as one of a backup.
const LONGEST: Duration = Duration::from_hours(5);
/// The longest of all: operations are given up at some time.
const LONGEST_IN_ALL: Duration = Duration::from_hours(24 * 7);

/// Time limits of an attempt.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct TimeLimits {
    /// Time limit for the operating system of a machine to shut down; then its power is cut
    #[arg(long = "shutdown-timeout", default_value = "2m", value_name = "DURATION", value_parser = limit)]
    pub shutdown: Duration,
    /// Time limit for a BMC to power a machine off by force, and to power it on; then the attempt
    /// has failed
    #[arg(long = "power-timeout", default_value = "5m", value_name = "DURATION", value_parser = limit)]
    pub power: Duration,
    /// Time limit for an installer that reports no progress; then the attempt has failed
    #[arg(long = "install-timeout", default_value = "30m", value_name = "DURATION", value_parser = limit)]
    pub install: Duration,
    /// Time limit for an installer that reports progress; then the attempt has failed
    #[arg(long = "install-total-timeout", default_value = "4h", value_name = "DURATION", value_parser = total)]
    pub install_total: Duration,
}

impl TimeLimits {
    /// The same, as decisions need them.
    pub(crate) fn limits(self) -> Limits {
        let signed =
            |limit: Duration| SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
        Limits {
            shutdown: signed(self.shutdown),
            power: signed(self.power),
            install: signed(self.install),
            install_in_all: signed(self.install_total.max(self.install)),
        }
    }
}

/// A time limit: from a second to five hours.
fn limit(text: &str) -> Result<Duration, String> {
    within(text, LONGEST)
}

/// A time limit with progress: from a second to a week.
fn total(text: &str) -> Result<Duration, String> {
    within(text, LONGEST_IN_ALL)
}

fn within(text: &str, longest: Duration) -> Result<Duration, String> {
    let limit = args::duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_secs(1)..=longest).contains(&limit) {
        Ok(limit)
    } else {
        Err(format!("use a duration from 1s to {}h", longest.as_secs() / 3600))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use metal_machine::operations::OUTDATED;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        limits: TimeLimits,
    }

    fn parsed(line: &str) -> Result<Limits, clap::Error> {
        let words = ["metalman"].into_iter().chain(line.split_whitespace());
        Flags::try_parse_from(words).map(|it| it.limits.limits())
    }

    #[test]
    fn limits_are_those_of_the_decision_unless_they_are_set() {
        assert_eq!(parsed("").unwrap(), Limits::default());
        let set = parsed("--install-timeout=5h --shutdown-timeout=90s").unwrap();
        let hours = SignedDuration::from_hours(5);
        assert_eq!((set.install, set.install_in_all), (hours, hours), "the whole is never shorter");
        assert_eq!(set.shutdown, SignedDuration::from_secs(90));
        for wrong in ["0", "999ms", "169h", "1", "never"] {
            for limit in ["power", "install-total"] {
                assert!(parsed(&format!("--{limit}-timeout={wrong}")).is_err(), "{limit} {wrong}");
            }
        }
    }

    #[test]
    fn no_limit_lasts_until_a_step_is_taken_for_one_of_a_backup() {
        for limit in ["shutdown", "power", "install"] {
            assert!(parsed(&format!("--{limit}-timeout=6h")).is_err(), "{limit}");
        }
        assert!(SignedDuration::try_from(LONGEST).unwrap() < OUTDATED);
        let total = parsed("--install-total-timeout=168h").unwrap().install_in_all;
        assert_eq!(total, SignedDuration::from_hours(168), "with progress it is never outdated");
    }
}
