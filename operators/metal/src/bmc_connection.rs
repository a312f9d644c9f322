//! Connections to BMCs: who uses them, the certificate they are pinned to, and which credentials
//! they do not send again yet.

use crate::{Context, bmc_target::target, bmc_users::BmcUser};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use metal_api::{Bmc, Server};
use metal_bmc::{Connect, Pin, Target};
use metal_core::bmc::{Destination, Login, certificate_of_server, refused_for, refused_for_server};

impl<C: Connect> Context<C> {
    /// The connection to the BMC of a server, pinned to the recorded certificate.
    pub(crate) fn connect(&self, server: &Server, destination: &Destination) -> C::Bmc {
        let target = target(destination);
        let (reference, own) = (server.spec.bmc_ref.as_ref(), BmcUser::Server(server.name_any()));
        if let Some(reference) = reference {
            self.abandon(self.users.leave(&own));
            self.keep_to(BmcUser::Bmc(reference.name.clone()), &target);
        } else {
            self.keep_to(own, &target);
        }
        let bmc = reference.and_then(|reference| self.view.bmcs.named(None, &reference.name));
        let pin = if let Some(bmc) = &bmc {
            self.pin_of(bmc, destination)
        } else {
            let secret = self.secret_of_server(server);
            let certificate = certificate_of_server(server, secret.as_deref(), destination);
            certificate.and_then(|text| text.parse().ok())
        };
        // A field that is missing is no consent to another certificate.
        if pin.is_some() {
            self.bmcs.set_pin(&target, pin);
        }
        match bmc {
            Some(bmc) => {
                self.bmcs.set_host_name(&target, bmc.spec.hostname.as_deref());
                self.recall_refusal(&bmc, &target, destination);
            }
            None => self.recall_refusal_of_server(server, &target, destination),
        }
        self.bmcs.connect(&target, &destination.credentials)
    }

    /// The connection to a BMC, pinned to the recorded certificate.
    pub(crate) fn connect_bmc(&self, bmc: &Bmc, destination: &Destination) -> C::Bmc {
        let target = target(destination);
        self.keep_to(BmcUser::Bmc(bmc.name_any()), &target);
        let pin = self.pin_of(bmc, destination);
        // A certificate that is missing is no consent to another one. If the BMC has never answered, none is missing,
        // and what is known of its address may be the certificate of the BMC before it.
        let has_answered = bmc.status.as_ref().is_some_and(|status| status.ip.is_some());
        if pin.is_some() || !has_answered {
            self.bmcs.set_pin(&target, pin);
        }
        self.bmcs.set_host_name(&target, bmc.spec.hostname.as_deref());
        self.recall_refusal(bmc, &target, destination);
        self.bmcs.connect(&target, &destination.credentials)
    }

    /// Records that this user connects to this BMC now, and to no other.
    fn keep_to(&self, user: BmcUser, target: &Target) {
        self.abandon(self.users.keep_to(user, target));
    }

    /// A BMC at this address has no user any more. Something else may have the address by now.
    fn abandon(&self, unused: Option<Target>) {
        if let Some(unused) = unused {
            self.bmcs.abandon(&unused);
        }
    }

    /// Logs out of the BMC of a user that is gone, unless somebody else has it as well.
    pub(crate) async fn leave(&self, user: &BmcUser) {
        if let Some(unused) = self.users.leave(user) {
            self.bmcs.forget(&unused).await;
        }
    }

    /// Holds back credentials that a previous process was refused with.
    fn recall_refusal(&self, bmc: &Bmc, target: &Target, destination: &Destination) {
        let secret = self.secret_of(bmc);
        let rest = secret.and_then(|secret| refused_for(bmc, &secret, Timestamp::now()));
        self.hold_back(target, destination, rest);
    }

    fn recall_refusal_of_server(
        &self,
        server: &Server,
        target: &Target,
        destination: &Destination,
    ) {
        let secret = self.secret_of_server(server);
        let rest = secret.and_then(|it| refused_for_server(server, &it, Timestamp::now()));
        self.hold_back(target, destination, rest);
    }

    fn hold_back(&self, target: &Target, to: &Destination, rest: Option<SignedDuration>) {
        if let Some(rest) = rest {
            self.bmcs.hold_back(target, &to.credentials, rest.unsigned_abs());
        }
    }

    /// The certificate that a BMC is pinned to.
    fn pin_of(&self, bmc: &Bmc, at: &Destination) -> Option<Pin> {
        let secret = self.secret_of(bmc);
        Login { bmc, secret: secret.as_deref(), at }.certificate()?.parse().ok()
    }

    /// The certificate that the BMC in `spec.bmc` has presented.
    pub(crate) fn shown_by(&self, server: &Server, destination: &Destination) -> Option<String> {
        let target = target(destination);
        server
            .spec
            .bmc_ref
            .is_none()
            .then(|| self.bmcs.pin(&target))
            .flatten()
            .map(|pin| pin.to_string())
    }
}
