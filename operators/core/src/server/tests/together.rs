//! A server and its claim, each with its own controller, after something was lost or restored.

use super::{
    super::{Change, Decision},
    T0,
    fixture::{Scene, minutes},
};
use crate::{
    claim::{self, binding, misses},
    redfish::PowerState,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{
    BootState, ClaimPhase, ClaimReference, LocalObjectReference, Server, ServerClaim, ServerState,
    finalizer,
};
use std::sync::Arc;

/// What happened to both.
#[expect(clippy::struct_excessive_bools, reason = "each is lost or not, whatever the others are")]
#[derive(Clone, Copy, Debug)]
struct Losses {
    /// Both objects were recreated: the claim has another UID, the server another creation time.
    restored: bool,
    status_of_server: bool,
    status_of_claim: bool,
    /// `serverClaimRef.uid`.
    uid: bool,
    /// `serverClaimRef`.
    reference: bool,
    /// `bootConfigurationRef`, and the boot configuration.
    boot: bool,
}

impl Losses {
    fn all() -> impl Iterator<Item = Self> {
        let bit = |mask: u8, at: u8| mask >> at & 1 == 1;
        (0..64).map(move |mask| Self {
            restored: bit(mask, 0),
            status_of_server: bit(mask, 1),
            status_of_claim: bit(mask, 2),
            uid: bit(mask, 3),
            reference: bit(mask, 4),
            boot: bit(mask, 5),
        })
    }

    /// Whether anything is left that shows whose the server is.
    fn can_be_known(self) -> bool {
        let is_remembered = !self.status_of_server && !self.restored;
        !self.reference || !self.status_of_claim || is_remembered
    }
}

#[test]
fn a_running_host_stays_its_claims_whatever_of_both_objects_is_lost_or_restored() {
    for losses in Losses::all().filter(|it| it.can_be_known()) {
        let mut scene = running();
        lose(&mut scene, losses);
        for _ in 0..20 {
            scene.now += minutes(3);
            scene.refresh();
            pass_of_server(&mut scene, losses);
            pass_of_claim(&mut scene);
        }
        let (claim, server) = (scene.claim.as_ref().unwrap(), &scene.server);
        let phase = claim.status.as_ref().and_then(|status| status.phase.clone());
        assert_eq!(phase, Some(ClaimPhase::Bound), "{losses:?}");
        let reference = server.spec.server_claim_ref.as_ref().unwrap();
        if reference.uid.is_some() || losses.reference {
            assert_eq!(reference.uid, claim.metadata.uid, "{losses:?}");
        }
        let bound = server.status.as_ref().and_then(|status| status.bound_claim.as_ref());
        assert_eq!(bound.map(|bound| &bound.uid), claim.metadata.uid.as_ref(), "{losses:?}");
        assert!(server.spec.boot_configuration_ref.is_some(), "{losses:?}");
        assert_eq!(scene.state(), ServerState::Reserved, "{losses:?}");
    }
}

/// A claim that is bound, and whose host is on.
fn running() -> Scene {
    let mut scene = Scene::reserved();
    scene.settings.enforce_power_off = true;
    scene.server.metadata.creation_timestamp = Some(Time(T0 - minutes(60)));
    scene.system().power = PowerState::On;
    let claim = scene.claim.as_mut().unwrap();
    claim.metadata.finalizers = Some(vec![finalizer::SERVER_CLAIM.to_owned()]);
    claim.metadata.creation_timestamp = Some(Time(T0 - minutes(30)));
    claim.spec.server_ref = Some(LocalObjectReference::new("server-a"));
    scene.settle();
    pass_of_claim(&mut scene);
    scene
}

fn lose(scene: &mut Scene, losses: Losses) {
    let claim = scene.claim.as_mut().unwrap();
    if losses.status_of_claim {
        claim.status = None;
    }
    if losses.status_of_server {
        scene.server.status = None;
    }
    if losses.restored {
        scene.server.metadata.creation_timestamp = Some(Time(T0 + minutes(5)));
        claim.metadata.creation_timestamp = Some(Time(T0 + minutes(5)));
        claim.metadata.uid = Some("new-uid".to_owned());
        (scene.last_step, scene.recorded, scene.started) = (None, None, T0 + minutes(6));
        scene.was_off = false;
        scene.now = T0 + minutes(6);
    }
    if losses.reference {
        scene.server.spec.server_claim_ref = None;
    } else if losses.uid {
        scene.server.spec.server_claim_ref.as_mut().unwrap().uid = None;
    }
    if losses.boot {
        scene.server.spec.boot_configuration_ref = None;
        scene.configuration = None;
    }
}

/// Whether the claim holds the server, according to both controllers.
fn holds(server: &Server, claim: &ServerClaim) -> bool {
    let reference = server.spec.server_claim_ref.as_ref();
    let is_named = reference.is_some_and(|it| Some(&it.name) == claim.metadata.name.as_ref());
    is_named && binding(server, claim).holds()
}

fn pass_of_server(scene: &mut Scene, losses: Losses) {
    let claim = scene.claim.clone();
    let held = claim.as_ref().is_some_and(|claim| holds(&scene.server, claim));
    let is_missed = claim.as_ref().is_some_and(|claim| misses(claim, &scene.server));
    if !held && !is_missed {
        scene.claim = None;
    }
    match scene.decide() {
        Decision::Record(status) => scene.server.status = Some(*status),
        Decision::Change(Change::AdoptClaim { uid }) => {
            scene.server.spec.server_claim_ref.as_mut().unwrap().uid = Some(uid);
        }
        Decision::Rest(_) | Decision::Look(_) => {}
        decision @ (Decision::Change(_) | Decision::Act(_)) => panic!("{losses:?}: {decision:?}"),
    }
    scene.claim = claim;
}

fn pass_of_claim(scene: &mut Scene) {
    let mut claim = scene.claim.take().unwrap();
    let server = [Arc::new(scene.server.clone())];
    let holders = if holds(&scene.server, &claim) { &server[..] } else { &[] };
    let seen = claim::Observation {
        claim: &claim,
        holders,
        candidates: &server,
        withheld: None,
        configuration: scene.configuration.as_ref(),
        failure: None,
        now: scene.now,
    };
    match claim::decide(&seen) {
        claim::Decision::Record(status) => claim.status = Some(*status),
        claim::Decision::Change(claim::Change::Bind(_)) => {
            scene.server.spec.server_claim_ref = Some(ClaimReference {
                namespace: "tenant".to_owned(),
                name: "claim".to_owned(),
                uid: claim.metadata.uid.clone(),
            });
        }
        claim::Decision::Change(claim::Change::Configure(_) | claim::Change::Boot(_)) => {
            scene.claim_configuration(BootState::Ready);
        }
        claim::Decision::Rest(_) => {}
        decision @ claim::Decision::Change(_) => panic!("{decision:?}"),
    }
    scene.claim = Some(claim);
}
