//! A table of what is woken, by kind and change.

use super::*;
use crate::testing::{
    NAMESPACE, Objects, UUID, configuration as boot_configuration, http_config, ipxe,
    server as boot_server,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::Resource;
use metal_api::{IpxeBootConfigStatus, condition};

#[tokio::test]
async fn a_change_wakes_everybody_whose_decision_reads_it() {
    let view = view().await;
    let boots = Arc::new(boot_configuration("claim", None));
    let plain = Arc::new(ipxe("claim"));
    let fetched = edited(&plain, |it| it.status = Some(fetched_status()));
    let wish = edited(&plain, |it| it.metadata.generation = Some(2));
    let orphan = edited(&Arc::new(http_config("by-hand")), |it| {
        (it.metadata.owner_references, it.spec.system_uuid) = (None, None);
    });
    let windowed = Arc::new(boot_server("server", UUID, "claim"));
    let idle = edited(&windowed, |it| it.status = None);
    let renamed = edited(&windowed, |it| it.spec.system_uuid = Some("another".to_owned()));
    let changes: [(&str, Wakes, &[&str]); 14] = [
        (
            "new configuration",
            configuration(&view, &applied(None, &boots)),
            &["configuration claim", "kept server"],
        ),
        ("configuration that is gone", configuration(&view, &removed(&boots)), &["kept server"]),
        (
            "new boot config",
            config(&view, &applied(None, &plain)),
            &["config Ipxe/claim", "configuration claim", "kept server"],
        ),
        (
            "boot config that says that it is ready",
            config(&view, &applied(Some(&plain), &edited(&plain, |_| {}))),
            &["config Ipxe/claim", "kept server"],
        ),
        (
            "boot config that was fetched",
            config(&view, &applied(Some(&plain), &fetched)),
            &["config Ipxe/claim", "configuration claim", "kept server"],
        ),
        (
            "boot config that is changed",
            config(&view, &applied(Some(&plain), &wish)),
            &["config Ipxe/claim", "configuration claim", "kept server"],
        ),
        (
            "boot config that is gone",
            config(&view, &removed(&plain)),
            &["configuration claim", "kept server"],
        ),
        (
            "boot config that cannot be read any longer",
            config(&view, &unreadable(&plain)),
            &["configuration claim", "kept server"],
        ),
        (
            "boot config of nobody",
            config(&view, &applied(None, &orphan)),
            &["config Http/by-hand", "configuration by-hand"],
        ),
        (
            "server with a boot window",
            server(&view, &applied(Some(&windowed), &windowed)),
            &["kept server"],
        ),
        (
            "boot window that closes",
            server(&view, &applied(Some(&windowed), &idle)),
            &["kept server"],
        ),
        ("status of a server without one", server(&view, &applied(Some(&idle), &idle)), &[]),
        (
            "server with another UUID",
            server(&view, &applied(Some(&windowed), &renamed)),
            &["configuration claim", "kept server"],
        ),
        (
            "Secret",
            secret(&view, &(NAMESPACE.to_owned(), "ignition".to_owned())),
            &["config Http/claim", "config Ipxe/claim", "configuration claim", "kept server"],
        ),
    ];
    for (what, woken, expected) in changes {
        assert_eq!(show(&woken), expected, "{what}");
    }
}

#[tokio::test]
async fn a_boot_method_on_the_server_wakes_its_boot_configuration() {
    let view = view().await;
    let plain = Arc::new(boot_server("server", UUID, "claim"));
    let annotated = edited(&plain, |it| {
        let method = (annotation::BOOT_METHOD.to_owned(), "virtual-media".to_owned());
        it.metadata.annotations = Some([method].into());
    });
    for (old, new) in [(&plain, &annotated), (&annotated, &plain)] {
        let woken = show(&server(&view, &applied(Some(old), new)));
        assert_eq!(woken, ["configuration claim", "kept server"]);
    }
}

/// A view with a server that has boot configs of both kinds.
async fn view() -> View {
    let view = View::default();
    let objects = Objects { http: vec![http_config("claim")], ..Objects::ready_for_ipxe() };
    objects.fill(&view).await;
    view
}

fn fetched_status() -> IpxeBootConfigStatus {
    let condition = Condition {
        type_: condition::IPXE_SCRIPT_FETCHED.to_owned(),
        status: "True".to_owned(),
        reason: "Test".to_owned(),
        message: String::new(),
        observed_generation: None,
        last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
    };
    IpxeBootConfigStatus { conditions: vec![condition], ..IpxeBootConfigStatus::default() }
}

fn applied<'a, K>(old: Option<&'a Arc<K>>, new: &'a Arc<K>) -> Change<'a, K> {
    Change::Applied { old, new }
}

fn removed<K>(old: &Arc<K>) -> Change<'_, K> {
    Change::Removed(old)
}

fn unreadable<K: Resource>(old: &Arc<K>) -> Change<'_, K> {
    Change::Unreadable { meta: old.meta(), error: "a field", old: Some(old) }
}

fn edited<K: Clone>(object: &Arc<K>, edit: impl FnOnce(&mut K)) -> Arc<K> {
    let mut object = K::clone(object);
    edit(&mut object);
    Arc::new(object)
}

fn show(woken: &Wakes) -> Vec<String> {
    let mut all: Vec<_> = woken
        .iter()
        .map(|one| match one {
            WakeTarget::Configuration((_, name)) => format!("configuration {name}"),
            WakeTarget::Config(config) => format!("config {:?}/{}", config.kind, config.name),
            WakeTarget::StoredBoot(server) => format!("kept {server}"),
        })
        .collect();
    all.sort();
    all
}
