//! `ServiceRoot`, `SessionService`, `AccountService`: what a client needs to log in.

use super::view::{View, collection, link};
use crate::config::Expand;
use serde_json::{Value, json};

const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";
const ACCOUNTS: &str = "/redfish/v1/AccountService";

impl View<'_> {
    pub(super) fn root(&self) -> Value {
        let expands = self.config.profile.expand == Expand::Offered;
        let mut expand = json!({ "ExpandAll": false, "Levels": false, "Links": false });
        expand["NoLinks"] = json!(expands);
        let child = |name| link(format!("/redfish/v1/{name}"));
        json!({
            "@odata.id": "/redfish/v1/",
            "@odata.type": "#ServiceRoot.v1_15_0.ServiceRoot",
            "Id": "RootService",
            "Name": "Root Service",
            "RedfishVersion": "1.18.0",
            "UUID": self.machine.hardware.bmc_uuid(),
            "Product": "Simulated BMC",
            "Vendor": "Contoso",
            "ProtocolFeaturesSupported": {
                "ExpandQuery": expand,
                "FilterQuery": false,
                "SelectQuery": false,
                "ExcerptQuery": false,
                "OnlyMemberQuery": true,
            },
            "Systems": child("Systems"),
            "Chassis": child("Chassis"),
            "Managers": child("Managers"),
            "SessionService": child("SessionService"),
            "AccountService": child("AccountService"),
            "Tasks": child("TaskService"),
            "Links": { "Sessions": link(SESSIONS) },
        })
    }

    pub(super) fn session_service(&self) -> Value {
        json!({
            "@odata.id": "/redfish/v1/SessionService",
            "@odata.type": "#SessionService.v1_1_9.SessionService",
            "Id": "SessionService",
            "Name": "Session Service",
            "ServiceEnabled": true,
            "SessionTimeout": self.config.limits.session_timeout.as_secs().max(30),
            "Sessions": link(SESSIONS),
        })
    }

    pub(super) fn sessions(&self) -> Value {
        let ids = self.state.access.sessions().iter().map(|session| session.id);
        collection("Sessions", "Session", SESSIONS, ids)
    }

    pub(super) fn session(&self, id: u32) -> Option<Value> {
        let session = self.state.access.sessions().iter().find(|session| session.id == id)?;
        Some(json!({
            "@odata.id": format!("{SESSIONS}/{id}"),
            "@odata.type": "#Session.v1_7_0.Session",
            "Id": id.to_string(),
            "Name": "User Session",
            "UserName": self.config.account.username,
            "Password": null,
            "CreatedTime": session.created,
        }))
    }

    pub(super) fn account_service(&self) -> Value {
        let limits = &self.config.limits;
        json!({
            "@odata.id": ACCOUNTS,
            "@odata.type": "#AccountService.v1_15_0.AccountService",
            "Id": "AccountService",
            "Name": "Account Service",
            "ServiceEnabled": true,
            "AccountLockoutThreshold": limits.lockout_threshold,
            "AccountLockoutDuration": limits.lockout_duration.as_secs(),
            "Accounts": link(format!("{ACCOUNTS}/Accounts")),
            "Roles": link(format!("{ACCOUNTS}/Roles")),
        })
    }

    pub(super) fn account(&self) -> Value {
        json!({
            "@odata.id": format!("{ACCOUNTS}/Accounts/1"),
            "@odata.type": "#ManagerAccount.v1_12_0.ManagerAccount",
            "Id": "1",
            "Name": "User Account",
            "Enabled": true,
            "Locked": self.state.access.is_locked(self.now),
            "UserName": self.config.account.username,
            "Password": null,
            "AccountTypes": ["Redfish"],
            "RoleId": "Administrator",
            "Links": { "Role": link(format!("{ACCOUNTS}/Roles/Administrator")) },
        })
    }
}

pub(super) fn role() -> Value {
    json!({
        "@odata.id": format!("{ACCOUNTS}/Roles/Administrator"),
        "@odata.type": "#Role.v1_3_1.Role",
        "Id": "Administrator",
        "Name": "Administrator",
        "RoleId": "Administrator",
        "IsPredefined": true,
        "AssignedPrivileges": [
            "Login", "ConfigureManager", "ConfigureUsers", "ConfigureComponents", "ConfigureSelf",
        ],
    })
}
