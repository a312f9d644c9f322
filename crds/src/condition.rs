//! Condition types, as they appear in `status.conditions[].type`.

/// The controller has finished its work on the object.
pub const READY: &str = "Ready";
/// The last reconciliation succeeded.
pub const RECONCILED: &str = "Reconciled";
/// The BMC responds to requests.
pub const BMC_REACHABLE: &str = "BMCReachable";
/// ServerBootConfiguration: the booted host has reported that it is up.
pub const BOOT_STATE_RECEIVED: &str = "BootStateReceived";
/// ServerBootConfiguration: the image exists and can be booted.
pub const IMAGE_VALIDATION: &str = "ImageValidation";
/// Boot configurations: an iPXE script was served.
pub const IPXE_SCRIPT_FETCHED: &str = "IPXEScriptFetched";
/// Boot configurations: the ignition was served.
pub const IGNITION_DATA_FETCHED: &str = "IgnitionDataFetched";
/// ServerClaim: a server was assigned.
pub const SCHEDULED: &str = "Scheduled";
/// ServerClaim: the boot configuration of its server is ready.
pub const BOOT_CONFIGURED: &str = "BootConfigured";
/// ServerClaim: its server has the desired power state.
pub const POWERED: &str = "Powered";
/// Endpoint: its MAC address matches an entry of the MAC prefix database.
pub const RECOGNIZED: &str = "Recognized";
/// Endpoint: no other address claims to be this BMC; absent if there never was a conflict.
pub const ADDRESS_SETTLED: &str = "AddressSettled";
/// Server: the claim that the server is bound to was seen by metal-operator. Only after that does a
/// missing claim release the server. The claim is in `status.boundClaim`.
pub const CLAIM_BOUND: &str = "ClaimBound";
/// Server: a medium is inserted into a virtual media slot of its BMC, or about to be; absent
/// otherwise. The medium is in `status.medium`.
pub const MEDIUM_INSERTED: &str = "MediumInserted";
/// Server: the BMC reported all components; absent if it did.
pub const INVENTORY_COMPLETE: &str = "InventoryComplete";
/// ServerBootConfiguration: everything that UEFI HTTP boot needs is available.
pub const HTTP_BOOT_READY: &str = "HTTPBootReady";
/// ServerBootConfiguration: everything that iPXE needs is available.
pub const IPXE_BOOT_READY: &str = "IPXEBootReady";
/// BMC: it has responded at least once, even if it only rejected the login; absent if its address
/// already shows that.
pub const ANSWERED: &str = "Answered";
/// BMC: its Endpoint exists; absent if it was never missing.
pub const ENDPOINT_FOUND: &str = "EndpointFound";
/// BMC: a Server exists for each of its systems.
pub const SYSTEMS_KNOWN: &str = "SystemsKnown";
/// Machine: no other Machine has one of its MAC or IP addresses; absent if there never was a conflict.
pub const ADDRESSES_UNIQUE: &str = "AddressesUnique";
/// Machine: the Node of its name has one of its addresses; absent unless there was one that had none, or a
/// certificate has waited for one.
pub const NODE_OWNED: &str = "NodeOwned";
/// Machine: the last client that attested from its address has the pinned endorsement key, or the first
/// one was pinned; absent until somebody attests.
pub const TPM_VERIFIED: &str = "TPMVerified";
/// Machine: when it asked for its last token, its TPM had signed values of PCRs that are allowed; absent until
/// it was asked for them.
pub const BOOT_VERIFIED: &str = "BootVerified";
/// Machine: its image is valid, and in the cache of the leading metalman replica.
pub const IMAGE_READY: &str = "ImageReady";
/// Machine: all requested operations are complete; absent if none was ever requested.
pub const OPERATIONS_DONE: &str = "OperationsDone";
/// Machine: its host was powered off for a reboot; absent at any other time.
pub const POWERED_OFF: &str = "PoweredOff";
/// Machine: the last requested installation is complete.
pub const REPAVED: &str = "Repaved";
/// Machine: its BMC supports setting the source of the next boot.
pub const BOOT_ORDER_CONFIG_SUPPORTED: &str = "BootOrderConfigSupported";
/// Machine: cloud-init has finished.
pub const CLOUD_INIT_DONE: &str = "CloudInitDone";
/// Machine: the user-data that it references was found; absent if it was never missing.
pub const USER_DATA_READY: &str = "UserDataReady";
/// BootToken: a machine can be installed with it, or was.
pub const USABLE: &str = "Usable";
/// Host: the release that it is to run exists, and is its own; absent where none is named.
pub const RELEASE_FOUND: &str = "ReleaseFound";
/// Host: it runs the release that it is to run, and is healthy, as it says; absent until it says
/// anything. The release that it is about is in `status.reportedRelease`.
pub const RELEASE_ACTIVE: &str = "ReleaseActive";
