//! Tokens as the API server has them at this moment. A replica whose watch is interrupted believes in boots
//! that are long over, so nothing that clears a disk is given out from what the watch has delivered alone.
//!
//! Whoever has a capability may ask as often as it likes, so all who ask within a second share one look.

use crate::context::Context;
use kube::ResourceExt;
use metal_api::{BootToken, Host};
use metal_base::Locked;
use metal_runtime::report::Chain;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};

/// How long a look is used.
const FRESH: Duration = Duration::from_secs(1);
/// How long somebody waits for the API server before what is known counts.
const PATIENCE: Duration = Duration::from_secs(2);
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
    /// Looks at a token, and at the Host of its name, unless somebody just has.
    pub(crate) async fn look(&self, ctx: &Context, token: &BootToken) -> Found {
        let look = self.begun(token.metadata.uid.as_deref().unwrap_or_default());
        look.get_or_init(|| read(ctx, token)).await.clone()
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

async fn read(ctx: &Context, token: &BootToken) -> Found {
    let namespace = token.namespace().unwrap_or_default();
    let (tokens, hosts) = (ctx.tokens(&namespace), ctx.hosts(&namespace));
    let (name, host) = (token.name_any(), &token.spec.host_name);
    let read = async { tokio::try_join!(tokens.api().get_opt(&name), hosts.api().get_opt(host)) };
    match timeout(PATIENCE, read).await {
        Ok(Ok((read, host))) => {
            let same = read.filter(|read| read.metadata.uid == token.metadata.uid);
            Found::There(same.map(Arc::new), host.map(Arc::new))
        }
        Ok(Err(kube::Error::Service(_) | kube::Error::HyperError(_))) | Err(_) => Found::Silence,
        Ok(Err(error)) => {
            if ctx.told.may() {
                tracing::warn!(token = %format!("{namespace}/{name}"), error = %Chain(&error), "not read");
            }
            Found::Failed
        }
    }
}
