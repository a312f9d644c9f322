use super::*;
use metal_api::{BootInstaller, BootInstallerKind};
use serde_json::json;

fn disk_image() -> BootToken {
    let mut token = token(1);
    let kind = Some(BootInstallerKind::DiskImage);
    token.spec.installer = Some(BootInstaller { kind, ..BootInstaller::default() });
    token
}

#[tokio::test]
async fn what_the_installer_of_disk_images_asks_for_is_there_for_no_other_installer() {
    let ours = Site::new(vec![disk_image()], vec![], vec![]).await;
    let (status, order) = ours.get(&format!("{}/install.json", boot(1))).await;
    assert_eq!(status, StatusCode::OK, "{order}");
    assert_eq!(serde_json::from_str::<Value>(&order).unwrap()["host"], "credential");
    assert_eq!(ours.get(&format!("{}/kickstart", boot(1))).await.0, StatusCode::NOT_FOUND);
    let anaconda = Site::new(vec![token(1)], vec![], vec![]).await;
    for file in ["install.json", "disk.img", "disk.img.sha256"] {
        let (status, _) = anaconda.get(&format!("{}/{file}", boot(1))).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{file}");
        let (status, body) = ours.get(&format!("{}/{file}", boot(2))).await;
        assert_eq!((status, body.as_str()), REFUSED, "of a later boot: {file}");
    }
}

#[tokio::test]
async fn an_installer_that_is_done_is_heard_however_often_it_says_so() {
    let site = Site::new(vec![disk_image()], vec![], vec![]).await;
    let progress = format!("{}/install/progress", boot(1));
    let said = json!({ "phase": "writing", "written": 1 << 20, "total": 4 << 20 }).to_string();
    assert_eq!(site.post(&progress, &said).await, StatusCode::NO_CONTENT);
    assert_eq!(site.post(&progress, "{}").await, StatusCode::BAD_REQUEST);
    let stranger = "/c/x/install/progress";
    assert_eq!(site.post(stranger, "{}").await, StatusCode::FORBIDDEN, "no word about the body");
    for _ in 0..3 {
        let status = site.post(&format!("{}/pxe/disable", boot(1)), "").await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    assert_eq!(site.api.written().len(), 2);
    assert_eq!(site.post(&format!("{}/pxe/disable", boot(2)), "").await, StatusCode::FORBIDDEN);
}
