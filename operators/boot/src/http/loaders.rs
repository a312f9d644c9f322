//! Who was served a loader a moment ago, with the token of a boot: the loader asks at the same address,
//! and may ask where no token is.

use super::identity::Requester;
use metal_base::Locked;
use metal_core::capability::Claims;
use std::{collections::HashMap, net::IpAddr, sync::Mutex, time::Duration};
use tokio::time::Instant;

/// How long a loader may take: it may show a menu, and wait for somebody.
const WHILE: Duration = Duration::from_mins(30);
/// At most this many machines are remembered.
const MOST: usize = 4096;

/// Which boot was served to an address, and when.
#[derive(Debug, Default)]
pub(crate) struct Loaders(Mutex<HashMap<IpAddr, (Instant, Claims)>>);

impl Loaders {
    /// Somebody has shown the token with these claims.
    pub(super) fn loaded(&self, asker: &Requester, claims: Claims) {
        let Some(address) = asker.address() else { return };
        let mut loaders = self.0.locked();
        if loaders.len() >= MOST && !loaders.contains_key(&address) {
            loaders.retain(|_, (since, _)| since.elapsed() < WHILE);
            let oldest = loaders.iter().min_by_key(|(_, (since, _))| *since);
            let oldest = oldest.map(|(address, _)| *address).filter(|_| loaders.len() >= MOST);
            oldest.and_then(|address| loaders.remove(&address));
        }
        loaders.insert(address, (Instant::now(), claims));
    }

    /// The claims of the token that was shown from there last.
    pub(super) fn shown(&self, asker: &Requester) -> Option<Claims> {
        let loaders = self.0.locked();
        let (since, claims) = loaders.get(&asker.address()?)?;
        (since.elapsed() < WHILE).then(|| claims.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use metal_core::capability::Purpose;
    use std::net::Ipv4Addr;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_loader_is_remembered_for_a_while_and_many_do_not_fill_the_memory() {
        let loaders = Loaders::default();
        let at = |n: usize| {
            let n = u32::try_from(n).unwrap();
            Requester::Host(Some(Ipv4Addr::from(0x0a00_0000 + n).into()))
        };
        loaders.loaded(&Requester::Host(None), claims());
        for n in 0..=MOST {
            advance(Duration::from_millis(1)).await;
            loaders.loaded(&at(n), claims());
        }
        assert_eq!(loaders.0.lock().unwrap().len(), MOST);
        assert_eq!(loaders.shown(&at(0)), None, "the oldest has made room");
        assert_eq!(loaders.shown(&at(MOST)), Some(claims()));
        assert_eq!(loaders.shown(&Requester::Host(None)), None);
        advance(WHILE).await;
        assert_eq!(loaders.shown(&at(MOST)), None);
    }

    fn claims() -> Claims {
        Claims {
            purpose: Purpose::Uki,
            server: "server".to_owned(),
            boot: "boot".to_owned(),
            expires: Timestamp::MAX,
        }
    }
}
