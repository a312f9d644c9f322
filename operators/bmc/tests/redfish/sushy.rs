//! Virtual media of an independent BMC implementation: sushy-emulator, with its fake driver.

use crate::bmc::{credentials, patient};
use axum::{Router, routing::get};
use metal_bmc::{Bmc, Config, Connect, Fleet, Target};
use metal_core::redfish::{ImageUrl, Scheme, Step};
use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

const UUID: &str = "27946b59-9e44-4fa7-8e91-f3527a1ef094";
const START: Duration = Duration::from_mins(2);

struct Emulator(Child);

impl Drop for Emulator {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn a_bmc_of_another_maker_takes_and_ejects_a_medium_and_says_so() {
    let images = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let image = format!("http://{}/media/TOKEN.iso", images.local_addr().unwrap());
    let router = Router::new().route("/media/TOKEN.iso", get(|| async { "an image" }));
    let _serving = tokio::spawn(axum::serve(images, router).into_future());
    let folder = tempfile::tempdir().unwrap();
    let address = own_address();
    let _emulator = start(folder.path(), address).await;

    let address_of = |address: SocketAddr| Target {
        scheme: Scheme::Http,
        host: address.ip().into(),
        port: address.port(),
    };
    let fleet = Fleet::new(Config { limits: patient(), ..Config::default() });
    let bmc = fleet.connect(&address_of(address), &credentials());
    let system = format!("/redfish/v1/Systems/{UUID}");
    let slots = bmc.media(&system).await.unwrap();
    let cd = slots.iter().find(|slot| slot.is_cd).unwrap();
    assert!(!cd.inserted && cd.image.is_none(), "{cd:?}");
    let (slot, image) = (cd.uri.clone(), ImageUrl::new(image));
    // Twice: the second one replaces the first.
    for _ in 0..2 {
        let insert = Step::InsertMedium { slot: slot.clone(), image: image.clone() };
        bmc.perform(&system, &insert).await.unwrap();
        let slots = bmc.media(&system).await.unwrap();
        let cd = slots.iter().find(|it| it.uri == slot).unwrap();
        assert_eq!((cd.inserted, cd.image.as_ref()), (true, Some(&image)));
    }
    bmc.perform(&system, &Step::EjectMedium { slot: slot.clone() }).await.unwrap();
    let slots = bmc.media(&system).await.unwrap();
    assert!(slots.iter().all(|slot| !slot.inserted), "{slots:?}");
}

/// An address that no other process has: 127.64.0.0/10 has one for each process number.
fn own_address() -> SocketAddr {
    (Ipv4Addr::from_bits(0x7f40_0000 | (std::process::id() & 0x003f_ffff)), 8000).into()
}

async fn start(folder: &Path, address: SocketAddr) -> Emulator {
    let config = folder.join("sushy.conf");
    let text = format!(
        "SUSHY_EMULATOR_FAKE_DRIVER = True\n\
         SUSHY_EMULATOR_STATE_DIR = '{}'\n\
         SUSHY_EMULATOR_FAKE_SYSTEMS = [{{'uuid': '{UUID}', 'name': 'fake', 'power_state': 'Off', \
         'nics': [{{'mac': '52:54:00:00:00:01', 'ip': '192.0.2.1'}}]}}]\n",
        folder.join("state").display(),
    );
    fs::write(&config, text).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hack/sushy-emulator");
    let mut command = Command::new(script);
    command.arg("--config").arg(config).args(["-i", &address.ip().to_string()]);
    command.args(["-p", &address.port().to_string()]).stdin(Stdio::null());
    let said = folder.join("said");
    command.stdout(Stdio::null()).stderr(File::create(&said).unwrap());
    let mut emulator = Emulator(command.spawn().unwrap());
    let ready = async {
        while TcpStream::connect(address).await.is_err() {
            let ended = emulator.0.try_wait().unwrap();
            assert_eq!(ended, None, "it ended: {}", fs::read_to_string(&said).unwrap());
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(START, ready).await.unwrap();
    emulator
}
