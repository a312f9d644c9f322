//! Whether a machine may fetch what it boots now.
//!
//! The lifecycle of servers opens a window before it powers a host on, and closes it when the host
//! has reported ([`metal_api::BootWindow`]). Outside of it nobody gets a script, a URL or an
//! ignition: neither a stranger who knows a UUID, nor a process on the running host.

use jiff::Timestamp;
use metal_api::{Server, ServerBootConfiguration};

/// When the window in which a server boots this boot configuration closes; `None` if it is not
/// open.
pub fn closes(
    server: &Server,
    configuration: &ServerBootConfiguration,
    now: Timestamp,
) -> Option<Timestamp> {
    let window = server.status.as_ref()?.boot_window.as_ref()?;
    let (metadata, reference) = (&configuration.metadata, &window.boot_configuration_ref);
    let is_named = metadata.name.as_ref() == Some(&reference.name)
        && metadata.namespace.as_ref() == Some(&reference.namespace);
    let uid = window.boot_configuration_uid.as_ref();
    let is_same = is_named && uid.is_none_or(|uid| metadata.uid.as_ref() == Some(uid));
    Some(window.closes.0).filter(|closes| is_same && now < *closes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use metal_api::{
        BootWindow, ObjectReference, ServerBootConfigurationSpec, ServerSpec, ServerStatus,
    };

    const OPENED: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn a_window_is_open_from_its_record_until_it_closes() {
        let (server, configuration) = (server("claim", Some("uid")), configuration("uid"));
        let closing = OPENED + SignedDuration::from_mins(30);
        assert_eq!(closes(&server, &configuration, OPENED), Some(closing));
        // The clocks of two hosts differ.
        let early = OPENED - SignedDuration::from_secs(5);
        assert_eq!(closes(&server, &configuration, early), Some(closing));
        assert_eq!(closes(&server, &configuration, closing), None);
    }

    #[test]
    fn a_window_is_for_one_configuration() {
        let made_again = configuration("another");
        assert_eq!(closes(&server("claim", Some("uid")), &made_again, OPENED), None);
        assert_eq!(closes(&server("other", None), &made_again, OPENED), None);
        assert!(closes(&server("claim", None), &made_again, OPENED).is_some());
        let mut elsewhere = configuration("uid");
        elsewhere.metadata.namespace = Some("elsewhere".to_owned());
        assert_eq!(closes(&server("claim", None), &elsewhere, OPENED), None);
    }

    #[test]
    fn a_server_without_a_window_gets_nothing() {
        let mut server = server("claim", None);
        server.status.as_mut().unwrap().boot_window = None;
        assert_eq!(closes(&server, &configuration("uid"), OPENED), None);
        server.status = None;
        assert_eq!(closes(&server, &configuration("uid"), OPENED), None);
    }

    fn server(boots: &str, uid: Option<&str>) -> Server {
        let mut server = Server::new("server", ServerSpec::default());
        let window = BootWindow {
            boot_configuration_ref: ObjectReference::new("tenant", boots),
            boot_configuration_uid: uid.map(str::to_owned),
            opened: Time(OPENED),
            closes: Time(OPENED + SignedDuration::from_mins(30)),
        };
        server.status = Some(ServerStatus { boot_window: Some(window), ..ServerStatus::default() });
        server
    }

    fn configuration(uid: &str) -> ServerBootConfiguration {
        let spec = ServerBootConfigurationSpec::default();
        let mut configuration = ServerBootConfiguration::new("claim", spec);
        configuration.metadata.namespace = Some("tenant".to_owned());
        configuration.metadata.uid = Some(uid.to_owned());
        configuration
    }
}
