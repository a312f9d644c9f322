//! The Host of a machine that has registered is refused by the API server.

use super::*;
use crate::{run::of_tokens, token::Tokens};
use metal_api::{BootRegistration, HostHardware, condition};
use metal_runtime::{metrics::Registry, report::Reporters};

#[tokio::test]
async fn why_a_host_is_refused_is_recorded_once_while_it_is_tried_again() {
    let mut token = token(1);
    token.status.as_mut().unwrap().registration = Some(BootRegistration {
        public_key: Machine::new().pem(),
        at: Time(ago(1)),
        address: None,
        hardware: HostHardware::default(),
        host_uid: None,
    });
    let site = Site::new(vec![token], vec![], vec![]).await;
    let recorder = Recorder::new(site.api.client("org"), Reporter::from("hosts"));
    let work = of_tokens(&Reporters::new(recorder, &mut Registry::of("hosts")));
    let tokens = Tokens(Arc::clone(&site.ctx));
    let turn = async |refused: Option<StatusCode>| {
        site.api.fail(refused);
        work.turn(&tokens, ("org".to_owned(), "web-1".to_owned())).await
    };
    // It is consumed; then a quota refuses the Host, which is recorded.
    for refused in [None, Some(StatusCode::FORBIDDEN), None] {
        turn(refused).await;
    }
    let token = site.ctx.view.tokens.named(Some("org"), "web-1").unwrap();
    let status = token.status.clone().unwrap_or_default();
    let usable = status.conditions.iter().find(|it| it.type_ == condition::USABLE);
    assert_eq!(usable.map(|it| it.reason.as_str()), Some("HostNotCreated"));
    site.api.forget();
    for _ in 0..3 {
        turn(Some(StatusCode::FORBIDDEN)).await;
    }
    let sent = |end: &str| site.api.written().iter().filter(|it| it.request.ends_with(end)).count();
    assert_eq!((sent("/status"), sent("/hosts")), (0, 3));
    // Once it is no longer refused, it is there, and nothing is said of it.
    for _ in 0..5 {
        turn(None).await;
    }
    assert!(site.api.object::<Host>(Some("org"), "web-1").is_some());
}
