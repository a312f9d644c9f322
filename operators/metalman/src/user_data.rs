//! Reads user-data of people. A machine may ask for it as often as it likes, so what was read is kept
//! for some seconds.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use metal_api::MachineConfigMapReference;
use metal_base::Locked;
use metal_core::pull_secret::is_name;
use metal_machine::provisioning::user_data::{InvalidUserData, admit, content};
use metal_runtime::OkIf;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

/// How long the API server is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a ConfigMap is used that was read.
const FRESH: Duration = Duration::from_secs(5);
/// How many ConfigMaps, each of 1 MiB at most, are kept.
const KEPT: usize = 16;
/// How many are read at a time.
const READS: usize = 8;

/// Why there is no user-data.
#[derive(Debug)]
pub(crate) enum UserDataError {
    /// It cannot be used.
    Unusable(InvalidUserData),
    /// The API server refused.
    Silent(Box<kube::Error>),
    /// The API server did not respond in time.
    Late,
}

/// ConfigMaps, by name; `None` for one that does not exist.
#[derive(Debug)]
pub(crate) struct UserData {
    maps: Mutex<HashMap<String, Reading>>,
    places: Semaphore,
}

type Reading = (Instant, Option<Arc<ConfigMap>>);

impl Default for UserData {
    fn default() -> Self {
        Self { maps: Mutex::default(), places: Semaphore::new(READS) }
    }
}

impl UserData {
    /// What a Machine names, in the only namespace that is served.
    ///
    /// # Errors
    ///
    /// If there is none, or it cannot be read.
    pub(crate) async fn read(
        &self,
        client: &Client,
        namespace: &str,
        reference: &MachineConfigMapReference,
    ) -> Result<Vec<u8>, UserDataError> {
        admit(reference, namespace).map_err(UserDataError::Unusable)?;
        let maps = Api::namespaced(client.clone(), namespace);
        let map = timeout(PATIENCE, self.map(&maps, &reference.name)).await;
        let map = map.map_err(|_| UserDataError::Late)??;
        content(reference, map.as_deref()).map_err(UserDataError::Unusable)
    }

    async fn map(
        &self,
        maps: &Api<ConfigMap>,
        name: &str,
    ) -> Result<Option<Arc<ConfigMap>>, UserDataError> {
        // A name that is a path may lead to another ConfigMap, where a proxy shortens it. None has such a name.
        if !is_name(name) {
            return Ok(None);
        }
        let _place = self.places.acquire().await.map_err(|_| UserDataError::Late)?;
        let kept = self.locked().get(name).filter(|(at, _)| at.elapsed() < FRESH).cloned();
        if let Some((_, map)) = kept {
            return Ok(map);
        }
        // Without one a machine is set up for good with the default: only the API server says that there is none.
        let map = maps.get(name).await.ok_if_not_found();
        let map = map.map_err(|error| UserDataError::Silent(Box::new(error)))?.map(Arc::new);
        let mut kept = self.locked();
        kept.retain(|_, (at, _)| at.elapsed() < FRESH);
        if kept.len() < KEPT {
            kept.insert(name.to_owned(), (Instant::now(), map.clone()));
        }
        Ok(map)
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, Reading>> {
        self.maps.locked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{Request, Response, StatusCode};
    use kube::client::Body;
    use metal_runtime::testing::ApiServer;
    use std::convert::Infallible;

    #[tokio::test]
    async fn user_data_that_is_named_by_a_path_is_asked_of_nobody() {
        let server = ApiServer::default();
        let (name, namespace) = ("../../other/configmaps/a".to_owned(), "ours".to_owned());
        let reference = MachineConfigMapReference { name, namespace, key: None };
        let read = UserData::default().read(&server.client("ours"), "ours", &reference).await;
        assert!(read.is_ok() && server.sent().is_empty());
    }

    #[tokio::test]
    async fn user_data_is_not_missing_because_a_proxy_in_place_of_the_api_server_has_no_page() {
        let proxy = tower::service_fn(async |_: Request<Body>| {
            let mut page = Response::new(Body::from(b"404 page not found".to_vec()));
            *page.status_mut() = StatusCode::NOT_FOUND;
            Ok::<_, Infallible>(page)
        });
        let (name, namespace) = ("cloud-init".to_owned(), "ours".to_owned());
        let reference = MachineConfigMapReference { name, namespace, key: None };
        let client = Client::new(proxy, "ours");
        let read = UserData::default().read(&client, "ours", &reference).await;
        assert!(matches!(read, Err(UserDataError::Silent(_))));
    }
}
