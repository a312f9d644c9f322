//! Where BMCs read the media that servers boot from: URLs of the boot-operator, each valid for one
//! boot and a limited time.

use crate::Error;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use metal_api::Server;
use metal_base::Locked;
use metal_core::{
    boot::url,
    capability::{BOOT_KEY_SECRET, Key, issue},
    redfish::ImageUrl,
    server::medium_of,
};
use metal_runtime::OkIf;
use std::sync::Mutex;

/// The only key in its data.
const ENTRY: &str = "key";

/// Makes URLs of media.
pub(crate) struct Media {
    /// Where BMCs reach the boot-operator, without a trailing slash.
    url: String,
    /// Namespace of the boot-operator, which is ours.
    namespace: String,
    key: Mutex<Option<Key>>,
}

impl Media {
    /// Media under this URL. The key is read when it is needed.
    pub(crate) fn new(url: impl Into<String>, namespace: impl Into<String>) -> Self {
        Self { url: url.into(), namespace: namespace.into(), key: Mutex::default() }
    }

    /// Reads the key. One that was read before counts until the API server says something else.
    ///
    /// # Errors
    ///
    /// If no key is known: those of the API server; or that there is none.
    pub(crate) async fn learn(&self, client: &Client) -> Result<(), Error> {
        let secrets = Api::<Secret>::namespaced(client.clone(), &self.namespace);
        let secret = match secrets.get(BOOT_KEY_SECRET).await.ok_if_not_found() {
            Ok(secret) => secret,
            Err(_) if self.key.locked().is_some() => return Ok(()),
            Err(error) => return Err(Error::read("Secret of the media")(error)),
        };
        let data = secret.and_then(|secret| secret.data).unwrap_or_default();
        let key = data.get(ENTRY).and_then(|bytes| Key::new(&bytes.0).ok());
        let is_there = key.is_some();
        *self.key.locked() = key;
        if is_there { Ok(()) } else { Err(Error::MediaKey(self.namespace.clone())) }
    }

    /// The medium that is recorded for a server, if there is one and the key is known.
    pub(crate) fn medium(&self, server: &Server) -> Option<ImageUrl> {
        let claims = medium_of(server)?;
        let key = self.key.locked();
        let token = issue(key.as_ref()?, &claims).ok()?;
        Some(ImageUrl::new(url::medium(&self.url, token.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::StatusCode;
    use jiff::{SignedDuration, Timestamp};
    use k8s_openapi::{
        ByteString,
        apimachinery::pkg::apis::meta::v1::{Condition, Time},
    };
    use metal_api::{Medium, ServerSpec, ServerStatus, condition};
    use metal_core::capability::{Purpose, verify};
    use metal_runtime::testing::ApiServer;

    #[test]
    fn the_url_of_a_recorded_medium_is_the_same_each_time_and_opens_for_an_hour() {
        let key = || Key::new(&[7; Key::MIN]).unwrap();
        let media = Media::new("http://10.0.0.1:8082", "system");
        let mut server = Server::new("server-a", ServerSpec::default());
        assert_eq!(media.medium(&server), None);
        let medium = Some(Medium { boot_configuration_uid: "boot-uid".to_owned() });
        let conditions = vec![inserted()];
        server.status = Some(ServerStatus { conditions, medium, ..ServerStatus::default() });
        assert_eq!(media.medium(&server), None, "nobody has read the key");
        *media.key.lock().unwrap() = Some(key());
        let url = media.medium(&server).unwrap();
        assert_eq!(media.medium(&server), Some(url.clone()));
        let token = url.as_str().strip_prefix("http://10.0.0.1:8082/media/").unwrap();
        let token = token.strip_suffix(".iso").unwrap();
        let opens = |after| {
            let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(after);
            verify(&[key()], token, Purpose::Medium, now)
        };
        let claims = opens(3599).unwrap();
        assert_eq!((claims.server.as_str(), claims.boot.as_str()), ("server-a", "boot-uid"));
        assert!(opens(3600).is_err());
        // Some BMCs accept no longer URL.
        assert!(url.as_str().len() < 255, "{}", url.as_str().len());
    }

    #[tokio::test]
    async fn a_key_counts_until_the_api_server_itself_says_that_there_is_none() {
        let (api, media) = (ApiServer::default(), Media::new("http://10.0.0.1:8082", "system"));
        let mut secret = Secret::default();
        secret.metadata.name = Some(BOOT_KEY_SECRET.to_owned());
        secret.metadata.namespace = Some("system".to_owned());
        secret.data = Some([(ENTRY.to_owned(), ByteString(vec![7; Key::MIN]))].into());
        api.put(&secret);
        let client = api.client("system");
        media.learn(&client).await.unwrap();
        // As a proxy does.
        api.fail(Some(StatusCode::NOT_FOUND));
        media.learn(&client).await.unwrap();
        assert!(media.key.locked().is_some());
        api.fail(None);
        api.remove::<Secret>(Some("system"), BOOT_KEY_SECRET);
        media.learn(&client).await.unwrap_err();
        assert!(media.key.locked().is_none());
    }

    fn inserted() -> Condition {
        Condition {
            type_: condition::MEDIUM_INSERTED.to_owned(),
            status: "True".to_owned(),
            reason: "VirtualMedia".to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }
    }
}
