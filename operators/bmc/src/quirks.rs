//! What particular devices do differently. Callers of these functions need not know any vendor.
//!
//! Which platform has which of the common faults comes from the table of nv-redfish, which NVIDIA
//! maintains. The rest of that library is not used: its structs are generated from the schema, and
//! as strict as that. Of the 38 fields of a plain `ComputerSystem`, 7 lose the whole system if they
//! are missing, and up to 33 if they have the wrong type (0.22.0).

use metal_core::redfish::{BootMode, BootSource, SystemReading};
use nv_redfish_quirks::{BmcQuirks, RootEvidence};
use serde_json::Value;

/// The faults of the platform with this service root.
pub(crate) fn of_platform(root: &Value) -> BmcQuirks {
    BmcQuirks::classify(&RootEvidence::from_root(root))
}

/// NVIDIA DGX H100 ("Viking"), AMI firmware with Redfish 1.11.0: the service root omits links until
/// the BMC has been reset. Lite-On power shelves always omit this one. The standard fixes the path
/// of the collection of systems (DSP0266, section 8.2), so it is the same for all.
pub(crate) const SYSTEMS: &str = "/redfish/v1/Systems";

/// NVIDIA DGX H100, AMI firmware with Redfish 1.11.0: the collection has members that are not
/// systems.
pub(crate) fn is_system(platform: &BmcQuirks, uri: &str) -> bool {
    platform.filter_computer_system_odata_ids().is_none_or(|is_system| is_system(uri))
}

/// NVIDIA DGX H100, AMI firmware with Redfish 1.11.0: the collection has members that are not
/// managers.
pub(crate) fn is_manager(platform: &BmcQuirks, uri: &str) -> bool {
    platform.filter_manager_odata_ids().is_none_or(|is_manager| is_manager(uri))
}

/// NVIDIA DGX H100 and GB200/GB300: `$expand` is advertised, but returns half of the members.
pub(crate) fn can_expand(platform: &BmcQuirks) -> bool {
    !platform.expand_is_not_working_properly()
}

/// How a remark ends that a system is left out because it is no host.
const NO_HOST: &str = ", so it is not a host";

/// Whether a remark says that a system is left out because it is no host, and so lacks nothing.
pub fn is_about_no_host(remark: &str) -> bool {
    remark.ends_with(NO_HOST)
}

/// Removes the systems that are not hosts, with a remark for each. A `SystemType` may mark what
/// runs on a host or is part of one; no server is made of that if there is a host beside it. On
/// NVIDIA HGX baseboards (HGX H100, GB200 and later) the collection also has a system for the GPU
/// board, which cannot boot: if one system has boot targets, those without any are not hosts.
pub(crate) fn leave_out_what_is_no_host(
    systems: &mut Vec<(SystemReading, Option<String>)>,
    remarks: &mut Vec<String>,
) {
    let is_os = |type_: &Option<String>| type_.as_deref() == Some("OS");
    let is_guest = |type_: &Option<String>| {
        matches!(type_.as_deref(), Some("OS" | "Virtual" | "VirtuallyPartitioned" | "DPU"))
    };
    let can_boot =
        |system: &SystemReading| !system.boot.allowable.is_empty() || system.boot.target.is_some();
    let has_host = systems.iter().any(|(_, type_)| !is_guest(type_));
    let has_bootable = systems.iter().any(|(system, type_)| can_boot(system) && !is_guest(type_));
    systems.retain(|(system, type_)| {
        let why = if is_os(type_) || (has_host && is_guest(type_)) {
            format!("has the SystemType {}", type_.as_deref().unwrap_or_default())
        } else if has_bootable && !can_boot(system) {
            "has nothing to boot from".to_owned()
        } else {
            return true;
        };
        remarks.push(format!("{} {why}{NO_HOST}", system.uri));
        false
    });
}

/// Supermicro (seen on X11 to X13, any firmware): a boot override without a mode falls back to
/// legacy boot, so the mode is always sent. X10 does not have the property and must not get it.
///
/// All others get a mode only if that changes something: Dell iDRAC 9 refuses to set a mode that is
/// already set.
pub(crate) fn mode_to_send(
    wanted: Option<BootMode>,
    system: &SystemReading,
    has_mode: bool,
) -> Option<BootMode> {
    let manufacturer = system.manufacturer.as_deref().unwrap_or_default().to_ascii_lowercase();
    let is_supermicro = manufacturer.replace(' ', "").starts_with("supermicro");
    let mode = if is_supermicro { wanted.or(Some(BootMode::Uefi)) } else { wanted }?;
    let modes = &system.boot.allowable_modes;
    let is_allowed = modes.is_empty() || modes.contains(&mode);
    let is_news = is_supermicro || system.boot.mode != Some(mode);
    (has_mode && is_allowed && is_news).then_some(mode)
}

/// Supermicro ARS-111GL-NHR (GH200): its virtual CD drive is `Cd`, as on boards of others. It lists
/// `UsbCd` as well, which the drive is on the other boards of Supermicro, and boots nothing from there.
pub(crate) fn leave_out_what_boots_nothing(system: &mut SystemReading) {
    let is = |name: &Option<String>, text: &str| {
        name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(text))
    };
    let is_it = is(&system.manufacturer, "Supermicro") && is(&system.model, "ARS-111GL-NHR");
    let allowable = &mut system.boot.allowable;
    if is_it && allowable.contains(&BootSource::Cd) {
        allowable.retain(|source| *source != BootSource::UsbCd);
    }
}

/// Lenovo XCC: the slots `RDOC1` and `RDOC2` ("remote disc on card") are for images that somebody has
/// uploaded. They come first, and look like the slots that take a URL.
pub(crate) fn holds_uploads(slot: &str) -> bool {
    let id = slot.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    id.to_ascii_uppercase().starts_with("RDOC")
}

/// Not every BMC answers a wrong password with 401: HPE iLO 4 and 5 use 400 and
/// `UnauthorizedLoginAttempt`; others have wordings of their own, or say that the account is
/// locked.
pub(crate) fn is_wrong_password(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let signs = [
        "unauthorizedlogin",
        "invalid username or password",
        "invalid user name or password",
        "incorrect username or password",
        "invalid credentials",
        "invalid password",
        "incorrect password",
        "wrong password",
        "loginfailed",
        "login failed",
        "authenticationfail",
        "authentication fail",
        "accountlocked",
        "account is locked",
        "account locked",
        "user is locked",
        "accountforsessionnolongerexists",
    ];
    signs.iter().any(|sign| message.contains(sign))
}

/// If all sessions are taken, a login fails although Basic authentication may work. The wordings
/// are those of the Base registry, of HPE iLO 5, and of Dell iDRAC 8 and 9 (RAC0218).
pub(crate) fn has_no_session_left(message: &str) -> bool {
    let signs = [
        "SessionLimitExceeded",
        "CreateLimitReachedForResource",
        "ResourceInUse",
        "ResourceExhaustion",
        "maximum number of user sessions",
        "RAC0218",
    ];
    signs.iter().any(|sign| message.contains(sign))
}

/// NVIDIA Vera Rubin NVL72: `BootOrder` contains `Boot0019: Ubuntu` where the reference is
/// `Boot0019`.
pub(crate) fn boot_reference(entry: &str) -> &str {
    match entry.split_once(": ") {
        Some((reference, _)) if reference.starts_with("Boot") => reference,
        _ => entry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_core::redfish::BootReading;
    use serde_json::json;

    fn system(uri: &str, boot: BootReading) -> SystemReading {
        SystemReading { uri: uri.to_owned(), boot, ..Default::default() }
    }

    #[test]
    fn of_several_systems_those_that_can_boot_are_hosts() {
        let bootable = BootReading { allowable: vec![BootSource::Pxe], ..Default::default() };
        let (host, board) = (system("/1", bootable), system("/2", BootReading::default()));
        assert_eq!(hosts(&[(&board, None), (&host, None)]), ["/1"]);
        assert_eq!(hosts(&[(&board, None), (&board, None)]), ["/2", "/2"]);
    }

    #[test]
    fn what_runs_on_a_host_or_is_a_part_of_one_is_no_host_beside_it() {
        let bootable = BootReading { allowable: vec![BootSource::Pxe], ..Default::default() };
        let (host, other) = (system("/1", bootable.clone()), system("/2", bootable));
        for type_ in ["OS", "Virtual", "VirtuallyPartitioned", "DPU"] {
            assert_eq!(hosts(&[(&host, Some("Physical")), (&other, Some(type_))]), ["/1"]);
            assert_eq!(hosts(&[(&host, None), (&other, Some(type_))]), ["/1"], "{type_}");
            let alone = hosts(&[(&other, Some(type_))]);
            assert_eq!(alone.is_empty(), type_ == "OS", "an emulator may have nothing else");
        }
        for type_ in ["Physical", "PhysicallyPartitioned", "Composed", "Contoso"] {
            let both = hosts(&[(&host, Some("Physical")), (&other, Some(type_))]);
            assert_eq!(both, ["/1", "/2"], "{type_}");
        }
    }

    fn hosts(systems: &[(&SystemReading, Option<&str>)]) -> Vec<String> {
        let owned = |(system, type_): &(&SystemReading, Option<&str>)| {
            ((*system).clone(), type_.map(str::to_owned))
        };
        let mut left: Vec<_> = systems.iter().map(owned).collect();
        let mut remarks = vec![];
        leave_out_what_is_no_host(&mut left, &mut remarks);
        assert_eq!(left.len() + remarks.len(), systems.len(), "{remarks:?}");
        assert!(remarks.iter().all(|it| is_about_no_host(it)), "{remarks:?}");
        left.into_iter().map(|(system, _)| system.uri).collect()
    }

    #[test]
    fn supermicro_always_gets_a_mode_and_others_only_a_new_one() {
        let uefi = BootReading { mode: Some(BootMode::Uefi), ..Default::default() };
        let other = system("/1", uefi);
        let supermicro =
            SystemReading { manufacturer: Some("Supermicro".to_owned()), ..other.clone() };
        assert_eq!(mode_to_send(None, &supermicro, true), Some(BootMode::Uefi));
        assert_eq!(mode_to_send(Some(BootMode::Uefi), &supermicro, false), None);
        assert_eq!(mode_to_send(Some(BootMode::Uefi), &other, true), None);
        assert_eq!(mode_to_send(Some(BootMode::Legacy), &other, true), Some(BootMode::Legacy));
        assert_eq!(mode_to_send(None, &other, true), None);
        let only_uefi = BootReading { allowable_modes: vec![BootMode::Uefi], ..other.boot };
        assert_eq!(mode_to_send(Some(BootMode::Legacy), &system("/1", only_uefi), true), None);
    }

    #[test]
    fn a_virtual_cd_is_the_one_that_the_board_boots_from() {
        use BootSource::{Cd, UsbCd};
        for (model, sources, left) in [
            ("ARS-111GL-NHR", vec![Cd, UsbCd], vec![Cd]),
            ("ARS-111GL-NHR", vec![UsbCd], vec![UsbCd]),
            ("SYS-620P", vec![Cd, UsbCd], vec![Cd, UsbCd]),
        ] {
            let boot = BootReading { allowable: sources, ..Default::default() };
            let mut board = system("/1", boot);
            board.manufacturer = Some("Supermicro".to_owned());
            board.model = Some(model.to_owned());
            leave_out_what_boots_nothing(&mut board);
            assert_eq!(board.boot.allowable, left, "{model}");
        }
    }

    #[test]
    fn a_viking_has_two_systems_and_no_expand() {
        let viking = of_platform(&json!({"Vendor": "AMI", "RedfishVersion": "1.11.0"}));
        assert!(is_system(&viking, "/redfish/v1/Systems/DGX"));
        assert!(!is_system(&viking, "/redfish/v1/Systems/HGX_CPU"));
        assert!(!is_manager(&viking, "/redfish/v1/Managers/HGX_ERoT"));
        assert!(!can_expand(&viking));
        let anything = of_platform(&json!([]));
        assert!(is_system(&anything, "/x") && is_manager(&anything, "/x") && can_expand(&anything));
    }

    #[test]
    fn a_boot_order_entry_is_reduced_to_its_reference() {
        assert_eq!(boot_reference("Boot0019: Ubuntu"), "Boot0019");
        assert_eq!(boot_reference("Boot0019"), "Boot0019");
        assert_eq!(boot_reference("NIC 1: PXE"), "NIC 1: PXE");
    }
}
