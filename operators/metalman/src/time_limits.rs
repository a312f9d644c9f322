//! How long reboots and installations may take.

use jiff::SignedDuration;
use metal_core::machine::operations::Limits;
use metal_runtime::args;
use std::time::Duration;

/// The longest of all: operations are given up at some time.
const LONGEST: Duration = Duration::from_hours(24 * 7);

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
    #[arg(long = "install-total-timeout", default_value = "4h", value_name = "DURATION", value_parser = limit)]
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

/// A time limit: from a second to a week.
fn limit(text: &str) -> Result<Duration, String> {
    let limit = args::duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_secs(1)..=LONGEST).contains(&limit) {
        Ok(limit)
    } else {
        Err("use a duration from 1s to 168h".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

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
            assert!(parsed(&format!("--power-timeout={wrong}")).is_err(), "{wrong}");
        }
    }
}
