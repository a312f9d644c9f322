//! Controller of CertificateSigningRequests: approves requests of machines for their own nodes, and
//! denies their other requests. [`metal_machine::csr`] decides.

use crate::{Context, Error};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition,
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
    runtime::events::EventType,
};
use metal_base::{Decision, Never};
use metal_machine::csr::{Verdict, condition, holder, judge, whose};
use metal_runtime::{OkIf, controller::Controller, index::Index, report::Failure, work::Next};
use serde::Serialize;
use std::sync::Arc;

/// The API server deletes requests after some hours.
const REST: SignedDuration = SignedDuration::from_hours(1);

/// When to look for the Machine of a request again.
const UNKNOWN: SignedDuration = SignedDuration::from_mins(1);

/// The controller.
pub(crate) struct Certificates(pub(crate) Arc<Context>);

/// The update of a request. Approval is a subresource, so that it can require a separate
/// permission.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Approval {
    metadata: Seen,
    status: Settled,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    resource_version: Option<String>,
}

#[derive(Debug, Serialize)]
struct Settled {
    conditions: [CertificateSigningRequestCondition; 1],
}

impl Controller for Certificates {
    type Object = CertificateSigningRequest;
    type Key = String;
    type IndexKey = String;
    type Facts = ();
    type Status = Never;
    type Change = Verdict;
    type Need = Never;
    type Step = Never;
    type Error = Error;

    fn index(&self) -> &Index<CertificateSigningRequest, String> {
        &self.0.view.certificates
    }

    fn is_ready(&self) -> bool {
        self.0.view.is_ready() && self.0.view.certificates.is_ready()
    }

    async fn observe(&self, _: &Arc<CertificateSigningRequest>) -> Result<(), Error> {
        Ok(())
    }

    fn decide(
        &self,
        csr: &Arc<CertificateSigningRequest>,
        (): &(),
        _: Option<&Failure>,
    ) -> Decision<Never, Verdict> {
        let view = &self.0.view;
        let holder = |name: &str| {
            let (machine, node) = (view.machines.named(None, name), view.nodes.named(None, name));
            holder(machine.as_deref(), node.as_deref())
        };
        match judge(csr, &self.0.machine_namespace, holder) {
            Verdict::Leave => Decision::Rest(REST),
            Verdict::Unknown => Decision::Rest(UNKNOWN),
            verdict => Decision::Change(verdict),
        }
    }

    async fn record(&self, _: &CertificateSigningRequest, never: &Never) -> Result<Next, Error> {
        match *never {}
    }

    async fn change(
        &self,
        csr: &CertificateSigningRequest,
        verdict: Verdict,
    ) -> Result<Next, Error> {
        let ctx = &*self.0;
        let Some(condition) = condition(&verdict, Timestamp::now()) else { return Ok(Next::Wait) };
        let name = csr.name_any();
        let note = format!("{name}: {}", condition.message.as_deref().unwrap_or_default());
        let (type_, reason) = match &verdict {
            Verdict::Approve | Verdict::Leave | Verdict::Unknown => {
                (EventType::Normal, "CertificateApproved")
            }
            Verdict::Deny(_) => (EventType::Warning, "CertificateDenied"),
        };
        let metadata = Seen { resource_version: csr.metadata.resource_version.clone() };
        let approval = Approval { metadata, status: Settled { conditions: [condition] } };
        let api = Api::<CertificateSigningRequest>::all(ctx.client.clone());
        let settled =
            api.patch_approval(&name, &PatchParams::default(), &Patch::Merge(approval)).await;
        match settled.ok_if_not_found() {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(Next::Wait),
            Err(error) => return Err(Error::Certificate(Box::new(error))),
        }
        tracing::info!(
            request = name,
            reason,
            note,
            "CertificateSigningRequest approved or denied"
        );
        let machine = whose(csr, &ctx.machine_namespace);
        if let Some(machine) = machine.and_then(|it| ctx.view.machines.named(None, it)) {
            ctx.publish_event(&machine, type_, reason, &note).await;
        }
        Ok(Next::Wait)
    }
}
