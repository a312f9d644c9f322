//! Who has a connection to which BMC: one that nobody has any longer is given up, with its session
//! and its password.

use metal_base::Locked;
use metal_bmc::Target;
use std::{collections::HashMap, sync::Mutex};

/// Who connects to a BMC. Servers of a BMC object use its connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum BmcUser {
    /// A BMC object, by name.
    Bmc(String),
    /// A server with `spec.bmc`, by name.
    Server(String),
}

/// The BMC of each user.
#[derive(Debug, Default)]
pub(crate) struct BmcUsers(Mutex<Users>);

#[derive(Debug, Default)]
struct Users {
    targets: HashMap<BmcUser, Target>,
    counts: HashMap<Target, usize>,
}

impl BmcUsers {
    /// Records the BMC of a user. Returns the one that it had before, if nobody has that any more.
    pub(crate) fn keep_to(&self, user: BmcUser, target: &Target) -> Option<Target> {
        let mut users = self.0.locked();
        if users.targets.get(&user) == Some(target) {
            return None;
        }
        *users.counts.entry(target.clone()).or_default() += 1;
        let former = users.targets.insert(user, target.clone())?;
        users.release(former)
    }

    /// Forgets a user. Returns its BMC, if nobody has that any more.
    pub(crate) fn leave(&self, user: &BmcUser) -> Option<Target> {
        let mut users = self.0.locked();
        let former = users.targets.remove(user)?;
        users.release(former)
    }
}

impl Users {
    /// One user less for this BMC; returns it if there is no other.
    fn release(&mut self, target: Target) -> Option<Target> {
        let count = self.counts.get_mut(&target)?;
        *count = count.saturating_sub(1);
        if *count > 0 {
            return None;
        }
        self.counts.remove(&target);
        Some(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_core::redfish::Scheme;

    #[test]
    fn a_bmc_is_given_up_when_its_last_user_has_left_it() {
        let (users, [first, second]) = (BmcUsers::default(), [443, 8443].map(at));
        let [a, b] = ["a", "b"].map(|name| BmcUser::Server(name.to_owned()));
        let bmc = BmcUser::Bmc("a".to_owned());
        for user in [&a, &b, &bmc, &bmc] {
            assert_eq!(users.keep_to(user.clone(), &first), None);
        }
        assert_eq!(users.keep_to(a.clone(), &second), None, "others have the first one");
        assert_eq!(users.leave(&bmc), None);
        assert_eq!(users.leave(&bmc), None, "it has left already");
        assert_eq!(users.keep_to(b.clone(), &second), Some(first));
        assert_eq!(users.leave(&a), None);
        assert_eq!(users.leave(&b), Some(second));
        let users = users.0.locked();
        assert!(users.targets.is_empty() && users.counts.is_empty());
    }

    fn at(port: u16) -> Target {
        Target { scheme: Scheme::Https, host: "192.0.2.9".parse().unwrap(), port }
    }
}
