//! BMCs without Endpoints: credentials, and a BMC object with the address.

use super::{Error, MANAGER, Recorder};
use jiff::Timestamp;
use kube::{Api, api::PostParams};
use metal_api::{Bmc, BmcSecret, MacAddr, annotation};
use metal_core::{
    endpoint::{
        Existing, Sighting, WantedObjects,
        inline::{InlineRecording, inline_recording, mac_of},
        recording::name,
    },
    ownership::NETBOOT,
};
use metal_runtime::{OkIf, index::Index};
use std::sync::Arc;

/// BMC objects by MAC address.
pub(crate) type Bmcs = Index<Bmc, MacAddr>;

/// An empty index of BMC objects.
pub(crate) fn bmcs() -> Bmcs {
    Index::new(|bmc: &Bmc| mac_of(bmc).into_iter().collect())
}

impl Recorder {
    pub(super) async fn record_bmc(&self, seen: &Sighting) -> Result<&'static str, Error> {
        let (mac, ip) = (seen.mac, seen.address);
        let database = Arc::clone(&self.database.borrow());
        // The database may have changed since the BMC was seen.
        let Some(entry) = database.lookup(mac) else { return Ok("Unchanged") };
        let prefix = self.config.borrow().endpoint_prefix.clone();
        let name = name(&prefix, mac);
        let named = self.bmcs.named(None, &name);
        let existing = Existing { name, named, holders: self.bmcs.get(&mac) };
        match inline_recording(seen, entry, existing, Timestamp::now()) {
            InlineRecording::Nothing => Ok("Unchanged"),
            InlineRecording::Create(name, wanted) => {
                self.admit(seen)?;
                self.create_bmc(&name, *wanted).await.map_err(Error::CreateBmc)?;
                self.made(&name);
                tracing::info!(%mac, %ip, bmc = name, "BMC created");
                Ok("Created")
            }
            InlineRecording::Moved(_) if seen.is_recalled => Ok("Unchanged"),
            InlineRecording::Moved(bmc) => Err(Error::Moved { ip, bmc }),
            InlineRecording::Ambiguous(bmcs) => Err(Error::AmbiguousBmc { mac, bmcs }),
            InlineRecording::NameTaken(bmc) => Err(Error::BmcNameTaken { mac, bmc }),
            InlineRecording::BadEntry(problem) => Err(Error::BadEntry(problem)),
        }
    }

    /// Existing credentials are kept, as they may have been rotated. The BMC comes last, so that an
    /// interrupted pass is continued.
    async fn create_bmc(&self, name: &str, wanted: WantedObjects) -> Result<(), kube::Error> {
        let params =
            PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let secrets = Api::<BmcSecret>::all(self.client.clone());
        let mut secret = BmcSecret::new(name, wanted.secret);
        secret.metadata.annotations = Some(wanted.note);
        let label = (annotation::MANAGED_BY.to_owned(), NETBOOT.to_owned());
        let labels = Some([label].into());
        secret.metadata.labels.clone_from(&labels);
        secrets.create(&params, &secret).await.ok_if_already_exists()?;
        let bmcs = Api::<Bmc>::all(self.client.clone());
        let mut bmc = Bmc::new(name, wanted.bmc);
        bmc.metadata.labels = labels;
        bmcs.create(&params, &bmc).await.map(drop)
    }
}
