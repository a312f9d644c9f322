//! Condition types, as they appear in `status.conditions[].type`.

/// The object needs nothing more from its controller.
pub const READY: &str = "Ready";
/// The last pass did what it was to do.
pub const RECONCILED: &str = "Reconciled";
/// The BMC answers.
pub const BMC_REACHABLE: &str = "BMCReachable";
/// ServerBootConfiguration: the booted system said so.
pub const BOOT_STATE_RECEIVED: &str = "BootStateReceived";
/// ServerBootConfiguration: the image is there and has what a boot needs.
pub const IMAGE_VALIDATION: &str = "ImageValidation";
/// Boot configurations: an iPXE script was handed out.
pub const IPXE_SCRIPT_FETCHED: &str = "IPXEScriptFetched";
/// Boot configurations: the ignition was handed out.
pub const IGNITION_DATA_FETCHED: &str = "IgnitionDataFetched";
/// ServerClaim: a server was found.
pub const SCHEDULED: &str = "Scheduled";
/// ServerClaim: what its server boots is in place.
pub const BOOT_CONFIGURED: &str = "BootConfigured";
/// ServerClaim: its server has the power state that was asked for.
pub const POWERED: &str = "Powered";
/// Endpoint: a MAC prefix of the database says what this is.
pub const RECOGNIZED: &str = "Recognized";
/// Endpoint: nobody but the BMC at `spec.ip` says to be this BMC; absent where that was always so.
pub const ADDRESS_SETTLED: &str = "AddressSettled";
/// Server: the claim that holds it was seen here, since then; only then may its absence count. Which
/// claim that is says `status.boundClaim`.
pub const CLAIM_BOUND: &str = "ClaimBound";
/// Server: a medium is in a virtual drive of its BMC, or about to be; absent otherwise. Which medium
/// that is says `status.medium`.
pub const MEDIUM_INSERTED: &str = "MediumInserted";
/// Server: the BMC described every part; absent where it did.
pub const INVENTORY_COMPLETE: &str = "InventoryComplete";
/// ServerBootConfiguration: UEFI HTTP boot has what it needs.
pub const HTTP_BOOT_READY: &str = "HTTPBootReady";
/// ServerBootConfiguration: iPXE has what it needs.
pub const IPXE_BOOT_READY: &str = "IPXEBootReady";
/// BMC: it has answered at least once, if only to refuse us; absent where its address tells that.
pub const ANSWERED: &str = "Answered";
/// BMC: its Endpoint is there; absent where that was always so.
pub const ENDPOINT_FOUND: &str = "EndpointFound";
/// BMC: every system it has became a Server.
pub const SYSTEMS_KNOWN: &str = "SystemsKnown";
/// Machine: no other has a MAC address or an IP address of it; absent where that was always so.
pub const ADDRESSES_UNIQUE: &str = "AddressesUnique";
/// Machine: whoever asked last at its address has the endorsement key that is pinned; absent before
/// anybody has asked.
pub const TPM_VERIFIED: &str = "TPMVerified";
