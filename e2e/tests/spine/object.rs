//! An object that an older version wrote, and that this version cannot parse.

use crate::shared::{pxe, run, settings};
use anyhow::Context;
use e2e::{
    cluster::{eventually, unique},
    stack::{Settings, Stack},
};
use k8s_openapi::{
    api::events::v1::Event,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceDefinition as Definition, CustomResourceDefinitionSpec as Spec,
        JSONSchemaProps as Schema,
    },
};
use kube::{
    Api, CustomResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, PostParams},
};
use metal_api::{Endpoint, ServerState};
use serde_json::json;
use std::time::Duration;

const LIMIT: Duration = Duration::from_mins(3);

#[test]
fn an_object_that_nobody_can_read_is_told_as_an_event_and_others_go_on() {
    run(async {
        // Its own stack: no other test may see the kind meanwhile.
        let stack = Stack::start(Settings { fleets: vec![pxe()], ..settings() }).await.unwrap();
        let resource = ApiResource::erase::<Endpoint>(&());
        let endpoints = Api::<DynamicObject>::all_with(stack.client.clone(), &resource);
        let name = unique("broken");
        let broken = DynamicObject::new(&name, &resource);
        let broken = broken.data(json!({ "spec": { "macAddress": 5, "ip": "192.0.2.9" } }));
        let strict = replaced(&stack, |spec| *spec = lenient(spec.clone())).await;
        eventually(LIMIT, async || Ok(endpoints.create(&PostParams::default(), &broken).await?))
            .await
            .unwrap();
        replaced(&stack, |spec| *spec = strict).await;

        let events = Api::<Event>::all(stack.client.clone());
        let note = eventually(LIMIT, async || {
            let all = events.list(&ListParams::default()).await?;
            let about = |event: &Event| {
                let regarding = event.regarding.as_ref();
                regarding.and_then(|it| it.name.as_deref()) == Some(&name)
            };
            let event = all.items.into_iter().find(about).context("no event")?;
            event.note.context("no note")
        });
        let note = note.await.unwrap();
        assert!(note.contains("macAddress"), "{note}");

        let machine = stack.machine(0, 0).unwrap();
        machine.plug_in().await.unwrap();
        machine.enters(ServerState::Available).await.unwrap();
        endpoints.delete(&name, &DeleteParams::default()).await.unwrap();
    });
}

/// The CRD of an imaginary older version without validation.
fn lenient(mut definition: Spec) -> Spec {
    let version = &mut definition.versions[0];
    let schema = version.schema.as_mut().and_then(|it| it.open_api_v3_schema.as_mut()).unwrap();
    let spec = schema.properties.as_mut().and_then(|it| it.get_mut("spec")).unwrap();
    let any = Schema { x_kubernetes_preserve_unknown_fields: Some(true), ..Schema::default() };
    spec.properties.as_mut().unwrap().insert("macAddress".to_owned(), any);
    definition
}

/// Changes the spec of the Endpoint CRD, and returns the old one.
async fn replaced(stack: &Stack, change: impl FnOnce(&mut Spec)) -> Spec {
    let definitions = Api::<Definition>::all(stack.client.clone());
    let name = <Endpoint as CustomResourceExt>::crd_name();
    let mut definition = definitions.get(name).await.unwrap();
    let old = definition.spec.clone();
    change(&mut definition.spec);
    definitions.replace(name, &PostParams::default(), &definition).await.unwrap();
    old
}
