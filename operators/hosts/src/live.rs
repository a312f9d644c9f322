//! Tokens as the API server has them at this moment. A replica whose watch is interrupted believes in boots
//! that are long over, so nothing that clears a disk is given out from what the watch has delivered alone.
//!
//! Whoever has a capability may ask as often as it likes, so all who ask within a second share one look.

use metal_api::{BootToken, Host};
use metal_base::Locked;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::OnceCell, time::Instant};

/// How long a look is used.
const FRESH: Duration = Duration::from_secs(1);
/// Looks that are kept.
const KEPT: usize = 1024;

/// What a look has found.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// The token, if it still exists, and the Host of its name.
    There(Option<Arc<BootToken>>, Option<Arc<Host>>),
    /// No answer at all: what is known counts, so that an installation goes on.
    Silence,
    /// An answer that is none.
    Failed,
}

/// A look, by when it was begun.
type Look = (Instant, Arc<OnceCell<Found>>);

/// Looks at tokens, by their UIDs.
#[derive(Debug, Default)]
pub(crate) struct Live(Mutex<HashMap<String, Look>>);

impl Live {
    /// What `read` finds of a token, and of the Host of its name, unless somebody just has looked.
    pub(crate) async fn look(&self, token: &BootToken, read: impl Future<Output = Found>) -> Found {
        let look = self.begun(token.metadata.uid.as_deref().unwrap_or_default());
        look.get_or_init(|| read).await.clone()
    }

    /// It has been written.
    pub(crate) fn forget(&self, token: &BootToken) {
        self.0.locked().remove(token.metadata.uid.as_deref().unwrap_or_default());
    }

    fn begun(&self, uid: &str) -> Arc<OnceCell<Found>> {
        let mut all = self.0.locked();
        if let Some((_, look)) = all.get(uid).filter(|(since, _)| since.elapsed() < FRESH) {
            return Arc::clone(look);
        }
        if all.len() >= KEPT {
            all.retain(|_, (since, _)| since.elapsed() < FRESH);
        }
        let look = Arc::<OnceCell<Found>>::default();
        // Of a crowd of tokens, each boots by itself.
        if all.len() < KEPT || all.contains_key(uid) {
            all.insert(uid.to_owned(), (Instant::now(), Arc::clone(&look)));
        }
        look
    }
}
