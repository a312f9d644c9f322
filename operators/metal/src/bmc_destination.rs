//! Where a BMC is, and the credentials for it.

use crate::{Context, Error, unreadable};
use jiff::Timestamp;
use kube::ResourceExt;
use metal_api::{Bmc, BmcSecret, Endpoint, Server};
use metal_core::bmc::{
    CredentialAnnotations, Destination, Login, Missing, destination, inline_destination,
};
use metal_runtime::Written;
use std::sync::Arc;

impl<C> Context<C> {
    /// The address of the BMC of a server, and the credentials for it.
    ///
    /// # Errors
    ///
    /// What is missing or malformed.
    pub(crate) fn destination_of(&self, server: &Server) -> Result<Destination, Missing> {
        let missing = |message| Missing { reason: "NoBMC", message };
        match (&server.spec.bmc_ref, &server.spec.bmc) {
            (Some(reference), _) => {
                let name = &reference.name;
                let absent = || missing(unreadable::no_bmc(&self.view, name));
                self.destination_of_bmc(&*self.view.bmcs.named(None, name).ok_or_else(absent)?)
            }
            (None, Some(access)) => {
                let name = &access.bmc_secret_ref.name;
                let secret = self.view.secrets.named(None, name);
                let (scheme, verification) = (self.default_scheme, self.verification);
                inline_destination(access, secret.as_deref(), scheme, verification)
                    .map_err(|missing| unreadable::of_secret(&self.view, name, missing))
            }
            (None, None) => Err(missing("set spec.bmcRef or spec.bmc".to_owned())),
        }
    }

    /// The address of a BMC, and the credentials for it.
    ///
    /// # Errors
    ///
    /// What is missing or malformed, or that it is not known which BMC is there.
    pub(crate) fn destination_of_bmc(&self, bmc: &Bmc) -> Result<Destination, Missing> {
        let endpoint = bmc.spec.endpoint_ref.as_ref();
        let endpoint = endpoint.and_then(|it| self.view.endpoints.named(None, &it.name));
        if let Some(endpoint) = endpoint.as_deref().filter(|_| bmc.spec.access.is_none()) {
            let others = self.view.endpoints_at(endpoint);
            if !others.is_empty() {
                return Err(ambiguous(endpoint, &others));
            }
        }
        let secret = self.secret_of(bmc);
        let secret = secret.as_deref();
        let destination = destination(bmc, endpoint.as_deref(), secret, self.default_scheme)
            .map_err(|missing| unreadable::of_bmc(&self.view, bmc, missing))?;
        let login = Login { bmc, secret, at: &destination };
        login.is_allowed(self.verification, Timestamp::now())?;
        Ok(destination)
    }

    /// The credentials of a BMC.
    pub(crate) fn secret_of(&self, bmc: &Bmc) -> Option<Arc<BmcSecret>> {
        self.view.secrets.named(None, &bmc.spec.bmc_secret_ref.name)
    }

    /// The credentials of the BMC in `spec.bmc`.
    pub(crate) fn secret_of_server(&self, server: &Server) -> Option<Arc<BmcSecret>> {
        let access = server.spec.bmc.as_ref().filter(|_| server.spec.bmc_ref.is_none())?;
        self.view.secrets.named(None, &access.bmc_secret_ref.name)
    }

    /// Records with the credentials which BMC they belong to.
    ///
    /// # Errors
    ///
    /// Errors of the API server; a conflict is expected now and then.
    pub(crate) async fn note(
        &self,
        secret: Option<Arc<BmcSecret>>,
        note: &CredentialAnnotations,
    ) -> Result<Written, Error> {
        let Some(secret) = secret else { return Ok(Written::Unseen) };
        let annotations = note.iter().map(|(key, value)| (&**key, value.as_deref())).collect();
        let noted = self.writer(&self.view.secrets).patch_annotations(&secret, &annotations).await;
        noted.map_err(Error::write("BMCSecret"))
    }
}

/// Two BMCs cannot have the same address: it is not known which of them is there, so nobody logs
/// in.
fn ambiguous(endpoint: &Endpoint, others: &[String]) -> Missing {
    let (name, others) = (endpoint.name_any(), others.join(", "));
    let ip = endpoint.spec.ip.as_deref().unwrap_or_default();
    let message = format!(
        "spec.ip {ip} of Endpoint {name} is also used by Endpoint {others}: keep only the \
         Endpoint whose BMC has this address, and correct or delete the others"
    );
    Missing { reason: "Ambiguous", message }
}
