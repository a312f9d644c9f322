//! Stores reports in the API server.

use super::{Denied, Registry};
use crate::MANAGER;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{Api, ResourceExt, api::DeleteParams};
use metal_api::{
    LocalObjectReference, Server, ServerBootConfiguration, ServerBootConfigurationSpec,
    ServerBootConfigurationStatus, ServerInventory, ServerInventorySpec, condition,
    inventory::Report,
};
use metal_base::Locked;
use metal_core::{
    ownership::owned_by,
    report::{self, InventorySummary},
};
use metal_runtime::{OkIf, apply_status, record_spec};
use std::{collections::HashMap, sync::Mutex};

/// Field manager of the registry, which writes one condition of boot configurations, and nothing
/// else in them.
const REGISTRY: &str = "metal-operator-registry";
/// Most reports that are remembered; others may be written once more than necessary.
const REMEMBERED: usize = 1 << 14;

/// Fingerprint of the last report of each boot, to recognize repetitions.
#[derive(Debug, Default)]
pub(crate) struct Stored(Mutex<HashMap<String, Fingerprint>>);

type Fingerprint = [u8; 32];

impl Stored {
    /// Whether this is the last stored report of its boot.
    fn is_last(&self, boot: &str, report: Fingerprint) -> bool {
        let stored = self.0.locked();
        stored.get(boot) == Some(&report)
    }

    fn keep(&self, boot: &str, report: Fingerprint) {
        let mut stored = self.0.locked();
        if stored.len() >= REMEMBERED {
            stored.clear();
        }
        stored.insert(boot.to_owned(), report);
    }
}

impl Registry {
    /// Stores a whole report, unless it repeats the last one.
    ///
    /// # Errors
    ///
    /// If it is malformed, or the API server refuses it.
    pub(super) async fn store(
        &self,
        server: &Server,
        boot: &str,
        report: Report,
    ) -> Result<(), Denied> {
        let mut report = report::normalize(report)?;
        let fingerprint = report::fingerprint(&mut report).ok();
        let name = server.name_any();
        let is_last = fingerprint.is_some_and(|it| self.stored.is_last(boot, it));
        if is_last && self.keeps(&name, boot) {
            return Ok(());
        }
        let uuid = server.spec.effective_uuid();
        let spec = ServerInventorySpec {
            server_ref: LocalObjectReference { name: name.clone() },
            system_uuid: uuid.map(|uuid| uuid.to_string()).unwrap_or_default(),
            boot_configuration_uid: Some(boot.to_owned()),
            received_time: Some(Time(Timestamp::now())),
            report,
        };
        let mut inventory = ServerInventory::new(&name, spec);
        inventory.metadata.owner_references = owned_by(server);
        let inventories = Api::all(self.client.clone());
        let written = record_spec(&inventories, &inventory, &[], MANAGER).await?;
        self.view.inventories.wrote(InventorySummary::from(&written));
        tracing::info!(server = name, "inventory reported");
        if let Some(fingerprint) = fingerprint {
            self.stored.keep(boot, fingerprint);
        }
        Ok(())
    }

    /// Whether a report of this boot is stored: somebody may have deleted it, or replaced it by an
    /// older one.
    fn keeps(&self, server: &str, boot: &str) -> bool {
        let inventory = self.view.inventories.named(None, server);
        inventory.is_some_and(|it| it.spec.boot_configuration_uid.as_deref() == Some(boot))
    }

    /// The stored report.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub(super) async fn report(&self, server: &Server) -> Result<Report, Denied> {
        let inventories = Api::<ServerInventory>::all(self.client.clone());
        let inventory = inventories.get(&server.name_any()).await.ok_if_not_found()?;
        inventory.map(|it| it.spec.report).ok_or(Denied::Missing("report of this server"))
    }

    /// Deletes the report.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub(super) async fn forget(&self, server: &Server) -> Result<(), Denied> {
        let inventories = Api::<ServerInventory>::all(self.client.clone());
        let deleted = inventories.delete(&server.name_any(), &DeleteParams::default()).await;
        let deleted = deleted.ok_if_not_found()?;
        deleted.map(drop).ok_or(Denied::Missing("report of this server"))
    }

    /// Records in the boot configuration that the host is up.
    ///
    /// # Errors
    ///
    /// If the server has none.
    pub(super) async fn booted(&self, server: &Server) -> Result<(), Denied> {
        let reference = server.spec.boot_configuration_ref.as_ref();
        let reference = reference.ok_or(Denied::Missing("boot configuration of this server"))?;
        let found = self.view.configurations.named(Some(&reference.namespace), &reference.name);
        let configuration = found.ok_or(Denied::Missing("boot configuration of this server"))?;
        let window = server.status.as_ref().and_then(|status| status.boot_window.as_ref());
        // That of an earlier boot does not count.
        let is_of_this_boot =
            |c: &Condition| window.is_none_or(|window| c.last_transition_time.0 >= window.opened.0);
        let mut known = configuration.status.iter().flat_map(|status| &status.conditions);
        if known.any(|c| c.type_ == condition::BOOT_STATE_RECEIVED && is_of_this_boot(c)) {
            return Ok(());
        }
        let received = Condition {
            type_: condition::BOOT_STATE_RECEIVED.to_owned(),
            status: "True".to_owned(),
            reason: condition::BOOT_STATE_RECEIVED.to_owned(),
            message: String::new(),
            observed_generation: configuration.metadata.generation,
            last_transition_time: Time(Timestamp::now()),
        };
        let status = ServerBootConfigurationStatus {
            conditions: vec![received],
            ..ServerBootConfigurationStatus::default()
        };
        let api = Api::namespaced(self.client.clone(), &reference.namespace);
        // No version is given: whatever else has changed, the host is up. But it has not booted
        // another one of the same name.
        let spec = ServerBootConfigurationSpec::default();
        let mut same = ServerBootConfiguration::new(&reference.name, spec);
        same.metadata.uid.clone_from(&configuration.metadata.uid);
        let written = apply_status(&api, &same, &status, REGISTRY).await?;
        self.view.configurations.wrote(written);
        Ok(())
    }
}
