//! `$metadata` and the OData service document (DSP0266, 8.4).

use serde_json::{Value, json};

/// The schemas in use: their names, and the version of resources, which is empty for collections.
const SCHEMAS: [(&str, &str); 34] = [
    ("ServiceRoot", "v1_15_0"),
    ("ComputerSystemCollection", ""),
    ("ComputerSystem", "v1_20_0"),
    ("ProcessorCollection", ""),
    ("Processor", "v1_19_0"),
    ("MemoryCollection", ""),
    ("Memory", "v1_19_0"),
    ("StorageCollection", ""),
    ("Storage", "v1_15_0"),
    ("DriveCollection", ""),
    ("Drive", "v1_19_0"),
    ("VolumeCollection", ""),
    ("Volume", "v1_9_0"),
    ("EthernetInterfaceCollection", ""),
    ("EthernetInterface", "v1_12_0"),
    ("BootOptionCollection", ""),
    ("BootOption", "v1_0_4"),
    ("ManagerCollection", ""),
    ("Manager", "v1_19_0"),
    ("VirtualMediaCollection", ""),
    ("VirtualMedia", "v1_6_0"),
    ("ChassisCollection", ""),
    ("Chassis", "v1_25_0"),
    ("SessionService", "v1_1_9"),
    ("SessionCollection", ""),
    ("Session", "v1_7_0"),
    ("AccountService", "v1_15_0"),
    ("ManagerAccountCollection", ""),
    ("ManagerAccount", "v1_12_0"),
    ("RoleCollection", ""),
    ("Role", "v1_3_1"),
    ("TaskService", "v1_2_0"),
    ("TaskCollection", ""),
    ("Task", "v1_7_0"),
];

const HEAD: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8"?>"#,
    r#"<edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" Version="4.0">"#,
);

const TAIL: &str = concat!(
    r#"<edmx:Reference Uri="http://redfish.dmtf.org/schemas/v1/RedfishExtensions_v1.xml">"#,
    r#"<edmx:Include Namespace="RedfishExtensions.v1_0_0" Alias="Redfish"/></edmx:Reference>"#,
    r#"<edmx:DataServices>"#,
    r#"<Schema xmlns="http://docs.oasis-open.org/odata/ns/edm" Namespace="Service">"#,
    r#"<EntityContainer Name="Service" Extends="ServiceRoot.v1_15_0.ServiceContainer"/>"#,
    r#"</Schema></edmx:DataServices></edmx:Edmx>"#,
);

/// `$metadata`.
pub(super) fn document() -> String {
    let references: String =
        SCHEMAS.iter().map(|(name, version)| reference(name, version)).collect();
    [HEAD, &references, TAIL].concat()
}

fn reference(name: &str, version: &str) -> String {
    let namespace = |of: &str| format!(r#"<edmx:Include Namespace="{of}"/>"#);
    let (file, included) = if version.is_empty() {
        (name.to_owned(), namespace(name))
    } else {
        (format!("{name}_v1"), namespace(name) + &namespace(&format!("{name}.{version}")))
    };
    let uri = format!("http://redfish.dmtf.org/schemas/v1/{file}.xml");
    format!(r#"<edmx:Reference Uri="{uri}">{included}</edmx:Reference>"#)
}

/// `odata`.
pub(super) fn service_document() -> Value {
    let singletons: Vec<_> = [
        ("Service", "/redfish/v1/"),
        ("Systems", "/redfish/v1/Systems"),
        ("Chassis", "/redfish/v1/Chassis"),
        ("Managers", "/redfish/v1/Managers"),
        ("SessionService", "/redfish/v1/SessionService"),
        ("AccountService", "/redfish/v1/AccountService"),
        ("Tasks", "/redfish/v1/TaskService"),
    ]
    .map(|(name, url)| json!({ "name": name, "kind": "Singleton", "url": url }))
    .into();
    json!({ "@odata.context": "/redfish/v1/$metadata", "value": singletons })
}
