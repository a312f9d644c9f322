//! A table of what is woken, by kind and change.

mod machines;
mod unread;

use super::{
    bmc as wakes_of_bmc, claim as wakes_of_claim, configuration as wakes_of_configuration,
    server as wakes_of_server, *,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::Resource;
use metal_api::{
    BmcAccess, BmcSecretSpec, BmcSpec, BmcStatus, ClaimReference, LocalObjectReference,
    ObjectReference, PowerState, ServerBootConfigurationSpec, ServerClaimSpec, ServerInventory,
    ServerInventorySpec, ServerSpec, ServerState, ServerStatus, Taint, Toleration,
    TolerationOperator,
};
use metal_runtime::testing::list;

const UUID: &str = "38947555-7742-3448-3784-823347823834";

#[tokio::test]
async fn a_change_wakes_everybody_whose_decision_reads_it() {
    let view = world().await;
    let first = Endpoint::new("e1", serde_json::from_str("{}").unwrap());
    let changes: [(&str, Wakes, &[&str]); 12] = [
        (
            "address of a BMC",
            endpoint(&view, &changed(&first, |it| it.spec.ip = Some("::1".into())).get()),
            &["endpoint e1", "bmc bmc-1", "server held", "server spare"],
        ),
        (
            "status of an Endpoint",
            endpoint(&view, &changed(&first, |_| {}).get()),
            &["endpoint e1", "bmc bmc-1"],
        ),
        (
            "new BMC",
            wakes_of_bmc(&view, &created(&bmc("bmc-1")).get()),
            &["endpoint bmc-1", "bmc bmc-1", "server held", "server spare"],
        ),
        (
            "status of a BMC",
            wakes_of_bmc(&view, &changed(&bmc("bmc-1"), |_| {}).get()),
            &["bmc bmc-1"],
        ),
        (
            "BMC that answers",
            wakes_of_bmc(
                &view,
                &changed(&bmc("bmc-1"), |it| it.status = Some(status(condition::READY, "True")))
                    .get(),
            ),
            &["bmc bmc-1", "server held", "server spare"],
        ),
        (
            "credentials of a BMC",
            secret(&view, &created(&BmcSecret::new("secret-1", BmcSecretSpec::default())).get()),
            &["bmc bmc-1", "server held", "server spare"],
        ),
        (
            "credentials of a server",
            secret(&view, &removed(&BmcSecret::new("secret-2", BmcSecretSpec::default())).get()),
            &["server inline"],
        ),
        (
            "boot configuration",
            wakes_of_configuration(&view, &created(&configuration()).get()),
            &["server held", "server named-by-it", "claim tenant/holder"],
        ),
        (
            "claim that is gone",
            wakes_of_claim(&view, &removed(&claim("holder", |_| {})).get()),
            &["server held", "claim tenant/holder"],
        ),
        ("report", inventory(&created(&reported("held")).get()), &["server held"]),
        (
            "server of a BMC with several systems",
            wakes_of_server(&view, &created(&fresh("spare", "bmc-1")).get()),
            &["server spare", "bmc bmc-1", "bmc bmc-2", "claim tenant/named"],
        ),
        (
            "server that is gone",
            wakes_of_server(&view, &removed(&server("spare", "bmc-1")).get()),
            &["server spare", "bmc bmc-1", "bmc bmc-2", "claim tenant/named"],
        ),
    ];
    for (what, woken, expected) in changes {
        assert_eq!(show(&woken), sorted(expected), "{what}");
    }
}

/// The change, the server before and after, and what is woken.
type Case<'a> = (&'a str, fn(&mut Server), fn(&mut Server), &'a [&'a str]);

#[tokio::test]
async fn a_server_that_becomes_free_wakes_the_claims_that_it_fits_now() {
    let view = world().await;
    let all = [
        "claim tenant/any",
        "claim tenant/named",
        "claim tenant/rack",
        "claim tenant/tolerant",
        "server spare",
    ];
    let let_go = [all.as_slice(), &["claim tenant/other"]].concat();
    let changes: [Case<'_>; 8] = [
        ("is off", |old| power(old, PowerState::On), |new| power(new, PowerState::Off), &all),
        ("is Available", |old| state(old, ServerState::Discovery), |_| {}, &all),
        ("is let go", |old| old.spec.server_claim_ref = Some(reference("other")), |_| {}, &let_go),
        ("is claimable", |old| old.spec.unclaimable = Some(true), |_| {}, &all),
        (
            "has no taint",
            |old| old.spec.taints = taint(),
            |_| {},
            &["claim tenant/any", "claim tenant/named", "claim tenant/rack", "server spare"],
        ),
        (
            "has a taint",
            |_| {},
            |new| new.spec.taints = taint(),
            &["claim tenant/named", "server spare"],
        ),
        (
            "has the label",
            |old| old.metadata.labels = None,
            |_| {},
            &["bmc bmc-1", "bmc bmc-2", "claim tenant/named", "claim tenant/rack", "server spare"],
        ),
        (
            "tells of its light",
            |_| {},
            |new| new.status.as_mut().unwrap().indicator_led = None,
            &["claim tenant/named", "server spare"],
        ),
    ];
    for (what, old, new, expected) in changes {
        let (mut before, mut after) = (server("spare", "bmc-1"), server("spare", "bmc-1"));
        old(&mut before);
        new(&mut after);
        let (before, after) = (Arc::new(before), Arc::new(after));
        let woken = wakes_of_server(&view, &Change::Applied { old: Some(&before), new: &after });
        assert_eq!(show(&woken), sorted(expected), "{what}");
    }
}

async fn world() -> View {
    let view = View::default();
    let mut puzzled = bmc("bmc-2");
    puzzled.status = Some(status(condition::SYSTEMS_KNOWN, "False"));
    list(&view.bmcs, vec![bmc("bmc-1"), puzzled]).await;
    let mut held = server("held", "bmc-1");
    held.spec.system_uuid = Some("another".to_owned());
    held.spec.server_claim_ref = Some(reference("holder"));
    held.spec.boot_configuration_ref =
        Some(ObjectReference { namespace: "tenant".to_owned(), name: "holder".to_owned() });
    let mut inline = server("inline", "none");
    (inline.spec.system_uuid, inline.spec.bmc_ref) = (Some("third".to_owned()), None);
    inline.spec.bmc = Some(BmcAccess {
        bmc_secret_ref: LocalObjectReference { name: "secret-2".to_owned() },
        protocol: serde_json::from_str(r#"{"name":"Redfish","port":8000}"#).unwrap(),
        address: "192.0.2.9".to_owned(),
    });
    list(&view.servers, vec![held, server("spare", "bmc-1"), inline]).await;
    let rack = LabelSelector { match_labels: Some(labels()), ..LabelSelector::default() };
    let tolerates = Toleration {
        key: "dedicated".to_owned(),
        operator: Some(TolerationOperator::Exists),
        ..Toleration::default()
    };
    let named = |name: &str| Some(LocalObjectReference { name: name.to_owned() });
    let claims = vec![
        claim("holder", |it| it.spec.server_ref = named("held")),
        claim("any", |_| {}),
        claim("rack", |it| it.spec.server_selector = Some(rack.clone())),
        claim("elsewhere", |it| {
            let other = [("rack".to_owned(), "r2".to_owned())].into();
            it.spec.server_selector =
                Some(LabelSelector { match_labels: Some(other), ..LabelSelector::default() });
        }),
        claim("tolerant", |it| it.spec.tolerations = vec![tolerates.clone()]),
        claim("named", |it| it.spec.server_ref = named("spare")),
    ];
    list(&view.claims, claims).await;
    view
}

/// A change with the objects before and after.
struct Told<K>(Option<Arc<K>>, Option<Arc<K>>);

impl<K> Told<K> {
    fn get(&self) -> Change<'_, K> {
        match (&self.0, &self.1) {
            (old, Some(new)) => Change::Applied { old: old.as_ref(), new },
            (Some(old), None) => Change::Removed(old),
            (None, None) => panic!("nothing changed"),
        }
    }
}

fn created<K: Clone>(object: &K) -> Told<K> {
    Told(None, Some(Arc::new(object.clone())))
}

fn removed<K: Clone>(object: &K) -> Told<K> {
    Told(Some(Arc::new(object.clone())), None)
}

/// A change of the spec increments the generation, as in the API server.
fn changed<K>(object: &K, change: impl FnOnce(&mut K)) -> Told<K>
where
    K: Clone + serde::Serialize + Resource<DynamicType = ()>,
{
    let spec = |object: &K| serde_json::to_value(object).unwrap()["spec"].clone();
    let mut new = object.clone();
    change(&mut new);
    if spec(object) != spec(&new) {
        new.meta_mut().generation = Some(2);
    }
    Told(Some(Arc::new(object.clone())), Some(Arc::new(new)))
}

fn bmc(name: &str) -> Bmc {
    let mut bmc = Bmc::new(name, BmcSpec::default());
    if name == "bmc-1" {
        bmc.spec.endpoint_ref = Some(LocalObjectReference { name: "e1".to_owned() });
        bmc.spec.bmc_secret_ref.name = "secret-1".to_owned();
    }
    bmc
}

fn status(type_: &str, status: &str) -> BmcStatus {
    let condition = Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: "Test".to_owned(),
        message: String::new(),
        observed_generation: None,
        last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
    };
    BmcStatus { conditions: vec![condition], ..BmcStatus::default() }
}

/// A free server in rack r1.
fn server(name: &str, bmc: &str) -> Server {
    let mut server = Server::new(name, ServerSpec::default());
    server.metadata.labels = Some(labels());
    server.spec.system_uuid = Some(UUID.to_owned());
    server.spec.bmc_ref = Some(LocalObjectReference { name: bmc.to_owned() });
    server.status = Some(ServerStatus {
        state: Some(ServerState::Available),
        power_state: Some(PowerState::Off),
        indicator_led: Some(metal_api::IndicatorLed::Off),
        ..ServerStatus::default()
    });
    server
}

/// A server that was just made from a BMC.
fn fresh(name: &str, bmc: &str) -> Server {
    Server { status: None, ..server(name, bmc) }
}

fn reported(server: &str) -> InventorySummary {
    InventorySummary::from(&ServerInventory::new(server, ServerInventorySpec::default()))
}

fn configuration() -> ServerBootConfiguration {
    let mut configuration =
        ServerBootConfiguration::new("holder", ServerBootConfigurationSpec::default());
    configuration.metadata.namespace = Some("tenant".to_owned());
    configuration.spec.server_ref.name = "named-by-it".to_owned();
    configuration
}

fn claim(name: &str, edit: impl FnOnce(&mut ServerClaim)) -> ServerClaim {
    let mut claim = ServerClaim::new(name, ServerClaimSpec::default());
    claim.metadata.namespace = Some("tenant".to_owned());
    edit(&mut claim);
    claim
}

fn labels() -> std::collections::BTreeMap<String, String> {
    [("rack".to_owned(), "r1".to_owned())].into()
}

fn reference(claim: &str) -> ClaimReference {
    ClaimReference { namespace: "tenant".to_owned(), name: claim.to_owned(), uid: None }
}

fn taint() -> Vec<Taint> {
    vec![Taint { key: "dedicated".to_owned(), ..Taint::default() }]
}

fn power(server: &mut Server, power: PowerState) {
    server.status.as_mut().unwrap().power_state = Some(power);
}

fn state(server: &mut Server, state: ServerState) {
    server.status.as_mut().unwrap().state = Some(state);
}

fn show(woken: &Wakes) -> Vec<String> {
    let mut all: Vec<_> = woken
        .iter()
        .map(|one| match one {
            WakeTarget::Endpoint(name) => format!("endpoint {name}"),
            WakeTarget::Bmc(name) => format!("bmc {name}"),
            WakeTarget::Server(name) => format!("server {name}"),
            WakeTarget::Claim(namespace, name) => format!("claim {namespace}/{name}"),
        })
        .collect();
    all.sort();
    all
}

fn sorted(expected: &[&str]) -> Vec<String> {
    let mut all: Vec<_> = expected.iter().map(ToString::to_string).collect();
    all.sort();
    all
}
