//! Condition types, as they appear in `status.conditions[].type`.

/// The controller has nothing left to do for the object.
pub const READY: &str = "Ready";
/// The last pass did what it had to do.
pub const RECONCILED: &str = "Reconciled";
/// The BMC answers.
pub const BMC_REACHABLE: &str = "BMCReachable";
/// ServerBootConfiguration: the booted host has reported that it is up.
pub const BOOT_STATE_RECEIVED: &str = "BootStateReceived";
/// ServerBootConfiguration: the image exists and has what a boot needs.
pub const IMAGE_VALIDATION: &str = "ImageValidation";
/// Boot configurations: an iPXE script was served.
pub const IPXE_SCRIPT_FETCHED: &str = "IPXEScriptFetched";
/// Boot configurations: the ignition was served.
pub const IGNITION_DATA_FETCHED: &str = "IgnitionDataFetched";
/// ServerClaim: a server was found.
pub const SCHEDULED: &str = "Scheduled";
/// ServerClaim: what its server boots is ready.
pub const BOOT_CONFIGURED: &str = "BootConfigured";
/// ServerClaim: its server has the desired power state.
pub const POWERED: &str = "Powered";
/// Endpoint: its MAC prefix was found in the database, which says what it is.
pub const RECOGNIZED: &str = "Recognized";
/// Endpoint: no other address claims to be this BMC; absent if none ever has.
pub const ADDRESS_SETTLED: &str = "AddressSettled";
/// Server: the claim that holds it was seen here, since then. Only then may the absence of the
/// claim count. `status.boundClaim` says which claim it is.
pub const CLAIM_BOUND: &str = "ClaimBound";
/// Server: a medium is in a virtual media slot of its BMC, or about to be; absent otherwise.
/// `status.medium` says which one.
pub const MEDIUM_INSERTED: &str = "MediumInserted";
/// Server: the BMC described every part; absent if it did.
pub const INVENTORY_COMPLETE: &str = "InventoryComplete";
/// ServerBootConfiguration: UEFI HTTP boot has what it needs.
pub const HTTP_BOOT_READY: &str = "HTTPBootReady";
/// ServerBootConfiguration: iPXE has what it needs.
pub const IPXE_BOOT_READY: &str = "IPXEBootReady";
/// BMC: it has answered at least once, if only to refuse access; absent if its address already
/// shows that.
pub const ANSWERED: &str = "Answered";
/// BMC: its Endpoint exists; absent if it always has.
pub const ENDPOINT_FOUND: &str = "EndpointFound";
/// BMC: a Server exists for each of its systems.
pub const SYSTEMS_KNOWN: &str = "SystemsKnown";
/// Machine: no other Machine has one of its MAC or IP addresses; absent if none ever had.
pub const ADDRESSES_UNIQUE: &str = "AddressesUnique";
/// Machine: the last client at its address holds the pinned endorsement key; absent until the first
/// one.
pub const TPM_VERIFIED: &str = "TPMVerified";
/// Machine: its image is in the cache of the leading metalman, and can be used.
pub const IMAGE_READY: &str = "ImageReady";
/// Machine: every operation that was asked for is done; absent where none ever was.
pub const OPERATIONS_DONE: &str = "OperationsDone";
/// Machine: its host is off, for a reboot; absent at any other time.
pub const POWERED_OFF: &str = "PoweredOff";
/// Machine: the installation that was asked for last is done.
pub const REPAVED: &str = "Repaved";
/// Machine: its BMC can be told where the next boot comes from.
pub const BOOT_ORDER_CONFIG_SUPPORTED: &str = "BootOrderConfigSupported";
/// Machine: its cloud-init is through.
pub const CLOUD_INIT_DONE: &str = "CloudInitDone";
/// Machine: the user-data that it names was found; absent where that was always so.
pub const USER_DATA_READY: &str = "UserDataReady";
