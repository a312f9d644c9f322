//! A registry that requires a login for every image, that of the discovery included.

use crate::{
    claim::Claim,
    shared::{pxe, run, settings},
};
use anyhow::ensure;
use e2e::{
    cluster::eventually,
    stack::{Login, NAMESPACE, Settings, Stack},
};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, api::PostParams};
use serde_json::json;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_mins(2);
const LOGIN: Login = (
    "somebody",
    "open sesame",
    "somebody:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n",
);

#[test]
fn images_that_need_a_login_boot_with_the_secret_of_the_flag_once_it_is_there() {
    run(async {
        let (boot, login) = (vec!["--image-pull-secret=images".to_owned()], Some(LOGIN));
        let settings = Settings { fleets: vec![pxe()], boot, login, ..settings() };
        let stack = Stack::start(settings).await.unwrap();
        says(&stack, "of --image-pull-secret is missing").await;
        let secrets = Api::<Secret>::namespaced(stack.client.clone(), NAMESPACE);
        secrets.create(&PostParams::default(), &secret(&stack)).await.unwrap();
        says(&stack, "logins for registries read").await;
        let machine = stack.machine(0, 0).unwrap();
        let claim = Claim::booted(&stack, &machine).await;
        assert!(!stack.boot.printed().unwrap().contains(LOGIN.1));
        claim.delete().await;
        claim.is_gone().await;
    });
}

/// Waits until boot-operator has logged this.
async fn says(stack: &Stack, what: &str) {
    let said = eventually(PATIENCE, async || {
        ensure!(stack.boot.printed()?.contains(what), "{what}");
        Ok(())
    });
    said.await.unwrap();
}

/// What `kubectl create secret docker-registry` makes.
fn secret(stack: &Stack) -> Secret {
    let host = stack.registry.address().to_string();
    let config = json!({ "auths": { host: { "username": LOGIN.0, "password": LOGIN.1 } } });
    let config = ByteString(config.to_string().into_bytes());
    let mut secret = Secret::default();
    secret.metadata.name = Some("images".to_owned());
    secret.type_ = Some("kubernetes.io/dockerconfigjson".to_owned());
    secret.data = Some([(".dockerconfigjson".to_owned(), config)].into());
    secret
}
